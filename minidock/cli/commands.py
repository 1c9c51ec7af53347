"""Every command, its place and its one line of help, without importing any of them.

`--version`, help and mistyped names need this table only; the module of a command is imported when it is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

PROGRAM = "minidock"


class Command(NamedTuple):  # a dataclass would import half of the standard library before `--version` is printed
    """Where a command lives: ``function`` of ``minidock.cli.MODULE``."""

    module: str
    function: str
    summary: str
    stops_at_argument: bool = False  # the rest of the line belongs to the container
    failure_code: int = 1  # for errors that do not have an exit code of their own
    has_help_hint: bool = False  # its errors end in a word about its help
    is_reader: bool = False  # it needs no id of a container: it reads records, sends signals
    is_diagnosis: bool = False  # it works where others could not, to say so


GROUPS = {
    "builder": "Manage builds",
    "buildx": "Build images (docker's plugin of that name)",
    "container": "Manage containers",
    "context": "Look at build contexts",
    "image": "Manage images",
    "network": "Manage networks",
    "system": "Manage minidock",
    "volume": "Manage volumes",
}

_ATTACH = Command(
    "attach", "attach", "Attach local standard input, output, and error streams to a running container", is_reader=True
)
_BLAME = Command("blame", "blame", "Show which instruction put a file into an image, changed or hid it", is_reader=True)
_BUILD = Command("build", "build", "Build an image from a Dockerfile")
_BUILDER_PRUNE = Command("prune", "builder_prune", "Remove build cache")
_COMMIT = Command("commit", "commit", "Create a new image from a container's changes")
_CP = Command("cp", "cp", "Copy files/folders between a container and the local filesystem")
_CREATE = Command(
    "create",
    "create",
    "Create a new container",
    stops_at_argument=True,
    failure_code=1,
)
_DIFF = Command("diff", "diff", "Inspect changes to files or directories on a container's filesystem")
_DOCTOR = Command(
    "doctor", "doctor", "Find out what works on this machine, what does not, and what would help", is_diagnosis=True
)
_EVENTS = Command("events", "events", "Get real time events from the store", is_reader=True)
_EXEC = Command("exec", "exec_", "Execute a command in a running container", stops_at_argument=True)
_EXPORT = Command("export", "export", "Export a container's filesystem as a tar archive")
_HISTORY = Command("history", "history", "Show the history of an image", is_reader=True)
_IMAGES = Command("images", "images", "List images", is_reader=True)
_IMPORT = Command("import_", "import_", "Import the contents from a tarball to create a filesystem image")
_INFO = Command("info", "info", "Display system-wide information", is_diagnosis=True)
_KILL = Command("kill", "kill", "Kill one or more running containers", is_reader=True)
_LOAD = Command("load", "load", "Load an image from a tar archive or STDIN")
_LOGIN = Command("login", "login", "Authenticate to a registry", is_reader=True)
_LOGOUT = Command("login", "logout", "Log out from a registry", is_reader=True)
_LOGS = Command("logs", "logs", "Fetch the logs of a container", is_reader=True)
_PAUSE = Command("pause", "pause", "Pause all processes within one or more containers", is_reader=True)
_PORT = Command("port", "port", "List port mappings or a specific mapping for the container", is_reader=True)
_PS = Command("ps", "ps", "List containers", is_reader=True)
_PULL = Command("pull", "pull", "Download an image from a registry")
_PUSH = Command("push", "push", "Upload an image to a registry")
_RENAME = Command("rename", "rename", "Rename a container")
_REPORT = Command("report", "report", "Write a page that shows layers, who shares them, and what fills the store")
_RESTART = Command("restart", "restart", "Restart one or more containers")
_RM = Command("rm", "rm", "Remove one or more containers")
_RMI = Command("rmi", "rmi", "Remove one or more images")
_RUN = Command(
    "run",
    "run",
    "Create and run a new container from an image",
    stops_at_argument=True,
    failure_code=125,
    has_help_hint=True,
)
_SAVE = Command("save", "save", "Save one or more images to a tar archive (streamed to STDOUT by default)")
_START = Command("start", "start", "Start one or more stopped containers")
_STATS = Command("stats", "stats", "Display a live stream of container(s) resource usage statistics", is_reader=True)
_STOP = Command("stop", "stop", "Stop one or more running containers")
_TOP = Command("top", "top", "Display the running processes of a container", stops_at_argument=True, is_reader=True)
_UNPAUSE = Command("pause", "unpause", "Unpause all processes within one or more containers", is_reader=True)
_UNSHARE = Command(
    "unshare", "unshare", "Run a command in the user namespace of the store's files", stops_at_argument=True
)
_UPDATE = Command("update", "update", "Update configuration of one or more containers")
_TAG = Command("tag", "tag", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE")
_WAIT = Command("wait", "wait", "Block until one or more containers stop, then print their exit codes", is_reader=True)

# In the order in which `--help` of an alias lists them.
COMMANDS = {
    "attach": _ATTACH,
    "blame": _BLAME,
    "build": _BUILD,
    "commit": _COMMIT,
    "cp": _CP,
    "create": _CREATE,
    "diff": _DIFF,
    "doctor": _DOCTOR,
    "events": _EVENTS,
    "exec": _EXEC,
    "export": _EXPORT,
    "history": _HISTORY,
    "images": _IMAGES,
    "import": _IMPORT,
    "info": _INFO,
    "inspect": Command(
        "inspect", "inspect", "Return low-level information on containers, images, networks and volumes", is_reader=True
    ),
    "kill": _KILL,
    "load": _LOAD,
    "login": _LOGIN,
    "logout": _LOGOUT,
    "logs": _LOGS,
    "pause": _PAUSE,
    "port": _PORT,
    "ps": _PS,
    "pull": _PULL,
    "push": _PUSH,
    "rename": _RENAME,
    "report": _REPORT,
    "restart": _RESTART,
    "rm": _RM,
    "rmi": _RMI,
    "run": _RUN,
    "save": _SAVE,
    "start": _START,
    "stats": _STATS,
    "stop": _STOP,
    "tag": _TAG,
    "top": _TOP,
    "unpause": _UNPAUSE,
    "unshare": _UNSHARE,
    "update": _UPDATE,
    "version": Command("version", "version", "Show the minidock version information", is_reader=True),
    "wait": _WAIT,
    "why": Command("why", "why", "Show why steps of the last build were rebuilt", is_reader=True),
    "builder prune": _BUILDER_PRUNE,
    "buildx build": _BUILD,
    "buildx prune": _BUILDER_PRUNE,
    "container attach": _ATTACH,
    "container create": _CREATE,
    "container commit": _COMMIT,
    "container cp": _CP,
    "container diff": _DIFF,
    "container exec": _EXEC,
    "container export": _EXPORT,
    "container inspect": Command(
        "inspect", "container_inspect", "Display detailed information on one or more containers", is_reader=True
    ),
    "container kill": _KILL,
    "container logs": _LOGS,
    "container ls": _PS,
    "container pause": _PAUSE,
    "container port": _PORT,
    "container prune": Command("prune", "container_prune", "Remove all stopped containers"),
    "container rename": _RENAME,
    "container restart": _RESTART,
    "container rm": _RM,
    "container run": _RUN,
    "container start": _START,
    "container stats": _STATS,
    "container stop": _STOP,
    "container top": _TOP,
    "container unpause": _UNPAUSE,
    "container update": _UPDATE,
    "container wait": _WAIT,
    "context ls": Command("context", "ls", "Show what a build context holds, its largest parts first", is_reader=True),
    "context why": Command(
        "context", "why", "Show which ignore rule takes a file out of a build context or leaves it in", is_reader=True
    ),
    "image blame": _BLAME,
    "image build": _BUILD,
    "image diff": Command(
        "image_diff",
        "image_diff",
        "Show which files were added, changed and removed between two images",
        is_reader=True,
    ),
    "image files": Command(
        "image_files", "image_files", "Show the files of an image, or what is in one of its layers", is_reader=True
    ),
    "image from-host": Command("from_host", "from_host", "Make an image from programs of this machine"),
    "image history": _HISTORY,
    "image import": _IMPORT,
    "image inspect": Command(
        "inspect", "image_inspect", "Display detailed information on one or more images", is_reader=True
    ),
    "image load": _LOAD,
    "image ls": _IMAGES,
    "image prune": Command("prune", "image_prune", "Remove unused images"),
    "image pull": _PULL,
    "image push": _PUSH,
    "image rm": _RMI,
    "image save": _SAVE,
    "image tag": _TAG,
    "image tree": Command("image_tree", "image_tree", "Show layers and which images share them", is_reader=True),
    "image waste": Command(
        "image_waste",
        "image_waste",
        "Show bytes that an image stores but does not show, and what would save them",
        is_reader=True,
    ),
    "network connect": Command("network", "connect", "Connect a container to a network"),
    "network create": Command("network", "create", "Create a network"),
    "network disconnect": Command("network", "disconnect", "Disconnect a container from a network"),
    "network inspect": Command(
        "network", "inspect", "Display detailed information on one or more networks", is_reader=True
    ),
    "network ls": Command("network", "ls", "List networks", is_reader=True),
    "network prune": Command("network", "prune", "Remove all unused networks"),
    "network rm": Command("network", "rm", "Remove one or more networks"),
    "system df": Command("df", "df", "Show minidock disk usage"),
    "system events": _EVENTS,
    "system doctor": _DOCTOR,
    "system info": _INFO,
    "system prune": Command("prune", "system_prune", "Remove unused data"),
    "system unshare": _UNSHARE,
    "system reset": Command("reset", "reset", "Remove everything: images, containers, volumes and build cache"),
    "volume create": Command("volume", "create", "Create a volume"),
    "volume inspect": Command(
        "volume", "inspect", "Display detailed information on one or more volumes", is_reader=True
    ),
    "volume ls": Command("volume", "ls", "List volumes", is_reader=True),
    "volume prune": Command("prune", "volume_prune", "Remove unused local volumes"),
    "volume rm": Command("volume", "rm", "Remove one or more volumes"),
}

# Other names that docker takes too; lists of commands leave them out.
ALIASES = {
    "builder build": "build",
    "buildx b": "buildx build",
    "container list": "container ls",
    "container ps": "container ls",
    "container remove": "container rm",
    "context list": "context ls",
    "image list": "image ls",
    "image remove": "image rm",
    "network list": "network ls",
    "network remove": "network rm",
    "volume list": "volume ls",
    "volume remove": "volume rm",
}


def find(name: str, table: Mapping[str, Command] = COMMANDS) -> Command | None:
    """Return the command called ``name`` (``images``, ``image ls``, ``image list``)."""
    return table.get(ALIASES.get(name, name))


def names_of(command: Command) -> tuple[str, ...]:
    """Return every name of ``command``, those with a group first."""
    named = [name for name, other in COMMANDS.items() if other == command]
    named += [name for name, target in ALIASES.items() if COMMANDS[target] == command]
    return tuple(sorted(named, key=lambda name: (" " not in name, named.index(name))))


def members(group: str) -> dict[str, str]:
    """Return the names in ``group`` (empty: the names without one) and their lines of help, by name."""
    found = {}
    for name, command in COMMANDS.items():
        head, _, tail = name.rpartition(" ")
        if head == group:
            found[tail] = command.summary
    return dict(sorted(found.items()))
