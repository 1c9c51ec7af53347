"""Many builds at once in one store, beside loops that remove, prune, tag and count: nobody disturbs anybody.

MINIDOCK_BUILDERS and MINIDOCK_BUILDS choose how many processes build how often.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.caller import Called, Caller
from tests.other_users import public_place

BUILDERS = int(os.environ.get("MINIDOCK_BUILDERS", "8"))
BUILDS = int(os.environ.get("MINIDOCK_BUILDS", "10"))
VARIABLES = {"SOURCE_DATE_EPOCH": "1700000000", "MINIDOCK_CACHE_LIMIT": "0"}
PROGRAMS = ("/bin/sh", "/bin/mkdir")
GONE = ("temporary", "trash", "unneeded")

pytestmark = pytest.mark.slow


@contextmanager
def caller(place: Path, name: str, store: str = "store") -> Iterator[Caller]:
    """Start a server whose commands run in a directory of their own."""
    own = place / name
    own.mkdir()
    server = Caller(own, place / store, None, VARIABLES)
    try:
        yield server
    finally:
        server.close()


def contexts(place: Path) -> list[Path]:
    """Write the contexts: all begin alike, some are alike to their end."""
    made = []
    for number in range(BUILDS):
        context = place / f"context{number}"
        context.mkdir()
        (context / "shared").write_bytes(b"s" * 20_000)
        (context / "own").write_bytes(bytes([number]) * (1000 + 5000 * (number % 4)))
        lines = ["FROM base:1", "COPY shared /", "RUN mkdir /made", "COPY own /", f"RUN echo {number} > /made/{number}"]
        (context / "Dockerfile").write_text("\n".join(lines) + "\n")
        made.append(context)
    return made


def succeeded(called: Called) -> str:
    assert called.code == 0, called
    return called.out


def terms(server: Caller) -> dict[str, int]:
    """Return the terms of df and the parts of the overhead; they add up to the total whatever happens meanwhile."""
    rows = [
        json.loads(line) for line in succeeded(server.call("system", "df", "--disk", "--format", "json")).splitlines()
    ]
    found = {row["Type"]: int(row["DiskSize"]) for row in rows}
    total = found.pop("total")
    assert sum(found.values()) == total
    assert min(found.values()) >= 0
    parts = next(row["Parts"] for row in rows if row["Type"] == "overhead")
    return found | {name: int(size) for name, _, size in (part.partition("=") for part in parts.split())}


def disturb(server: Caller, number: int, tag: str) -> None:
    """Do what others do meanwhile; none may fail, but for a name that has gone since. ``tag`` is nobody else's."""
    match number % 6:
        case 0:
            succeeded(server.call("builder", "prune", "-a", "-f"))
        case 1:
            succeeded(server.call("image", "prune", "-f"))
        case 2:
            terms(server)
        case 3:
            succeeded(server.call("tag", "base:1", tag))
            succeeded(server.call("rmi", tag))
        case 4:
            listed = succeeded(server.call("images", "-q", "app")).split()
            if listed:
                called = server.call("rmi", "-f", listed[number % len(listed)])
                assert called.code == 0 or "No such image" in called.err, called
        case 5:
            succeeded(server.call("system", "df", "-v"))


def test_builds_beside_prunes_and_removals_do_not_fail_and_give_the_same_images() -> None:
    with public_place() as place:
        made = contexts(place)
        with caller(place, "serial", "serial-store") as server:
            base = succeeded(server.call("image", "from-host", "-t", "base:1", *PROGRAMS))
            serial = [succeeded(server.call("build", "-q", "--network", "none", str(context))) for context in made]
            succeeded(server.call("save", "-o", str(place / "base.tar"), "base:1"))
        assert base
        with caller(place, "first") as server:
            succeeded(server.call("load", "-i", str(place / "base.tar")))
        built = beside(place, lambda server, number: [build(server, number, place) for place in made])
        assert built == [serial] * BUILDERS
        with caller(place, "last") as server:
            nothing_is_left(server, place / "store")


def test_df_says_that_somebody_writes_and_what_that_one_holds_is_not_unneeded() -> None:
    with public_place() as place, caller(place, "looks") as server, caller(place, "builds") as builder:
        succeeded(server.call("image", "from-host", "-t", "base:1", *PROGRAMS, "/bin/sleep"))
        (place / "context").mkdir()
        (place / "context/data").write_bytes(bytes(50_000))
        seconds = f"{os.getpid()}.75"
        (place / "context/Dockerfile").write_text(f"FROM base:1\nCOPY data /\nRUN sleep {seconds}\n")
        assert "written meanwhile" not in succeeded(server.call("system", "df"))
        pid = builder.start("build", "--network", "none", str(place / "context"))
        try:
            wait_for(lambda: is_running(seconds))
            for words in (("system", "df"), ("system", "df", "--disk")):
                text = succeeded(server.call(*words))
                assert "1 command or container may have written meanwhile" in text
            found = terms(server)
            assert found["unneeded"] == 0
            assert found["build cache"] > 50_000
        finally:
            os.killpg(pid, signal.SIGKILL)
            builder.finish(pid)


def is_running(word: str) -> bool:
    """Whether there is a ``sleep`` for so many seconds."""
    return any(_words(name) == [b"sleep", word.encode(), b""] for name in os.listdir("/proc") if name.isdigit())


def _words(pid: str) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def build(server: Caller, number: int, context: Path) -> str:
    return succeeded(server.call("build", "-q", "-t", f"app:{number}", "--network", "none", str(context)))


def beside(place: Path, work: Callable[[Caller, int], list[str]]) -> list[list[str]]:
    """Return the results of all builders, who work while two others disturb them."""
    is_over = threading.Event()

    def builder(number: int) -> list[str]:
        with caller(place, f"builder{number}") as server:
            return work(server, number)

    def disturber(number: int) -> int:
        with caller(place, f"disturber{number}") as server:
            count = number * 3
            while not is_over.is_set():
                disturb(server, count, f"t:{number}-{count}")
                count += 1
        return count

    with ThreadPoolExecutor(BUILDERS + 2) as pool:
        others = [pool.submit(disturber, number) for number in range(2)]
        try:
            return list(pool.map(builder, range(BUILDERS)))
        finally:
            is_over.set()
            assert all(other.result() for other in others)


def nothing_is_left(server: Caller, store: Path) -> None:
    """Remove everything, and find no byte that was not there before the first image."""
    succeeded(server.call("image", "prune", "-a", "-f"))
    succeeded(server.call("builder", "prune", "-a", "-f"))
    found = terms(server)
    assert {
        name: size for name, size in found.items() if size and name not in ("overhead", "index", "folders", "other")
    } == {}
    assert [os.listdir(store / name) for name in ("locks/lease", "tmp", "trash", "blobs/sha256", "layers")] == [[]] * 5
