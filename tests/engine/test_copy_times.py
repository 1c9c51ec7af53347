"""Times of copied files: what SOURCE_DATE_EPOCH makes of them, so that any checkout gives the same image."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

from minidock.core.digest import Digest
from minidock.engine import images
from minidock.engine.workspace import Workspace
from tests.engine.building import run_build, workspace

EPOCH = 1_700_000_000
OLD, NEW = EPOCH - 5_000_000, EPOCH + 5_000_000
DOCKERFILE = """\
FROM scratch AS first
COPY src /src
COPY --link src/a /linked/
COPY --parents src/deep/b /parents/
COPY --chmod=700 src/deep /mode
ADD old.tar new.tar /archive/
COPY <<name /document/
text
name
FROM scratch
COPY --from=first / /all
WORKDIR /made
"""


def archive(name: str, mtime: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size, member.mtime = 1, mtime
        tar.addfile(member, io.BytesIO(b"x"))
    return out.getvalue()


def checkout(place: Path, mtime: int) -> Path:
    """Return a context in which everything has the same time."""
    (place / "src/deep").mkdir(parents=True)
    (place / "Dockerfile").write_text(DOCKERFILE)
    (place / "src/a").write_text("a")
    (place / "src/deep/b").write_text("b")
    (place / "src/link").symlink_to("a")
    (place / "old.tar").write_bytes(archive("old", OLD))
    (place / "new.tar").write_bytes(archive("new", NEW))
    for path in [place, *place.rglob("*")]:
        path.chmod(0o755, follow_symlinks=True)
        os.utime(path, (mtime, mtime), follow_symlinks=False)
    return place


def times(ws: Workspace, image_id: Digest) -> dict[str, int]:
    """Return the time of everything in the layers of an image."""
    layers = images.load(ws, image_id).config.diff_ids
    return {entry.path: entry.mtime for diff_id in layers for entry in ws.store.layers.entries(diff_id) if entry.path}


def test_checkouts_of_any_time_give_the_same_image(tmp_path: Path) -> None:
    stores = [workspace(tmp_path / f"store{number}") for number in range(3)]
    found = [
        run_build(ws, checkout(tmp_path / f"context{number}", mtime), source_date_epoch=EPOCH).image_id
        for number, (ws, mtime) in enumerate(zip(stores, (OLD, NEW, EPOCH), strict=True))
    ]
    assert found == [found[0]] * 3
    others = {path: mtime for path, mtime in times(stores[0], found[0]).items() if mtime != EPOCH}
    assert others == {"all": 0, "all/archive/old": OLD}  # the root of an empty stage has no time


def test_without_an_epoch_files_keep_their_times(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "store")
    found = times(ws, run_build(ws, checkout(tmp_path / "context", OLD)).image_id)
    assert {path: found[path] for path in ("all/src/a", "all/src/deep", "all/linked/a", "all/archive/new")} == {
        "all/src/a": OLD,
        "all/src/deep": OLD,
        "all/linked/a": OLD,
        "all/archive/new": NEW,
    }
