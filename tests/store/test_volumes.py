from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from minidock.core.id_mode import IdMode
from minidock.errors import NoSuchVolume
from minidock.store.store import Store
from minidock.store.volumes import Volume

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PLAIN = Volume("data", NOW, {"k": "v"})
USED = Volume("data", NOW, is_used=True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    uid = os.geteuid()
    id_mode = IdMode.ROOT if uid == 0 else IdMode.SINGLE
    return Store(str(tmp_path / "store"), uid=uid, id_mode=id_mode, boot_id="boot")


def put(path: str) -> None:
    Path(path, "file").write_text("from the image")


def test_volume_is_made_listed_and_removed(store: Store) -> None:
    assert store.volumes.list() == []
    with store.session() as session:
        assert store.volumes.create(session, PLAIN) == PLAIN
        assert store.volumes.list() == [PLAIN]
        assert store.volumes.find("data") == PLAIN
        assert os.listdir(store.volumes.data("data")) == []
        store.volumes.discard(session, "data")
        assert store.volumes.list() == []
    assert os.listdir(store.layout.path("tmp")) == []


@pytest.mark.parametrize("name", ["data", "", "../containers", "a/b"])
def test_volume_that_is_not_there_is_an_error(store: Store, name: str) -> None:
    with pytest.raises(NoSuchVolume):
        store.volumes.find(name)


def test_second_creation_changes_nothing(store: Store) -> None:
    with store.session() as session:
        store.volumes.create(session, PLAIN)
        assert store.volumes.create(session, replace(PLAIN, labels={})) == PLAIN


def test_new_volume_is_filled_when_a_container_makes_it(store: Store) -> None:
    with store.session() as session:
        assert store.volumes.create(session, USED, put) == USED
    assert os.listdir(store.volumes.data("data")) == ["file"]


def test_empty_volume_is_filled_at_its_first_use_only(store: Store) -> None:
    with store.session() as session:
        store.volumes.create(session, PLAIN)
        assert store.volumes.create(session, USED, put) == replace(PLAIN, is_used=True)
        assert os.listdir(store.volumes.data("data")) == ["file"]
        os.unlink(f"{store.volumes.data('data')}/file")
        store.volumes.create(session, USED, put)
    assert os.listdir(store.volumes.data("data")) == []


def test_volume_that_has_content_is_never_written_over(store: Store) -> None:
    with store.session() as session:
        store.volumes.create(session, PLAIN)
        Path(store.volumes.data("data"), "mine").write_text("precious")
        store.volumes.create(session, USED, put)
    assert os.listdir(store.volumes.data("data")) == ["mine"]
