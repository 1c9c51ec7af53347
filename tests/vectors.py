"""The cases of a file of test vectors that live outside the project."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest


def load(name: str) -> dict[str, Any]:
    """Return the whole file ``name``.json, or no cases where MINIDOCK_VECTORS is not set."""
    directory = os.environ.get("MINIDOCK_VECTORS")
    if not directory:
        return {"cases": []}
    loaded: dict[str, Any] = json.loads((Path(directory) / f"{name}.json").read_text())
    return loaded


def params(name: str, unfit: dict[str, str] | None = None, **wanted: str | tuple[str, ...]) -> list[Any]:
    """Return a pytest parameter per case whose fields equal ``wanted``; ``unfit`` maps case IDs to reasons to skip."""
    cases = [case for case in load(name)["cases"] if all(_fits(case.get(key), value) for key, value in wanted.items())]
    if not cases:
        return [pytest.param({}, marks=pytest.mark.skip(reason="MINIDOCK_VECTORS is not set"), id="no-vectors")]
    reasons = unfit or {}
    return [
        pytest.param(
            case, id=case["id"], marks=[pytest.mark.skip(reason=reasons[case["id"]])] if case["id"] in reasons else []
        )
        for case in cases
    ]


def _fits(value: object, wanted: str | tuple[str, ...]) -> bool:
    return value in wanted if isinstance(wanted, tuple) else value == wanted
