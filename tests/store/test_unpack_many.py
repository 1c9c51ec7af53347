"""A layer of so many files that several threads unpack it: the same tree, and the same care."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest

from minidock.core.digest import Digest
from minidock.errors import BlobCorrupt
from minidock.store.faults import Crash, Fault, FaultyDisk
from minidock.store.store import Store
from tests.engine.building import open_store
from tests.store.tar_blocks import block, file

FOLDERS, FILES = 30, 40


def content(folder: int, number: int) -> bytes:
    return b"%d/%d " % (folder, number) * 100


def layer_tar() -> bytes:
    parts = []
    for folder in range(FOLDERS):
        parts.append(block(b"d%d/" % folder, b"5", mode=b"0000755\0", mtime=b"%011o\0" % folder))
        for number in range(FILES):
            mode = b"0004711\0" if number == 7 else b"0000640\0"
            name = b"d%d/f%d" % (folder, number)
            parts.append(file(name, content(folder, number), mode=mode, mtime=b"%011o\0" % number))
        parts.append(block(b"d%d/link" % folder, b"2", link=b"f1"))
    for folder in range(FOLDERS):
        parts.append(block(b"d%d/hard" % folder, b"1", link=b"d%d/f0" % ((folder + 1) % FOLDERS)))
    return b"".join(parts) + bytes(1024)


def stored(tmp_path: Path) -> tuple[Store, Digest]:
    store = open_store(tmp_path / "store")
    with store.session() as session:
        return store, store.layers.ingest(session, io.BytesIO(layer_tar())).diff_id


def test_every_file_is_as_in_the_layer(tmp_path: Path) -> None:
    store, diff_id = stored(tmp_path)
    with store.session() as session:
        top = Path(store.snapshots.stack(session, [diff_id])[0])
    assert sorted(os.listdir(top)) == sorted(f"d{folder}" for folder in range(FOLDERS))
    for folder in range(FOLDERS):
        place = top / f"d{folder}"
        assert sorted(os.listdir(place)) == sorted(["hard", "link", *(f"f{number}" for number in range(FILES))])
        assert (stat.S_IMODE(place.stat().st_mode), place.stat().st_mtime) == (0o755, folder)
        assert os.readlink(place / "link") == "f1"
        assert (place / "hard").samefile(top / f"d{(folder + 1) % FOLDERS}" / "f0")
        for number in range(FILES):
            status = (place / f"f{number}").stat()
            assert (place / f"f{number}").read_bytes() == content(folder, number)
            assert stat.S_IMODE(status.st_mode) == (0o4711 if number == 7 else 0o640)
            assert status.st_mtime == number


def test_a_damaged_file_is_found_and_nothing_is_left(tmp_path: Path) -> None:
    store, diff_id = stored(tmp_path)
    blob = Path(store.layout.blob(diff_id))
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes().replace(content(20, 3), b"X" + content(20, 3)[1:]))
    with pytest.raises(BlobCorrupt, match=r"of /d20/f3"), store.session() as session:
        store.snapshots.stack(session, [diff_id])
    assert os.listdir(store.layout.path("snapshots")) == []
    assert os.listdir(store.layout.path("tmp")) == []


@pytest.mark.parametrize("at", [500, 3000])
def test_a_crash_in_any_thread_leaves_what_the_next_one_sweeps(tmp_path: Path, at: int) -> None:
    store, diff_id = stored(tmp_path)
    dying = open_store(tmp_path / "store", disk=FaultyDisk(at, Fault.CRASH_INSIDE))
    with store.session() as keeper:  # no image names the layer
        keeper.pin([diff_id])
        with pytest.raises(Crash), dying.session() as session:
            dying.snapshots.stack(session, [diff_id])
        assert os.listdir(store.layout.path("snapshots")) == []
        with store.session() as session:
            top = store.snapshots.stack(session, [diff_id])[0]
        assert os.listdir(store.layout.path("tmp")) == [keeper.name]
    assert len(os.listdir(top)) == FOLDERS
