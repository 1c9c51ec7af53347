"""A process that exchanges names without end, as an attacker beside a command would."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_SWAP = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
pairs = [(os.fsencode(a), os.fsencode(b)) for a, b in zip(sys.argv[1::2], sys.argv[2::2])]
print("ready", flush=True)
count = 0
try:
    while os.getppid() == PARENT:
        for first, second in pairs:
            count += libc.renameat2(-100, first, -100, second, 2) == 0
finally:
    print(count, flush=True)
"""


def require_exchange(place: Path) -> None:
    """Skip the test where the file system cannot exchange two names."""
    for name in ("one", "other"):
        (place / f".{name}").write_bytes(b"")
    libc = ctypes.CDLL(None, use_errno=True)
    names = [os.fsencode(place / f".{name}") for name in ("one", "other")]
    if libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE):
        pytest.skip(f"names cannot be exchanged here: {os.strerror(ctypes.get_errno())}")


@contextmanager
def swapping(*pairs: tuple[Path | str, Path | str]) -> Iterator[list[int]]:
    """Exchange each pair of names again and again while the block runs; afterwards the list holds how often."""
    words = [str(name) for pair in pairs for name in pair]
    script = "import signal; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))" + _SWAP
    script = "import sys;" + script.replace("PARENT", str(os.getpid()))
    process = subprocess.Popen([sys.executable, "-c", script, *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    counted: list[int] = []
    try:
        assert process.stdout.readline() == "ready\n"
        yield counted
    finally:
        process.terminate()
        counted.append(int(process.stdout.read() or 0))
        process.stdout.close()
        process.wait()
