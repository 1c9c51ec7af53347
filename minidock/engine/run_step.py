"""RUN: a process on top of the layers so far, and what it changed as a layer."""

from __future__ import annotations

import os
import re
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import field
from typing import TYPE_CHECKING

from minidock.core.config import ImageConfig
from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest
from minidock.core.entries import DIRECTORY, Entry, Tree
from minidock.core.networking import Networking
from minidock.core.process import DEFAULT_PATH, Mount, MountedFile, ProcessSpec, RootFs, User
from minidock.core.security import Security
from minidock.engine import privileges
from minidock.engine.image_files import ImageFiles
from minidock.engine.progress import Step
from minidock.engine.rootfs import prepared, probe, shortcomings
from minidock.engine.workspace import Workspace
from minidock.engine.written import write_layer
from minidock.runtime.base import ProcessIO, Storage
from minidock.store.adoption import Adoption
from minidock.store.layers import Layer
from minidock.store.notes import read_notes
from minidock.store.scan import Found, Owners, compare_copy, opened, scan_upper
from minidock.store.session import Session

if TYPE_CHECKING:
    from minidock.engine.stage_state import BuildContext  # and with it all that `run` has no use for

_TAIL = 20
HOSTNAME = "buildkitsandbox"
HOSTNAME_ARGUMENT = "BUILDKIT_SANDBOX_HOSTNAME"


@dataclass(frozen=True, slots=True)
class Finished:
    """How a step's process ended: its exit code, the last lines it printed, and its layer if the code is 0."""

    status: int
    tail: tuple[str, ...]
    layer: Layer | None


@dataclass(frozen=True, slots=True)
class StepProcess:
    """What a RUN starts; ``secrets`` are words that nobody is to read in what it prints."""

    args: tuple[str, ...]
    env: tuple[str, ...]
    networking: Networking = field(default_factory=Networking)
    mounts: tuple[Mount, ...] = ()
    files: tuple[MountedFile, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)
    security: Security = field(default_factory=Security)


def run(build: BuildContext, step: Step, image: ImageConfig, tree: Tree, process: StepProcess) -> Finished:
    """Run a process as the image's user in its working directory on a copy-on-write view of its layers.

    ``tree`` is what those make together. With SOURCE_DATE_EPOCH, newer files get that time in the layer.
    Raises: Cancelled, RuntimeProblem.
    """
    ws, session = build.ws, build.session
    store = ws.store
    user = ImageFiles(ws, image.diff_ids, tree).user(image.config.user)
    report = probe(ws)
    missing = shortcomings(report)
    if missing is not None:
        build.progress.warn(missing)
    privileges.check(process.security, report, build.progress.warn, "RUN --security=insecure")
    with prepared(ws):
        build.ahead.wait(image.diff_ids)
        area = _Area(ws, session, image.diff_ids, tree, storage=report.storage)
        spec = ProcessSpec(
            id=f"{session.name}-{area.name}",  # several steps may run at a time
            args=process.args,
            env=process_env(process.env, user),
            rootfs=area.rootfs,
            cwd=image.config.working_dir or "/",
            user=user,
            mounts=process.mounts,
            files=process.files,
            hostname=build.build_args.get(HOSTNAME_ARGUMENT) or HOSTNAME,
            networking=process.networking,
            security=process.security,
            resources=build.resources,
            is_build_step=True,
        )
        status, tail = _run_logged(build, spec, step, process.secrets)
    if status:
        return Finished(status, tail, None)
    owners = Owners(store.id_mode, tree, (user.uid, user.gid), read_notes(area.rootfs.owners))
    return Finished(0, tail, area.commit(owners, build.source_date_epoch))


def process_env(env: Sequence[str], user: User) -> tuple[str, ...]:
    """Return the environment of a process: a PATH at least, and the home of its user."""
    names = {item.partition("=")[0] for item in env}
    before = () if "PATH" in names else (f"PATH={DEFAULT_PATH}",)
    after = () if "HOME" in names else (f"HOME={user.home}",)
    return (*before, *env, *after)


class _Area:
    """The directories of one step: an overlay's upper and work, or a private copy where overlay is refused."""

    def __init__(
        self, ws: Workspace, session: Session, diff_ids: Sequence[Digest], tree: Tree, *, storage: Storage
    ) -> None:
        self._store = ws.store
        self._session = session
        self._root = tree.get("") or Entry("", DIRECTORY, 0o755)
        disk = self._store.disk
        directory = session.temporary()
        disk.mkdir(directory)
        self.name = os.path.basename(directory)
        self._upper = f"{directory}/upper"
        self._baseline: dict[str, tuple[int, int, int, int, int]] | None = None
        # What fuse-overlayfs leaves is not what unpacking the layer would give.
        self._is_adoptable = storage is Storage.OVERLAY
        if storage is not Storage.COPY:
            lowers = self._store.snapshots.stack(session, diff_ids)
            disk.mkdir(self._upper)
            disk.chmod(self._upper, self._root.mode)
            if ws.store.id_mode.has_real_owners and (self._root.uid or self._root.gid):
                disk.chown(self._upper, self._root.uid, self._root.gid)
            disk.utime(self._upper, self._root.mtime)
            disk.mkdir(f"{directory}/work")
            self.rootfs = RootFs(lowers, self._upper, f"{directory}/work", owners=f"{directory}/owners")
        else:
            self._baseline = self._store.snapshots.copy_of(diff_ids, self._upper)
            self.rootfs = RootFs(copied=self._upper, owners=f"{directory}/owners")

    def commit(self, owners: Owners, latest: int | None) -> Layer:
        """Write what changed as a layer; the upper directory becomes its snapshot."""
        store, session = self._store, self._session
        with opened(store.disk, self._upper) as modes:
            if self._baseline is not None:
                found = compare_copy(store.disk, self._upper, owners, self._baseline, modes)
            else:
                found = scan_upper(store.disk, self._upper, owners, modes)
            found = [_not_later(item, latest) for item in found]
            layer = write_layer(store, session, found)
            if self._is_adoptable:
                Adoption(store.disk, store.id_mode).make_adoptable(self._upper, found)
        if self._is_adoptable:
            store.snapshots.adopt(session, layer, self._upper)
        return layer


def _not_later(item: Found, latest: int | None) -> Found:
    if latest is None or item.entry.is_deletion or item.entry.mtime <= latest:
        return item
    return Found(item.entry._replace(mtime=latest), item.source, item.xattrs)


def _run_logged(
    build: BuildContext, spec: ProcessSpec, step: Step, secrets: Sequence[str]
) -> tuple[int, tuple[str, ...]]:
    """Run the process, passing on each line that it prints; return its exit code and the last lines.

    Raises: Cancelled if the build ended meanwhile.
    """
    hidden = re.compile("|".join(map(re.escape, sorted(secrets, key=len, reverse=True)))) if secrets else None
    tail: deque[str] = deque(maxlen=_TAIL)
    read_end, write_end = os.pipe2(os.O_CLOEXEC)

    def relay() -> None:
        with os.fdopen(read_end, "rb") as stream:
            for raw in stream:
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                line = hidden.sub("****", line) if hidden else line
                tail.append(line)
                step.output(line)

    reader = threading.Thread(target=relay)
    reader.start()
    try:
        handle = build.ws.runtime.start(spec, ProcessIO(stdout=write_end, stderr=write_end))
    finally:
        os.close(write_end)
        if "handle" not in locals():
            reader.join()
    with build.cancellation.watching(handle):
        status = handle.wait()
    reader.join()
    build.cancellation.check()
    return status, tuple(tail)
