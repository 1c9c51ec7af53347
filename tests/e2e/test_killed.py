"""kill -9 at any time, and a disk without a free block: the next command finds all in order, and nothing stays behind.

MINIDOCK_KILLS and MINIDOCK_FULL choose how often, MINIDOCK_SEED another sequence; a failure prints it.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from minidock.runtime.base import Isolation
from minidock.runtime.native import NativeRuntime
from tests.e2e.disks import fill, mounted_ext4
from tests.e2e.operations import Player, prepared
from tests.e2e.test_side_by_side import GONE, nothing_is_left, terms
from tests.engine.building import check_consistent, open_store
from tests.other_users import public_place

SEED = int(os.environ.get("MINIDOCK_SEED", "20261124"))
KILLS = int(os.environ.get("MINIDOCK_KILLS", "60"))
FULL = int(os.environ.get("MINIDOCK_FULL", "10"))

LIST = "{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}}"

pytestmark = pytest.mark.slow


def workloads(player: Player) -> list[tuple[str, ...]]:
    """Return commands that are killed; each context is another one every time."""
    context = player.place / "killed"
    context.mkdir(exist_ok=True)
    (context / "data").write_bytes(player.random.randbytes(200_000))
    script = "for n in 1 2 3 4 5 6 7 8; do echo $n > /made$n; done"
    (context / "Dockerfile").write_text(f"FROM base:1\nCOPY data /\nRUN {script}\nRUN ln /data /more && rm /data\n")
    build = ("build", "-q", "-t", "app:9", "--network", "none", str(context))
    script = "head -c 200000 /dev/zero > /big; mkdir /d; ln /big /d/again; echo x > /data/x"
    run = ("run", "--network", "none", "-v", "one:/data", "base:1", "/bin/sh", "-c", script)
    prunes = [("builder", "prune", "-a", "-f"), ("system", "prune", "-f"), ("rmi", "-f", "app:9")]
    return [build, build, run, ("load", "-i", "saved.tar"), player.random.choice(prunes)]


def test_a_kill_at_any_time_costs_nothing_and_leaves_nothing() -> None:
    with public_place() as place, prepared(place, SEED) as player:
        if NativeRuntime().probe(str(place)).isolation is not Isolation.NAMESPACES:
            pytest.skip("without namespaces a process outlives whoever is killed while watching it")
        seconds = {"build": 0.5, "run": 0.3, "load": 0.1, "builder": 0.1, "system": 0.1, "rmi": 0.1}
        landed = 0
        for number in range(KILLS):
            words = player.random.choice(workloads(player))
            started = time.monotonic()
            pid = player.caller.start(*words)
            time.sleep(player.random.uniform(0, seconds[words[0]]))  # the moment is what is random here
            os.killpg(pid, signal.SIGKILL)
            was_killed = player.caller.finish(pid).code == -signal.SIGKILL
            landed += was_killed
            if not was_killed:
                seconds[words[0]] = time.monotonic() - started
            try:
                in_order(player, words)
            except AssertionError as error:
                raise AssertionError(f"MINIDOCK_SEED={SEED}, kill {number}: {' '.join(words)}") from error
        assert landed >= KILLS // 3
        player.call("rm", "-f", *player.call("ps", "-a", "-q").split())
        player.call("volume", "prune", "-a", "-f")
        nothing_is_left(player.caller, player.root)


def in_order(player: Player, words: tuple[str, ...]) -> None:
    """Look at the store as it is, then let a command write: what the dead one left goes; then all of it once more."""
    settled(player)
    player.compare()
    check_consistent(open_store(player.root))
    assert player.ask("volume", "create", "after").code == 0
    found = terms(player.caller)
    assert [found[name] for name in GONE] == [0, 0, 0], found
    again = player.ask(*words)
    assert again.code == 0 or "No such image" in again.err, again
    player.compare()
    check_consistent(open_store(player.root))


def settled(player: Player, seconds: float = 20) -> None:
    """Wait until the processes of a killed command have ended with it."""
    end = time.monotonic() + seconds
    while player.caller.call("ps", "-q").out or str(player.root) in Path("/proc/self/mountinfo").read_text():
        assert time.monotonic() < end, "a process or a mount outlives its command"


@contextmanager
def small_disk(kind: str, place: Path) -> Iterator[Path]:
    """Mount 24 MiB of a file system."""
    if kind == "ext4":
        with mounted_ext4(24 << 20) as mounted:
            yield mounted
        return
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", place], check=False)
    if done.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mkfs.ext4"), reason="needs root and mkfs.ext4")
@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_on_a_full_disk_builds_fail_in_one_line_and_removals_work(kind: str, tmp_path: Path) -> None:
    with public_place() as public, small_disk(kind, public) as disk, prepared(disk, SEED) as player:
        for number in range(FULL):
            player.call(
                "run", "--network", "none", "--name", "box", "-v", "one:/data", "base:1", "/bin/sh", "-c", "exit 0"
            )
            player.build()
            context = player.place / "large"
            context.mkdir(exist_ok=True)
            (context / "data").write_bytes(random.Random(number).randbytes(3 << 20))
            (context / "Dockerfile").write_text("FROM base:1\nCOPY data /\nRUN ln /data /more\n")
            images = player.call("images", "--format", LIST)
            for piece in (64 << 10, 4096, 1024, 1):
                fill(disk, piece)
            with pytest.raises(OSError) as caught:
                (disk / "one-more").write_bytes(bytes(4096))
            assert caught.value.errno == errno.ENOSPC
            (disk / "one-more").unlink(missing_ok=True)
            called = player.ask("build", "-q", "-t", "large", "--network", "none", str(context))
            assert called.code != 0, number
            assert "no space left on device" in called.err, called
            assert player.call("images", "--format", LIST) == images
            check_consistent(open_store(player.root))
            emptied(player)
            shutil.rmtree(disk / "filler")
            check_consistent(open_store(player.root))


def emptied(player: Player) -> None:
    """Remove all but the base image; every command must work."""
    tags = player.call("images", "app", "--format", "{{.Repository}}:{{.Tag}}").split()
    for words in (
        ("rm", "box"),
        ("rmi", *tags),
        ("volume", "prune", "-a", "-f"),
        ("builder", "prune", "-a", "-f"),
        ("system", "prune", "-f"),
    ):
        called = player.ask(*words)
        assert called.code == 0, (words, called)
    found = terms(player.caller)
    names = ("containers", "volumes", "unpacked layers", *GONE)
    assert {name: found[name] for name in names} == dict.fromkeys(names, 0)
