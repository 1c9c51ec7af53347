r"""Words of a Dockerfile: quotes, escapes, variables, and where one word ends.

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
from dataclasses import dataclass
from functools import lru_cache

from minidock.core.dockerfile import patterns
from minidock.core.quoting import quoted
from minidock.errors import ExpansionError

_SPECIAL_PARAMETERS = frozenset("@*#?-$!0")
_NOTHING: Mapping[str, str] = {}
_PIECES = re.compile(r"\s+|\S+")


@lru_cache
def _ordinary(escape: str, stop: str) -> re.Pattern[str]:
    """Return what matches a run of characters that mean nothing but themselves."""
    return re.compile(rf"[^$'\"<{re.escape(escape)}{re.escape(stop)}]+")


@dataclass(frozen=True, slots=True)
class Expansion:
    """A word after expansion: as one text, split at unquoted blanks, and the variables it named."""

    text: str
    words: tuple[str, ...]
    matched: frozenset[str]
    unmatched: frozenset[str]


def expand(text: str, env: Mapping[str, str], escape: str = "\\") -> str:
    """Return ``text`` as one word: variables replaced, quotes and escapes removed, blanks kept.

    Raises: ExpansionError.
    """
    if _ordinary(escape, "").fullmatch(text):
        return text  # most words are
    return expansion(text, env, escape).text


def expand_words(text: str, env: Mapping[str, str], escape: str = "\\") -> list[str]:
    """Return the words of ``text``, split after expansion at blanks that are not quoted; empty words vanish.

    Raises: ExpansionError.
    """
    return list(expansion(text, env, escape).words)


def expansion(text: str, env: Mapping[str, str], escape: str = "\\") -> Expansion:
    """Return everything there is to know about the expansion of ``text``. Raises: ExpansionError."""
    lexer = _Lexer(text, env, escape)
    whole, words = lexer.run()
    return Expansion(whole, words, frozenset(lexer.matched), frozenset(lexer.unmatched))


def expand_body(text: str, env: Mapping[str, str]) -> str:
    r"""Return the body of a heredoc with its variables replaced; quotes are ordinary characters, ``\`` escapes.

    Raises: ExpansionError.
    """
    return _Lexer(text, env, "\\", has_quotes=False).run()[0]


def shown(text: str, env: Mapping[str, str], escape: str = "\\", *, is_command: bool) -> str:
    """Return an instruction as the name of a step shows it: variables replaced, the keyword in capitals.

    Of a command for the shell (``is_command``) quotes and unset variables stay. Text that cannot be expanded stays too.
    """
    try:
        found = _Lexer(text, env, escape, keeps_quotes=is_command, keeps_unset=is_command).run()[0]
    except ExpansionError:
        found = text
    keyword, blank, rest = found.partition(" ")
    return f"{keyword.upper()}{blank}{rest}"


def raw_words(text: str) -> tuple[str, ...]:
    """Return the shell words of ``text`` exactly as written; ``<< NAME`` is one word. Empty if quotes do not match."""
    try:
        return _Lexer(text, _NOTHING, "\\", keeps_quotes=True, keeps_escapes=True, keeps_unset=True).run()[1]
    except ExpansionError:
        return ()


def quoted_words(text: str) -> tuple[str, ...]:
    """Return the words of ``text`` without escapes but with quotes; unset variables stay. Raises: ExpansionError."""
    return _Lexer(text, _NOTHING, "\\", keeps_quotes=True, keeps_unset=True).run()[1]


def plain_words(text: str) -> tuple[str, ...]:
    """Return the words of ``text`` without quotes and escapes; unset variables stay. Raises: ExpansionError."""
    return _Lexer(text, _NOTHING, "\\", keeps_unset=True).run()[1]


def split_words(text: str, escape: str = "\\") -> list[str]:
    """Return the words of ``text`` with quotes and escapes kept: how ENV, LABEL and ARG lines are cut.

    Only ``escape`` at the very end vanishes. Quotes need not be closed.
    """
    words: list[str] = []
    word: list[str] = []
    quote = ""
    is_word = False
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if not quote and character.isspace():
            if is_word:
                words.append("".join(word))
            word, is_word = [], False
            continue
        if character == escape and quote != "'":
            if position == len(text):
                break
            word += (character, text[position])
            position += 1
            is_word = True
            continue
        if character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        word.append(character)
        is_word = True
    if is_word:
        words.append("".join(word))
    return words


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


class _Lexer:
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
        ordinary = _ordinary(self._escape, stop)
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
