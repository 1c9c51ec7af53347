"""Makes small ELF files that no linker made, for tests of what reads them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

X86_64 = 62


def make_elf(
    *,
    machine: int = X86_64,
    is_64: bool = True,
    is_big_endian: bool = False,
    interpreter: str | None = None,
    needed: Sequence[str] = (),
    runpath: str | None = None,
    rpath: str | None = None,
) -> bytes:
    """Return an ELF file with one loaded segment that holds everything, at another address than its offset."""
    order = ">" if is_big_endian else "<"
    header = struct.Struct(order + ("HHIQQQIHHHHHH" if is_64 else "HHIIIIIHHHHHH"))
    segment = struct.Struct(order + ("IIQQQQQQ" if is_64 else "IIIIIIII"))
    entry = struct.Struct(order + ("qQ" if is_64 else "iI"))
    base = 0x10000
    strings = bytearray(b"\0")

    def index(text: str) -> int:
        strings.extend(text.encode() + b"\0")
        return len(strings) - len(text.encode()) - 1

    dynamic = [(1, index(name)) for name in needed]
    dynamic += [(29, index(runpath))] if runpath is not None else []
    dynamic += [(15, index(rpath))] if rpath is not None else []
    count = 2 + (interpreter is not None)
    dynamic_offset = 16 + header.size + count * segment.size
    strings_offset = dynamic_offset + (len(dynamic) + 3) * entry.size
    dynamic += [(5, base + strings_offset), (10, len(strings)), (0, 0)]
    text = (interpreter or "").encode() + b"\0"
    total = strings_offset + len(strings) + len(text)

    def program_header(kind: int, offset: int, size: int) -> bytes:
        if is_64:
            return segment.pack(kind, 4, offset, base + offset, base + offset, size, size, 1)
        return segment.pack(kind, offset, base + offset, base + offset, size, size, 4, 1)

    segments = program_header(1, 0, total) + program_header(2, dynamic_offset, len(dynamic) * entry.size)
    if interpreter is not None:
        segments += program_header(3, strings_offset + len(strings), len(text))
    ident = b"\x7fELF" + bytes([2 if is_64 else 1, 2 if is_big_endian else 1, 1]) + bytes(9)
    fields = header.pack(3, machine, 1, 0, 16 + header.size, 0, 0, 16 + header.size, segment.size, count, 0, 0, 0)
    return ident + fields + segments + b"".join(entry.pack(*pair) for pair in dynamic) + bytes(strings) + text
