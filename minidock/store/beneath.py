"""Opens files below a directory whose owner may be hostile: no link is followed, nothing is waited for."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from minidock.errors import StoreError

_STEP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def open_beneath(root: str, path: str) -> Iterator[int]:
    """Yield a descriptor of the regular file at ``path`` (relative) below the directory ``root``.

    A program may put links and pipes in place of directories and files at any moment: then that is an error.
    Raises: StoreError, FileNotFoundError.
    """
    *directories, name = path.split("/")
    place = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in directories:
            inner = _opened(part, _STEP, place, path)
            os.close(place)
            place = inner
        fd = _opened(name, _FILE, place, path)
    finally:
        os.close(place)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise StoreError(f"/{path} is no regular file any more")
        yield fd
    finally:
        os.close(fd)


def _opened(name: str, flags: int, place: int, path: str) -> int:
    try:
        return os.open(name, flags, dir_fd=place)
    except (FileNotFoundError, PermissionError):
        raise
    except OSError as error:  # a link, a socket, a file where a directory was
        raise StoreError(f"/{path} has been replaced while it was read") from error
