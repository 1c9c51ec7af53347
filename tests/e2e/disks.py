"""Small file systems of their own: almost full, in pieces, or full."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.other_users import public_place

_PIECE = 32 << 10


@contextmanager
def mounted_ext4(size: int) -> Iterator[Path]:
    """Mount an empty ext4 of ``size`` bytes from a file, for root. Nothing of it is left."""
    with public_place() as place:
        image, mounted = place / "disk.img", place / "mounted"
        mounted.mkdir()
        with open(image, "wb") as file:
            file.truncate(size)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)
        done = subprocess.run(["mount", "-o", "loop", image, mounted], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no loop device can be mounted here: {done.stderr.strip()}")
        try:
            yield mounted
        finally:
            subprocess.run(["umount", mounted], check=True)


@contextmanager
def new_disk() -> Iterator[Path]:
    """Mount a new file system if that may be done: how the disk of the machine lies in pieces decides nothing then.

    A file in pieces needs blocks for the map of them, and needs them no longer when pieces grow together: that is told
    of nothing in the store, and `fragmented` is where it is looked at.
    """
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4"):
        with public_place() as place:
            yield place
        return
    with mounted_ext4(1 << 30) as mounted:
        mounted.parent.chmod(0o755)
        yield mounted


@contextmanager
def fragmented(size: int) -> Iterator[Path]:
    """Mount an ext4 that is half full, its free space in pieces of a few blocks."""
    with mounted_ext4(size) as mounted:
        for hole in range(0, fill(mounted), 2):
            (mounted / "filler" / str(hole)).unlink()
        yield mounted


def fill(mounted: Path, piece: int = _PIECE) -> int:
    """Write files below ``filler`` until there is no space for one more piece; return how many."""
    filler = mounted / "filler"
    filler.mkdir(exist_ok=True)
    number = len(os.listdir(filler))
    try:
        while True:
            (filler / str(number)).write_bytes(bytes(piece))
            number += 1
    except OSError:
        subprocess.run(["sync", "-f", mounted], check=True)
    return number
