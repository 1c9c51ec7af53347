"""What has happened to containers and the rest: written down by whoever does it, shown by `events`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from minidock.core.digest import Digest
    from minidock.core.happening import Filter, Happening
    from minidock.core.networks import Network
    from minidock.engine.workspace import Workspace
    from minidock.store.container_record import ContainerRecord

_PAUSE = 0.1


def tell(ws: Workspace, record: ContainerRecord, action: str, **attributes: str) -> None:
    """Write down that ``action`` (docker's word) has happened to a container."""
    ws.store.record_event("container", action, record.id, _actor(record, attributes))


def _actor(record: ContainerRecord, attributes: Mapping[str, str]) -> dict[str, str]:
    return {**record.labels, "image": record.image_name, "name": record.name, **attributes}


def tell_image(ws: Workspace, action: str, image_id: Digest, name: str = "") -> None:
    """Write down that ``action`` has happened to an image, to one of its names if there is ``name``."""
    ws.store.record_event("image", action, str(image_id), {"name": name or str(image_id)})


def line(record: ContainerRecord, action: str, **attributes: str) -> bytes:
    """Return the line that tells such an event."""
    from minidock.store.event_log import line_of

    return line_of("container", action, record.id, _actor(record, attributes))


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
