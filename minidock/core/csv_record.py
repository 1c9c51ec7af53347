"""One CSV record, as the values of --mount, --output, --secret … are written."""

from __future__ import annotations

import csv

from minidock.errors import InvalidRequest


def fields(text: str) -> list[str]:
    """Return the fields; one in double quotes may hold commas, and quotes doubled. Raises: InvalidRequest."""
    try:
        records = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise InvalidRequest(f"{text}: not a list of fields with commas between them: {error}") from error
    if len(records) > 1:
        raise InvalidRequest(f"{text}: more than one line")
    return records[0] if records else []
