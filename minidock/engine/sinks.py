"""Where archives and exports go: a tar written from start to end, a directory, a file that is replaced."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Protocol

from minidock.core.entries import DIRECTORY, FILE, Entry
from minidock.errors import MinidockError
from minidock.store.tar import END, header, padding


class Sink(Protocol):
    """Takes the members of an archive, in order."""

    def directory(self, path: str) -> None:
        """Add a directory."""
        ...

    def file(self, path: str, size: int, chunks: Iterable[bytes]) -> None:
        """Add a file of ``size`` bytes."""
        ...

    def close(self) -> None:
        """Add what ends the archive."""
        ...


class TarSink:
    """A tar, written from the start to the end."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write

    def directory(self, path: str) -> None:
        """Add a directory."""
        self._write(header(Entry(path, DIRECTORY, 0o755)))

    def file(self, path: str, size: int, chunks: Iterable[bytes]) -> None:
        """Add a file."""
        self._write(header(Entry(path, FILE, 0o644, size=size)))
        for chunk in chunks:
            self._write(chunk)
        self._write(padding(size))

    def close(self) -> None:
        """End the tar."""
        self._write(END)


class DirectorySink:
    """A directory of this machine; what else is there stays."""

    def __init__(self, root: str) -> None:
        self._root = root
        os.makedirs(root, exist_ok=True)

    def directory(self, path: str) -> None:
        """Make a directory."""
        os.makedirs(f"{self._root}/{path}", exist_ok=True)

    def file(self, path: str, size: int, chunks: Iterable[bytes]) -> None:
        """Write a file, whole or not at all."""
        with replacing(f"{self._root}/{path}") as out:
            for chunk in chunks:
                out.write(chunk)

    def close(self) -> None:
        """Nothing ends it."""


@contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """Open a file for writing that takes the place of ``path`` at the end; a device or pipe is written directly.

    Raises: MinidockError if there can be no file, or not all of it.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        with _written(open(path, "wb"), path) as direct:
            yield direct
        return
    path = os.path.realpath(path)
    temporary = f"{os.path.dirname(path)}/.{os.path.basename(path)}.{os.urandom(4).hex()}"
    try:
        out = open(temporary, "xb")  # noqa: SIM115
    except OSError as error:
        raise MinidockError(f"open {path}: {(error.strerror or str(error)).lower()}") from error
    try:
        with _written(out, path):
            yield out
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


@contextmanager
def _written(out: BinaryIO, path: str) -> Iterator[BinaryIO]:
    """Close a file at the end, and raise what keeps its last bytes from it, unless something else is wrong."""
    try:
        yield out
        told(lambda data: out.flush(), path)(b"")
    except BaseException:
        with suppress(OSError):
            out.close()
        raise
    out.close()


def told(write: Callable[[bytes], object], name: str) -> Callable[[bytes], object]:
    """Return a ``write`` whose failures name what was written to, not the store. A reader that has gone is none."""

    def checked(data: bytes) -> object:
        try:
            return write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise MinidockError(f"write {name}: {(error.strerror or str(error)).lower()}") from error

    return checked


def check_output(path: str, failure: str) -> None:
    """Make sure that a file can be written at ``path``. Raises: MinidockError, docker's words after ``failure``."""
    directory = os.path.dirname(path)
    if directory and not os.path.isdir(directory):
        raise MinidockError(f"{failure}: invalid output path: stat {directory}: no such file or directory")
    if os.path.isdir(path):
        raise MinidockError(f"{failure}: cannot write to a directory")
