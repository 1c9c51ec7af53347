"""HTML as a value: what comes from outside is text and escaped, always; only `element` makes markup."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import escape
from typing import Any

# Controls; characters that turn the direction of text, which could make a name look like another one; halves of
# characters, which cannot be written: those from 0xDC80 on stand for bytes of a name that is not UTF-8.
_MISLEADING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_VOID = frozenset({"br"})
_IN_SCRIPT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


class Markup(str):
    """HTML that is as it should be: only what is in this module makes it, and constants."""

    __slots__ = ()


def element(name: str, attributes: Mapping[str, str] | None = None, *children: str) -> Markup:
    """Return an element; children that are not `Markup` are text."""
    words = "".join(f' {key}="{text(value)}"' for key, value in (attributes or {}).items())
    if name in _VOID:
        return Markup(f"<{name}{words}/>")
    inner = "".join(child if isinstance(child, Markup) else text(child) for child in children)
    return Markup(f"<{name}{words}>{inner}</{name}>")


def text(value: str) -> str:
    """Return text as HTML shows it, in elements and in quoted attributes."""
    return value if isinstance(value, Markup) else escape(shown(value))


def joined(parts: Any) -> Markup:
    """Return pieces of markup and text in a row."""
    return Markup("".join(part if isinstance(part, Markup) else text(part) for part in parts))


def shown(value: str) -> str:
    """Return a text with its bytes that are not UTF-8, controls and marks of direction as ``\\xNN``, ``\\uNNNN``."""
    return _MISLEADING.sub(_as_escape, value)


def _as_escape(match: re.Match[str]) -> str:
    number = ord(match[0])
    if 0xDC80 <= number <= 0xDCFF:
        number -= 0xDC00
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


def script_json(value: Any) -> str:
    """Return JSON that can stand in a script element: nothing in it ends that, begins one or a comment."""
    return json.dumps(_shown(value), ensure_ascii=False, separators=(",", ":")).translate(_IN_SCRIPT)


def _shown(value: Any) -> Any:
    match value:
        case str():
            return shown(value)
        case dict():
            return {shown(key): _shown(item) for key, item in value.items()}
        case list() | tuple():
            return [_shown(item) for item in value]
    return value
