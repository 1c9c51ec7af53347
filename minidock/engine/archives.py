"""ADD of a local archive: recognised by its content, whatever it is called."""

from __future__ import annotations

import io
import os
import tempfile

from minidock.core.copying import Planned
from minidock.core.dataclass import dataclass
from minidock.core.entries import FILE, Entry
from minidock.core.selecting import Selected
from minidock.engine.copy_parts import Part
from minidock.engine.decompress import decompressed
from minidock.errors import BuildError, TarError
from minidock.store.members import read_entries
from minidock.store.tar import BLOCK_SIZE
from minidock.store.tar_reader import Source

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive's members, and its uncompressed tar in an unnamed temporary file."""

    entries: tuple[Entry, ...]
    file: io.BufferedRandom

    def open(self, item: Planned) -> tuple[int, int | None]:
        """Return a descriptor of the tar and the place of a member's content."""
        return os.dup(self.file.fileno()), item.entry.offset

    def close(self) -> None:
        """Give the temporary file back."""
        self.file.close()


def open_archive(part: Part, item: Selected, directory: str) -> Archive | None:
    """Return the archive that a selected file is, None if it is none (or not a file); its tar lies in ``directory``.

    Raises: BuildError if its start is that of an archive, but the rest is damaged or hostile.
    """
    if item.entry.kind != FILE or item.entry.size == 0:
        return None
    fd, start = part.open(Planned(item.entry, item.entry.path))
    if start:
        os.lseek(fd, start, os.SEEK_SET)
    with os.fdopen(fd, "rb") as packed:
        plain = decompressed(packed)
        try:
            head = plain.read(BLOCK_SIZE)
        except TarError:
            return None
        if not is_tar(head):
            return None
        try:
            return _unpacked(head, plain, directory)
        except TarError as error:
            raise BuildError(f"failed to unpack {item.name}: {error}") from error


def _unpacked(head: bytes, rest: Source, directory: str) -> Archive:
    file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115  # belongs to the archive, which closes it
    try:
        file.write(head)
        while chunk := rest.read(_CHUNK):
            file.write(chunk)
        file.seek(0)
        return Archive(tuple(read_entries(file)), file)
    except BaseException:
        file.close()
        raise


def is_tar(head: bytes) -> bool:
    """Tell whether the first block of a file is the header of a tar's member."""
    if len(head) < BLOCK_SIZE or not any(head):
        return False
    stored = head[148:156].split(b"\0", 1)[0].strip(b" ")
    try:
        return int(stored, 8) == sum(head) - sum(head[148:156]) + 8 * 32
    except ValueError:
        return False
