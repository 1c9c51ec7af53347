"""Files of a container as streams, for `cp`: the parent's side of `minidock.runtime.files`."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from minidock.core.dataclass import dataclass
from minidock.core.id_mode import IdMode
from minidock.core.process import ProcessSpec
from minidock.errors import RuntimeProblem
from minidock.runtime import spawn
from minidock.runtime.base import Started
from minidock.runtime.ids import id_mode
from minidock.runtime.launch import launch_of, no_limits
from minidock.runtime.orders import Files, Launch


class NotInContainer(Exception):
    """There is nothing at ``path`` in the container."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


@dataclass(frozen=True, slots=True)
class Inside:
    """A container whose files are wanted: ``started`` if it runs; else ``spec`` says what it would see."""

    spec: ProcessSpec
    started: Started | None
    is_chroot: bool = False
    fuse: str = ""

    def orders(self, path: str, *, is_read: bool, follows: bool = False) -> Files:
        """Return what the stub is told."""
        mode = id_mode()
        launch: Launch | None = None
        if self.started is None:
            launch = launch_of(self.spec, no_limits(), is_chroot=self.is_chroot, id_mode=mode, fuse=self.fuse)
        return Files(
            launch=launch,
            pid=self.started.pid if self.started else 0,
            start_ticks=self.started.start_ticks if self.started else 0,
            is_single_id=mode is IdMode.SINGLE,
            is_read=is_read,
            path=path,
            follows=follows,
        )


@dataclass(frozen=True, slots=True)
class Found:
    """What is at a path of a container."""

    name: str
    is_directory: bool


def read(inside: Inside, path: str, consume: Callable[[Found, IO[bytes]], None], *, follows: bool = False) -> None:
    """Call ``consume`` with what is at ``path`` and a stream of entries.

    Raises: NotInContainer, RuntimeProblem.
    """
    read_end, write_end = os.pipe()
    stream = os.fdopen(read_end, "rb")
    with tempfile.TemporaryFile() as problems:
        try:
            orders = inside.orders(path, is_read=True, follows=follows)
            stub = _spawn(orders, (None, write_end, problems.fileno()))
        except BaseException:
            stream.close()
            raise
        finally:
            os.close(write_end)
        with _ended(stub, stream):
            found = _found(stub)
            consume(Found(found["name"], found["is_directory"]), stream)
        _check_end(stub, problems)


def write(
    inside: Inside,
    path: str,
    decide: Callable[[bool, bool], tuple[str, str, bool]],
    produce: Callable[[IO[bytes]], None],
) -> None:
    """Unpack a stream of entries in a container.

    ``decide`` is asked with whether there is something at ``path``, and whether a directory; it answers with a
    directory, the name that the top of the stream gets there, and whether owners are kept. ``produce`` writes the
    stream. Raises: NotInContainer, RuntimeProblem, what the two raise.
    """
    read_end, write_end = os.pipe()
    stream = os.fdopen(write_end, "wb")
    with tempfile.TemporaryFile() as problems:
        try:
            stub = _spawn(inside.orders(path, is_read=False), (read_end, None, problems.fileno()))
        except BaseException:
            stream.close()
            raise
        finally:
            os.close(read_end)
        with _ended(stub, stream):
            found = _found(stub)
            stub.tell(decide(found["exists"], found["is_directory"]))
            _found(stub)
            try:
                produce(stream)
                stream.flush()
            except BrokenPipeError:
                pass  # the other side says why
        _check_end(stub, problems)


@contextmanager
def _ended(stub: spawn.Stub, stream: IO[bytes]) -> Iterator[None]:
    """Close the stream and the channel of a stub; end it as well if something has gone wrong here."""
    try:
        yield
    except BaseException:
        _close(stream)  # first: the stub may wait for its other end
        stub.end()
        raise
    finally:
        _close(stream)
        stub.close()


def _close(stream: IO[bytes]) -> None:
    try:
        stream.close()
    except BrokenPipeError:
        pass  # what was still to be written is wanted by nobody


def _spawn(orders: Files, streams: tuple[int | None, int | None, int]) -> spawn.Stub:
    return spawn.spawn("files", orders, executable=sys.executable, streams=streams)


def _found(stub: spawn.Stub) -> dict[str, Any]:
    try:
        message = stub.receive()
    except EOFError:
        raise RuntimeProblem("the helper ended before it had looked into the container") from None
    if message[0] == "found":
        members: dict[str, Any] = message[1]
        return members
    if message[0] == "not-found":
        raise NotInContainer(message[1])
    raise RuntimeProblem(message[1])


def _check_end(stub: spawn.Stub, problems: IO[bytes]) -> None:
    if stub.wait():
        problems.seek(0)
        text = problems.read().decode("utf-8", "replace").strip()
        raise RuntimeProblem(text or "the copy was cut off")
