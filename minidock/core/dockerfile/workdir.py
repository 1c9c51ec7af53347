"""WORKDIR: where a relative path leads."""

from __future__ import annotations

import posixpath


def resolve_workdir(current: str, path: str) -> str:
    """Return the absolute, cleaned directory that ``path`` means below ``current``, itself below the root."""
    joined = posixpath.join("/", current, path) if path else posixpath.join("/", current)
    cleaned = posixpath.normpath(joined)
    return cleaned[1:] if cleaned.startswith("//") else cleaned
