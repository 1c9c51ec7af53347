"""Builds the same Dockerfiles with minidock and with another builder, and tells what differs.

``python -m tests.differential [docker|buildkit] [--record] [PART OF A NAME]``: the exit code is 1 if anything differs
that is not listed. Needs root, and dockerd or buildkitd; `--record` keeps what BuildKit made for the tests.
"""

from __future__ import annotations

import io
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.differential import expected
from tests.differential.builders import DAEMONS, PROGRAMS, Builder, Minidock
from tests.differential.case import Case, base_tar
from tests.differential.collect import own_cases
from tests.differential.compare import comparable, deviation_of, differences
from tests.differential.result import Result, add_layer
from tests.other_users import public_place

_THREADS = 4


def main(words: Sequence[str]) -> int:
    """Compare, print, and return the exit code."""
    record = "--record" in words
    names = [word for word in words if not word.startswith("--")]
    which = next((word for word in names if word in DAEMONS), "docker")
    parts = [word for word in names if word not in DAEMONS]
    if shutil.which(PROGRAMS[which]) is None:
        print(f"{PROGRAMS[which]} is not installed", file=sys.stderr)
        return 1
    cases = [case for case in own_cases() if all(part in case.name for part in parts)]
    with public_place() as place:  # names of sockets are short
        ours = Minidock(place / "minidock")
        add_bases(ours)
        base = base_tree()
        with DAEMONS[which](place / which, ours) as theirs:
            add_bases(theirs)
            found = [item.above(base) for item in build_all(theirs, cases, place / "contexts", _THREADS)]
            version = theirs.version
        made = [item.above(base) for item in build_all(ours, cases, place / "own", 1)]
    if record:
        expected.write({case.name: result for case, result in zip(cases, found, strict=True)})
    return _report(f"{which} {version}", list(zip(cases, made, found, strict=True)))


def add_bases(builder: Builder) -> None:
    """Give a builder the images that the cases are based on."""
    busybox = shutil.which("busybox")
    builder.add_base("base", base_tar())
    builder.add_base("busybox", base_tar(Path(busybox).read_bytes() if busybox else None))


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
        return list(pool.map(one, cases))


def _report(title: str, rows: Sequence[tuple[Case, Result, Result]]) -> int:
    counts: Counter[str] = Counter()
    unlisted = 0
    for case, ours, theirs in rows:
        lines = list(differences(ours, theirs))
        listed = deviation_of(case.name)
        kind = "same" if not lines else "listed" if listed else "different"
        kind = "both refuse" if kind == "same" and ours.error else kind
        counts[kind] += 1
        if kind == "different":
            unlisted += 1
            print(f"{case.name}:", *lines[:8], sep="\n    ")
    print(f"minidock and {title}: {len(rows)} cases")
    for kind, count in sorted(counts.items()):
        print(f"    {kind:12} {count}")
    return 1 if unlisted else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
