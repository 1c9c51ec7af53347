"""What holds for every test."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator

import pytest

_MANY = 300  # of the 1,024 descriptors that `select` can name


def pytest_configure() -> None:
    """Take Ctrl-C as at a terminal: what a shell starts in the background ignores it, and so do its children."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    """Let go of the directories of contexts: commands hold them to their end, and here thousands run in one process.

    By itself the interpreter rarely looks for garbage among as many objects as tests make.
    """
    yield
    if len(os.listdir("/proc/self/fd")) > _MANY:
        gc.collect()
