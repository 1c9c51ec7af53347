"""Which rows of `images` a pattern and filters leave.

Several values of ``reference`` are alternatives; different filters must all hold. ``before`` and ``since`` name an
image and leave it out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase

from minidock.core.digest import Digest
from minidock.core.filters import has_label, truth
from minidock.core.summary import ImageRow
from minidock.errors import MinidockError, NoSuchImage

Filter = tuple[str, str]

_SHORTEST_ID = 4


def parse_filter(text: str) -> Filter:
    """Return the name and the value of ``NAME=VALUE``. Raises: MinidockError."""
    name, equals, value = text.partition("=")
    if not equals:
        raise MinidockError("bad format of filter (expected name=value)")
    return name.strip().lower(), value.strip()


def select(
    rows: Sequence[ImageRow],
    filters: Sequence[Filter],
    *,
    pattern: str = "",
    labels_of: Callable[[Digest], Mapping[str, str]] = lambda _: {},
    moment: Callable[[str], datetime] = datetime.fromisoformat,
) -> tuple[ImageRow, ...]:
    """Return the rows that ``pattern`` (``REPOSITORY[:TAG]``) and every filter leave, in their order.

    ``labels_of`` finds the labels of an image, ``moment`` reads the time of ``until``.
    Raises: MinidockError for a filter that does not exist, NoSuchImage.
    """
    patterns = [value for name, value in filters if name == "reference"]
    kept = [row for row in rows if not patterns or any(_matches(row, wanted) for wanted in patterns)]
    if pattern:
        kept = [row for row in kept if _matches(row, pattern)]
    for name, value in filters:
        match name:
            case "reference":
                pass
            case "dangling":
                is_wanted = _truth(name, value)
                kept = [row for row in kept if (not row.tag) == is_wanted]
            case "label":
                kept = [row for row in kept if has_label(labels_of(row.image_id), value)]
            case "until":
                limit = moment(value)
                kept = [row for row in kept if row.created is not None and row.created < limit]
            case "before" | "since":
                kept = _beside(rows, kept, value, is_before=name == "before")
            case _:
                raise MinidockError(f"Invalid filter '{name}'")
    return tuple(kept)


def _truth(name: str, value: str) -> bool:
    found = truth(value)
    if found is not None:
        return found
    raise MinidockError(f"Invalid filter '{name}=[{value}]'")


def _matches(row: ImageRow, pattern: str) -> bool:
    """Whether a pattern is the row's repository or its whole name; a star stands for anything but a slash."""
    parts = pattern.split("/")
    for name in (row.repository, f"{row.repository}:{row.tag}" if row.tag else ""):
        own = name.split("/")
        if row.repository and len(own) == len(parts) and all(map(fnmatchcase, own, parts)):
            return True
    return False


def _beside(rows: Sequence[ImageRow], kept: Sequence[ImageRow], name: str, *, is_before: bool) -> list[ImageRow]:
    """Return those of ``kept`` that are older, or newer, than the image that ``name`` means among ``rows``."""
    prefix = name.removeprefix("sha256:")
    tagged = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    for row in rows:
        is_id = len(prefix) >= _SHORTEST_ID and row.image_id.hex.startswith(prefix)
        if is_id or f"{row.repository}:{row.tag}" == tagged:
            pivot = row
            break
    else:
        raise NoSuchImage(name)
    if pivot.created is None:
        return []
    others = [row for row in kept if row.created is not None and row.image_id != pivot.image_id]
    return [row for row in others if row.created and (row.created < pivot.created) == is_before]
