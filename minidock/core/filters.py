"""What the filters of several commands have in common: labels, truth, age."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minidock.core.dataclass import dataclass
from minidock.core.moments import parse_moment
from minidock.errors import InvalidRequest

Filter = tuple[str, str]  # a name and a value

_TRUTH = {"1": True, "true": True, "0": False, "false": False}


def truth(value: str) -> bool | None:
    """Return what ``1``, ``true``, ``0`` or ``false`` says, None for anything else."""
    return _TRUTH.get(value)


def has_label(labels: Mapping[str, str], wanted: str) -> bool:
    """Whether there is a label as ``NAME`` or ``NAME=VALUE`` wants it."""
    name, equals, value = wanted.partition("=")
    return name in labels and (not equals or labels[name] == value)


@dataclass(frozen=True, slots=True)
class PruneFilter:
    """What a prune of images or of build cache may take: older than ``until`` (nanoseconds since 1970), by labels."""

    until: int | None = None
    labels: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    @classmethod
    def of(cls, conditions: Sequence[tuple[str, str]], now: int) -> PruneFilter:
        """Return the filter that (key, value) pairs describe. Raises: InvalidRequest."""
        moments = [parse_moment(value, now=now, zone=None) for key, value in conditions if key == "until"]
        for key, _ in conditions:
            if key not in ("until", "label", "label!"):
                raise InvalidRequest(f"invalid filter '{key}'")
        return cls(
            min(moments, default=None),
            tuple(value for key, value in conditions if key == "label"),
            tuple(value for key, value in conditions if key == "label!"),
        )

    @property
    def has_labels(self) -> bool:
        """Whether it asks for labels at all."""
        return bool(self.labels or self.without)

    def fits(self, seconds: float | None, labels: Mapping[str, str]) -> bool:
        """Whether something of that age with these labels may go; what has no known age is old."""
        if self.until is not None and seconds is not None and seconds * 1_000_000_000 >= self.until:
            return False
        return all(has_label(labels, wanted) for wanted in self.labels) and not any(
            has_label(labels, unwanted) for unwanted in self.without
        )
