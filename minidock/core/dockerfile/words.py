"""Words of a Dockerfile: quotes, escapes, variables, and where one word ends; their grammar stands in `word_lexer`."""

from __future__ import annotations

from collections.abc import Mapping

from minidock.core.dataclass import dataclass
from minidock.core.dockerfile.word_lexer import Lexer, run_of_ordinary
from minidock.errors import ExpansionError

_NOTHING: Mapping[str, str] = {}


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
    if run_of_ordinary(escape, "").fullmatch(text):
        return text  # most words are
    return expansion(text, env, escape).text


def expand_words(text: str, env: Mapping[str, str], escape: str = "\\") -> list[str]:
    """Return the words of ``text``, split after expansion at blanks that are not quoted; empty words vanish.

    Raises: ExpansionError.
    """
    return list(expansion(text, env, escape).words)


def expansion(text: str, env: Mapping[str, str], escape: str = "\\") -> Expansion:
    """Return everything there is to know about the expansion of ``text``. Raises: ExpansionError."""
    lexer = Lexer(text, env, escape)
    whole, words = lexer.run()
    return Expansion(whole, words, frozenset(lexer.matched), frozenset(lexer.unmatched))


def expand_body(text: str, env: Mapping[str, str]) -> str:
    r"""Return the body of a heredoc with its variables replaced; quotes are ordinary characters, ``\`` escapes.

    Raises: ExpansionError.
    """
    return Lexer(text, env, "\\", has_quotes=False).run()[0]


def shown(text: str, env: Mapping[str, str], escape: str = "\\", *, is_command: bool) -> str:
    """Return an instruction as the name of a step shows it: variables replaced, the keyword in capitals.

    Of a command for the shell (``is_command``) quotes and unset variables stay. Text that cannot be expanded stays too.
    """
    try:
        found = Lexer(text, env, escape, keeps_quotes=is_command, keeps_unset=is_command).run()[0]
    except ExpansionError:
        found = text
    keyword, blank, rest = found.partition(" ")
    return f"{keyword.upper()}{blank}{rest}"


def raw_words(text: str) -> tuple[str, ...]:
    """Return the shell words of ``text`` exactly as written; ``<< NAME`` is one word. Empty if quotes do not match."""
    try:
        return Lexer(text, _NOTHING, "\\", keeps_quotes=True, keeps_escapes=True, keeps_unset=True).run()[1]
    except ExpansionError:
        return ()


def quoted_words(text: str) -> tuple[str, ...]:
    """Return the words of ``text`` without escapes but with quotes; unset variables stay. Raises: ExpansionError."""
    return Lexer(text, _NOTHING, "\\", keeps_quotes=True, keeps_unset=True).run()[1]


def plain_words(text: str) -> tuple[str, ...]:
    """Return the words of ``text`` without quotes and escapes; unset variables stay. Raises: ExpansionError."""
    return Lexer(text, _NOTHING, "\\", keeps_unset=True).run()[1]


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
