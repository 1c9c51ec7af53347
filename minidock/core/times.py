"""Times as text: RFC 3339, as image configs and container states have them."""

from __future__ import annotations

from datetime import UTC, datetime

from minidock.errors import StoreError

ZERO_TIME = "0001-01-01T00:00:00Z"


def format_time(moment: datetime) -> str:
    """Return ``moment`` as RFC 3339 in UTC, with nine digits of a second unless they are all zero."""
    utc = moment.astimezone(UTC)
    text = utc.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{utc.microsecond:06d}000Z" if utc.microsecond else f"{text}Z"


def parse_time(text: str) -> datetime:
    """Return the aware time written as RFC 3339, cut to microseconds.

    Raises: StoreError.
    """
    head, dot, rest = text.partition(".")
    if dot:
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        text = f"{head}.{digits[:6].ljust(6, '0')}{rest[len(digits) :]}"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise StoreError(f"invalid time: {text!r}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
