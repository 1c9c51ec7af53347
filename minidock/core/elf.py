"""Reads from an ELF file what its loader needs: the interpreter, the libraries and where to look for them.

Files of both word sizes and both byte orders. Every read is bounded by a constant below, whatever the headers claim,
so that a hostile file costs a few megabytes at most and ends in `InvalidElf`.
Source: System V ABI, chapters 4 and 5 ("ELF Header", "Program Header", "Dynamic Section").
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from minidock.core.dataclass import dataclass
from minidock.errors import InvalidElf

MAGIC = b"\x7fELF"

ReadAt: TypeAlias = Callable[[int, int], bytes]

_MAX_SEGMENTS = 512
_MAX_DYNAMIC_SIZE = 1 << 20
_MAX_NEEDED = 1024
_MAX_STRING = 4096  # PATH_MAX of Linux; longer names cannot be opened
_MAX_OFFSET = 1 << 60  # beyond what any file system holds, below what pread refuses

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 10, 15, 29


@dataclass(frozen=True, slots=True)
class ElfFile:
    """What a loader reads first; ``needed`` in the order of the file.

    ``rpath`` and ``runpath`` are directories in their order, ``$ORIGIN`` and the like not expanded; ``None`` if the
    file has none at all, which differs from an empty one: a RUNPATH, however empty, switches RPATH off.
    """

    machine: int
    is_64: bool
    is_big_endian: bool = False
    interpreter: str | None = None
    needed: tuple[str, ...] = ()
    runpath: tuple[str, ...] | None = None
    rpath: tuple[str, ...] | None = None

    def is_loadable_with(self, other: ElfFile) -> bool:
        """Return whether both can be part of one process: same machine, word size and byte order."""
        mine = (self.machine, self.is_64, self.is_big_endian)
        return mine == (other.machine, other.is_64, other.is_big_endian)


class _Segment(NamedTuple):
    kind: int
    offset: int
    address: int
    size: int  # in the file


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads that are complete or raise; ``order`` is the byte order sign of `struct`."""

    read_at: ReadAt
    order: str
    is_64: bool

    def exactly(self, offset: int, size: int, what: str) -> bytes:
        data = self.at_most(offset, size)
        if len(data) != size:
            raise InvalidElf(f"truncated {what}")
        return data

    def at_most(self, offset: int, size: int) -> bytes:
        if offset > _MAX_OFFSET:
            raise InvalidElf("an offset is beyond the end of any file")
        return self.read_at(offset, size)[:size]


def parse(source: bytes | ReadAt) -> ElfFile:
    """Return the loader's view of the ELF file that is, or is read through, ``source``.

    ``source(offset, size)`` returns up to ``size`` bytes, fewer at the end of the file only, like ``os.pread``.

    Raises: InvalidElf.
    """
    read_at = (lambda offset, size: source[offset : offset + size]) if isinstance(source, bytes) else source
    ident = read_at(0, 16)
    if ident[:4] != MAGIC:
        raise InvalidElf("no ELF magic")
    if len(ident) < 16 or ident[4] not in (1, 2) or ident[5] not in (1, 2) or ident[6] != 1:
        raise InvalidElf("unknown word size, byte order or version")
    reader = _Reader(read_at, order="<" if ident[5] == 1 else ">", is_64=ident[4] == 2)
    machine, segments = _headers(reader)
    names = _DynamicNames()
    dynamic = next((segment for segment in segments if segment.kind == _PT_DYNAMIC and segment.size), None)
    if dynamic is not None:
        names = _dynamic_names(reader, dynamic, segments)
    return ElfFile(
        machine=machine,
        is_64=reader.is_64,
        is_big_endian=reader.order == ">",
        interpreter=_interpreter(reader, segments),
        needed=names.needed,
        runpath=names.runpath,
        rpath=names.rpath,
    )


def _headers(reader: _Reader) -> tuple[int, list[_Segment]]:
    """Return the machine number and the program headers."""
    header = struct.Struct(reader.order + ("HHIQQQIHHHHHH" if reader.is_64 else "HHIIIIIHHHHHH"))
    fields = header.unpack(reader.exactly(16, header.size, "header"))
    machine, table_offset, entry_size, count = fields[1], fields[4], fields[8], fields[9]
    if count == 0:
        return machine, []
    if count > _MAX_SEGMENTS:
        raise InvalidElf(f"{count} program headers")
    entry = struct.Struct(reader.order + ("IIQQQQQQ" if reader.is_64 else "IIIIIIII"))
    if entry_size != entry.size:
        raise InvalidElf(f"program headers of {entry_size} bytes")
    table = reader.exactly(table_offset, count * entry.size, "program headers")
    if reader.is_64:  # type, flags, offset, vaddr, paddr, filesz, memsz, align
        return machine, [_Segment(row[0], row[2], row[3], row[5]) for row in entry.iter_unpack(table)]
    # type, offset, vaddr, paddr, filesz, memsz, flags, align
    return machine, [_Segment(row[0], row[1], row[2], row[4]) for row in entry.iter_unpack(table)]


def _interpreter(reader: _Reader, segments: list[_Segment]) -> str | None:
    segment = next((segment for segment in segments if segment.kind == _PT_INTERP), None)
    if segment is None:
        return None
    if not 1 < segment.size <= _MAX_STRING:
        raise InvalidElf(f"interpreter name of {segment.size} bytes")
    name, _, _ = reader.exactly(segment.offset, segment.size, "interpreter name").partition(b"\0")
    if not name:
        raise InvalidElf("empty interpreter name")
    return name.decode("utf-8", "surrogateescape")


class _DynamicNames(NamedTuple):
    needed: tuple[str, ...] = ()
    runpath: tuple[str, ...] | None = None
    rpath: tuple[str, ...] | None = None


def _dynamic_names(reader: _Reader, dynamic: _Segment, segments: list[_Segment]) -> _DynamicNames:
    """Return the names that the dynamic section points to."""
    if dynamic.size > _MAX_DYNAMIC_SIZE:
        raise InvalidElf(f"dynamic section of {dynamic.size} bytes")
    entry = struct.Struct(reader.order + ("qQ" if reader.is_64 else "iI"))
    data = reader.exactly(dynamic.offset, dynamic.size - dynamic.size % entry.size, "dynamic section")
    needed: list[int] = []
    last: dict[int, int] = {}
    for tag, value in entry.iter_unpack(data):
        if tag == _DT_NULL:
            break
        if tag == _DT_NEEDED:
            needed.append(value)
        last[tag] = value
    if len(needed) > _MAX_NEEDED:
        raise InvalidElf(f"{len(needed)} needed libraries")
    if not needed and _DT_RUNPATH not in last and _DT_RPATH not in last:
        return _DynamicNames()
    if _DT_STRTAB not in last or _DT_STRSZ not in last:
        raise InvalidElf("names without a string table")
    table = _StringTable(reader, _file_offset(last[_DT_STRTAB], segments), last[_DT_STRSZ])
    return _DynamicNames(
        needed=tuple(table.text(index) for index in needed),
        runpath=table.directories(last.get(_DT_RUNPATH)),
        rpath=table.directories(last.get(_DT_RPATH)),
    )


def _file_offset(address: int, segments: list[_Segment]) -> int:
    for segment in segments:
        if segment.kind == _PT_LOAD and segment.address <= address < segment.address + segment.size:
            return segment.offset + address - segment.address
    raise InvalidElf("the string table is in no segment")


@dataclass(frozen=True, slots=True)
class _StringTable:
    reader: _Reader
    offset: int
    size: int

    def text(self, index: int) -> str:
        """Return the text at ``index``. Raises: InvalidElf if it is outside or has no end."""
        if index >= self.size:
            raise InvalidElf("a name is outside the string table")
        data = self.reader.at_most(self.offset + index, min(_MAX_STRING, self.size - index))
        name, end, _ = data.partition(b"\0")
        if not end:
            raise InvalidElf("a name without an end")
        return name.decode("utf-8", "surrogateescape")

    def directories(self, index: int | None) -> tuple[str, ...] | None:
        """Return the parts of a colon-separated list, empty ones left out."""
        if index is None:
            return None
        return tuple(part for part in self.text(index).split(":") if part)
