"""One line of comma-separated values, as --mount, --output, --secret and their like are written.

A field may stand in double quotes; a doubled quote inside is one quote.
Source: RFC 4180; messages as Go's encoding/csv words them.
"""

from __future__ import annotations

from minidock.errors import InvalidRequest


def fields_of(line: str) -> tuple[str, ...]:
    """Return the fields of ``line``. Raises: InvalidRequest."""
    if not line:
        raise InvalidRequest("EOF")
    fields: list[str] = []
    position = 0
    while True:
        if line.startswith('"', position):
            field, position = _quoted(line, position + 1)
        else:
            end = line.find(",", position)
            end = len(line) if end < 0 else end
            field, position = line[position:end], end
            if '"' in field:
                column = position - len(field) + field.index('"') + 1
                raise InvalidRequest(f'parse error on line 1, column {column}: bare " in non-quoted-field')
        fields.append(field)
        if position >= len(line):
            return tuple(fields)
        position += 1


def _quoted(line: str, position: int) -> tuple[str, int]:
    """Return the field that begins at ``position``, after its quote, and where it ends."""
    text = ""
    while True:
        end = line.find('"', position)
        if end < 0:
            column = len(line) + 1
            raise InvalidRequest(f'parse error on line 1, column {column}: extraneous or missing " in quoted-field')
        text += line[position:end]
        position = end + 1
        if line.startswith('"', position):
            text += '"'
            position += 1
        elif position == len(line) or line[position] == ",":
            return text, position
        else:
            raise InvalidRequest(f'parse error on line 1, column {position}: extraneous or missing " in quoted-field')
