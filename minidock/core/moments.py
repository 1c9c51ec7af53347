"""Points in time as ``--since`` and ``--until`` name them.

Source: moby, api/types/time/timestamp.go, as seen from outside.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo

from minidock.core.durations import BadDuration, parse_duration
from minidock.errors import InvalidRequest

_SECONDS = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,9}))?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_FRACTION = re.compile(r"\.([0-9]+)", re.ASCII)
_NANOSECONDS = 1_000_000_000


def date_of(text: str, *, now: datetime) -> datetime:
    """Return the point in time that ``text`` names; see `parse_moment`. Raises: InvalidRequest."""
    found = parse_moment(text, now=int(now.timestamp() * _NANOSECONDS), zone=None)
    return datetime.fromtimestamp(found / _NANOSECONDS, UTC)


def parse_moment(text: str, *, now: int, zone: tzinfo | None, option: str = "time") -> int:
    """Return the nanoseconds since 1970 of a date and time, of seconds since 1970, or of a duration before ``now``.

    Times without a zone are in ``zone`` (None: that of the machine). Raises: InvalidRequest.
    """
    seconds = _SECONDS.fullmatch(text)
    if seconds is not None:
        return int(seconds[1]) * _NANOSECONDS + int((seconds[2] or "").ljust(9, "0"))
    if _DATE.match(text) is None:
        try:
            return now - parse_duration(text)
        except BadDuration as error:
            raise InvalidRequest(
                f'invalid value for "{option}": failed to parse value as time or duration: "{text}"'
            ) from error
    fraction = _FRACTION.search(text)
    try:
        moment = datetime.fromisoformat(_FRACTION.sub("", text, count=1))
    except ValueError as error:
        raise InvalidRequest(f'parsing time "{text}": it is no date and time as in RFC 3339') from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone) if zone else moment.astimezone()
    nanoseconds = int(fraction[1][:9].ljust(9, "0")) if fraction else 0
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * _NANOSECONDS + nanoseconds


def moment_text(nanoseconds: int, zone: tzinfo | None) -> str:
    """Return a point in time as RFC 3339 with nine digits of a second."""
    seconds, rest = divmod(nanoseconds, _NANOSECONDS)
    text = datetime.fromtimestamp(seconds, UTC).astimezone(zone).isoformat()
    head, offset = text[:19], text[19:]
    return f"{head}.{rest:09d}{'Z' if offset == '+00:00' else offset}"
