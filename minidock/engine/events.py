"""What has happened to containers and the rest: written down by whoever does it, shown by `events`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from minidock.core.digest import Digest
    from minidock.core.happening import Filter, Happening
    from minidock.core.networks import Network
    from minidock.engine.workspace import Workspace
    from minidock.store.container_record import ContainerRecord

_PAUSE = 0.1


class Told(NamedTuple):
    """One event to be written down: what has happened (docker's word) to what, an object of ``kind``."""

    kind: str
    action: str
    actor: str
    attributes: dict[str, str]


def tell(ws: Workspace, record: ContainerRecord, action: str, **attributes: str) -> None:
    """Write down that ``action`` has happened to a container."""
    tell_all(ws, [_of_container(record, action, attributes)])


def tell_all(ws: Workspace, told: Iterable[Told]) -> None:
    """Write down several events, in their order."""
    for event in told:
        ws.store.record_event(*event)


def tell_started(ws: Workspace, record: ContainerRecord) -> None:
    """Write down that a container has started, and what it is connected with now."""
    tell_all(ws, [*_uses(record, "connect", "mount"), _of_container(record, "start", {})])


def tell_ended(ws: Workspace, record: ContainerRecord, code: int, seconds: float | None = None) -> None:
    """Write down that a container has ended, after ``seconds`` if that is known, and what it uses no more."""
    tell_all(ws, ended(record, code, seconds))


def ended(record: ContainerRecord, code: int, seconds: float | None = None) -> list[Told]:
    """Return the events of a container's end."""
    duration = {} if seconds is None else {"execDuration": str(int(seconds))}
    die = _of_container(record, "die", {"exitCode": str(code), **duration})
    return [die, *_uses(record, "disconnect", "unmount")]


def _uses(record: ContainerRecord, of_network: str, of_volume: str) -> list[Told]:
    """Return what happens to the networks of its own and the volumes of a container that starts or ends."""
    told = []
    for endpoint in record.networking.endpoints:
        attributes = {"container": record.id, "name": endpoint.network, "type": "bridge"}
        told.append(Told("network", of_network, endpoint.network_id, attributes))
    for mount in record.mounts:
        if mount.volume:
            attributes = {"container": record.id, "driver": "local"}
            if of_volume == "mount":
                access = str(not mount.is_read_only).lower()
                attributes |= {"destination": mount.target, "propagation": mount.propagation, "read/write": access}
            told.append(Told("volume", of_volume, mount.volume, attributes))
    return told


def _of_container(record: ContainerRecord, action: str, attributes: Mapping[str, str]) -> Told:
    return Told("container", action, record.id, _actor(record, attributes))


def of_removed_image(untagged: Iterable[str], deleted: Iterable[Digest], image_id: Digest) -> list[Told]:
    """Return the events of an image that lost names, and of its end if it is among what was ``deleted``."""
    told = [Told("image", "untag", str(image_id), {"name": name}) for name in untagged]
    if image_id in deleted:
        told.append(Told("image", "delete", str(image_id), {"name": str(image_id)}))
    return told


def _actor(record: ContainerRecord, attributes: Mapping[str, str]) -> dict[str, str]:
    return {**record.labels, "image": record.image_name, "name": record.name, **attributes}


def tell_image(ws: Workspace, action: str, image_id: Digest, name: str = "") -> None:
    """Write down that ``action`` has happened to an image, to one of its names if there is ``name``."""
    ws.store.record_event("image", action, str(image_id), {"name": name or str(image_id)})


def lines(told: Iterable[Told]) -> list[bytes]:
    """Return the lines that tell events."""
    from minidock.store.event_log import line_of

    return [line_of(*event) for event in told]


def line(record: ContainerRecord, action: str, **attributes: str) -> bytes:
    """Return the line that tells such an event."""
    return lines([_of_container(record, action, attributes)])[0]


def log_size(ws: Workspace) -> int:
    """Return the bytes that the record of events takes on the disk: it grows by what is removed."""
    from minidock.store.measure import allocated

    return allocated([ws.store.layout.path(name) for name in ("events", "events.1")])


def network_line(network: Network, action: str) -> bytes:
    """Return the line that tells that ``action`` has happened to a network."""
    from minidock.store.event_log import line_of

    return line_of("network", action, network.id, {"name": network.name, "type": network.driver})


def volume_line(name: str, action: str) -> bytes:
    """Return the line that tells that ``action`` has happened to a volume."""
    from minidock.core.volume import DRIVER
    from minidock.store.event_log import line_of

    return line_of("volume", action, name, {"driver": DRIVER})


def watch(ws: Workspace, wanted: Filter, *, since: int | None, until: int | None) -> Iterator[Happening]:
    """Yield what happens from ``since`` to ``until`` (nanoseconds since 1970); None: from now on, without end."""
    from minidock.core.happening import Happening
    from minidock.store.event_log import EventReader

    reader = EventReader(ws.store.layout.root)
    first = time.time_ns() if since is None else since
    while True:
        is_over = until is not None and time.time_ns() >= until  # asked first: what is read then is the rest
        for members in reader.events():
            try:
                event = Happening.from_json(members)
            except (KeyError, TypeError, ValueError):
                continue  # of a newer version
            if first <= event.time and (until is None or event.time <= until) and wanted.admits(event):
                yield event
        if is_over:
            return
        time.sleep(_PAUSE)
