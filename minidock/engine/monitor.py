"""The program that watches over a detached container: it writes the log, and at the end the final state.

It is the process that has started the container, after an exec: small, for it lives as long as the container does. So
it has inherited the container's process as its child, and descriptors: the container's lock, its log, the streams of
its process, and those that keep the runtime's helper alive. It needs nothing that imports much (json, dataclasses).
"""

from __future__ import annotations

import os
import sys

from minidock.engine.relay import relay
from minidock.store.container_log import STDERR, STDOUT, LogWriter, now
from minidock.store.writer import Disk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from minidock.engine.relay import Sink

_BOOT = "import sys; sys.path.append(sys.argv[1]); from minidock.engine.monitor import main; main()"
_PACKAGE_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_CODE, _TIME = "@exit_code@", "@finished_at@"


def executable() -> str:
    """Return the program that a monitor is."""
    return sys.executable


def command_line(
    root: str,
    container_id: str,
    *,
    log: int,
    outputs: tuple[int, int],
    final_state: Mapping[str, Any],
    auto_remove: bool,
) -> list[str]:
    """Return the command line of the monitor; ``log`` and ``outputs`` are descriptors, -1 if there is none.

    ``final_state`` is what state.json is to hold in the end, but for the exit code and the time.
    """
    import json

    template = json.dumps({**final_state, "exit_code": _CODE, "finished_at": _TIME}, separators=(",", ":"))
    numbers = [str(number) for number in (log, *outputs)]
    paths = os.pathsep.join(sys.path) if auto_remove else ""
    options = ["-I", "-S", "-X", "utf8", "-c", _BOOT, _PACKAGE_ROOT]
    return [sys.executable, *options, root, container_id, *numbers, template, paths]


def main() -> None:
    """Watch over the container that the command line names until it has ended."""
    root, container_id, log_text, stdout, stderr, template, paths = sys.argv[2:]
    disk = Disk()
    log = int(log_text)
    sinks: dict[int, Sink] = {}
    for fd, stream in ((int(stdout), STDOUT), (int(stderr), STDERR)):
        if fd >= 0:
            sinks[fd] = _sink(disk, log, stream)
    relay(sinks)
    code = _exit_code(os.waitpid(-1, 0)[1])
    if paths:
        _remove(root, container_id, paths)
    else:
        _write_state(disk, f"{root}/containers/{container_id}", template, code)


def _sink(disk: Disk, log: int, stream: str) -> Sink:
    if log < 0:
        return lambda data: None
    writer = LogWriter(disk, log)
    return lambda data: writer.write(stream, data)


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _write_state(disk: Disk, directory: str, template: str, code: int) -> None:
    text = template.replace(f'"{_CODE}"', str(code)).replace(_TIME, now())
    temporary = f"{directory}/state.{os.getpid()}"
    try:
        fd = disk.open_new(temporary)
        disk.write(fd, text.encode())
        os.close(fd)
        disk.rename(temporary, f"{directory}/state.json")
    except OSError:
        return  # removed meanwhile, or no space: then the free lock tells that it has ended


def _remove(root: str, container_id: str, paths: str) -> None:
    """Remove the container (--rm); the rest of the program is loaded only now."""
    sys.path[:] = paths.split(os.pathsep)
    from minidock.engine.containers import remove_container
    from minidock.engine.workspace import open_workspace

    remove_container(open_workspace(root), container_id, removes_volumes=True)
