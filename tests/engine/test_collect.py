"""Removing: docker's rules, exact accounts, and a fault at every operation."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from minidock.core.config import chain_ids
from minidock.core.descriptor import REF_NAME
from minidock.core.digest import Digest
from minidock.engine import collect, images, prune
from minidock.engine.collect import Removed
from minidock.engine.image_list import list_images
from minidock.engine.workspace import Workspace
from minidock.errors import ImageConflict, NoSuchImage
from minidock.store.faults import Crash, Fault, FaultyDisk
from minidock.store.store import Store
from tests.engine.building import (
    check_consistent,
    import_base,
    member,
    open_store,
    root_tar,
    run_build,
    workspace,
    write_context,
)

DOCKERFILE = "FROM base:1\nCOPY a /a\nENV X=1\nCOPY b /b\n"
Action = Callable[[Workspace], object]


def du(root: Path | str) -> int:
    """Return what `du` says of a directory."""
    return int(subprocess.run(["du", "-s", "-B1", root], check=True, capture_output=True, text=True).stdout.split()[0])


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return workspace(tmp_path / "store")


def base(ws: Workspace, name: str = "base:1", size: int = 30_000) -> Digest:
    """Import an image of one layer; others with another ``size``."""
    return import_base(ws, root_tar([(member("data"), b"x" * size)]), name)


def build_two(ws: Workspace, tmp_path: Path) -> None:
    """Make base:1, app:1 and app:2, which share all but their last layer."""
    base(ws)
    files = {"Dockerfile": DOCKERFILE, "a": "a" * 5000, "b": "b" * 300}
    run_build(ws, write_context(tmp_path / "one", files), tags=("app:1",))
    run_build(ws, write_context(tmp_path / "two", files | {"b": "c" * 400}), tags=("app:2",))


def names(ws: Workspace) -> list[str]:
    """Return the names in the list, ``<none>`` for nameless images."""
    return sorted(f"{row.repository}:{row.tag}" if row.repository else "<none>" for row in list_images(ws))


# --- rmi


def test_the_last_name_takes_the_image_with_it(ws: Workspace) -> None:
    image_id = base(ws)
    before = du(ws.store.layout.root)
    layer = images.find(ws, "base:1").config.diff_ids[0]
    assert collect.remove_image(ws, "base:1", is_forced=False) == Removed(("base:1",), (image_id, layer))
    assert list_images(ws) == ()
    assert os.listdir(ws.store.layout.path("blobs", "sha256")) == os.listdir(ws.store.layout.path("layers")) == []
    assert before - du(ws.store.layout.root) > 30_000


def test_one_of_several_names_is_only_untagged(ws: Workspace) -> None:
    base(ws)
    images.tag(ws, "base:1", "other")
    assert collect.remove_image(ws, "other", is_forced=False) == Removed(("other:latest",), ())
    assert names(ws) == ["base:1"]
    check_consistent(ws.store)


def test_an_id_with_several_names_must_be_forced(ws: Workspace) -> None:
    image_id = base(ws)
    images.tag(ws, "base:1", "other")
    with pytest.raises(ImageConflict) as caught:
        collect.remove_image(ws, image_id.short, is_forced=False)
    assert str(caught.value) == (
        f"conflict: unable to delete {image_id.short} (must be forced) - image is referenced in multiple repositories"
    )
    removed = collect.remove_image(ws, image_id.short, is_forced=True)
    assert removed.untagged == ("base:1", "other:latest")
    assert removed.deleted[0] == image_id
    assert list_images(ws) == ()


def test_layers_that_the_cache_knows_stay_and_the_next_build_finds_them(ws: Workspace, tmp_path: Path) -> None:
    build_two(ws, tmp_path)
    image_id = images.find(ws, "app:2").image_id
    assert collect.remove_image(ws, "app:2", is_forced=False) == Removed(("app:2",), (image_id,))
    again = run_build(ws, tmp_path / "two", tags=("app:2",))
    assert again.image_id == image_id
    assert all(outcome.startswith("CACHED") for outcome in again.outcomes if "FROM" not in outcome)
    check_consistent(ws.store)


def test_the_image_of_a_step_goes_once_nothing_is_built_on_it(ws: Workspace, tmp_path: Path) -> None:
    build_two(ws, tmp_path)
    steps = [row.image_id for row in list_images(ws, include_intermediate=True) if not row.repository]
    for step in steps:
        with pytest.raises(ImageConflict, match="image has dependent child images"):
            collect.remove_image(ws, str(step), is_forced=True)
    last = images.find(ws, "app:2").image_id
    collect.remove_image(ws, "app:2", is_forced=False)
    removed = collect.remove_image(ws, str(last), is_forced=False)
    assert removed == Removed((), (last,))  # its layer is still known to the record of the step that made it
    with pytest.raises(NoSuchImage):
        collect.remove_image(ws, str(last), is_forced=False)


def test_a_missing_image_is_named(ws: Workspace) -> None:
    with pytest.raises(NoSuchImage, match="No such image: nosuch:1"):
        collect.remove_image(ws, "nosuch:1", is_forced=True)
    assert not ws.store.exists


# --- prunes


def test_image_prune_takes_what_has_no_name_and_with_all_every_unused_image(ws: Workspace, tmp_path: Path) -> None:
    first = base(ws)
    second = base(ws, size=200)
    assert names(ws) == ["<none>", "base:1"]
    before = du(ws.store.layout.root)
    pruned = prune.prune_images(ws, includes_named=False)
    assert [removed.deleted[0] for removed in pruned.images] == [first]
    assert pruned.size == before - du(ws.store.layout.root) > 30_000
    assert names(ws) == ["base:1"]
    before = du(ws.store.layout.root)
    pruned = prune.prune_images(ws, includes_named=True)
    assert [(removed.untagged, removed.deleted[0]) for removed in pruned.images] == [(("base:1",), second)]
    assert pruned.size == before - du(ws.store.layout.root)
    assert prune.prune_images(ws, includes_named=True).size == 0


def test_builder_prune_leaves_what_images_are_made_of(ws: Workspace, tmp_path: Path) -> None:
    build_two(ws, tmp_path)
    assert prune.prune_cache(ws, is_all=False).size == 0
    collect.remove_image(ws, "app:1", is_forced=False)
    before = du(ws.store.layout.root)
    pruned = prune.prune_cache(ws, is_all=False)
    assert len(pruned.records) == 2  # of the layer, and of the image, of COPY b in the first build
    assert pruned.size == before - du(ws.store.layout.root) > 0
    again = run_build(ws, tmp_path / "two")
    assert all(outcome.startswith("CACHED") for outcome in again.outcomes if "FROM" not in outcome)


def test_builder_prune_of_all_leaves_images_and_no_cache(ws: Workspace, tmp_path: Path) -> None:
    build_two(ws, tmp_path)
    with ws.store.session() as session:
        ws.store.snapshots.stack(session, images.find(ws, "app:1").config.diff_ids)
    before = du(ws.store.layout.root)
    pruned = prune.prune_cache(ws, is_all=True)
    assert pruned.size == before - du(ws.store.layout.root) > 30_000
    for directory in ("cache/steps", "cache/recent", "cache/inputs", "cache/stat", "snapshots", "trash", "tmp"):
        assert os.listdir(ws.store.layout.path(directory)) == []
    assert names(ws) == ["app:1", "app:2", "base:1"]
    check_consistent(ws.store)


def test_everything_removed_leaves_no_bytes_behind(ws: Workspace, tmp_path: Path) -> None:
    base(ws)
    collect.remove_image(ws, "base:1", is_forced=False)
    empty = du(ws.store.layout.root)
    build_two(ws, tmp_path)
    prune.prune_images(ws, includes_named=True)
    prune.prune_cache(ws, is_all=True)
    assert du(ws.store.layout.root) == empty


def test_what_a_living_session_holds_stays(ws: Workspace, tmp_path: Path) -> None:
    base(ws)
    other = open_store(ws.store.layout.root)
    image = images.find(ws, "base:1")
    with other.session() as session:
        session.pin([image.image_id, *image.config.diff_ids])
        assert collect.remove_image(ws, "base:1", is_forced=False).deleted == (image.image_id,)
        assert other.blobs.has(image.image_id)
        assert other.layers.get(image.config.diff_ids[0]).size == 30_000
    assert prune.prune_images(ws, includes_named=False).size > 30_000
    assert os.listdir(ws.store.layout.path("blobs", "sha256")) == []


def test_unpacked_layers_go_with_their_image(ws: Workspace) -> None:
    base(ws)
    with ws.store.session() as session:
        ws.store.snapshots.stack(session, images.find(ws, "base:1").config.diff_ids)
    collect.remove_image(ws, "base:1", is_forced=False)
    assert os.listdir(ws.store.layout.path("snapshots")) == []


def test_entries_of_other_programs_are_kept_with_all_that_they_name(ws: Workspace) -> None:
    image_id = base(ws)
    index = Path(ws.store.layout.index)
    index.write_bytes(index.read_bytes().replace(b'"dev.minidock.config":', b'"other":').replace(b"base:1", b"foreign"))
    assert prune.prune_images(ws, includes_named=True).size == 0
    assert ws.store.blobs.has(image_id)
    assert [item.annotations[REF_NAME] for item in ws.store.images.list()] == ["foreign"]


def test_a_prune_of_no_store_makes_none(ws: Workspace) -> None:
    assert prune.prune_images(ws, includes_named=True) == prune.prune_cache(ws, is_all=True) == prune.Pruned()
    assert not Path(ws.store.layout.root).exists()


# --- faults


def rmi(ws: Workspace) -> None:
    """Remove app:1 if it is there."""
    if images_named(ws.store, "app:1"):
        collect.remove_image(ws, "app:1", is_forced=False)


def prune_all(ws: Workspace) -> None:
    """Remove all of the cache."""
    prune.prune_cache(ws, is_all=True)


def drop_base(ws: Workspace) -> None:
    """Remove an image whose layers nothing else needs."""
    if images_named(ws.store, "solo:1"):
        collect.remove_image(ws, "solo:1", is_forced=False)


def images_named(store: Store, name: str) -> bool:
    return store.images.find(name) is not None


def operations(action: Action, seed: Path, place: Path) -> int:
    """Return how many operations ``action`` has on a copy of the store ``seed``."""
    shutil.copytree(seed, place, symlinks=True)
    disk = FaultyDisk()
    action(workspace(place, disk=disk))
    return disk.done


def attempt(action: Action, ws: Workspace) -> None:
    """Carry out ``action``, which may fail in the ways that a fault leads to."""
    try:
        action(ws)
    except (Crash, OSError):
        pass
    except Exception as error:
        assert type(error).__name__ in ("StorageFull", "StoreUnwritable"), error


@pytest.mark.parametrize("action", [rmi, drop_base, prune_all], ids=["rmi", "rmi-unshared", "builder-prune"])
@pytest.mark.parametrize("fault", list(Fault), ids=lambda fault: fault.name.lower())
def test_a_fault_at_any_operation_costs_nothing(action: Action, fault: Fault, tmp_path: Path) -> None:
    seed = tmp_path / "seed"
    ws = workspace(seed)
    build_two(ws, tmp_path)
    base(ws, "solo:1", size=7)
    with ws.store.session() as session:
        ws.store.snapshots.stack(session, images.find(ws, "solo:1").config.diff_ids)
    unharmed = tmp_path / "unharmed"
    total = operations(action, seed, unharmed)
    assert total > 5
    expected_size, expected_names = du(unharmed), names(workspace(unharmed))
    for number in range(1, total + 1):
        place = tmp_path / "store"
        shutil.copytree(seed, place, symlinks=True)
        attempt(action, workspace(place, disk=FaultyDisk(number, fault)))
        fresh = workspace(place)
        check_consistent(fresh.store)
        assert set(names(fresh)) >= set(expected_names)
        action(fresh)  # again: what was cut off is finished
        with fresh.store.session():
            pass
        check_consistent(fresh.store)
        assert names(fresh) == expected_names
        assert du(place) == expected_size, f"{fault.name} at operation {number} of {total} leaves bytes behind"
        shutil.rmtree(place)


def test_the_next_command_that_writes_collects_what_a_crash_left(ws: Workspace, tmp_path: Path) -> None:
    base(ws, "kept:1", size=10)
    total = operations(base, Path(ws.store.layout.root), tmp_path / "count")
    # Of a copy, like every store below: what was allocated ahead for events is not copied.
    clean = du(Path(shutil.copytree(ws.store.layout.root, tmp_path / "clean")))
    for number in range(1, total + 1):
        place = tmp_path / "store2"
        shutil.copytree(ws.store.layout.root, place)
        attempt(base, workspace(place, disk=FaultyDisk(number, Fault.CRASH_BEFORE)))
        fresh = workspace(place)
        check_consistent(fresh.store)
        with fresh.store.session():
            pass
        if "base:1" not in names(fresh):
            assert du(place) == clean, f"a crash at operation {number} of {total} leaves bytes behind"
        check_consistent(fresh.store)
        shutil.rmtree(place)


def test_a_removal_works_on_a_disk_without_any_space_but_the_reserve(ws: Workspace) -> None:
    class FullDisk(FaultyDisk):
        """Refuses new files until the reserve is given up."""

        def open_new(self, path: str, mode: int = 0o600) -> int:
            if os.path.exists(ws.store.layout.path("reserve")):
                raise OSError(errno.ENOSPC, "full")
            return super().open_new(path, mode)

        def mkdir(self, path: str, mode: int = 0o700) -> None:
            if os.path.exists(ws.store.layout.path("reserve")):
                raise OSError(errno.ENOSPC, "full")
            super().mkdir(path, mode)

    base(ws)
    full = workspace(ws.store.layout.root, disk=FullDisk())
    collect.remove_image(full, "base:1", is_forced=False)
    assert list_images(ws) == ()
    assert not Path(ws.store.layout.path("reserve")).exists()
    base(ws)
    assert Path(ws.store.layout.path("reserve")).stat().st_size == 64 << 10


def test_a_shared_chain_of_layers_is_told_once(ws: Workspace, tmp_path: Path) -> None:
    build_two(ws, tmp_path)
    chain = chain_ids(images.find(ws, "app:1").config.diff_ids)
    prune.prune_cache(ws, is_all=True)
    pruned = prune.prune_images(ws, includes_named=True)
    deleted = [digest for removed in pruned.images for digest in removed.deleted]
    assert len(deleted) == len(set(deleted)) == 3 + 4
    assert set(chain) < set(deleted)
