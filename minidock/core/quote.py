"""Text in double quotes as Go writes it: the form that docker uses in messages and in the COMMAND column."""

from __future__ import annotations

_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def go_quote(text: str) -> str:
    """Return ``text`` as a Go string literal; what cannot be printed is escaped, bytes that are not UTF-8 as ``\\xff``.

    Source: Go language specification, "String literals"; package strconv, `Quote`.
    """
    return f'"{"".join(_quoted(character) for character in text)}"'


def _quoted(character: str) -> str:
    code = ord(character)
    if character in _ESCAPES:
        return _ESCAPES[character]
    if 0xDC80 <= code <= 0xDCFF:  # a byte that Python keeps as a surrogate
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable():
        return character
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
