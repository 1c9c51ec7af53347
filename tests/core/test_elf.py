from __future__ import annotations

import os
import struct

import pytest

from minidock.core.elf import ElfFile, parse
from minidock.errors import InvalidElf
from tests.elf_files import make_elf

# Where the fields stand in the files of `make_elf` for 64 bits, little endian.
PHENTSIZE, PHNUM, PHOFF = 54, 56, 32
DYNAMIC_HEADER = 64 + 56
INTERPRETER_HEADER = 64 + 2 * 56


@pytest.mark.parametrize("is_big_endian", [False, True])
@pytest.mark.parametrize("is_64", [False, True])
def test_both_word_sizes_and_byte_orders_are_read(is_64: bool, is_big_endian: bool) -> None:
    data = make_elf(
        machine=22,
        is_64=is_64,
        is_big_endian=is_big_endian,
        interpreter="/lib/ld.so.1",
        needed=("libb.so.2", "liba.so.1"),
        runpath="$ORIGIN/../lib:/opt/lib",
        rpath="/old",
    )
    assert parse(data) == ElfFile(
        machine=22,
        is_64=is_64,
        is_big_endian=is_big_endian,
        interpreter="/lib/ld.so.1",
        needed=("libb.so.2", "liba.so.1"),
        runpath=("$ORIGIN/../lib", "/opt/lib"),
        rpath=("/old",),
    )


def test_a_static_program_needs_nothing() -> None:
    assert parse(make_elf()) == ElfFile(machine=62, is_64=True)


def test_an_empty_runpath_is_not_the_same_as_none() -> None:
    assert parse(make_elf(runpath="")).runpath == ()
    assert parse(make_elf(needed=("libc.so.6",))).runpath is None


def test_names_that_are_not_utf_8_keep_their_bytes() -> None:
    data = make_elf(needed=("libx.so",)).replace(b"libx.so", b"lib\xff.so")
    assert [os.fsencode(name) for name in parse(data).needed] == [b"lib\xff.so"]


def test_only_files_for_the_same_machine_load_each_other() -> None:
    mine = parse(make_elf())
    others = [make_elf(machine=183), make_elf(is_64=False), make_elf(is_big_endian=True), make_elf(needed=("a",))]
    assert [mine.is_loadable_with(parse(other)) for other in others] == [False, False, False, True]


@pytest.mark.parametrize("is_64", [False, True])
def test_every_truncation_is_refused(is_64: bool) -> None:
    data = make_elf(is_64=is_64, interpreter="/lib/ld.so", needed=("libc.so.6",), runpath="/x")
    accepted = []
    for length in range(len(data)):
        try:
            parse(data[:length])
        except InvalidElf:
            continue
        accepted.append(length)
    assert accepted == []


def test_no_byte_can_be_changed_so_that_anything_but_our_error_comes_out() -> None:
    data = make_elf(interpreter="/lib/ld.so", needed=("libc.so.6", "libm.so.6"), runpath="/x")
    refused = 0
    for offset in range(len(data)):
        for value in (0, 1, 0x7F, 0x80, 0xFF):
            try:
                parse(data[:offset] + bytes([value]) + data[offset + 1 :])
            except InvalidElf:
                refused += 1
    assert refused > len(data)


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (0, b"MZ", "no ELF magic"),
        (4, b"\3", "unknown word size, byte order or version"),
        (PHOFF, struct.pack("<Q", 2**64 - 1), "an offset is beyond the end of any file"),
        (PHENTSIZE, struct.pack("<H", 8), "program headers of 8 bytes"),
        (PHNUM, struct.pack("<H", 0xFFFF), "65535 program headers"),
        (DYNAMIC_HEADER + 32, struct.pack("<Q", 2**40), "dynamic section of 1099511627776 bytes"),
        (DYNAMIC_HEADER + 8, struct.pack("<Q", 2**40), "truncated dynamic section"),
        (INTERPRETER_HEADER + 32, struct.pack("<Q", 2**32), "interpreter name of 4294967296 bytes"),
        (INTERPRETER_HEADER + 8, struct.pack("<Q", 2**40), "truncated interpreter name"),
        (64 + 16, struct.pack("<Q", 2**40), "the string table is in no segment"),
        (64 + 3 * 56 + 8, struct.pack("<Q", 2**63), "a name is outside the string table"),
    ],
)
def test_hostile_fields_are_named(offset: int, value: bytes, message: str) -> None:
    data = make_elf(interpreter="/lib/ld.so", needed=("libc.so.6",))
    with pytest.raises(InvalidElf) as caught:
        parse(data[:offset] + value + data[offset + len(value) :])
    assert str(caught.value) == f"invalid ELF file: {message}"


def test_a_file_that_claims_everything_is_read_within_bounds() -> None:
    data = make_elf(needed=[f"lib{number}.so" for number in range(1000)])
    asked = 0

    def read_at(offset: int, size: int) -> bytes:
        nonlocal asked
        asked += size
        return data[offset : offset + size]

    assert len(parse(read_at).needed) == 1000
    assert asked < 8 << 20
    with pytest.raises(InvalidElf, match="1025 needed libraries"):
        parse(make_elf(needed=["x"] * 1025))


def test_a_program_of_this_machine_has_a_loader_that_exists() -> None:
    with open("/proc/self/exe", "rb") as file:
        program = parse(lambda offset, size: os.pread(file.fileno(), size, offset))
    if program.interpreter is None:
        pytest.skip("this Python is linked statically")
    assert os.path.exists(program.interpreter)
    assert any(name.startswith("libc.") for name in program.needed)
