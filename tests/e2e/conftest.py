"""What the end-to-end tests share: one Debian for all of them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from bench.debian import make_root_file_system


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tar of a small Debian."""
    if os.geteuid() != 0:
        pytest.skip("apt installs packages as root, and mmdebstrap makes true owners")
    if shutil.which("mmdebstrap") is None:
        pytest.skip("mmdebstrap is not installed")
    work = tmp_path_factory.mktemp("debian")
    make_root_file_system(work / "debian.tar", work)
    return work / "debian.tar"
