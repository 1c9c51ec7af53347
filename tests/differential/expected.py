"""What BuildKit made of the project's own cases, as it was recorded: the tests need no BuildKit for it.

What we make of the cases in which we differ on purpose is kept beside it. One case a line: a JSON array of its name,
the message (empty if it built), paths above the base, config, history.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tests.differential.result import Result

PLACE = Path(__file__).with_name("expected.jsonl")
DEVIATIONS = Path(__file__).with_name("deviations.jsonl")


def read(place: Path = PLACE) -> dict[str, Result]:
    """Return the results by name."""
    lines = (json.loads(line) for line in place.read_text().splitlines())
    return {name: Result(tree, config, history, error) for name, error, tree, config, history in lines}


def write(results: Mapping[str, Result], place: Path = PLACE) -> None:
    """Keep results, sorted by name."""
    rows = ([name, found.error, found.tree, found.config, found.history] for name, found in sorted(results.items()))
    place.write_text("".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows))
