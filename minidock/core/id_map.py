"""Which ids of the host the ids of a user namespace stand for.

Source: subuid(5), subgid(5); user_namespaces(7), "User and group ID mappings".
"""

from __future__ import annotations

from collections.abc import Iterable

from minidock.core.dataclass import dataclass

MOST_RANGES = 340  # of a map, since Linux 4.15
_MOST_IDS = 2**32 - 1


@dataclass(frozen=True, slots=True)
class IdRange:
    """Consecutive ids of the host: ``count`` of them from ``start``."""

    start: int
    count: int

    def overlaps(self, other: IdRange) -> bool:
        """Whether both have an id in common."""
        return self.start < other.start + other.count and other.start < self.start + self.count


@dataclass(frozen=True, slots=True)
class IdMap:
    """The map of one kind of ids: those inside, counted from 0, stand for those of the ranges, in order."""

    ranges: tuple[IdRange, ...]

    @classmethod
    def of(cls, own: int, subordinate: Iterable[IdRange]) -> IdMap:
        """Return the map in which 0 is one's own id and 1 the first subordinate one; no id is in it twice."""
        kept = [IdRange(own, 1)]
        for one in subordinate:
            if len(kept) < MOST_RANGES and not any(one.overlaps(other) for other in kept):
                kept.append(one)
        return cls(tuple(kept))

    @classmethod
    def parse(cls, text: str) -> IdMap:
        """Return the map in the lines of /proc/PID/uid_map, or as `str` writes it. Raises: ValueError."""
        ranges, expected = [], 0
        for line in text.replace(",", "\n").splitlines():
            inside, start, count = map(int, line.split())
            if inside != expected:
                raise ValueError(f"not a map without gaps: {text!r}")
            ranges.append(IdRange(start, count))
            expected += count
        return cls(tuple(ranges))

    @property
    def words(self) -> tuple[str, ...]:
        """The map as newuidmap takes it: inside, outside, count, and so on."""
        words, inside = [], 0
        for one in self.ranges:
            words += [str(inside), str(one.start), str(one.count)]
            inside += one.count
        return tuple(words)

    @property
    def count(self) -> int:
        """How many ids there are inside."""
        return sum(one.count for one in self.ranges)

    @property
    def is_everything(self) -> bool:
        """Whether this is no user namespace but the one that the machine has started with."""
        return self.ranges == (IdRange(0, _MOST_IDS),)

    def __str__(self) -> str:
        words = self.words
        return ",".join(" ".join(words[start : start + 3]) for start in range(0, len(words), 3))


def subordinate_ranges(text: str, name: str, number: int) -> tuple[IdRange, ...]:
    """Return the ranges that /etc/subuid or /etc/subgid gives to a user, by name or by number, in order.

    A line is ``USER:START:COUNT``; others, and ranges beyond the ids that there are, are passed over as newuidmap does.
    """
    found = []
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) != 3 or fields[0] not in (name, str(number)):
            continue
        start, count = fields[1], fields[2]
        if not (start.isascii() and start.isdigit() and count.isascii() and count.isdigit()):
            continue
        one = IdRange(int(start), int(count))
        if one.count and one.start + one.count <= _MOST_IDS:
            found.append(one)
    return tuple(found)
