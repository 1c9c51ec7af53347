"""Files of the host that a launch looks at."""

from __future__ import annotations


def read(path: str) -> bytes | None:
    """Return the content of a file, None if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None
