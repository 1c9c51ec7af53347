"""The forms that the arguments of an instruction can have. Source: BuildKit, parser/line_parsers.go."""

from __future__ import annotations

import json
import re

from minidock.core.dockerfile.words import split_words
from minidock.core.quoting import quoted

_BLANKS = re.compile(r"[\t\v\f\r ]+")
_JSON_OR_TEXT = frozenset({"cmd", "entrypoint", "run", "shell"})
_JSON_OR_WORDS = frozenset({"add", "copy", "volume"})
_WORDS = frozenset({"expose", "from"})
_TEXT = frozenset({"maintainer", "stopsignal", "user", "workdir"})


class ArgumentError(ValueError):
    """Arguments that do not fit their instruction; `parser` turns it into an error with the lines."""


def split_arguments(keyword: str, text: str, escape: str) -> tuple[tuple[str, ...], bool]:
    """Return the arguments of an instruction and whether they are a JSON array.

    An unknown instruction has none: what is wrong with it is found later, in the order of the file.
    Raises: ArgumentError.
    """
    if keyword in _JSON_OR_TEXT:
        return _json_or((text,) if text else (), text)
    if keyword in _JSON_OR_WORDS:
        return _json_or(_words(text), text)
    if keyword == "healthcheck":
        return _healthcheck(text)
    if keyword in _WORDS:
        return _words(text), False
    if keyword in _TEXT:
        return ((text,) if text else ()), False
    if keyword in ("env", "label"):
        return _pairs(keyword.upper(), text, escape), False
    if keyword == "arg":
        return tuple(split_words(text, escape)), False
    return (), False


def json_array(text: str) -> tuple[str, ...] | None:
    """Return the strings of a JSON array, ``None`` if ``text`` is anything else.

    Raises: ArgumentError for a valid array that holds something other than strings.
    """
    if not text.lstrip().startswith("["):
        return None
    try:
        # Numbers only have to be told from strings; converting a long one would cost quadratic time.
        array = json.loads(text, parse_int=bool, parse_float=bool, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if not isinstance(array, list):
        return None
    strings = [item for item in array if isinstance(item, str)]
    if len(strings) != len(array):
        raise ArgumentError("when using JSON array syntax, arrays must be comprised of strings only")
    # Half of a surrogate pair has no UTF-8 form.
    return tuple(item.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for item in strings)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _json_or(otherwise: tuple[str, ...], text: str) -> tuple[tuple[str, ...], bool]:
    strings = json_array(text)
    return (otherwise, False) if strings is None else (strings, True)


def _words(text: str) -> tuple[str, ...]:
    return tuple(_BLANKS.split(text)) if text else ()


def _healthcheck(text: str) -> tuple[tuple[str, ...], bool]:
    kind, _, rest = _BLANKS.sub(" ", text, count=1).partition(" ")
    if not kind:
        return (), False
    args, is_json = _json_or((rest,) if rest else (), rest)
    return (kind, *args), is_json


def _pairs(name: str, text: str, escape: str) -> tuple[str, ...]:
    words = split_words(text, escape)
    if not words:
        return ()
    if "=" not in words[0]:
        parts = _BLANKS.split(text, maxsplit=1)
        if len(parts) < 2:
            raise ArgumentError(f"{name} must have two arguments")
        return parts[0], parts[1], ""
    triples: list[str] = []
    for word in words:
        key, separator, value = word.partition("=")
        if not separator:
            message = f"Syntax error - can't find = in {quoted(word)}. Must be of the form: name=value"
            raise ArgumentError(message)
        triples += (key, value, "=")
    return tuple(triples)
