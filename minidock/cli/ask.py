"""Asks before something is removed."""

from __future__ import annotations

import sys


def is_confirmed(prompt: str) -> bool:
    """Print ``prompt`` and return whether the answer is yes; the end of the input is no."""
    sys.stdout.write(prompt)
    sys.stdout.flush()
    return sys.stdin.readline().strip() in ("y", "Y")
