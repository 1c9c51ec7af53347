"""Values as templates see them: how they print, what counts as true, and docker's functions.

Source: Go, text/template and fmt, their documentation; docker/cli, templates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from minidock.core.quoting import quoted

# What Go's encoder escapes so that its output can stand in HTML and in JavaScript.
_ESCAPES = str.maketrans({character: f"\\u{ord(character):04x}" for character in "\u2028\u2029"})
_VERB = re.compile(r"%([-+# 0]*)([0-9]+)?(?:\.([0-9]+))?([a-zA-Z%])")
_NAMES = {str: "string", bool: "bool", int: "int64", float: "float64", list: "[]interface {}", type(None): "<nil>"}


class Wrong(ValueError):
    """What a function complains of, in Go's words."""


def is_true(value: object) -> bool:
    """Whether a value is neither false, zero, nothing, nor empty."""
    return bool(value)


def text_of(value: object) -> str:
    """Return a value as ``%v`` prints it."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case str() | int():
            return str(value)
        case float():
            return repr(value).removesuffix(".0")
        case Mapping():
            return f"map[{' '.join(f'{key}:{text_of(value[key])}' for key in sorted(value))}]"
        case Sequence():
            return f"[{' '.join(map(text_of, value))}]"
        case _:
            return str(value)


def json_of(value: object) -> str:
    """Return compact JSON; maps of text have their keys sorted, documents keep their order."""
    return json.dumps(_ordered(value), ensure_ascii=False, separators=(",", ":")).translate(_ESCAPES)


def _ordered(value: object) -> object:
    if isinstance(value, Mapping):
        is_map = all(isinstance(item, str | None) for item in value.values())
        return {key: _ordered(value[key]) for key in (sorted(value) if is_map else value)}
    return [_ordered(item) for item in value] if isinstance(value, list | tuple) else value


def _type(value: object) -> str:
    return "map[string]interface {}" if isinstance(value, Mapping) else _NAMES.get(type(value), type(value).__name__)


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise Wrong(f"wrong type for value; expected string; got {_type(value)}")
    return value


def _join(items: object, separator: object) -> str:
    if isinstance(items, Mapping):
        return _string(separator).join(text_of(items[key]) for key in sorted(items))
    if not isinstance(items, list | tuple):
        raise Wrong(f"expected a list, got {_type(items)}")
    return _string(separator).join(map(text_of, items))


def _pad(text: object, before: Any, after: Any) -> str:
    return f"{' ' * before}{_string(text)}{' ' * after}" if text else ""


def _truncate(text: object, count: Any) -> str:
    return _string(text).encode()[:count].decode(errors="ignore")


def _length(value: object) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if not isinstance(value, Mapping | list | tuple):
        raise Wrong(f"len of type {_type(value)}")
    return len(value)


def _index(value: Any, *keys: Any) -> object:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(_string(key), "")
        elif isinstance(value, str | list | tuple):
            if not isinstance(key, int):
                raise Wrong(f"cannot index slice/array with type {_type(key)}")
            if not 0 <= key < len(value):
                raise Wrong(f"index out of range: {key}")
            value = value[key]
        else:
            raise Wrong(f"can't index item of type {_type(value)}")
    return value


def _slice(value: Any, start: int = 0, end: int | None = None) -> object:
    if not isinstance(value, str | list | tuple):
        raise Wrong(f"can't slice item of type {_type(value)}")
    last = len(value) if end is None else end
    if not 0 <= start <= last <= len(value):
        raise Wrong(f"index out of range: {last}")
    return value[start:last]


def _print(*values: object) -> str:
    """Values side by side, with a blank between two that are both not text."""
    parts: list[str] = []
    for position, value in enumerate(values):
        if position and not isinstance(value, str) and not isinstance(values[position - 1], str):
            parts.append(" ")
        parts.append(text_of(value))
    return "".join(parts)


def _printf(pattern: object, *values: object) -> str:
    left = list(values)

    def one(match: re.Match[str]) -> str:
        flags, width, precision, verb = match.groups()
        if verb == "%":
            return "%"
        if not left:
            return f"%!{verb}(MISSING)"
        text = _verb(verb, left.pop(0), precision)
        fill = "0" if "0" in flags and "-" not in flags and verb in "dxf" else " "
        return text.ljust(int(width or 0)) if "-" in flags else text.rjust(int(width or 0), fill)

    text = _VERB.sub(one, _string(pattern))
    extra = ", ".join(f"{_type(value)}={text_of(value)}" for value in left)
    return f"{text}%!(EXTRA {extra})" if left else text


def _verb(verb: str, value: object, precision: str | None) -> str:
    match verb:
        case "q" if isinstance(value, str):
            return quoted(value)
        case "d" if isinstance(value, int):
            return str(value)
        case "x" if isinstance(value, int):
            return f"{value:x}"
        case "x" if isinstance(value, str):
            return value.encode().hex()
        case "f" if isinstance(value, int | float):
            return f"{value:.{precision or 6}f}"
        case "s" | "v" | "t":
            text = text_of(value)
            return text[: int(precision)] if precision is not None else text
    return f"%!{verb}({_type(value)}={text_of(value)})"


def _same(first: object, *others: object) -> bool:
    if not others:
        raise Wrong("missing argument for comparison")
    return any(_compared(first, other)[0] == _compared(first, other)[1] for other in others)


def _compared(left: Any, right: Any) -> tuple[Any, Any]:
    if left is None or right is None:
        return left, right
    if _type(left) != _type(right):
        raise Wrong("incompatible types for comparison")
    if isinstance(left, Mapping | list | tuple):
        raise Wrong("non-comparable type")
    return left, right


def _ordering(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda left, right: test(*_compared(left, right))


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "eq": _same,
    "ge": _ordering(lambda left, right: left >= right),
    "gt": _ordering(lambda left, right: left > right),
    "index": _index,
    "join": _join,
    "json": json_of,
    "le": _ordering(lambda left, right: left <= right),
    "len": _length,
    "lower": lambda text: _string(text).lower(),
    "lt": _ordering(lambda left, right: left < right),
    "ne": lambda left, right: not _same(left, right),
    "not": lambda value: not is_true(value),
    "pad": _pad,
    "print": _print,
    "printf": _printf,
    "println": lambda *values: " ".join(map(text_of, values)) + "\n",
    "slice": _slice,
    "split": lambda text, separator: _string(text).split(_string(separator)),
    "title": lambda text: re.sub(r"\b\w", lambda match: match[0].upper(), _string(text)),
    "truncate": _truncate,
    "upper": lambda text: _string(text).upper(),
}
# In the headers of tables these give back what they are given.
KEPT_IN_HEADERS = frozenset({"json", "join", "split", "lower", "upper", "title", "truncate"})
