"""Which part of the build cache goes when only some of it is to: by labels, by age, by size, by itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from minidock.core.filters import PruneFilter
from minidock.engine import collect, dry_run, images, prune
from minidock.engine.cache_bound import keep_bound
from minidock.engine.cache_choice import CacheLimits
from minidock.engine.disk_usage import disk_usage
from minidock.engine.image_list import list_images
from minidock.engine.workspace import Workspace
from minidock.store.measure import allocated
from tests.engine.building import import_base, member, root_tar, run_build, workspace, write_context

BASE = root_tar([(member("data", mode=0o644), b"x" * 70_000)])
SIZES = (50_000, 60_000, 80_000)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    """A store whose build cache has three steps of removed images, used one after another, the second one labelled."""
    made = workspace(tmp_path / "store")
    import_base(made, BASE)
    for number, size in enumerate(SIZES):
        label = "LABEL odd=1\n" if number == 1 else ""
        files = {"Dockerfile": f"FROM base:1\n{label}COPY a /a\n", "a": str(number) * size}
        run_build(made, write_context(tmp_path / str(number), files), tags=("app:1",))
        collect.remove_image(made, "app:1", is_forced=False)
        for path in sorted(Path(made.store.layout.path("cache", "steps")).iterdir(), key=os.path.getmtime):
            if path.stat().st_mtime > 1_000_000:
                os.utime(path, (number + 1, number + 1))
    return made


def content(ws: Workspace) -> list[int]:
    """Return the sizes of the layers that only the build cache keeps."""
    return sorted(row.size for row in disk_usage(ws).cache if row.size and not row.is_shared)


def store_size(ws: Workspace) -> int:
    return allocated([ws.store.layout.root])


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        (CacheLimits(PruneFilter(labels=("odd",))), [50_000, 80_000]),
        (CacheLimits(PruneFilter(labels=("odd=2",))), [50_000, 60_000, 80_000]),
        (CacheLimits(PruneFilter(without=("odd",))), [60_000]),
        (CacheLimits(PruneFilter(until=2_500_000_000)), [80_000]),
        (CacheLimits(kept_size=1 << 30), [50_000, 60_000, 80_000]),
        (CacheLimits(kept_size=180_000), [60_000, 80_000]),
        (CacheLimits(kept_size=110_000), [80_000]),
        (CacheLimits(kept_size=1), []),
    ],
    ids=["label", "other-value", "without", "until", "enough-room", "the-oldest", "two-of-three", "no-room"],
)
def test_a_limited_prune_takes_what_its_dry_run_says(ws: Workspace, limits: CacheLimits, left: list[int]) -> None:
    foretold = dry_run.prune_cache(ws, is_all=True, limits=limits)
    assert content(ws) == [50_000, 60_000, 80_000]
    before = store_size(ws)
    assert prune.prune_cache(ws, is_all=True, limits=limits) == foretold
    assert foretold.size == before - store_size(ws)
    assert content(ws) == left


def test_unpacked_layers_go_first_the_oldest_ones(ws: Workspace) -> None:
    with ws.store.session() as session:
        ws.store.snapshots.stack(session, images.find(ws, "base:1").config.diff_ids)
    whole = dry_run.prune_cache(ws, is_all=True, limits=CacheLimits(kept_size=1)).size
    pruned = prune.prune_cache(ws, is_all=True, limits=CacheLimits(kept_size=whole - 50_000))
    assert pruned.records == ()
    assert os.listdir(ws.store.layout.path("snapshots")) == []
    assert content(ws) == [50_000, 60_000, 80_000]


def test_the_bound_holds_after_a_look_and_there_is_none_for_an_hour(ws: Workspace) -> None:
    assert keep_bound(ws, 0) == 0
    assert keep_bound(ws, 110_000) > 110_000
    assert content(ws) == [80_000]
    assert keep_bound(ws, 1) == 0
    assert content(ws) == [80_000]
    os.unlink(ws.store.layout.path("cache", "bounded"))
    assert keep_bound(ws, None) == 0  # 2 GiB are the least
    assert [row.tag for row in list_images(ws)] == ["1"]


def test_image_prune_by_label_and_age(ws: Workspace, tmp_path: Path) -> None:
    for number, label in enumerate(("a=1", "a=2", "b=1")):
        files = {"Dockerfile": f"FROM scratch\nLABEL {label}\nCOPY a /a\n", "a": str(number)}
        run_build(ws, write_context(tmp_path / f"labelled{number}", files), tags=(f"with:{number}",))
    for wanted, expected in (
        (PruneFilter(labels=("a=2",)), ("with:1",)),
        (PruneFilter(labels=("a",), without=("a=1",)), ()),
        (PruneFilter(until=1, labels=("b",)), ()),
        (PruneFilter(labels=("b",)), ("with:2",)),
    ):
        foretold = dry_run.prune_images(ws, includes_named=True, wanted=wanted)
        before = store_size(ws)
        assert prune.prune_images(ws, includes_named=True, wanted=wanted) == foretold
        assert before - store_size(ws) == foretold.size
        assert tuple(name for removed in foretold.images for name in removed.untagged) == expected
