"""Looks at files of our own that containers have written, also at those that their owner may not read."""

from __future__ import annotations

import os
import stat

from minidock.store.writer import Disk


def fingerprint(status: os.stat_result) -> tuple[int, int, int, int, int]:
    """Return what tells that a file of a copy has not been touched."""
    return (status.st_ino, status.st_size, status.st_mode, status.st_mtime_ns, status.st_ctime_ns)


def read_xattrs(path: str) -> dict[str, bytes]:
    """Return the extended attributes of a file or link."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return {}  # the file system has none
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in sorted(names)}


def open_unreadable(disk: Disk, path: str, mode: int) -> int:
    """Return a descriptor of a file of our own that even its owner may not read; its mode is put back."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except PermissionError:
        disk.chmod(path, mode | 0o400)
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        finally:
            disk.chmod(path, mode)


def list_directory(disk: Disk, path: str) -> list[os.DirEntry[str]]:
    """Return what a directory of our own holds, even one that its owner may not read; its mode is put back."""
    try:
        with os.scandir(path) as listing:
            return list(listing)
    except PermissionError:
        mode = stat.S_IMODE(os.lstat(path).st_mode)
        disk.chmod(path, mode | 0o500)
        try:
            with os.scandir(path) as listing:
                items = list(listing)
                for item in items:
                    item.stat(follow_symlinks=False)  # kept by the item, while the directory can be searched
                return items
        finally:
            disk.chmod(path, mode)
