"""Makes the upper directory of a finished step what unpacking its layer gives, so that it can become the snapshot."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Container, Sequence
from functools import partial

from minidock.core.entries import HARDLINK, WHITEOUT
from minidock.core.id_mode import IdMode
from minidock.store.own_files import list_directory
from minidock.store.scan import PRIVATE_XATTRS, Found
from minidock.store.unpack import DEVICE_XATTR, private_attributes
from minidock.store.writer import Disk, remove_tree


class Adoption:
    """Changes files below the upper directory of one step."""

    def __init__(self, disk: Disk, id_mode: IdMode) -> None:
        self._disk = disk
        self._id_mode = id_mode

    def make_adoptable(self, upper: str, found: Sequence[Found]) -> None:
        """Make the upper directory of a finished step equal to what unpacking its layer gives.

        That is: nothing which is not in the layer, whole seconds, and none of overlayfs's own attributes.
        """
        self._remove_strays(upper, {item.source for item in found})
        for item in found:
            if item.entry.kind == WHITEOUT:
                if not os.path.lexists(item.source):
                    self._disk.mknod(item.source, stat.S_IFCHR, 0)
            elif item.entry.kind != HARDLINK:
                self._make_private_attributes(item)
        for item in reversed(found):
            if item.entry.kind not in (WHITEOUT, HARDLINK):
                self._disk.utime(item.source, item.entry.mtime)

    def _remove_strays(self, upper: str, known: Container[str]) -> None:
        """Remove what the layer does not have: sockets, and what was copied up and left as it was."""
        pending = [upper]
        while pending:
            directory = pending.pop()
            for item in list_directory(self._disk, directory):
                if item.path not in known:
                    self._with_access(directory, partial(remove_tree, self._disk, item.path))
                elif item.is_dir(follow_symlinks=False):
                    pending.append(item.path)

    def _make_private_attributes(self, item: Found) -> None:
        """Give a file those private attributes that unpacking gives it."""
        wanted = private_attributes(item.entry, self._id_mode)
        for name in item.xattrs:
            if name.startswith(PRIVATE_XATTRS) and name not in wanted and name != DEVICE_XATTR:
                self._with_access(item.source, partial(self._disk.removexattr, item.source, name))
        for name, value in wanted.items():
            if item.xattrs.get(name) != value:
                self._with_access(item.source, partial(self._disk.setxattr, item.source, name, value))

    def _with_access(self, path: str, change: Callable[[], object]) -> None:
        """Make a change that a plain user may be refused because of the file's own mode, which is put back."""
        try:
            change()
        except PermissionError:
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                return  # attributes of a link: overlayfs sets none that matter
            self._disk.chmod(path, stat.S_IMODE(status.st_mode) | 0o700)
            try:
                change()
            finally:
                self._disk.chmod(path, stat.S_IMODE(status.st_mode))
