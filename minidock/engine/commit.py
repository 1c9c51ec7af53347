"""`commit`: a container's changes as one more layer, and its settings as the config of an image.

Source: moby, daemon/commit.go; docker's answers to the same requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from minidock.core.config import ContainerConfig, HistoryEntry
from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest
from minidock.core.dockerfile.config_changes import with_changes
from minidock.core.volume import is_anonymous
from minidock.engine import events, images, pausing
from minidock.engine.importer import creation_time
from minidock.engine.run_request import DEFAULT_STOP_SIGNAL
from minidock.engine.workspace import Workspace
from minidock.engine.written import write_layer, written
from minidock.errors import ContainerConflict, InvalidRequest, MinidockError
from minidock.store.containers import Container
from minidock.store.layer_writer import ContentChanged
from minidock.store.session import Session

_TRIES = 10  # of what goes on writing meanwhile


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """What `commit` is asked for; without a ``name`` the image has none. ``pauses`` halts a container that runs."""

    container: str
    name: str = ""
    author: str = ""
    message: str = ""
    changes: tuple[str, ...] = ()
    pauses: bool = True
    source_date_epoch: int | None = None


def commit(ws: Workspace, request: CommitRequest) -> Digest:
    """Make an image of a container and return its ID. Raises: NoSuchContainer, InvalidRequest, InvalidReference."""
    names = [images.new_name(request.name)] if request.name else []
    container = ws.store.containers.find(request.container)
    record = container.record
    with ws.store.session() as session:
        session.pin([record.image_id, *record.diff_ids])
        image = images.load(ws, record.image_id).config
        config = _config(container, image.config)
        changed = with_changes(config, request.changes)
        with _halted(ws, container, pauses=request.pauses):
            diff_id = _layer(ws, session, ws.store.containers.find(record.id))
        created = creation_time(ws, request.source_date_epoch)
        entry = HistoryEntry(
            created=created,
            created_by=" ".join(config.cmd or ()),
            comment=request.message,
            author=request.author,
            is_empty_layer=diff_id is None,
        )
        made = replace(image.with_step(entry, diff_id, changed), author=request.author)
        listed = ws.store.images.list()
        lines, base = images.known_lines(listed, record.image_id), images.known_base(listed, record.image_id)
        image_id = images.publish(ws, session, made, names, lines=lines, base=base)[0]
    events.tell(
        ws, record, "commit", comment=request.message, imageID=str(image_id), imageRef=names[0] if names else ""
    )
    for name in names:
        events.tell_image(ws, "tag", image_id, name)
    return image_id


def _config(container: Container, image: ContainerConfig) -> ContainerConfig:
    """Return the settings of a container as those of an image; ONBUILD was meant for builds on the image itself."""
    record = container.record
    check = record.lifecycle.health
    anonymous = {mount.target for mount in record.mounts if is_anonymous(mount.volume)}
    stop_signal = record.stop_signal if record.stop_signal != DEFAULT_STOP_SIGNAL else image.stop_signal
    return replace(
        image,
        user=record.user_text,
        exposed_ports=tuple(sorted({*image.exposed_ports, *record.networking.exposed})),
        env=record.env,
        entrypoint=record.entrypoint,
        cmd=record.args[len(record.entrypoint or ()) :] or None,
        volumes=tuple(sorted({*image.volumes, *anonymous})),
        working_dir=record.cwd if record.cwd != "/" else image.working_dir and "/",
        labels=dict(record.labels),
        stop_signal=stop_signal,
        healthcheck=check if check.to_json() else None,
        on_build=(),
    )


@contextmanager
def _halted(ws: Workspace, container: Container, *, pauses: bool) -> Iterator[None]:
    """Halt a container that runs for as long as it is read; one that ends meanwhile needs it no more."""
    is_halted = False
    if pauses and container.is_running and not container.is_paused:
        try:
            pausing.pause(ws, container.id)
            is_halted = True
        except ContainerConflict:
            is_halted = False
        except MinidockError as error:
            hint = "commit it while it runs with --no-pause"
            raise InvalidRequest(f"container {container.id} cannot be paused: {error}", hint=hint) from error
    try:
        yield
    finally:
        if is_halted:
            pausing.unpause(ws, container.id)


def _layer(ws: Workspace, session: Session, container: Container) -> Digest | None:
    """Store what a container wrote as a layer; return its diff_id, None if it wrote nothing."""
    for _ in range(_TRIES):
        try:
            with written(ws, container) as (_, found):
                is_written_to = container.is_running
                layer = write_layer(ws.store, session, found, is_written_to=is_written_to) if found else None
                return layer.diff_id if layer else None
        except ContentChanged as error:
            changed = error
    raise InvalidRequest(str(changed), hint="commit it paused, without --no-pause") from changed
