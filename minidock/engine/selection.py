"""Writes what was selected from a context or from layers into a directory, as a mount shows it."""

from __future__ import annotations

import os

from minidock.core.entries import DIRECTORY, FILE, Entry, join
from minidock.core.id_mode import IdMode
from minidock.core.selecting import Selected
from minidock.engine.sources import Source
from minidock.errors import BlobCorrupt, BuildError
from minidock.store.unpack import Unpacker
from minidock.store.writer import Disk


def write_selected(disk: Disk, id_mode: IdMode, source: Source, selected: Selected, target: str) -> None:
    """Write a selected directory's content into ``target``, an empty directory, or a selected file to it.

    Owners are kept where the source keeps them. Raises: BuildError if a file is not as it was when it was selected.
    """
    top = selected.entry
    if top.kind != DIRECTORY:
        unpacker = Unpacker(disk, os.path.dirname(target), id_mode)
        _write(unpacker, source, _placed(source, top, os.path.basename(target)), top.path)
        return
    unpacker = Unpacker(disk, target, id_mode)
    directories = [_placed(source, top, "")]
    for member in selected.members:
        entry = _placed(source, member, member.path)
        _write(unpacker, source, entry, join(top.path, member.path))
        if entry.kind == DIRECTORY:
            directories.append(entry)
    unpacker.finish(directories)


def _placed(source: Source, entry: Entry, path: str) -> Entry:
    return entry._replace(path=path) if source.keeps_owners else entry._replace(path=path, uid=0, gid=0)


def _write(unpacker: Unpacker, source: Source, entry: Entry, path: str) -> None:
    if entry.kind != FILE:
        unpacker.make(entry, -1)
        return
    fd, start = source.open(entry, path)
    try:
        unpacker.make(entry._replace(offset=start or 0), fd)
    except BlobCorrupt as error:
        raise BuildError(f"/{path} changed while it was read", hint="build again") from error
    finally:
        os.close(fd)
