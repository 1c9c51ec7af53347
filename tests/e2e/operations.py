"""Random operations on a store, from a seed: its terms are what `du` says, and removals free what was foretold."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.caller import Called, Caller

TAGS = tuple(f"app:{number}" for number in range(6))
VOLUMES = ("one", "two", "three")
PROGRAMS = ("/bin/sh", "/usr/bin/head", "/bin/ln", "/bin/mkdir", "/bin/sleep", "/bin/rm")
PRUNES = (
    ("image", "prune"),
    ("image", "prune", "-a"),
    ("image", "prune", "-a", "--filter", "label=odd"),
    ("container", "prune"),
    ("container", "prune", "--filter", "label=odd"),
    ("volume", "prune"),
    ("volume", "prune", "-a"),
    ("builder", "prune"),
    ("builder", "prune", "-a"),
    ("builder", "prune", "-a", "--keep-storage", "600k"),
    ("system", "prune"),
    ("system", "prune", "-a", "--volumes"),
)
Removal = tuple[tuple[str, ...], tuple[str, ...]]  # a question, and the removal that it is about


class Player:
    """Plays operations on one store, with the program as users call it."""

    def __init__(
        self, place: Path, seed: int, become: Callable[[], None] | None, mode: str, more: Mapping[str, str] | None
    ) -> None:
        self.random = random.Random(seed)
        self.place, self.root, self.seed = place, place / "store", seed
        variables = {"MINIDOCK_ID_MODE": mode, "MINIDOCK_CACHE_LIMIT": "0", **(more or {})}
        self.caller = Caller(place, self.root, become, variables)
        self.words: list[tuple[str, ...]] = []
        self.removals = self.gains = self.refused = 0
        self.kinds: set[str] = set()
        self._made = 0

    def call(self, *words: str) -> str:
        """Return what minidock prints, whether it refuses or not."""
        return self.ask(*words).out

    def ask(self, *words: str) -> Called:
        """Run a command to its end."""
        self.words.append(words)
        return self.caller.call(*words)

    def du(self) -> int:
        """Return what the store takes once everything written has reached the disk."""
        subprocess.run(["sync", "-f", self.root], check=True)
        if os.geteuid() == 0:
            said = subprocess.run(["du", "-s", "-B1", self.root], check=True, capture_output=True, text=True).stdout
        else:
            said = self.caller.call("unshare", "du", "-s", "-B1", str(self.root)).out
        return int(said.split()[0])

    def terms(self) -> dict[str, int]:
        """Return the terms of `system df --disk`."""
        rows = [json.loads(line) for line in self.call("system", "df", "--disk", "--format", "json").splitlines()]
        return {row["Type"]: int(row["DiskSize"]) for row in rows}

    def compare(self) -> None:
        """Fail unless the terms of df add up to what the store takes."""
        before, terms = self.du(), self.terms()
        total = terms.pop("total")
        assert sum(terms.values()) == total == before == self.du(), terms

    def play(self, count: int) -> None:
        """Do so many operations and compare after each; a failure says how to have it again."""
        for number in range(count):
            self.words.clear()
            try:
                if self.random.random() < 0.4:
                    self.removals += 1
                    self.foretold(*self.removal())
                else:
                    self.growth()
                self.compare()
            except AssertionError as error:
                told = "\n".join(" ".join(words) for words in self.words)
                raise AssertionError(f"MINIDOCK_SEED={self.seed}, operation {number}:\n{told}") from error

    def foretold(self, question: tuple[str, ...], action: tuple[str, ...]) -> None:
        """Ask what a removal would free, remove, and compare."""
        if self.random.random() < 0.5:
            self.lengthen_events()
        before = self.du()
        said = self.call(*question)
        assert self.du() == before, f"{question} wrote something"
        found = re.search(r"\((-?[0-9]+) bytes\)", said)
        done = self.ask(*action)
        freed = before - self.du()
        self.kinds.add(" ".join(action[:2]))
        self.gains += freed > 0
        self.refused += done.code != 0
        assert freed == (int(found[1]) if found else 0), f"{action} freed {freed}: {said}{done.err}"

    def lengthen_events(self) -> None:
        """Make the record of events so long that one more event takes one more block."""
        path = self.root / "events"
        if path.exists():
            size = path.stat().st_size
            more = -(size + 20) % 4096
            with open(path, "ab") as file:
                file.write(b'{"of":"%s"}\n' % (b"x" * max(0, more - 10)))

    def some(self, *words: str) -> str:
        """Return one of the lines that a list prints, or a word that means nothing."""
        return self.random.choice(self.call(*words).split() or ["nothing"])

    def container(self) -> str:
        """Return a container, running or not."""
        return self.some("ps", "-a", "-q")

    def removal(self) -> Removal:
        """Return a question and the removal that it is about."""
        which = self.random.randrange(10)
        if which < 3:
            words = ["image", "rm", self.some("images", "-q", "-a"), *self.random.sample(TAGS, which)]
            words += ["-f"] if self.random.random() < 0.5 else []
            return (*words, "--dry-run"), tuple(words)
        if which == 3:
            name = self.container()
            return ("system", "df", "--if-removed", name), ("rm", "-f", name)
        if which == 4:
            name = self.some("volume", "ls", "-q")
            used = self.call("ps", "-a", "-q", "--filter", f"volume={name}").split()
            if not used:
                return ("system", "df", "--if-removed", name), ("volume", "rm", name)
        prune = self.random.choice(PRUNES)
        return (*prune, "--dry-run"), (*prune, "-f")

    def growth(self) -> None:
        """Build, run, tag, load or make something."""
        actions = [
            *[self.build] * 4,
            *[self.run] * 3,
            *[self.start] * 2,
            *(self.tag, self.load, self.make, self.commit, self.copy, self.execute, self.pause, self.end, self.bring),
        ]
        action = self.random.choice(actions)
        self.kinds.add(action.__name__)
        action()

    def build(self) -> None:
        """Build from one of a few contexts."""
        self._made += 1
        context = self.place / f"context{self.random.randrange(4)}"
        context.mkdir(exist_ok=True)
        size = self.random.choice((10, 5_000, 70_000))
        (context / "data").write_bytes(bytes([self._made % 256]) * size)
        label = "LABEL odd=1\n" if self._made % 2 else ""
        script = f"echo {self._made % 3} > /made && mkdir -p /data /cached && echo {self._made} >> /cached/x"
        mount = self.random.choice(("", "--mount=type=cache,target=/cached "))
        text = f"FROM base:1\n{label}COPY data /data{size}\nRUN {mount}{script}\n"
        (context / "Dockerfile").write_text(text)
        self.call("build", "-q", "-t", self.random.choice(TAGS), "--network", "none", str(context))

    def run(self) -> None:
        """Run a container to its end, which writes."""
        options = ["--rm"] if self.random.random() < 0.2 else ["-v", f"{self.random.choice(VOLUMES)}:/data"]
        options += ["-v", "/anonymous"] if self.random.random() < 0.2 else []
        options += ["--label", "ends=1"]
        options += ["--label", "odd=1"] if self.random.random() < 0.3 else []
        size = self.random.randrange(90_000)
        script = f"head -c {size} /dev/zero > /written; echo x >> /data/x; ln /written /again; rm -f /usr/bin/head"
        self.call("run", "--network", "none", *options, self.random.choice(TAGS), "/bin/sh", "-c", script)

    def start(self) -> None:
        """Leave a container behind that runs and writes no more."""
        script = "head -c 20000 /dev/zero > /early; echo ready; sleep 1000"
        name = f"box{self._made}"
        words = ("run", "-d", "--network", "none", "--name", name, self.random.choice((*TAGS, "base:1")))
        if self.ask(*words, "/bin/sh", "-c", script).code == 0:
            while "ready" not in self.caller.call("logs", name).out:
                pass
        self._made += 1

    def tag(self) -> None:
        """Give an image one more name."""
        self.call("tag", self.random.choice(TAGS), self.random.choice(TAGS))

    def load(self) -> None:
        """Load the archive that was saved at the beginning."""
        self.call("load", "-i", "saved.tar")

    def bring(self) -> None:
        """Import a root file system of a few bytes."""
        self.call("import", "--change", f"LABEL n={self.random.randrange(3)}", "small.tar", f"small:{self._made % 3}")

    def make(self) -> None:
        """Make a volume and a network."""
        self.call("volume", "create", self.random.choice(VOLUMES))
        self.call("network", "create", f"net{self.random.randrange(3)}")

    def commit(self) -> None:
        """Make an image of a container."""
        self.call("commit", self.container(), self.random.choice(TAGS))

    def copy(self) -> None:
        """Copy a file into a container."""
        self.call("cp", "small.tar", f"{self.container()}:/copied{self.random.randrange(3)}")

    def execute(self) -> None:
        """Run one more process in a container that runs."""
        script = f"head -c {self.random.randrange(9_000)} /dev/zero >> /more"
        self.call("exec", self.some("ps", "-q"), "/bin/sh", "-c", script)

    def pause(self) -> None:
        """Freeze a container, or all that are frozen go on."""
        paused = self.call("ps", "-q", "--filter", "status=paused").split()
        self.call(*(("unpause", *paused) if paused else ("pause", self.some("ps", "-q"))))

    def end(self) -> None:
        """Kill a container, or start one that has ended."""
        if self.random.random() < 0.5:
            self.call("kill", self.some("ps", "-q"))
        else:
            ended = ("--filter", "status=exited", "--filter", "label=ends")
            self.call("start", "-a", self.some("ps", "-q", "-a", *ended))


@contextmanager
def prepared(
    place: Path,
    seed: int,
    become: Callable[[], None] | None = None,
    mode: str = "auto",
    variables: Mapping[str, str] | None = None,
) -> Iterator[Player]:
    """Make a store with a base image, and archives to load; what runs in it at the end is killed."""
    player = Player(place, seed, become, mode, variables)
    try:
        player.call("image", "from-host", "-t", "base:1", *PROGRAMS)
        player.build()
        if not player.call("images", "-q", "app"):
            pytest.skip("no process can be run here, and so no step built")
        player.call("save", "-o", "saved.tar", player.some("images", "-q", "app"))
        (place / "small").mkdir()
        (place / "small/file").write_bytes(bytes(3000))
        os.truncate(place / "small/file", 3 << 20)  # the rest is a hole, in the tar too
        subprocess.run(["tar", "-C", place / "small", "--sparse", "-cf", place / "small.tar", "."], check=True)
        yield player
    finally:
        player.call("rm", "-f", *player.call("ps", "-a", "-q").split())
        player.caller.close()
