"""Programs of others, run by tests."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

import pytest


def program(name: str, *words: str) -> Callable[..., str]:
    """Return a function that runs a program and returns what it prints; the test is skipped where it is missing."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")

    def run(*more: object) -> str:
        done = subprocess.run([name, *words, *map(str, more)], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{name} {more}: {done.stderr}"
        return done.stdout

    return run
