"""System calls that have a manner of their own: what the kernel asks to be tried again is tried again."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from minidock.runtime import syscalls

IN_ROOT = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
BENEATH = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_MAGICLINKS

_RENAMES = """
import os, sys
a, b = sys.argv[1], sys.argv[2]
os.mkdir(a)
print("ready", flush=True)
while True:
    os.rename(a, b)
    os.rename(b, a)
"""


@contextmanager
def somebody_renames(place: Path) -> Iterator[None]:
    """Let another process rename a directory, of no concern to anybody, all the time."""
    words = [sys.executable, "-c", _RENAMES, str(place / "one"), str(place / "two")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize(("path", "resolve"), [("link", IN_ROOT), ("a/b/../../a/../file", BENEATH)])
def test_a_way_up_is_found_while_others_rename(tmp_path: Path, path: str, resolve: int) -> None:
    root = tmp_path / "root"
    (root / "a/b").mkdir(parents=True)
    (root / "file").write_text("found")
    (root / "link").symlink_to("/a/b/../../../../file")
    fd = os.open(root, os.O_PATH)
    with somebody_renames(tmp_path):
        for _ in range(20_000):
            found = syscalls.openat2(fd, path, os.O_PATH, resolve)
            assert os.path.samestat(os.fstat(found), os.stat(root / "file"))
            os.close(found)
    os.close(fd)


def test_what_can_never_be_found_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def call(name: str, what: str, *_: object) -> int:
        tried.append(what)
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), name)

    monkeypatch.setattr(syscalls, "_call", call)
    with pytest.raises(BlockingIOError):
        syscalls.openat2(syscalls.AT_FDCWD, str(tmp_path), os.O_PATH, IN_ROOT)
    assert len(tried) > 100
