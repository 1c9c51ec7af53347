"""Builds the same Dockerfiles with minidock and with another builder, and tells what differs.

``python -m tests.differential [docker|buildkit] [--record|--generated=SEED:COUNT] [PART OF A NAME]``: the exit code is
1 if anything differs that is not listed. Needs root, and dockerd or buildkitd; `--record` keeps what BuildKit made for
the tests.
"""

from __future__ import annotations

import io
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.differential import expected, older
from tests.differential.builders import DAEMON_ENDED, DAEMONS, PROGRAMS, Builder, Minidock
from tests.differential.case import Case, base_tar
from tests.differential.collect import own_cases
from tests.differential.collected import collected_bases, collected_cases
from tests.differential.compare import comparable, deviation_of, differences
from tests.differential.generated import generated_cases
from tests.differential.result import Result, add_layer
from tests.other_users import public_place

_THREADS = 4


def main(words: Sequence[str]) -> int:
    """Compare, print, and return the exit code."""
    names = [word for word in words if not word.startswith("--")]
    which = next((word for word in names if word in DAEMONS), "docker")
    parts = [word for word in names if word not in DAEMONS]
    if shutil.which(PROGRAMS[which]) is None:
        print(f"{PROGRAMS[which]} is not installed", file=sys.stderr)
        return 1
    record = "--record" in words
    title, rows = which, []
    generated = next((word.partition("=")[2] for word in words if word.startswith("--generated=")), "")
    own = generated_cases(*map(int, generated.split(":"))) if generated else own_cases()
    others = () if record or generated else collected_cases()
    for cases, bases in ((own, own_bases()), (others, collected_bases())):
        chosen = [case for case in cases if all(part in case.name for part in parts)]
        if chosen:
            title, more = _built(which, chosen, bases, _THREADS if not record else 1)
            rows += more
    if record:
        _record(rows)
    return _report(title, which, rows)


def _built(
    which: str, cases: Sequence[Case], bases: Mapping[str, bytes], threads: int
) -> tuple[str, list[tuple[Case, Result, Result]]]:
    """Return the other builder's name with its version, and for every case what we and what it made of it."""
    base = base_tree()
    with public_place() as place:  # names of sockets are short
        ours = Minidock(place / "minidock")
        add_bases(ours, bases)
        with DAEMONS[which](place / which, ours) as theirs:
            add_bases(theirs, bases)
            found = [item.above(base) for item in build_all(theirs, cases, place / "contexts", threads)]
            version = theirs.version
        made = [item.above(base) for item in build_all(ours, cases, place / "own", 1)]
    return f"{which} {version}", list(zip(cases, made, found, strict=True))


def _record(rows: Sequence[tuple[Case, Result, Result]]) -> None:
    """Keep what was found for the cases that were built, and what we make of those with a deviation."""
    expected.write(expected.read() | {case.name: theirs for case, _, theirs in rows})
    meant = {case.name: ours for case, ours, _ in rows if deviation_of(case.name)}
    expected.write(expected.read(expected.DEVIATIONS) | meant, expected.DEVIATIONS)


def own_bases() -> dict[str, bytes]:
    """Return the layers of the images that the project's own cases are based on, by name."""
    busybox = shutil.which("busybox")
    return {"base": base_tar(), "busybox": base_tar(Path(busybox).read_bytes() if busybox else None)}


def add_bases(builder: Builder, bases: Mapping[str, bytes]) -> None:
    """Give a builder its base images."""
    for name, packed in bases.items():
        builder.add_base(name, packed)


def base_tree() -> dict[str, str]:
    """Return what is in every base image."""
    tree: dict[str, str] = {}
    add_layer(tree, io.BytesIO(base_tar()))
    return tree


def build_all(builder: Builder, cases: Sequence[Case], place: Path, threads: int) -> list[Result]:
    """Return the results in the order of the cases."""

    def one(case: Case) -> Result:
        context = place / case.name
        case.write(context)
        result = builder.build(case, context)
        shutil.rmtree(context)
        return comparable(result)

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(one, cases))
    # A daemon that ended took all builds with it; one after the other they tell which of them it was.
    return [
        one(case) if result.error.startswith(DAEMON_ENDED) and threads > 1 else result
        for case, result in zip(cases, found, strict=True)
    ]


def _report(title: str, which: str, rows: Sequence[tuple[Case, Result, Result]]) -> int:
    counts: Counter[str] = Counter()
    for case, ours, theirs in rows:
        kind, lines = _kind(which, case, ours, theirs)
        counts[kind] += 1
        if kind == "different":
            print(f"{case.name}:", *lines[:8], sep="\n    ")
        if theirs.error.startswith(DAEMON_ENDED):
            print(f"{case.name} ends {title}: {theirs.error.removeprefix(DAEMON_ENDED)}")
    print(f"minidock and {title}: {len(rows)} builds")
    for kind, count in sorted(counts.items()):
        print(f"    {kind:30} {count}")
    return 1 if counts["different"] else 0


def _kind(which: str, case: Case, ours: Result, theirs: Result) -> tuple[str, list[str]]:
    """Return how a case compares, and its differences."""
    lines = list(differences(ours, theirs))
    if not lines:
        return "both refuse" if ours.error else "same", lines
    if deviation_of(case.name):
        return "deviation of ours", lines
    if which == "docker":
        if older.is_newer(ours, theirs):
            return "syntax newer than docker", lines
        if older.is_worded_otherwise(ours, theirs):
            return "same but for words of history", lines
        if older.is_passing(case):
            return "not the same twice", lines
        if words := older.reason_of(case, lines):
            return f"older: {words}", lines
    return "different", lines


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
