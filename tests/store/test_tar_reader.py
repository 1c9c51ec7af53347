"""Layers that others wrote: what is odd but honest is read, what is hostile is refused in one line."""

from __future__ import annotations

import io

import pytest

from minidock.core.entries import Entry, Tree
from minidock.errors import TarError
from minidock.store.members import read_entries
from minidock.store.tar_reader import Reader
from tests.store.tar_blocks import block, file, octal, pax, record

LONG = b"d/" * 60 + b"f" * 120


def read(data: bytes) -> list[Entry]:
    return read_entries(io.BytesIO(data))


def told(data: bytes) -> list[str]:
    """Return one line per entry: kind, path, and what is special."""
    lines = []
    for entry in read(data):
        target = f" -> {entry.linkname}" if entry.linkname else ""
        size = f" {entry.size}" if entry.size else ""
        lines.append(f"{entry.kind} {entry.path}{target}{size}")
    return lines


def signed(data: bytes) -> bytes:
    """Return a member with the checksum that writers with signed characters gave it."""
    head = data[:148] + b" " * 8 + data[156:512]
    return data[:148] + b"%06o\0 " % sum(byte - 256 * (byte > 127) for byte in head) + data[156:]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (bytes(512), []),
        (bytes(1024), []),
        (bytes(20 * 512), []),
        (file(b"f", b"x"), ["file f 1"]),
        (file(b"f", b"x") + bytes(512), ["file f 1"]),
        (file(b"f", b"x") + bytes(1024) + b"whatever follows the end", ["file f 1"]),
        (file(b"f", magic=b""), ["file f"]),
        (file(b"f", magic=b"ustar  \0"), ["file f"]),
        (block(b"f", b"\0", magic=b""), ["file f"]),
        (block(b"d/", b"\0", magic=b""), ["dir d"]),
        (block(b"d/", b"0"), ["dir d"]),
        (block(b"d", b"5", octal(4096)) + file(b"f"), ["dir d", "file f"]),
        (block(b"f", b"7", octal(1)) + file(b"", b"x")[512:], ["file f 1"]),
        (file(b"/etc/f"), ["file etc/f"]),
        (file(b"./etc//./f"), ["file etc/f"]),
        (block(b"./", b"5"), ["dir "]),
        (block(b"/", b"5"), ["dir "]),
        (file(b"f" * 100), ["file " + "f" * 100]),
        (file(b"f", prefix=b"some/dir"), ["file some/dir/f"]),
        (file(b"f", prefix=b"12345670123\0", magic=b"ustar  \0"), ["file f"]),
        (record(b"L", LONG + b"\0") + file(b"short", b"x"), [f"file {LONG.decode()} 1"]),
        (record(b"K", LONG + b"\0") + block(b"l", b"2", link=b"short"), [f"symlink l -> {LONG.decode()}"]),
        (record(b"L", LONG + b"\0") + record(b"K", b"t\0") + block(b"s", b"2"), [f"symlink {LONG.decode()} -> t"]),
        (pax(path=b"gr\xc3\xbc\xc3\x9fe") + file(b"x"), ["file grüße"]),
        (pax(path=b"\xff\xfe") + file(b"x"), ["file \udcff\udcfe"]),
        (pax(path=b"p", size=b"1", mtime=b"-1.5", uid=b"4294967294", comment=b"c") + file(b"x", b"y"), ["file p 1"]),
        (pax(linkpath=b"a=b\nc") + block(b"l", b"2"), ["symlink l -> a=b\nc"]),
        (record(b"g", b"14 comment=yz\n") + file(b"f"), ["file f"]),
        (block(b"l", b"2", link=b"/abs/../../up"), ["symlink l -> /abs/../../up"]),
        (file(b"t") + block(b"h", b"1", octal(3), link=b"/t"), ["file t", "hardlink h -> t"]),
        (block(b"c", b"3", major=b"0000001\0", minor=b"0000003\0"), ["char c"]),
        (block(b"b", b"4"), ["block b"]),
        (block(b"p", b"6"), ["fifo p"]),
        (file(b"d/.wh.gone"), ["whiteout d/gone"]),
        (file(b"d/.wh..wh..opq"), ["opaque d"]),
        (file(b"f", b"1") + file(b"g") + file(b"f", b"22"), ["file g", "file f 2"]),
        (file(b"f", uid=b"\x80\0\0\0\0\x2d\xc6\xc0"), ["file f"]),
        (file(b"f", mtime=b"\xff" * 11 + b"\xfe"), ["file f"]),
        (block(b"f", size=b"          1\0") + bytes(512), ["file f 1"]),
        (block(b"f", size=b"\x80" + bytes(10) + b"\x01") + bytes(512), ["file f 1"]),
        (pax(path=b"", size=b"", uid=b"", mtime=b"", linkpath=b"") + file(b"f", b"x"), ["file f 1"]),
        (file(b"f", prefix=b"some/dir", magic=b"ustar  \0"), ["file some/dir/f"]),
        (file(b"f", prefix=b"\xff/dir", magic=b"ustar  \0"), ["file f"]),
        (signed(file("grüße".encode(), b"x")), ["file grüße 1"]),
    ],
)  # fmt: skip
def test_odd_but_honest_tars_are_read(data: bytes, expected: list[str]) -> None:
    assert told(data) == expected


def test_numbers_and_attributes_come_as_they_were_written() -> None:
    data = pax(uid=b"3000000", mtime=b"-7.25", SCHILY__xattr__user__x=b"\0\xff") + file(b"a", mode=b"0004755\0")
    data += file(b"b", uid=b"\x80\0\0\0\0\x2d\xc6\xc0", mtime=b"\xff" * 11 + b"\xf9", mode=b"0100644\0")
    a, b = read(data)
    assert (a.uid, a.mtime, a.mode, a.xattrs) == (3_000_000, -7, 0o4755, (("user.x", "\0\xff"),))
    assert (b.uid, b.mtime, b.mode, b.xattrs) == (3_000_000, -7, 0o644, ())


@pytest.mark.parametrize(
    "name",
    [
        "trusted.overlay.opaque",
        "trusted.overlay.redirect",
        "trusted.overlay.metacopy",
        "user.overlay.whiteout",
        "user.overlay.opaque",
        "user.fuseoverlayfs.opaque",
        "user.fuseoverlayfs.override_stat",
        "user.minidock.owner",
        "user.minidock.device",
    ],
)
def test_an_image_never_controls_its_unpacking(name: str) -> None:
    (entry,) = read(pax(**{f"SCHILY.xattr.{name}": b"y", "SCHILY.xattr.user.kept": b"k"}) + file(b"f"))
    assert entry.xattrs == (("user.kept", "k"),)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"x", "ends in the middle"),
        (file(b"f", b"xy")[:-512], "ends in the middle"),
        (file(b"f", b"xy")[:-1], "ends in the middle"),
        (file(b"f")[:300], "ends in the middle"),
        (b"a" + file(b"f")[1:], "checksum"),
        (b"\0" * 511 + b"x", "there is no header"),
        (b"not a tar at all\n" * 40, "there is no header"),
        (file(b"f").replace(b"ustar", b"USTAR"), "checksum"),
        (block(size=b"\xff" * 12), "negative size"),
        (block(size=b"\xc0" + bytes(11)), "negative size"),
        (block(size=b"\x80" + b"\x7f" * 11) + bytes(512), "ends in the middle"),
        (block(size=b"0000000001x\0"), "malformed size"),
        (block(size=b"-0000000001\0"), "malformed size"),
        (block(size=b"00000000008\0"), "malformed size"),
        (block(uid=b"\xff" * 8), "negative uid"),
        (block(uid=b"\x80\0\0\0\xff\xff\xff\xff"), "out of range"),
        (block(mode=b"rwxr-xr-"), "malformed mode"),
        (pax(uid=b"4294967295") + file(b"f"), "out of range"),
        (pax(uid=b"-1") + file(b"f"), "malformed uid"),
        (pax(size=b"-1") + file(b"f"), "malformed size"),
        (pax(size=b"1e3") + file(b"f"), "malformed size"),
        (pax(size=b"9" * 20) + file(b"f"), "malformed size"),
        (pax(size=b"9" * 19) + file(b"f"), "ends in the middle"),
        (pax(mtime=b"soon") + file(b"f"), "malformed mtime"),
        (pax(mtime=b"9" * 30) + file(b"f"), "malformed mtime"),
        (file(b"../f"), "with '..'"),
        (file(b"a/../../f"), "with '..'"),
        (file(b"f", prefix=b"../up"), "with '..'"),
        (record(b"L", b"../f\0") + file(b"f"), "with '..'"),
        (pax(path=b"/../f") + file(b"f"), "with '..'"),
        (file(b"t") + block(b"h", b"1", link=b"../../etc/passwd"), "with '..'"),
        (file(b"t") + pax(linkpath=b"../t") + block(b"h", b"1"), "with '..'"),
        (pax(path=b"a\0b") + file(b"f"), "NUL"),
        (pax(path=b"d/" * 300 + b"f") + file(b"f"), "directories deep"),
        (pax(path=b"n" * 256) + file(b"f"), "longer than 255 bytes"),
        (pax(path=(b"d" * 200 + b"/") * 21) + file(b"f"), "longer than 4095 bytes"),
        (pax(linkpath=b"t" * 4096) + block(b"l", b"2"), "longer than 4095 bytes"),
        (block(b"l", b"2"), "without a target"),
        (block(b"./", b"2", link=b"/etc"), "root of a layer"),
        (block(b".", b"1", link=b"etc"), "root of a layer"),
        (block(b"", b"3"), "root of a layer"),
        (block(b"f", b"x", octal((1 << 20) + 1)), "extended header of"),
        (block(b"f", b"L", octal(1 << 30)), "extended header of"),
        (block(b"f", b"g", b"\x80" + bytes(4) + b"\x7f" * 7), "extended header of"),
        (pax(path=b"f") * 17 + file(b"f"), "too many extended headers"),
        (record(b"L", b"n\0") * 20, "too many extended headers"),
        (record(b"x", b"0 a=b\n"), "malformed extended header"),
        (record(b"x", b"99 a=b\n"), "malformed extended header"),
        (record(b"x", b"5 a=b\n"), "malformed extended header"),
        (record(b"x", b"-6 a=b\n"), "malformed extended header"),
        (record(b"x", b"x a=b\n"), "malformed extended header"),
        (record(b"x", b"6 a=bx"), "malformed extended header"),
        (record(b"x", b"6 abc\n"), "malformed extended header"),
        (record(b"x", b"9" * 400), "malformed extended header"),
        (record(b"x", b"6 a=b\n")[:700], "ends in the middle"),
        (block(b"c", b"3"), "device 0:0"),
        (block(b"c", b"3", major=b"0010000\0"), "no device 4096:0"),
        (block(b"b", b"4", minor=b"4000000\0"), "no device 0:1048576"),
        (block(mtime=b"\x80" + b"\x7f" * 11), "the time .* is out of range"),
        (pax(mtime=b"9" * 19) + file(b"f"), "the time .* is out of range"),
        (file(b"a/.wh."), "malformed whiteout"),
        (file(b".wh.."), "malformed whiteout"),
        (file(b".wh..."), "malformed whiteout"),
        (file(b"a/.wh..wh.plnk"), "malformed whiteout"),
        (file(b".wh..wh..wh..opq"), "malformed whiteout"),
        (record(b"g", b"27 SCHILY.xattr.user.abc=y\n"), "a global header with attributes"),
        (record(b"g", b"21 GNU.sparse.size=1\n"), "a global header with attributes"),
        (pax(**{"SCHILY.xattr.user.x": b"v" * (1 << 17)}) + file(b"f"), "extended attributes of more than"),
        (block(b"d/", b"0", octal(512)) + file(b"f"), "d/: a directory with content"),
        (block(b"d/", b"\0", octal(512)) + file(b"f"), "d/: a directory with content"),
        (pax(path=b"d/", size=b"512") + block(b"x") + file(b"f"), "d/: a directory with content"),
        (block(b"f", b"V"), "unknown type"),
        (block(b"f", b"M"), "unknown type"),
        (block(b"f", b"\xff"), "unknown type"),
        (file(b"f") + file(b"f/below"), "parent is not a directory"),
        (block(b"p", b"6") + file(b"p/below"), "parent is not a directory"),
        (b"".join(block(b"l%d" % n, b"2", link=b"l%d" % (1 - n)) for n in (0, 1)) + file(b"l0/f"), "too many levels"),
    ],
)  # fmt: skip
def test_hostile_tars_are_refused(data: bytes, problem: str) -> None:
    with pytest.raises(Exception, match=problem) as caught:
        read(data)
    assert isinstance(caught.value, TarError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("links", "path", "real"),
    [
        ([(b"l", b"/etc")], b"l/f", "etc/f"),
        ([(b"l", b"../../../etc")], b"l/f", "etc/f"),
        ([(b"l", b"m"), (b"m", b"/n"), (b"n", b"deep/er")], b"l/x/f", "deep/er/x/f"),
        ([(b"a", b"/"), (b"a/b", b"/etc")], b"a/b/f", "etc/f"),
        ([(b"l", b"/proc/self/root")], b"l/etc/f", "proc/self/root/etc/f"),
    ],
)
def test_members_below_links_are_where_the_links_lead_inside_the_root(
    links: list[tuple[bytes, bytes]], path: bytes, real: str
) -> None:
    data = b"".join(block(name, b"2", link=target) for name, target in links) + file(path, b"x")
    entries = read(data)
    assert real in {entry.path for entry in entries if entry.kind == "file"}
    tree = Tree.fold([entries])
    assert all(not tree.resolve(entry.path).startswith("..") for entry in entries)


def test_every_cut_of_a_tar_is_an_error_or_a_whole_number_of_members() -> None:
    whole = (
        pax(path=b"long name")
        + file(b"a", b"content")
        + block(b"l", b"2", link=b"a")
        + record(b"L", b"n\0")
        + file(b"b")
    )
    for end in range(len(whole)):
        try:
            found = told(whole[:end])
        except TarError:
            continue
        assert end % 512 == 0 or whole[:end].endswith(b"content")
        assert found in ([], ["file long name 7"], ["file long name 7", "symlink l -> a"])


def test_every_changed_byte_of_a_header_is_an_error_or_changes_nothing_else() -> None:
    whole = file(b"a", b"content") + file(b"b")
    for place in sorted({*range(512)} - {155}):  # the last byte of the checksum says nothing
        damaged = bytearray(whole)
        damaged[place] ^= 0x41
        with pytest.raises(TarError):
            read(bytes(damaged))


def test_what_a_layer_may_take_of_memory_is_bounded() -> None:
    data = b"".join(file(b"%05d" % number) for number in range(2000))
    assert len(list(Reader(io.BytesIO(data), 2 << 20))) == 2000
    with pytest.raises(TarError, match="take more than 1 MiB"):
        list(Reader(io.BytesIO(data), 1 << 20))
    ignored = b"".join(b"%d key%06d=%b\n" % (20, number, b"v" * 6) for number in range(40_000))
    assert [entry.path for entry in read(record(b"g", ignored) + file(b"f"))] == ["f"]


def test_attributes_and_names_take_little_more_than_honest_ones() -> None:
    member = pax(**{"SCHILY.xattr.user.x": b"v" * 100_000}) + file(b"f")
    with pytest.raises(TarError, match="take more than 32 MiB"):
        list(Reader(io.BytesIO(member * 1000)))
