"""The values of ``--format``: a table, or JSON as docker prints it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from minidock.core.quoting import quoted
from minidock.errors import FlagError

HELP = (
    "Format output:\n"
    "'table':            Print output in table format with column headers (default)\n"
    "'json':             Print in JSON format"
)

# What Go's encoder escapes so that its output can stand in HTML and in JavaScript.
_ESCAPES = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})


class Format(StrEnum):
    """How a list is printed."""

    TABLE = "table"
    JSON = "json"

    @classmethod
    def parse(cls, text: str) -> Format:
        """Return the format that ``text`` asks for; nothing means a table. Raises: FlagError for a template."""
        wanted = text.strip(" ")
        if wanted in ("", cls.TABLE):
            return cls.TABLE
        if wanted in (cls.JSON, "{{json .}}"):
            return cls.JSON
        raise FlagError(f"{quoted(text)} is a template, and templates are not supported yet: use table or json")


def json_text(value: Any) -> str:
    """Return ``value`` as compact JSON with docker's escapes; the order of keys is kept."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="surrogateescape").decode(errors="replace").translate(_ESCAPES)


def json_document(value: Any) -> str:
    """Return ``value`` as `inspect` prints it: four blanks for each level, nothing escaped that need not be."""
    text = json.dumps(value, ensure_ascii=False, indent=4)
    return text.encode(errors="surrogateescape").decode(errors="replace")


def json_object(fields: Mapping[str, Any]) -> str:
    """Return one row as a JSON object with its keys sorted, as docker's lists print it."""
    return json_text(dict(sorted(fields.items())))
