"""Every error that a user can meet: what happened in one line, what to do about it, and the exit code.

The tree (a class holds the data of its message as attributes)::

    MinidockError                      1
    ├── UsageError                     1    a command line that does not fit
    │   ├── ArgumentCount            1    too many or too few arguments
    │   └── FlagError                125    unknown option, bad option value
    ├── TemplateError                  a template of --format
    ├── InvalidDigest InvalidReference InvalidUnit InvalidPlatform InvalidSignal
    ├── InvalidRequest                 options of a container or volume that cannot be carried out
    ├── NoSuchImage NoSuchContainer NoSuchVolume NoSuchNetwork NoSuchObject NoSuchPath
    ├── ImageConflict VolumeInUse NetworkInUse NameConflict
    ├── ContainerConflict
    │   ├── ContainerRunning
    │   ├── ContainerNotRunning
    │   └── InvalidState                 anything else about what it is doing
    ├── InvalidElf                     a program or library that is malformed or hostile
    ├── HostFileError                  a file of this machine that cannot be packed (`image from-host`)
    │   ├── ProgramNotFound
    │   └── LibraryNotFound
    ├── StoreError
    │   ├── BlobNotFound               a blob that something names is not there
    │   ├── BlobCorrupt                its bytes are not what its digest says
    │   ├── StoreForeign               another user's, another id mode's or a newer store
    │   ├── IdRangesUnavailable        the ids that /etc/subuid gives a user cannot be had
    │   ├── StoreUnwritable            permission, read-only file system
    │   ├── StorageFull                no space, quota
    │   └── TarError                   a layer that is malformed or hostile
    ├── BuildError
    │   ├── ExpansionError             quotes or variables of a word that cannot be processed
    │   ├── PatternError               a pattern of .dockerignore, --exclude or COPY that is malformed
    │   ├── DockerfileError            with file and line range; shown with the lines around
    │   ├── StepFailed                 a RUN that ended with a code other than 0
    │   └── ContextChanged             files of the context change while they are read
    ├── RegistryError                  a registry that answers what it must not
    │   ├── RegistryUnreachable        nobody answers, or the connection broke
    │   └── RegistryRefused            it says no: status, code and its own words
    └── RuntimeProblem               125    a process could not be started
        ├── UnknownAccount                  a user or group that the image's files do not name
        ├── CommandNotExecutable     126
        ├── CommandNotFound          127
        ├── PortAllocated                   a port that another container has published
        ├── StartFailed                   a container that did not start in the background; has the code of the cause
        └── NoRuntime                125    nothing on this machine can isolate a process

Where docker has words for a mistake these are docker's words, without the "Error response from daemon: " in front.
"""

from __future__ import annotations


class MinidockError(Exception):
    """What happened, in one line; ``hint`` says what to do about it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(MinidockError):
    """A command line that does not fit; ``command`` (``minidock image ls``) and its ``usage`` line say where.

    Whoever knows them fills them in: empty means the command that was called.
    """

    def __init__(self, message: str, *, command: str = "", usage: str = "") -> None:
        super().__init__(message)
        self.command = command
        self.usage = usage


class ArgumentCount(UsageError):
    """``command`` got a number of arguments outside ``least`` to ``most``; ``most`` is None if there is no limit."""

    def __init__(self, command: str, *, least: int, most: int | None) -> None:
        plural = "" if (least if most is None else most) == 1 else "s"
        if most == 0:
            text = "accepts no arguments"
        elif most == least:
            text = f"requires {least} argument{plural}"
        elif most is None:
            text = f"requires at least {least} argument{plural}"
        elif least == 0:
            text = f"requires at most {most} argument{plural}"
        else:
            text = f"requires at least {least} and at most {most} argument{plural}"
        super().__init__(f"'{command}' {text}", command=command)
        self.least = least
        self.most = most


class FlagError(UsageError):
    """An option that does not exist, or a value that it does not take."""

    exit_code = 125


class TemplateError(MinidockError):
    """A template of ``--format`` that cannot be read, or does not fit what it is filled with; in Go's words."""

    def __init__(self, text: str) -> None:
        super().__init__(f"template parsing error: {text}")


class InvalidDigest(MinidockError):
    """Text that is not ``sha256:`` and 64 hexadecimal digits."""

    def __init__(self, text: str) -> None:
        super().__init__(f"invalid digest: {text!r}")
        self.text = text


class InvalidReference(MinidockError):
    """Text that does not name an image; ``reason`` is docker's word for it."""

    def __init__(self, text: str, reason: str = "invalid reference format") -> None:
        super().__init__(reason)
        self.text = text


class InvalidUnit(MinidockError):
    """Text that is not a size; the message is docker's word for it."""


class InvalidPlatform(MinidockError):
    """Text that does not name a platform."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"failed to parse platform {text}: {reason}")
        self.text = text
        self.reason = reason


class InvalidSignal(MinidockError):
    """Text that names no signal."""

    def __init__(self, text: str) -> None:
        super().__init__(f"invalid signal: {text}")
        self.text = text


class InvalidRequest(MinidockError):
    """Options of a container or volume that cannot be carried out; the message is docker's word for it."""


class NoSuchImage(MinidockError):
    """No image in the store answers to a reference or ID prefix."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"No such image: {reference}", hint="see `minidock image ls`")
        self.reference = reference


class NoSuchContainer(MinidockError):
    """No container answers to a name or ID prefix."""

    def __init__(self, name: str, prefix: str = "") -> None:
        super().__init__(f"{prefix}No such container: {name}")
        self.name = name


class NoSuchVolume(MinidockError):
    """No volume has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"get {name}: no such volume")
        self.name = name


class NoSuchNetwork(MinidockError):
    """No network has this name or ID."""

    def __init__(self, name: str) -> None:
        super().__init__(f"network {name} not found")
        self.name = name


class NoSuchObject(MinidockError):
    """Neither an image, a container nor a volume answers to a name (`inspect`)."""

    def __init__(self, name: str) -> None:
        super().__init__(f"No such object: {name}")
        self.name = name


class NoSuchPath(MinidockError):
    """A path that no layer of an image ever had."""

    def __init__(self, path: str, image: str) -> None:
        super().__init__(f"{path} was never in {image}", hint=f"`minidock image files {image}` shows what is")
        self.path = path
        self.image = image


class ImageConflict(MinidockError):
    """An image that cannot be removed because something uses it."""


class ContainerConflict(MinidockError):
    """A container that is in the wrong state for what was asked."""


class ContainerRunning(ContainerConflict):
    """A container that cannot be removed because it runs."""

    def __init__(self, container_id: str) -> None:
        super().__init__(
            f"You cannot remove a running container {container_id}. "
            "Stop the container before attempting removal or force remove"
        )
        self.container_id = container_id


class ContainerNotRunning(ContainerConflict):
    """A container that would have to run for what was asked."""

    def __init__(self, container_id: str, prefix: str = "") -> None:
        super().__init__(f"{prefix}Container {container_id} is not running")
        self.container_id = container_id


class InvalidState(ContainerConflict):
    """A container that is doing something else than would be needed; the message is docker's word for it."""


class NameConflict(MinidockError):
    """A container name that is taken."""

    exit_code = 125

    def __init__(self, name: str, owner: str) -> None:
        super().__init__(
            f'Conflict. The container name "/{name}" is already in use by container "{owner}". '
            "You have to remove (or rename) that container to be able to reuse that name."
        )
        self.name = name
        self.owner = owner


class VolumeInUse(MinidockError):
    """A volume that containers use."""

    def __init__(self, name: str, containers: list[str]) -> None:
        super().__init__(f"remove {name}: volume is in use - [{', '.join(containers)}]")
        self.name = name
        self.containers = containers


class NetworkInUse(MinidockError):
    """A network that running containers are connected with; ``containers`` are (name, ID)."""

    def __init__(self, name: str, network_id: str, containers: list[tuple[str, str]]) -> None:
        users = ", ".join(f'name:"{user}" id:"{user_id[:12]}"' for user, user_id in containers)
        super().__init__(f"error while removing network: network {name} id {network_id} has active endpoints ({users})")
        self.name = name
        self.containers = containers


class InvalidElf(MinidockError):
    """Bytes that are not an ELF file, or one that is truncated, malformed or hostile."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"invalid ELF file: {reason}")
        self.reason = reason


class HostFileError(MinidockError):
    """A file of this machine that cannot be packed into an image."""

    def __init__(self, path: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"from-host: {path}: {reason}", hint=hint)
        self.path = path
        self.reason = reason


class ProgramNotFound(HostFileError):
    """A program that is in none of the directories of PATH."""

    def __init__(self, name: str, reason: str = "not found in PATH") -> None:
        super().__init__(name, reason)
        self.name = name


class LibraryNotFound(HostFileError):
    """A shared library that the loader would not find either; ``needed_by`` is the file that asks for it."""

    def __init__(self, library: str, needed_by: str) -> None:
        super().__init__(library, f"shared library not found, needed by {needed_by}")
        self.library = library
        self.needed_by = needed_by


class StoreError(MinidockError):
    """Something is wrong with the store on disk."""


class BlobNotFound(StoreError):
    """A blob that something in the store names is not there."""

    def __init__(self, digest: object) -> None:
        super().__init__(f"blob {digest} is missing from the store")
        self.digest = digest


class BlobCorrupt(StoreError):
    """A blob whose bytes are not what its digest says."""

    def __init__(self, digest: object, found: object) -> None:
        super().__init__(
            f"blob {digest} is damaged: its bytes have the digest {found}",
            hint="remove the images that use it and build or import them again",
        )
        self.digest = digest
        self.found = found


class StoreForeign(StoreError):
    """A store of another user, another id mode or a newer version."""


class IdRangesUnavailable(StoreError):
    """The subordinate ids of a plain user are missing or cannot be mapped."""


class StoreUnwritable(StoreError):
    """The store cannot be written: permission, or a read-only file system."""


class StorageFull(StoreError):
    """No space or quota left where the store is."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"no space left on device: {path}",
            hint="nothing was lost; `minidock system df` shows what can go, `minidock system prune` frees it",
        )
        self.path = path


class TarError(StoreError):
    """A tar stream that is malformed, hostile or of a kind that is not understood.

    The message may quote names of it; what could do something to a terminal is escaped.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        shown = (char if char.isprintable() else ascii(char)[1:-1] for char in message)
        super().__init__("".join(shown), hint=hint)


class BuildError(MinidockError):
    """A build that cannot go on."""


class ExpansionError(BuildError):
    """A word of a Dockerfile whose quotes or variables cannot be processed; `DockerfileError` adds the lines."""

    def __init__(self, message: str, word: str) -> None:
        super().__init__(message)
        self.word = word


class PatternError(BuildError):
    """A pattern of an ignore file, an --exclude or a COPY source that is malformed."""

    def __init__(self, message: str, pattern: str) -> None:
        super().__init__(message, hint=f"the pattern is {pattern}")
        self.pattern = pattern


class DockerfileError(BuildError):
    """A mistake in a Dockerfile, or a step that failed, at lines ``first`` to ``last`` (1-based, inclusive).

    ``source`` is the text of the file, for the excerpt that render prints; ``first`` is 0 if no line is to blame.
    """

    def __init__(
        self,
        message: str,
        *,
        filename: str = "Dockerfile",
        first: int = 0,
        last: int = 0,
        source: str = "",
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.filename = filename
        self.first = first
        self.last = last or first
        self.source = source


class StepFailed(DockerfileError):
    """A RUN whose process ended with ``status`` other than 0; ``tail`` holds its last lines of output."""

    def __init__(
        self,
        command: str,
        status: int,
        *,
        step_name: str,
        tail: tuple[str, ...],
        filename: str,
        first: int,
        last: int,
        source: str,
    ) -> None:
        quoted = command.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        super().__init__(
            f'process "{quoted}" did not complete successfully: exit code: {status}',
            filename=filename,
            first=first,
            last=last,
            source=source,
        )
        self.status = status
        self.step_name = step_name
        self.tail = tail


class ContextChanged(BuildError):
    """A file of the context that kept changing while it was copied."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path}: the file changes while it is being copied",
            hint="wait until whatever writes it has finished, then build again",
        )
        self.path = path


class NotCached(BuildError):
    """A step of a build that must come from the cache as a whole, and does not."""

    def __init__(self, step: str, reasons: str) -> None:
        super().__init__(
            f"--require-cached: {step} is not in the build cache: {reasons}",
            hint="build without --require-cached to run it",
        )


class NoSuchBuild(MinidockError):
    """A build, or a step of one, that nothing is known of."""


class RegistryError(MinidockError):
    """A registry that answers what it must not: a wrong digest, a redirect to where none may lead."""


class RegistryUnreachable(RegistryError):
    """A registry that nobody answers for, or a connection that broke; ``may_pass`` if another try may go better."""

    def __init__(self, message: str, *, hint: str | None = None, may_pass: bool = True) -> None:
        super().__init__(message, hint=hint)
        self.may_pass = may_pass


class RegistryRefused(RegistryError):
    """A request that a registry refuses; ``code`` is the first of its error codes, empty if it names none."""

    def __init__(self, request: str, status: int, code: str, detail: str) -> None:
        text = f"{code.lower().replace('_', ' ')}: {detail}" if code else detail
        super().__init__(text or f"unexpected status from {request}: {status}")
        self.request = request
        self.status = status
        self.code = code
        self.detail = detail


class RuntimeProblem(MinidockError):
    """A process could not be started."""

    exit_code = 125


class UnknownAccount(RuntimeProblem):
    """A name in USER, --user or --chown that is in none of the image's account files."""

    def __init__(self, kind: str, name: str, file: str) -> None:
        super().__init__(f"unable to find {kind} {name}: no matching entries in {file} file")
        self.kind = kind
        self.name = name


class CommandNotExecutable(RuntimeProblem):
    """The command exists but cannot be invoked."""

    exit_code = 126

    def __init__(self, command: str, reason: str = "permission denied") -> None:
        super().__init__(f'exec: "{command}": {reason}')
        self.command = command


class CommandNotFound(RuntimeProblem):
    """There is no such command in the container."""

    exit_code = 127

    def __init__(self, command: str, reason: str | None = None) -> None:
        if reason is not None:
            text = f'exec: "{command}": {reason}'
        elif "/" in command:
            text = f'exec: "{command}": stat {command}: no such file or directory'
        else:
            text = f'exec: "{command}": executable file not found in $PATH'
        super().__init__(text)
        self.command = command


class StartFailed(RuntimeProblem):
    """A container that its monitor could not start; ``exit_code`` is that of the error that the monitor met."""

    def __init__(self, message: str, exit_code: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


class NoRuntime(RuntimeProblem):
    """Nothing on this machine can isolate a process; the hint names what would."""


class PortAllocated(RuntimeProblem):
    """A port of the host that another container has published."""

    def __init__(self, name: str, container_id: str, address: str, port: int) -> None:
        shown = f"[{address}]" if ":" in address else address
        super().__init__(
            "failed to set up container networking: driver failed programming external connectivity on endpoint "
            f"{name} ({container_id}): Bind for {shown}:{port} failed: port is already allocated"
        )
        self.address = address
        self.port = port
