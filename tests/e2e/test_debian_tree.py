"""The import of a whole Debian is the tree that GNU tar unpacks from it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from minidock.engine.importer import import_tar
from minidock.runtime.fake import FakeRuntime
from tests.engine.building import workspace
from tests.interop.trees import told_by_disk, told_by_store

pytestmark = pytest.mark.slow


def test_an_imported_debian_is_what_gnu_tar_unpacks(debian: Path, tmp_path: Path) -> None:
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "-xpf", debian, "--numeric-owner", "-C", unpacked], check=True, timeout=300)
    ws = workspace(tmp_path / "store", FakeRuntime({}))
    with open(debian, "rb") as stream:
        told = told_by_store(ws, import_tar(ws, stream, None, message=""))
    assert len(told) > 5000
    assert told == told_by_disk(unpacked)
