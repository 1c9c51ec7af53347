"""Random operations on a store: after each its terms add up to what `du` says, and removals free what was foretold.

No tolerance: not one byte. MINIDOCK_SEED chooses another sequence; a failure prints it.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.other_users import PLAIN_ID, PROJECT, RangedUser, become_plain, can_have_ranges, public_place, ranged_user

SEED = int(os.environ.get("MINIDOCK_SEED", "20261124"))
TAGS = tuple(f"app:{number}" for number in range(6))
VOLUMES = ("one", "two", "three")


class Player:
    """Plays operations on one store, with the program as users call it."""

    def __init__(self, place: Path, seed: int, become: Callable[[], None] | None, mode: str) -> None:
        self.random = random.Random(seed)
        self.place, self.root, self.mode, self._become = place, place / "store", mode, become
        self.words: list[str] = []
        self.removals = self.gains = 0
        self._made = 0

    def call(self, *words: str) -> str:
        """Return what minidock prints, whether it refuses or not."""
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.place),
            "PYTHONPATH": str(PROJECT),
            "MINIDOCK_ROOT": str(self.root),
            "MINIDOCK_ID_MODE": self.mode,
        }
        self.words = list(words)
        done = subprocess.run(
            [sys.executable, "-m", "minidock", *words],
            check=False,
            env=environment,
            cwd=self.place,
            preexec_fn=self._become,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout

    def du(self) -> int:
        """Return what the store takes once everything written has reached the disk."""
        subprocess.run(["sync", "-f", self.root], check=True)
        said = subprocess.run(["du", "-s", "-B1", self.root], check=True, capture_output=True, text=True).stdout
        return int(said.split()[0])

    def terms(self) -> dict[str, int]:
        """Return the terms of `system df --disk`."""
        rows = [json.loads(line) for line in self.call("system", "df", "--disk", "--format", "json").splitlines()]
        return {row["Type"]: int(row["DiskSize"]) for row in rows}

    def some(self, *words: str) -> str:
        """Return one of the lines that a list prints, or a word that means nothing."""
        return self.random.choice(self.call(*words).split() or ["nothing"])

    def play(self, number: int) -> None:
        """Do one operation and compare."""
        removal = self.removal() if self.random.random() < 0.4 else None
        if removal is not None:
            self.removals += 1
            self.foretold(*removal)
        else:
            self.growth()
        done = self.words
        before, terms = self.du(), self.terms()
        total = terms.pop("total")
        assert sum(terms.values()) == total == before == self.du(), (number, done, terms)

    def foretold(self, question: tuple[str, ...], action: tuple[str, ...]) -> None:
        """Ask what a removal would free, remove, and compare."""
        before = self.du()
        said = self.call(*question)
        assert self.du() == before, f"{question} wrote something"
        found = re.search(r"\((-?[0-9]+) bytes\)", said)
        self.call(*action)
        freed = before - self.du()
        self.gains += freed > 0
        assert freed == (int(found[1]) if found else 0), (action, said)

    def removal(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return a question and the removal that it is about."""
        which = self.random.randrange(8)
        if which < 2:
            words = ["image", "rm", self.some("images", "-q", "-a"), *self.random.sample(TAGS, which)]
            words += ["-f"] if self.random.random() < 0.5 else []
            return ((*words, "--dry-run"), tuple(words))
        if which == 2:
            name = self.some("ps", "-a", "-q")
            return ("system", "df", "--if-removed", name), ("rm", "-f", name)
        prune = self.random.choice(
            [
                ("image", "prune"),
                ("image", "prune", "-a"),
                ("image", "prune", "-a", "--filter", "label=odd"),
                ("container", "prune"),
                ("volume", "prune", "-a"),
                ("builder", "prune"),
                ("builder", "prune", "-a"),
                ("builder", "prune", "-a", "--keep-storage", "600k"),
                ("system", "prune"),
                ("system", "prune", "-a", "--volumes"),
            ]
        )
        return (*prune, "--dry-run"), (*prune, "-f")

    def growth(self) -> None:
        """Build, run, tag, load or make something."""
        which, tag = self.random.randrange(8), self.random.choice(TAGS)
        if which < 3:
            self.build(tag)
        elif which < 5:
            options = ["--rm"] if self.random.random() < 0.2 else ["-v", f"{self.random.choice(VOLUMES)}:/data"]
            options += ["-v", "/anonymous"] if self.random.random() < 0.2 else []
            script = (
                f"head -c {self.random.randrange(90_000)} /dev/zero > /written; echo x >> /data/x; ln /written /again"
            )
            self.call("run", "--network", "none", *options, tag, "/bin/sh", "-c", script)
        elif which == 5:
            self.call("tag", tag, self.random.choice(TAGS))
        elif which == 6:
            self.call("load", "-i", "saved.tar")
        else:
            self.call("volume", "create", self.random.choice(VOLUMES))
            self.call("network", "create", f"net{self.random.randrange(3)}")

    def build(self, tag: str) -> None:
        """Build from one of a few contexts."""
        self._made += 1
        context = self.place / f"context{self.random.randrange(4)}"
        context.mkdir(exist_ok=True)
        size = self.random.choice((10, 5_000, 70_000))
        (context / "data").write_bytes(bytes([self._made % 256]) * size)
        label = "LABEL odd=1\n" if self._made % 2 else ""
        text = f"FROM base:1\n{label}COPY data /data{size}\nRUN echo {self._made % 3} > /made && mkdir -p /data\n"
        (context / "Dockerfile").write_text(text)
        self.call("build", "-q", "-t", tag, "--network", "none", str(context))


@contextmanager
def prepared(place: Path, become: Callable[[], None] | None, mode: str) -> Iterator[Player]:
    """Make a store with a base image, and an archive of it."""
    player = Player(place, SEED, become, mode)
    player.call("image", "from-host", "-t", "base:1", "/bin/sh", "/usr/bin/head", "/bin/ln", "/bin/mkdir")
    player.build(TAGS[0])
    player.call("save", "-o", "saved.tar", TAGS[0])
    if not player.call("images", "-q", "app"):
        pytest.skip("no process can be run here, and so no step built")
    yield player


def played(player: Player, count: int) -> None:
    """Play, and say what was played where it fails."""
    for number in range(count):
        try:
            player.play(number)
        except AssertionError as error:
            raise AssertionError(f"seed {SEED}, operation {number}: {player.words}") from error


@contextmanager
def fragmented(place: Path) -> Iterator[Path]:
    """Mount a small ext4 that is almost full, its free space in pieces of some blocks."""
    image, mounted = place / "disk.img", place / "mounted"
    mounted.mkdir()
    with open(image, "wb") as file:
        file.truncate(192 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)
    done = subprocess.run(["mount", "-o", "loop", image, mounted], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no loop device can be mounted here: {done.stderr.strip()}")
    try:
        filler = mounted / "filler"
        filler.mkdir()
        number = 0
        try:
            while True:
                (filler / str(number)).write_bytes(bytes(32 << 10))
                number += 1
        except OSError:
            subprocess.run(["sync", "-f", mounted], check=True)
        for hole in range(0, number, 2):
            (filler / str(hole)).unlink()
        yield mounted
    finally:
        subprocess.run(["umount", mounted], check=True)


def test_a_few_random_operations_add_up() -> None:
    with public_place() as place, prepared(place, None, "auto") as player:
        played(player, 8)


def test_the_last_container_of_a_removed_image_takes_its_layers_along() -> None:
    with public_place() as place, prepared(place, None, "auto") as player:
        player.call("run", "--network", "none", "--name", "box", TAGS[0], "/bin/sh", "-c", "exit 0")
        player.call("rmi", "-f", TAGS[0], "base:1")
        player.call("builder", "prune", "-a", "-f")
        assert os.listdir(player.root / "layers")
        player.foretold(("system", "df", "--if-removed", "box"), ("rm", "box"))
        assert player.gains == 1
        assert [os.listdir(player.root / name) for name in ("layers", "snapshots", "blobs/sha256")] == [[], [], []]


def test_system_prune_counts_networks() -> None:
    with public_place() as place, prepared(place, None, "auto") as player:
        player.call("network", "create", "unused")
        before = player.du()
        assert "Would delete Networks:\nunused\n" in player.call("system", "prune", "--dry-run")
        player.foretold(("system", "prune", "--dry-run"), ("system", "prune", "-f"))
        assert player.gains == 1
        assert before > player.du()


@pytest.mark.slow
def test_two_hundred_random_operations_add_up() -> None:
    with public_place() as place, prepared(place, None, "auto") as player:
        played(player, 200)
        assert player.removals >= 50
        assert player.gains >= 20


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_they_add_up_for_a_plain_user_in_single_mode() -> None:
    with public_place() as place:
        os.chown(place, PLAIN_ID, PLAIN_ID)
        os.chmod(place, 0o777)
        with prepared(place, become_plain, "single") as player:
            played(player, 200)


@pytest.mark.slow
@pytest.mark.skipif(not can_have_ranges(), reason="no user with ranges of ids can be made here")
def test_they_add_up_for_a_user_with_ranges_of_ids() -> None:
    with public_place() as place, ranged_user() as user:
        assert isinstance(user, RangedUser)
        os.chown(place, user.uid, user.gid)
        os.chmod(place, 0o777)
        with prepared(place, user.become, "range") as player:
            played(player, 200)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mkfs.ext4"), reason="needs root and mkfs.ext4")
def test_they_add_up_on_a_fragmented_file_system() -> None:
    with public_place() as place, fragmented(place) as mounted, prepared(mounted, None, "auto") as player:
        played(player, 200)
