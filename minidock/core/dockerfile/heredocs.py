"""Heredocs: which words of a line open one, and what their bodies become.

Grammar: ``[number]<<[-][blanks]NAME``; quotes anywhere in NAME are removed and turn expansion off, ``-`` removes the
leading tabs of every line. Source: BuildKit, frontend/dockerfile/parser and dockerfile2llb.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from minidock.core.dataclass import dataclass
from minidock.core.dockerfile import words

_OPENING = re.compile(r"([0-9]*)<<(-?)\s*([^<]*)")
_LEADING_TABS = re.compile(r"^\t+", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A heredoc; ``content`` is its body as written, with the final newline, ``fd`` the number before ``<<`` or 0."""

    name: str
    content: str = ""
    fd: int = 0
    is_expanded: bool = True
    strips_tabs: bool = False

    @property
    def text(self) -> str:
        """The body as it is used: without leading tabs if it was opened by ``<<-``."""
        return without_leading_tabs(self.content) if self.strips_tabs else self.content


def without_leading_tabs(content: str) -> str:
    """Return ``content`` with the tabs at the start of every line removed."""
    return _LEADING_TABS.sub("", content)


def match_heredoc(word: str) -> Heredoc | None:
    """Return the heredoc, still without body, that a shell word opens; ``None`` if it opens none.

    Raises: ExpansionError if the quotes of its name do not match.
    """
    opening = _OPENING.fullmatch(word)
    if opening is None or not opening[3]:
        return None
    plain, quoted = words.plain_words(opening[3]), words.quoted_words(opening[3])
    if len(plain) != 1:
        return None
    has_quotes = _count_quotes(plain[0]) != _count_quotes("".join(quoted))
    return Heredoc(plain[0], "", int(opening[1] or 0), is_expanded=not has_quotes, strips_tabs=bool(opening[2]))


def heredocs_of_line(line: str) -> tuple[Heredoc, ...]:
    """Return the heredocs that a logical line opens, in order. Raises: ExpansionError."""
    found = (match_heredoc(word) for word in words.raw_words(line))
    return tuple(heredoc for heredoc in found if heredoc is not None)


def shell_argument(command: str, heredocs: Sequence[Heredoc]) -> str:
    """Return what the shell of a RUN gets for a line that opens ``heredocs``.

    If the line is nothing but one heredoc that is its body, else the line, the bodies and their ends as written.
    """
    if is_single(command):
        return heredocs[0].text
    return command + "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in heredocs)


def script_of(command: str, heredocs: Sequence[Heredoc]) -> Heredoc | None:
    """Return the heredoc that is a script to be run as a file, because it starts with ``#!``; ``None`` for others."""
    return heredocs[0] if is_single(command) and heredocs[0].content.startswith("#!") else None


def is_single(command: str) -> bool:
    """Tell whether a command line is nothing but the opening of one heredoc."""
    return match_heredoc(command) is not None


def _count_quotes(text: str) -> int:
    return text.count("'") + text.count('"')
