"""Somebody exchanges a directory for a link that leads out while files are unpacked: nothing outside is written."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from minidock.core.entries import CHAR, DIRECTORY, FIFO, FILE, HARDLINK, OPAQUE, SYMLINK, WHITEOUT, Entry, Tree
from minidock.errors import MinidockError, StoreError
from minidock.store.layer_writer import LayerWriter
from minidock.store.unpack import Unpacker
from minidock.store.writer import Disk
from tests.engine.building import open_store
from tests.engine.swapping import require_exchange, swapping

NAMES = tuple(f"f{number}" for number in range(10))
ENTRIES = [
    Entry("", DIRECTORY, 0o755),
    Entry("deep", DIRECTORY, 0o755),
    Entry("deep/sub", DIRECTORY, 0o711, mtime=5),
    Entry("deep/sub", OPAQUE),
    Entry("deep/sub/inner", DIRECTORY, 0o700, mtime=6),
    *(Entry(f"deep/sub/{name}", FILE, 0o600, mtime=7) for name in NAMES),
    *(Entry(f"deep/sub/inner/{name}", FILE, 0o600, mtime=7) for name in NAMES),
    Entry("deep/sub/again", HARDLINK, linkname="deep/sub/f1"),
    Entry("deep/sub/link", SYMLINK, 0o777, linkname="f1", mtime=8),
    Entry("deep/sub/pipe", FIFO, 0o600, mtime=9),
    *((Entry("deep/sub/null", CHAR, 0o600, major=1, minor=3),) if os.geteuid() == 0 else ()),
    *((Entry("deep/sub/gone", WHITEOUT),) if os.geteuid() == 0 else ()),
]


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A directory that nobody is to write; some of its files have names of those of the layer."""
    place = tmp_path / "outside"
    (place / "inner").mkdir(parents=True)
    (place / "f3").write_text("mine")
    (place / "pipe").write_text("mine")
    before = told(place)
    yield place
    assert told(place) == before


def told(place: Path) -> dict[str, tuple[object, ...]]:
    found = {}
    for path in [place, *place.rglob("*")]:
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (
            status.st_mode,
            status.st_uid,
            status.st_mtime_ns,
            status.st_nlink,
            content,
            os.listxattr(path),
        )
    return found


def fill(unpacker: Unpacker, entries: Sequence[Entry], blob: int) -> None:
    """Write entries one by one, as a volume is filled with what an image has in its place."""
    tree = Tree.fold([entries]).entries()
    links = [entry for entry in tree if entry.kind == FILE and entry.linkname]
    for entry in tree:
        if entry not in links:
            unpacker.make(entry, blob)
    for entry in links:
        unpacker.link(entry)
    unpacker.finish([entry for entry in tree if entry.kind == DIRECTORY])


@pytest.fixture(params=["a layer", "a volume"])
def unpack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Path, Disk], None]]:
    """Unpack the entries into a new directory."""
    store = open_store(tmp_path / "store")
    with store.session() as session:
        writer = LayerWriter(session, store.disk)
        for entry in ENTRIES:
            writer.add(entry, b"inside" if entry.kind == FILE else b"")
        layer = writer.finish(store.layers, session)
    blob, entries = store.blobs.open(layer.blob.digest), store.layers.entries(layer.diff_id)

    def unpack(target: Path, disk: Disk) -> None:
        target.mkdir()
        unpacker = Unpacker(disk, str(target), store.id_mode)
        if request.param == "a layer":
            unpacker.layer(entries, blob)
        else:
            fill(unpacker, sorted(entries, key=lambda entry: (entry.kind == HARDLINK, entry.path)), blob)

    yield unpack
    os.close(blob)


def check(target: Path) -> None:
    assert all((target / "deep/sub" / name).read_bytes() == b"inside" for name in (*NAMES, "again", "link"))
    assert all((target / "deep/sub/inner" / name).read_bytes() == b"inside" for name in NAMES)
    assert [int((target / path).stat().st_mtime) for path in ("deep/sub", "deep/sub/inner")] == [5, 6]


class Exchanging(Disk):
    """Puts the link in the directory's place, or takes it back, before a change that is to be disturbed."""

    def __init__(self, link: Path, *, stays: bool, first: int) -> None:
        self._link = link
        self._stays = stays
        self._left = first
        self._victim = ""

    def _before(self) -> None:
        if not self._victim:
            return
        self._left -= 1
        if self._left == 0 or (self._left < 0 and not self._stays):
            away = f"{self._victim}.away"
            if os.path.islink(self._victim):
                os.unlink(self._victim)
                os.rename(away, self._victim)
            else:
                os.rename(self._victim, away)
                os.symlink(self._link, self._victim)

    def mkdir(self, path: str, mode: int = 0o700) -> None:
        self._before()
        super().mkdir(path, mode)
        if os.path.basename(path) == "sub":
            self._victim = os.path.realpath(path)


def _disturbed(name: str) -> Callable[..., object]:
    plain = getattr(Disk, name)

    def change(self: Exchanging, *words: object, **more: object) -> object:
        self._before()
        return plain(self, *words, **more)

    return change


for _name in ("open_new", "link", "symlink", "mknod", "chmod", "chown", "utime", "setxattr"):
    setattr(Exchanging, _name, _disturbed(_name))


@pytest.mark.parametrize("stays", [True, False])
@pytest.mark.parametrize("first", range(1, 60, 3))
def test_a_directory_exchanged_at_any_moment_leads_nowhere(
    tmp_path: Path, outside: Path, unpack: Callable[[Path, Disk], None], first: int, *, stays: bool
) -> None:
    target = tmp_path / "target"
    try:
        unpack(target, Exchanging(outside, stays=stays, first=first))
    except StoreError as error:
        assert str(error).endswith("was replaced while files were written to it")
        return
    if (target / "deep/sub").is_symlink():
        (target / "deep/sub").unlink()
        (target / "deep/sub.away").rename(target / "deep/sub")
    check(target)


def test_what_nobody_disturbs_is_whole(tmp_path: Path, unpack: Callable[[Path, Disk], None]) -> None:
    unpack(tmp_path / "target", Disk())
    check(tmp_path / "target")


def test_whoever_exchanges_directories_writes_nothing_outside(
    tmp_path: Path, outside: Path, unpack: Callable[[Path, Disk], None]
) -> None:
    require_exchange(tmp_path)
    target, link = tmp_path / "target", tmp_path / "link"
    until, number, whole = time.monotonic() + 1, 0, 0
    with swapping((target / "deep/sub", link)) as swaps:
        while time.monotonic() < until or not whole:
            number += 1
            if not link.is_symlink():
                if link.exists():
                    link.rename(tmp_path / f"directory{number}")
                link.symlink_to(outside)
            try:
                unpack(target, Disk())
                whole += 1
            except (MinidockError, OSError):
                pass
            target.rename(tmp_path / f"used{number}")
    assert number > 3 and swaps[0] > 100, (number, whole, swaps)
