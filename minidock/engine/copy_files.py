"""`cp`: files from a container to the host and back, as the container sees them, whether it runs or not."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from minidock.core.copy_rules import CopyPath, Place, is_content, place_of, says_directory
from minidock.core.dataclass import dataclass
from minidock.core.entries import HARDLINK, join
from minidock.core.id_mode import IdMode
from minidock.engine import events
from minidock.engine.at_rest import at_rest
from minidock.engine.decompress import decompressed
from minidock.engine.rootfs import probe
from minidock.engine.run import Created, process_spec
from minidock.engine.workspace import Workspace
from minidock.errors import InvalidRequest, NoRuntime, RuntimeProblem
from minidock.runtime import ids
from minidock.runtime.archive import Packer, Unpacker, below, copy_content, read_entry, write_entry
from minidock.runtime.base import Isolation, Started
from minidock.runtime.file_access import Found, Inside, NotInContainer, read, write
from minidock.runtime.syscalls import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS
from minidock.store import tar
from minidock.store.containers import Container
from minidock.store.tar_reader import Reader


@dataclass(frozen=True, slots=True)
class CopyRequest:
    """What `cp` is asked for; relative paths of the host are from ``directory``."""

    source: CopyPath
    target: CopyPath
    follows_link: bool = False
    keeps_owners: bool = False


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied: bytes of the files, and where to, as docker reports it."""

    size: int
    target: str


def copy(ws: Workspace, request: CopyRequest, stdin: IO[bytes], stdout: IO[bytes]) -> Copied:
    """Copy files. Raises: InvalidRequest, NoSuchContainer, NoRuntime."""
    source, target = request.source, request.target
    if source.container and target.container:
        raise InvalidRequest("copying between containers is not supported")
    if not source.container and not target.container:
        raise InvalidRequest("must specify at least one container source")
    for side in (source, target):
        if side.container and not side.path:
            raise InvalidRequest(f"the path in container {side.container} is empty")
    name = source.container or target.container
    container = ws.store.containers.find(name)
    with _inside(ws, container) as inside:
        try:
            if source.container:
                return _to_host(inside, request, stdout)
            copied = _to_container(inside, request, stdin)
        except NotInContainer as error:
            raise InvalidRequest(f"Could not find the file {error.path} in container {name}") from None
        except NoRuntime:
            raise
        except RuntimeProblem as error:
            raise InvalidRequest(str(error)) from error
    events.tell(ws, container.record, "extract-to-dir")
    return copied


@contextmanager
def _inside(ws: Workspace, container: Container) -> Iterator[Inside]:
    """Find out how a container's files are to be had; one that does not run cannot be started meanwhile."""
    record = container.record
    with at_rest(ws, container, exclusive=True) as (current, lock):
        if current.has_process:
            spec = process_spec(ws, Created(record, (), -1))
            yield Inside(spec, Started(current.state.pid, current.state.start_ticks))
            return
        with ws.store.session() as session:
            session.pin([record.image_id, *record.diff_ids])
            lowers = () if record.is_copied else ws.store.snapshots.stack(session, record.diff_ids)
            report = probe(ws)
            is_chroot = report.isolation is Isolation.CHROOT
            yield Inside(process_spec(ws, Created(record, lowers, lock)), None, is_chroot, report.fuse)


def _to_host(inside: Inside, request: CopyRequest, stdout: IO[bytes]) -> Copied:
    path, target = request.source.path, request.target
    if target.is_stream:

        def to_tar(found: Found, stream: IO[bytes]) -> None:
            _write_tar(stream, stdout, "" if is_content(path) else found.name.strip("/"))

        read(inside, path, to_tar, follows=request.follows_link)
        return Copied(0, "-")
    place = _host_path(target.path)
    if not os.path.isdir(os.path.dirname(place.rstrip("/")) or "/"):
        raise InvalidRequest(f'invalid output path: directory "{os.path.dirname(place)}" does not exist')
    size = 0

    def consume(found: Found, stream: IO[bytes]) -> None:
        nonlocal size
        goal = place_of(
            path if not path.endswith("/") or is_content(path) else path.rstrip("/") or "/.",
            source_is_directory=found.is_directory,
            target=place,
            target_exists=os.path.exists(place),
            target_is_directory=os.path.isdir(place),
        )
        size = _unpack(goal, stream, keeps_owners=request.keeps_owners and os.geteuid() == 0)

    read(inside, path, consume, follows=request.follows_link)
    return Copied(size, place)


def _unpack(goal: Place, stream: IO[bytes], *, keeps_owners: bool) -> int:
    directory = os.open(goal.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    name = goal.name
    try:
        if name and os.path.islink(f"{goal.directory}/{name}"):
            os.close(directory)
            real = os.path.realpath(f"{goal.directory}/{name}")
            directory = os.open(os.path.dirname(real), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            name = os.path.basename(real)
        opened = below(directory, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
        return Unpacker(name, opened, keeps_owners=keeps_owners).unpack(stream)
    except OSError as error:
        raise InvalidRequest(f"{error.filename or goal.directory}: {(error.strerror or '').lower()}") from error
    finally:
        os.close(directory)


def _to_container(inside: Inside, request: CopyRequest, stdin: IO[bytes]) -> Copied:
    source, target = request.source, request.target
    where = f"{target.container}:{target.path}"
    if source.is_stream:

        def into(exists: bool, is_directory: bool) -> tuple[str, str, bool]:
            if not is_directory:
                raise InvalidRequest(f'destination "{where}" must be a directory')
            return "/" + os.path.normpath(target.path).strip("/"), "", True

        write(inside, target.path, into, lambda stream: _read_tar(stdin, stream))
        return Copied(0, where)
    path = _host_path(source.path)
    keeps_owners = os.geteuid() == 0 or request.keeps_owners
    fd = _open_source(path, follows=request.follows_link)
    try:
        is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)

        def decide(exists: bool, target_is_directory: bool) -> tuple[str, str, bool]:
            goal = place_of(
                path,
                source_is_directory=is_directory,
                target="/" + target.path.lstrip("/"),
                target_exists=exists,
                target_is_directory=target_is_directory,
            )
            return goal.directory, goal.name, keeps_owners

        write(inside, target.path, decide, _packing(fd))
        return Copied(_size_of(fd, path), where)
    finally:
        os.close(fd)


def _packing(fd: int) -> Callable[[IO[bytes]], None]:
    def produce(stream: IO[bytes]) -> None:
        packer = Packer(stream, hides_strangers=ids.id_mode() is IdMode.RANGE)
        packer.pack(fd)
        packer.close()

    return produce


def _write_tar(stream: IO[bytes], out: IO[bytes], top: str) -> None:
    """Write a stream of entries as a tar whose first member is called ``top``."""

    def named(path: str) -> str:
        return join(top, path) if path else top

    while (entry := read_entry(stream)) is not None:
        linkname = named(entry.linkname) if entry.kind == HARDLINK else entry.linkname
        out.write(tar.header(entry._replace(path=named(entry.path), linkname=linkname)))
        copy_content(stream, out.write, entry.size)
        out.write(tar.padding(entry.size))
    out.write(tar.END)
    out.flush()


def _read_tar(source: IO[bytes], stream: IO[bytes]) -> None:
    """Write the members of a tar, plain or compressed, as a stream of entries."""
    reader = Reader(decompressed(source))
    for entry in reader:
        if entry.is_deletion:
            raise InvalidRequest(f"/{entry.path}: names that begin with {tar.WHITEOUT_PREFIX} mean deletions in layers")
        write_entry(stream, entry)
        while content := reader.read():
            stream.write(content)
    reader.drain()
    write_entry(stream, None)


def _host_path(path: str) -> str:
    """Return an absolute path of the host; what a trailing slash or ``/.`` says is kept."""
    suffix = "/." if is_content(path) else "/" if path.endswith("/") else ""
    return os.path.abspath(path).rstrip("/") + suffix if suffix else os.path.abspath(path)


def _open_source(path: str, *, follows: bool) -> int:
    flags = os.O_PATH | os.O_CLOEXEC | (0 if follows or says_directory(path) else os.O_NOFOLLOW)
    try:
        return os.open(path, flags)
    except NotADirectoryError:
        raise InvalidRequest("not a directory") from None
    except OSError as error:
        raise InvalidRequest(f"lstat {path}: {(error.strerror or '').lower()}") from None


def _size_of(fd: int, path: str) -> int:
    if not stat.S_ISDIR(os.fstat(fd).st_mode):
        return os.fstat(fd).st_size
    return sum(
        os.lstat(os.path.join(directory, name)).st_size for directory, _, names in os.walk(path) for name in names
    )
