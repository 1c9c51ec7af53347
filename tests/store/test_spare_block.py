"""Whatever pieces index.json lies in, a removal frees what was foretold."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from minidock.core.descriptor import CONFIG_DIGEST, REF_NAME, Descriptor
from minidock.core.digest import Digest
from minidock.engine.forecast import Forecast
from minidock.engine.workspace import Workspace
from minidock.store.spare_block import beside
from tests.e2e.disks import fragmented
from tests.engine.building import workspace

COUNT = 700  # entries of 200 bytes: more than four of the pieces of a fragmented disk
_MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"


def entry(number: int) -> Descriptor:
    digest = Digest.sha256(str(number).encode())
    return Descriptor(_MEDIA_TYPE, digest, 10, annotations={REF_NAME: f"app:{number}", CONFIG_DIGEST: str(digest)})


def with_images(root: Path, count: int) -> Workspace:
    """Return a workspace whose list names so many images; the last one was added by itself."""
    ws = workspace(root)
    with ws.store.session() as session:
        index = ws.store.images.index()
        session.replace(ws.store.layout.index, type(index)(tuple(map(entry, range(count - 1)))).to_bytes())
        ws.store.images.add(session, entry(count - 1), (f"app:{count - 1}",))
    return ws


def size(ws: Workspace) -> int:
    """Return what index.json takes."""
    return os.stat(ws.store.layout.index).st_blocks * 512


def remove_some(ws: Workspace, chance: random.Random) -> None:
    """Take a few images out of the list, and compare what that frees with what was foretold."""
    items = ws.store.images.list()
    gone = set(chance.sample(range(len(items)), min(len(items), chance.choice((1, 2, 10, 60)))))
    forecast = Forecast(ws)
    forecast.rename_images([item for number, item in enumerate(items) if number not in gone])
    foretold, before = forecast.freed().size, size(ws)
    with ws.store.session(is_removal=True) as session:
        names = {items[number].annotations[REF_NAME] for number in gone}
        ws.store.images.remove(session, lambda item: item.annotations[REF_NAME] in names)
    assert before - size(ws) == foretold, f"{len(items)} images, {len(gone)} of them removed"


@contextmanager
def usual_or_fragmented(place: Path, *, is_fragmented: bool) -> Iterator[Path]:
    if not is_fragmented:
        yield place
        return
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4"):
        pytest.skip("needs root and mkfs.ext4")
    with fragmented(32 << 20) as mounted:
        yield mounted


@pytest.mark.parametrize("is_fragmented", [False, True])
def test_removals_from_a_long_list_free_what_was_foretold(tmp_path: Path, *, is_fragmented: bool) -> None:
    chance = random.Random(20261129)
    with usual_or_fragmented(tmp_path, is_fragmented=is_fragmented) as place:
        ws = with_images(place / "store", COUNT)
        assert beside(os.stat(ws.store.layout.index)) == os.stat(place).st_blksize
        while ws.store.images.list():
            remove_some(ws, chance)
        assert beside(os.stat(ws.store.layout.index)) == 0


def test_a_short_list_has_no_spare_block(tmp_path: Path) -> None:
    ws = with_images(tmp_path / "store", 10)
    assert beside(os.stat(ws.store.layout.index)) == 0


def test_a_list_without_a_spare_block_gets_none_by_a_removal(tmp_path: Path) -> None:
    ws = with_images(tmp_path / "store", 200)
    with ws.store.session() as session:
        session.replace(ws.store.layout.index, ws.store.images.index().to_bytes())
        assert beside(os.stat(ws.store.layout.index)) == 0
        ws.store.images.remove(session, lambda item: item.annotations[REF_NAME] == "app:1")
    assert beside(os.stat(ws.store.layout.index)) == 0
