"""The program that watches over a container in the background: log, callers, health, restarts, the final state.

It is the process that has started the container, after an exec: small, for it lives as long as the container does. So
it has inherited the container's process as its child, and descriptors: the container's lock, its log, the streams of
its process, and those that keep the runtime's helpers alive. To start the container again it becomes, by another exec,
the whole program (`handover`), and then itself again. It needs nothing that imports much (json, dataclasses).
"""

from __future__ import annotations

import marshal
import os
import sys
import time

from minidock.engine import attach_socket
from minidock.engine.hub import Hub
from minidock.engine.probing import Probing
from minidock.store import event_log
from minidock.store.container_log import LogWriter, now
from minidock.store.writer import Disk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn, TypedDict

    class Orders(TypedDict):
        """What the monitor is told, as values of `marshal`; descriptors are -1 where there is none."""

        root: str
        id: str
        exec_id: str  # of an additional process; then there is neither lock nor listener nor state
        paths: list[str]  # sys.path of the whole program
        child: int
        outputs: dict[int, str]
        stdin: int
        terminal: int
        log: int
        lock: int
        listener: int
        clients: list[int]
        closes_input: bool
        auto_remove: bool
        restarts: int
        delay: float  # before the last restart
        state: dict[str, Any]  # the members of state.json while it runs
        pauses: list[float]  # seconds between health checks: first, in the start period, later; empty: no checks


_BOOT = "import sys; sys.path.append(sys.argv[1]); from minidock.engine.monitor import main; main(sys.argv[2])"
_WHOLE = "import sys; sys.path[:] = sys.argv[1].split(':'); from minidock.engine.{} import main; main(sys.argv[2:])"
PACKAGE_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_OPTIONS = ["-I", "-S", "-X", "utf8", "-c"]

_FIRST_DELAY, _LONGEST_DELAY = 0.1, 60.0
_LONG_ENOUGH = 10.0  # a run of so many seconds was a good one
_PATIENCE = 2.0  # seconds for callers to take what they have not read before a restart
_FOR_EVER = 1e6


def become(orders: Orders) -> NoReturn:
    """Go on as this program, with every descriptor that is open."""
    for fd in descriptors():
        os.set_inheritable(fd, True)
    fd = _parcel(orders)
    # What follows the number is for people who look at the processes of the machine.
    words = [sys.executable, *_OPTIONS, _BOOT, PACKAGE_ROOT, str(fd), orders["root"], orders["id"]]
    os.execve(sys.executable, words, {})


def whole_program(module: str, paths: list[str], *args: str) -> list[str]:
    """Return the command line that calls ``main(args)`` of a module of the engine with everything in reach."""
    return [sys.executable, *_OPTIONS, _WHOLE.format(module), ":".join(paths), *args]


def descriptors() -> list[int]:
    """Return every open descriptor."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            os.fstat(int(name))
        except OSError:
            continue  # the listing's own
        found.append(int(name))
    return found


def opened(fd: int) -> Orders:
    """Return the orders that `become` or `_start_again` have put into a file in memory, and close it."""
    with os.fdopen(fd, "rb") as file:
        orders: Orders = marshal.loads(file.read())
    return orders


def _parcel(orders: Orders) -> int:
    fd = os.memfd_create("orders", 0)
    data = marshal.dumps(dict(orders))
    while data:
        data = data[os.write(fd, data) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def main(text: str) -> None:
    """Watch over the container of the orders in descriptor ``text`` until it has ended for good."""
    orders = opened(int(text))
    for fd in descriptors():
        if fd > 2:
            os.set_inheritable(fd, False)  # for the programs that are started from here
    started = time.monotonic()
    disk = Disk()
    hub = Hub(
        orders["outputs"],
        stdin=orders["stdin"],
        terminal=orders["terminal"],
        listener=orders["listener"],
        clients=orders["clients"],
        keep=LogWriter(disk, orders["log"]).write if orders["log"] >= 0 else None,
        closes_input=orders["closes_input"],
    )
    code = _watch(orders, hub)
    if orders["exec_id"]:
        _tell(disk, orders, "exec_die", {"exitCode": str(code), "execID": orders["exec_id"]})
        hub.dismiss(code, _FOR_EVER)
        return
    _end(disk, orders, hub, code, time.monotonic() - started)


def _watch(orders: Orders, hub: Hub) -> int:
    """Serve everybody until the process has ended; return its exit code."""
    child = os.pidfd_open(orders["child"])
    command = whole_program("probe", orders["paths"], orders["root"], orders["id"])
    probing = Probing(orders["pauses"], command)
    while True:
        ready = hub.turn([child, *probing.descriptors()], probing.timeout())
        if child in ready:
            break
        probing.turn(ready)
    probing.end()
    hub.drain()
    os.close(child)
    code = os.waitstatus_to_exitcode(os.waitpid(orders["child"], 0)[1])
    return 128 - code if code < 0 else code


def _end(disk: Disk, orders: Orders, hub: Hub, code: int, seconds: float) -> None:
    """Write down that the container has ended with ``code`` after ``seconds``; start it again if that is wanted."""
    directory = f"{orders['root']}/containers/{orders['id']}"
    record = _record(directory)
    is_stopped = hub.is_stopped or os.path.exists(f"{directory}/stopped")
    is_next = not is_stopped and _is_restarted(record, code, orders["restarts"])
    state = {**orders["state"], "pid": 0, "exit_code": code, "finished_at": now()}
    _write_state(disk, directory, {**state, "status": "restarting" if is_next else "exited"})
    if os.path.exists(f"{directory}/oom-killed"):
        _tell(disk, orders, "oom", {}, record)
    _tell(disk, orders, "die", {"exitCode": str(code), "execDuration": str(int(seconds))}, record)
    if is_next:
        hub.dismiss(code, _PATIENCE)
        delay = _FIRST_DELAY
        if orders["delay"] and seconds < _LONG_ENOUGH:
            delay = min(orders["delay"] * 2, _LONGEST_DELAY)
        if _pause(orders["listener"], delay) and not os.path.exists(f"{directory}/stopped"):
            _start_again(orders, delay)
        _write_state(disk, directory, {**state, "status": "exited"})
    try:
        attach_socket.discard(directory)
    except OSError:
        pass  # the container has been removed meanwhile
    os.close(orders["listener"])
    if orders["auto_remove"]:
        _remove(orders)
    os.close(orders["lock"])
    hub.dismiss(code, _FOR_EVER)


def _record(directory: str) -> Mapping[str, Any]:
    """Return the members of the container's record, which may have been changed since it was started."""
    import json

    try:
        with open(f"{directory}/config.json", "rb") as file:
            record: dict[str, Any] = json.load(file)
            return record
    except (OSError, ValueError):
        return {}  # it has been removed meanwhile


def _is_restarted(record: Mapping[str, Any], code: int, restarts: int) -> bool:
    policy = record.get("lifecycle", {})
    if policy.get("restart") == "on-failure":
        return code != 0 and (not policy["most_restarts"] or restarts < policy["most_restarts"])
    return policy.get("restart") in ("always", "unless-stopped")


def _pause(listener: int, seconds: float) -> bool:
    """Wait; False as soon as a caller asks not to start the container again."""
    hub = Hub({}, listener=listener)
    until = time.monotonic() + seconds
    while not hub.is_stopped and time.monotonic() < until:
        hub.turn(timeout=until - time.monotonic())
    hub.dismiss(0, 0)
    return not hub.is_stopped


def _start_again(orders: Orders, delay: float) -> NoReturn:
    fd = _parcel({**orders, "restarts": orders["restarts"] + 1, "delay": delay})
    for kept in (orders["lock"], orders["listener"]):
        os.set_inheritable(kept, True)
    words = whole_program("handover", orders["paths"], str(fd))
    os.execve(sys.executable, words, {})


def _write_state(disk: Disk, directory: str, state: Mapping[str, Any]) -> None:
    import json

    temporary = f"{directory}/state.{os.getpid()}"
    try:
        fd = disk.open_new(temporary)
        disk.write(fd, json.dumps(state, separators=(",", ":")).encode())
        os.close(fd)
        disk.rename(temporary, f"{directory}/state.json")
    except OSError:
        return  # removed meanwhile, or no space: then the free lock tells that it has ended


def _tell(
    disk: Disk, orders: Orders, action: str, attributes: Mapping[str, str], record: Mapping[str, Any] | None = None
) -> None:
    if record is None:
        record = _record(f"{orders['root']}/containers/{orders['id']}")
    if record:
        actor = {**record["labels"], "image": record["image_name"], "name": record["name"], **attributes}
        event_log.append(disk, orders["root"], "container", action, orders["id"], actor)


def _remove(orders: Orders) -> None:
    """Remove the container (--rm); the rest of the program is loaded only now."""
    sys.path[:] = orders["paths"]
    from minidock.engine.container_removal import remove_container
    from minidock.engine.workspace import open_workspace

    remove_container(open_workspace(orders["root"]), orders["id"], removes_volumes=True)
