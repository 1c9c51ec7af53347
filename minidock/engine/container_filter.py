"""Which containers `ps --filter` and `container prune --filter` leave: any value of a key, all keys, all labels.

Source: docker's documentation of `ps`; moby, daemon/list.go, as seen from outside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from minidock.core.ancestry import is_step_of
from minidock.core.filters import has_label
from minidock.core.moments import parse_moment
from minidock.core.networking import Networking, NetworkKind
from minidock.core.published import Mapped
from minidock.core.summary import ContainerState
from minidock.engine import images
from minidock.engine.workspace import Workspace
from minidock.errors import InvalidRequest, MinidockError, NoSuchImage
from minidock.store.containers import Container

Filter = tuple[str, str]
Test = Callable[[Container], bool]

_NANOSECONDS = 1_000_000_000
_PORT_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_HIGHEST_PORT = 65535
_HEALTH = ("starting", "healthy", "unhealthy", "none")


def listed(ws: Workspace, filters: Sequence[Filter], *, includes_all: bool = False) -> list[Container]:
    """Return the containers that `ps` shows, newest first; a filter of states makes it look at all of them.

    Raises: InvalidRequest, NoSuchContainer.
    """
    wanted = _tests(ws, filters)
    includes_all = includes_all or any(key == "status" for key, _ in filters)
    found = [item for item in ws.store.containers.list() if includes_all or item.is_live]
    return [item for item in found if all(any(test(item) for test in tests) for tests in wanted)]


def prunable(ws: Workspace, filters: Sequence[Filter]) -> Test:
    """Return what tells whether `container prune` may take a container. Raises: InvalidRequest."""
    now = int(ws.clock.now().timestamp() * _NANOSECONDS)
    tests: list[Test] = []
    for key, value in filters:
        if key == "until":
            tests.append(_older(parse_moment(value, now=now, zone=None)))
        elif key in ("label", "label!"):
            tests.append(_label(value, is_wanted=key == "label"))
        else:
            raise InvalidRequest(f"invalid filter '{key}'")
    return lambda item: all(test(item) for test in tests)


def _older(limit: int) -> Test:
    return lambda item: item.record.created.timestamp() * _NANOSECONDS < limit


def _tests(ws: Workspace, filters: Sequence[Filter]) -> list[list[Test]]:
    """Return groups of tests; of each group one must hold."""
    makers: dict[str, Callable[[str], Test]] = {
        "ancestor": lambda value: _ancestor(ws, value),
        "before": lambda value: _beside(ws, value, is_before=True),
        "exited": _exited,
        "expose": _exposed,
        "health": lambda value: _health(ws, value),
        "id": lambda value: _pattern(value, lambda item: item.id),
        "isolation": lambda value: lambda item: True,  # means something on Windows only
        "is-task": lambda value: lambda item: value in ("0", "false"),
        "label": lambda value: _label(value, is_wanted=True),
        "name": lambda value: _pattern(value, lambda item: f"/{item.record.name}"),
        "network": lambda value: lambda item: value in _networks(item.record.networking),
        "publish": _published,
        "since": lambda value: _beside(ws, value, is_before=False),
        "status": _status,
        "volume": _volume,
    }
    groups: dict[str, list[Test]] = {}
    for number, (key, value) in enumerate(filters):
        if key not in makers:
            raise InvalidRequest(f"Invalid filter '{key}'")
        groups.setdefault(f"{key}{number}" if key == "label" else key, []).append(makers[key](value))
    return list(groups.values())


def _pattern(value: str, text_of: Callable[[Container], str]) -> Test:
    try:
        pattern = re.compile(value)
    except re.error:
        return lambda item: text_of(item).lstrip("/") == value
    return lambda item: any(pattern.search(text) for text in (text_of(item), text_of(item).lstrip("/")))


def _label(value: str, *, is_wanted: bool) -> Test:
    return lambda item: has_label(item.record.labels, value) is is_wanted


def _status(value: str) -> Test:
    if value not in tuple(ContainerState):
        raise InvalidRequest(f"invalid filter 'status={value}'")
    return lambda item: item.state.status == value


def _exited(value: str) -> Test:
    if not value.lstrip("-").isdecimal():
        raise InvalidRequest(f"invalid filter 'exited={value}'")
    return lambda item: (
        item.state.status is ContainerState.EXITED
        and item.state.exit_code == int(value)
        and item.state.finished_at is not None
    )


def _health(ws: Workspace, value: str) -> Test:
    if value not in _HEALTH:
        raise InvalidRequest(f"invalid filter 'health={value}'")
    return lambda item: (health_of(ws, item) or "none") == value


def health_of(ws: Workspace, container: Container) -> str:
    """Return what the checks say of a container, empty if it has none; one that has ended is not healthy."""
    if not container.record.lifecycle.health.is_active:
        return ""
    known = ws.store.containers.health(container.id)
    if known is None:
        return ""
    return known.status.value if container.has_process else "unhealthy"


def _ancestor(ws: Workspace, value: str) -> Test:
    """Return whether a container's image is this one, or was built on it."""
    try:
        wanted = images.find(ws, value)
    except MinidockError:
        return lambda item: False
    layers = wanted.config.diff_ids

    def fits(item: Container) -> bool:
        if item.record.image_id == wanted.image_id:
            return True
        if item.record.diff_ids[: len(layers)] != layers:
            return False  # the quick way
        try:
            return is_step_of(wanted.config, images.load(ws, item.record.image_id).config)
        except NoSuchImage:
            return False

    return fits


def _beside(ws: Workspace, value: str, *, is_before: bool) -> Test:
    other = ws.store.containers.find(value).record.created
    return lambda item: item.record.created < other if is_before else item.record.created > other


def _volume(value: str) -> Test:
    return lambda item: any(value in (mount.source, mount.target) for mount in item.record.mounts)


def _networks(networking: Networking) -> set[str]:
    """Return the names and IDs of a container's networks."""
    found = {networking.name}
    for endpoint in networking.endpoints:
        found |= {endpoint.network, endpoint.network_id}
    return found


def _published(value: str) -> Test:
    """Return whether a port of the host leads to a container that runs."""
    numbers, protocol = _ports(value)
    return lambda item: (
        item.is_live
        and any(
            port.host_port in numbers and port.protocol == protocol
            for port in (Mapped(*one) for one in item.state.ports)
        )
    )


def _exposed(value: str) -> Test:
    """Return whether a container that runs has a port, be it published or not."""
    numbers, protocol = _ports(value)
    wanted = {f"{number}/{protocol}" for number in numbers}
    return lambda item: item.is_live and not wanted.isdisjoint(_shown(item.record.networking))


def _shown(networking: Networking) -> tuple[str, ...]:
    return networking.exposed if networking.kind is NetworkKind.PRIVATE else ()


def _ports(value: str) -> tuple[range, str]:
    ports, _, protocol = value.partition("/")
    found = _PORT_RANGE.fullmatch(ports)
    if found is None or not int(found[1]) <= int(found[2] or found[1]) <= _HIGHEST_PORT:
        raise InvalidRequest(f"invalid port '{value}'")
    return range(int(found[1]), int(found[2] or found[1]) + 1), protocol or "tcp"
