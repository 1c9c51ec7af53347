"""What tests of the engine share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from minidock.engine.attend import Streams


@pytest.fixture
def streams(tmp_path: Path) -> Iterator[Streams]:
    """Both outputs of a process, in the file ``out``."""
    out = os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT)
    yield Streams(None, out, out)
    os.close(out)
