r"""One pass over a word of a Dockerfile.

Grammar of a word (``\`` stands for the escape character)::

    word   = { 'literal' | "text, $variables and escapes" | \character | $variable | character }
    $variable = $NAME | ${NAME} | ${NAME[:]-word} | ${NAME[:]+word} | ${NAME[:]?word}
              | ${NAME#pattern} | ${NAME##pattern} | ${NAME%pattern} | ${NAME%%pattern}
              | ${NAME/pattern/word} | ${NAME//pattern/word}
    NAME   = letters, digits and _, or digits, or one of @ * # ? - $ ! 0

Source: BuildKit, frontend/dockerfile/shell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from minidock.core.dockerfile import patterns
from minidock.core.quoting import quoted
from minidock.errors import ExpansionError

_SPECIAL_PARAMETERS = frozenset("@*#?-$!0")
_PIECES = re.compile(r"\s+|\S+")


@lru_cache
def run_of_ordinary(escape: str, stop: str) -> re.Pattern[str]:
    """Return what matches a run of characters that mean nothing but themselves."""
    return re.compile(rf"[^$'\"<{re.escape(escape)}{re.escape(stop)}]+")


class _Words:
    """Words being collected; blanks that come from variables separate, quoted ones do not."""

    __slots__ = ("_is_inside", "_word", "_words")

    def __init__(self) -> None:
        self._words: list[str] = []
        self._word: list[str] = []
        self._is_inside = False

    def add(self, text: str) -> None:
        for piece in _PIECES.findall(text):
            if not piece[0].isspace():
                self.add_raw(piece)
            elif self._is_inside and any(self._word):
                self._words.append("".join(self._word))
                self._word, self._is_inside = [], False

    def add_raw(self, text: str) -> None:
        self._word.append(text)
        self._is_inside = True

    def all(self) -> tuple[str, ...]:
        if any(self._word):
            self._words.append("".join(self._word))
            self._word = []
        return tuple(self._words)


class Lexer:
    """One pass over one word; ``matched`` and ``unmatched`` hold the variables met."""

    def __init__(
        self,
        text: str,
        env: Mapping[str, str],
        escape: str,
        *,
        has_quotes: bool = True,
        keeps_quotes: bool = False,
        keeps_escapes: bool = False,
        keeps_unset: bool = False,
    ) -> None:
        self._text = text
        self._env = env
        self._escape = escape
        self._has_quotes = has_quotes
        self._keeps_quotes = keeps_quotes
        self._keeps_escapes = keeps_escapes
        self._keeps_unset = keeps_unset
        self._position = 0
        self.matched: set[str] = set()
        self.unmatched: set[str] = set()

    def run(self) -> tuple[str, tuple[str, ...]]:
        """Return the text and the words."""
        try:
            return self._until("", keeps_escapes=self._keeps_escapes)
        except RecursionError:
            raise ExpansionError("failed to process a word: its variables are nested too deeply", self._text) from None

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _next(self) -> str:
        character = self._peek()
        self._position += 1
        return character

    def _error(self, reason: str) -> ExpansionError:
        return ExpansionError(f"failed to process {quoted(self._text)}: {reason}", self._text)

    def _until(self, stop: str, *, keeps_escapes: bool) -> tuple[str, tuple[str, ...]]:
        """Return what comes before the character ``stop`` (the end of the text if it is empty), as text and words."""
        outer, self._keeps_escapes = self._keeps_escapes, keeps_escapes
        result: list[str] = []
        words = _Words()
        ordinary = run_of_ordinary(self._escape, stop)
        while (character := self._peek()) and character != stop:
            if run := ordinary.match(self._text, self._position):
                part, self._position = run[0], run.end()
                words.add(part)
            elif character == "$":
                part = self._dollar()
                words.add(part)
            elif self._has_quotes and character in "'\"":
                part = self._single_quoted() if character == "'" else self._double_quoted()
                words.add_raw(part)
            elif character == "<":
                part = self._heredoc_start()
                words.add_raw(part)
            elif character == self._escape:
                part = self._escaped()
                words.add_raw(part)
            else:
                part = self._next()
                words.add(part)
            result.append(part)
        self._keeps_escapes = outer
        if stop and not character:
            raise self._error(f"unexpected end of statement while looking for matching {stop}")
        self._next()
        return "".join(result), words.all()

    def _escaped(self) -> str:
        escape = self._next()
        return (escape if self._keeps_escapes else "") + self._next()

    def _heredoc_start(self) -> str:
        """Take ``<<`` together with the blanks behind it, which belong to the name of a heredoc."""
        start = self._position
        self._next()
        if self._peek() == "<":
            self._next()
            while self._peek() in (" ", "\t", "\r", "\n") and self._peek():
                self._next()
        return self._text[start : self._position]

    def _single_quoted(self) -> str:
        end = self._text.find("'", self._position + 1)
        if end < 0:
            raise self._error("unexpected end of statement while looking for matching single-quote")
        inner = self._text[self._position + 1 : end]
        self._position = end + 1
        return f"'{inner}'" if self._keeps_quotes else inner

    def _double_quoted(self) -> str:
        quote = '"' if self._keeps_quotes else ""
        self._next()
        result = [quote]
        while (character := self._peek()) != '"':
            if not character:
                raise self._error("unexpected end of statement while looking for matching double-quote")
            if character == "$":
                result.append(self._dollar())
                continue
            self._next()
            if character == self._escape:
                if self._keeps_escapes:
                    result.append(character)
                if not self._peek():
                    continue
                if self._peek() in ('"', "$", self._escape):
                    character = self._next()
            result.append(character)
        self._next()
        return "".join(result) + quote

    def _dollar(self) -> str:
        start = self._position
        self._next()
        if self._peek() != "{":
            name = self._name()
            if not name:
                return "$"
            return self._value_or(name, start)
        self._next()
        if not self._peek():
            raise self._error("syntax error: missing '}'")
        if self._peek() in "{}:":
            raise self._error("syntax error: bad substitution")
        name = self._name()
        modifier = self._next()
        if modifier == "}":
            return self._value_or(name, start)
        if not modifier:
            raise self._error("syntax error: missing '}'")
        if modifier == "/":
            return self._replaced(name, start)
        colon = ""
        if modifier == ":":
            colon, modifier = modifier, self._next()
        elif modifier not in "+-?#%":
            raise self._error(f"unsupported modifier ({modifier}) in substitution")
        return self._modified(name, colon, modifier, start)

    def _value_or(self, name: str, start: int) -> str:
        """Return the value of ``name``; if it is unset nothing, or what was written from ``start`` on."""
        value = self._value(name)
        if value is None:
            return self._text[start : self._position] if self._keeps_unset else ""
        return value

    def _value(self, name: str) -> str | None:
        value = self._env.get(name)
        (self.unmatched if value is None else self.matched).add(name)
        return value

    def _inside(self, stop: str, missing: str, *, keeps_escapes: bool) -> str:
        try:
            return self._until(stop, keeps_escapes=keeps_escapes)[0]
        except ExpansionError:
            if self._position >= len(self._text):
                raise self._error(f"syntax error: missing {missing}") from None
            raise

    def _modified(self, name: str, colon: str, modifier: str, start: int) -> str:
        word = self._inside("}", "'}'", keeps_escapes=modifier in ("#", "%"))
        value = self._value(name)
        if value is None and self._keeps_unset:
            return self._text[start : self._position]
        is_missing = value is None or (bool(colon) and not value)
        match modifier:
            case "-":
                return word if is_missing or value is None else value
            case "+":
                return "" if is_missing else word
            case "?":
                if is_missing or value is None:
                    state = "unset" if value is None else "empty"
                    raise self._error(f"{name}: {word or f'is not allowed to be {state}'}")
                return value
            case "#" | "%" if not colon:
                trim = patterns.trim_prefix if modifier == "#" else patterns.trim_suffix
                is_longest = word.startswith(modifier)
                pattern = word[1:] if is_longest else word
                try:
                    return trim(pattern, value or "", is_longest=is_longest)
                except patterns.BadPattern as error:
                    raise self._error(f"invalid pattern ({pattern}) in substitution: {error}") from error
        raise self._error(f"unsupported modifier ({colon}{modifier}) in substitution")

    def _replaced(self, name: str, start: int) -> str:
        replaces_all = self._peek() == "/"
        if replaces_all:
            self._next()
        pattern = self._inside("/", "'/' in ${}", keeps_escapes=True)
        text = self._inside("}", "'}'", keeps_escapes=True)
        value = self._value(name)
        if value is None and self._keeps_unset:
            return self._text[start : self._position]
        try:
            return patterns.replace(pattern, value or "", text, replaces_all=replaces_all)
        except patterns.BadPattern as error:
            raise self._error(f"invalid pattern ({pattern}) in substitution: {error}") from error

    def _name(self) -> str:
        start = self._position
        first = self._peek()
        if first.isdigit():
            while self._peek().isdigit():
                self._next()
        elif first in _SPECIAL_PARAMETERS:
            self._next()
        else:
            while self._peek() and (self._peek().isalpha() or self._peek().isdigit() or self._peek() == "_"):
                self._next()
        return self._text[start : self._position]
