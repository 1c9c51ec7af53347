"""Ignore rules: which paths of a build context (.dockerignore) or of a source (--exclude) do not exist for a build.

A pattern that matches a directory matches everything below it; the last pattern that matches decides, and one that
starts with ``!`` lets in again what is ignored where it is asked. ``*``, ``?`` as in `glob`, ``**`` matches any number
of directories, also none.
Source: moby/patternmatcher, patternmatcher.go and ignorefile/ignorefile.go.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import field, replace
from typing import NamedTuple

from minidock.core.dataclass import dataclass
from minidock.core.dockerfile.directives import BOM
from minidock.core.dockerfile.glob import STAR, class_to_regex, compile_glob, has_wildcard, joined
from minidock.errors import PatternError

_OPEN_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\\Z")
_LETTER = re.compile(r"\\[a-zA-Z0-9]")
# What letters behind a backslash mean in Go's regexp/syntax.
_LETTERS = {
    "a": "\a",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "d": "[0-9]",
    "D": "[^0-9]",
    "w": "[0-9A-Za-z_]",
    "W": "[^0-9A-Za-z_]",
    "s": "[\\t\\n\\f\\r ]",
    "S": "[^\\t\\n\\f\\r ]",
    "b": "(?a:\\b)",
    "B": "(?a:\\B)",
    "A": "(?!)",
    "z": "\\Z",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One pattern: ``text`` as given, cleaned; ``regex`` matches what it names, not what is below.

    ``line`` is where it stands in its file, 0 if it does not come from one.
    """

    text: str
    is_exception: bool
    regex: re.Pattern[str]
    parts: tuple[re.Pattern[str] | None, ...]
    line: int = 0


class IgnoreMatch(NamedTuple):
    """A rule, and what it matches of a path: the path itself, or the directory above it that counts with all below."""

    rule: Rule
    matched: str


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """Patterns in order. Paths are relative to the root, with ``/`` and without ``.`` or ``..``.

    ``filename`` is what the file that they stand in is called, if it is one.
    """

    rules: tuple[Rule, ...] = ()
    filename: str = ""
    known: dict[str, tuple[str, ...]] = field(default_factory=dict, compare=False, repr=False)  # of directories

    @classmethod
    def parse(cls, text: str, filename: str = "") -> IgnoreRules:
        """Return the rules of an ignore file. Raises: PatternError."""
        return cls.from_lines(_read_lines(text), filename)

    @classmethod
    def from_lines(cls, lines: Iterable[tuple[int, str]], filename: str = "") -> IgnoreRules:
        """Return the rules of patterns with the numbers of their lines. Raises: PatternError."""
        return cls(tuple(replace(_rule(pattern), line=line) for line, pattern in lines), filename)

    @classmethod
    def from_patterns(cls, patterns: Iterable[str]) -> IgnoreRules:
        """Return the rules of patterns, blank ones left out. Raises: PatternError."""
        return cls(tuple(_rule(pattern.strip()) for pattern in patterns if pattern.strip()))

    def rule_for(self, path: str) -> Rule | None:
        """Return the rule that decides about ``path``, ``None`` if none matches."""
        return self._deciding(path)

    def place_of(self, rule: Rule) -> str:
        """Return where a rule stands: ``.dockerignore:3``."""
        return f"{self.filename}:{rule.line}"

    def matches(self, path: str) -> tuple[IgnoreMatch, ...]:
        """Return every rule that says something of ``path``, in order: the last one decides."""
        path = _clean(path)
        found = zip(self.rules, self._matched(path), strict=True) if path != "." else ()
        return tuple(IgnoreMatch(rule, matched) for rule, matched in found if matched)

    def is_ignored(self, path: str) -> bool:
        """Tell whether ``path`` is left out; the root itself never is."""
        rule = self._deciding(path)
        return rule is not None and not rule.is_exception

    def may_hold_included(self, directory: str) -> bool:
        """Tell whether something below ``directory`` may not be ignored, so that it has to be walked."""
        if not self.is_ignored(directory):
            return True
        matched = self._matched(_clean(directory))
        last = max(number for number, rule in enumerate(self.rules) if matched[number] and not rule.is_exception)
        # It matches everything below too, so exceptions before it have no say there.
        names = _clean(directory).split("/")
        return any(rule.is_exception and _may_reach_below(rule, names) for rule in self.rules[last:])

    def _deciding(self, path: str) -> Rule | None:
        path = _clean(path)
        if path == ".":
            return None
        matched = self._matched(path)
        return next((self.rules[n] for n in range(len(matched) - 1, -1, -1) if matched[n]), None)

    def _matched(self, path: str) -> tuple[str, ...]:
        """Return for every rule what it matches of ``path``, empty if nothing.

        What a rule has matched it matches with all below. It is asked only where it would change something: an
        exception if what comes before it ignores the path, another one if not. So ``x/*`` and ``!x`` leave nothing in
        ``x``: where ``x`` is looked at it is not ignored, and the exception does not count. As upstream.
        """
        directory = path.rpartition("/")[0]
        above = self._matched_directory(directory) if directory else ()
        is_ignored = False
        found = []
        for number, rule in enumerate(self.rules):
            matched = above[number] if above else ""
            if not matched and rule.is_exception == is_ignored and rule.regex.match(path):
                matched = path
            if matched:
                is_ignored = not rule.is_exception
            found.append(matched)
        return tuple(found)

    def _matched_directory(self, directory: str) -> tuple[str, ...]:
        found = self.known.get(directory)
        if found is None:
            found = self.known[directory] = self._matched(directory)
        return found


def read_patterns(text: str) -> list[str]:
    """Return the patterns of an ignore file in order, cleaned, without comments; ``!`` alone stays."""
    return [pattern for _, pattern in _read_lines(text)]


def _read_lines(text: str) -> list[tuple[int, str]]:
    """Return the patterns with the numbers of their lines."""
    patterns: list[tuple[int, str]] = []
    for number, line in enumerate(text.removeprefix(BOM).split("\n"), 1):
        pattern = "" if line.startswith("#") else line.strip()
        if not pattern:
            continue
        mark = "!" if pattern.startswith("!") else ""
        pattern = pattern.removeprefix("!").strip() if mark else pattern
        if pattern:
            pattern = _clean(pattern)
            pattern = pattern[1:] if len(pattern) > 1 and pattern.startswith("/") else pattern
        patterns.append((number, mark + pattern))
    return patterns


def _clean(path: str) -> str:
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _rule(text: str) -> Rule:
    pattern = _clean(text)
    is_exception = pattern.startswith("!")
    if pattern == "!":
        raise PatternError('illegal exclusion pattern: "!"', pattern)
    pattern = pattern.removeprefix("!") if is_exception else pattern
    compile_glob(pattern)  # Go's Match is what upstream checks the syntax with; its errors come first.
    regex = re.compile(f"(?:{_to_regex(pattern)})\\Z", re.DOTALL)
    parts = tuple(_part(part) for part in pattern.split("/"))
    return Rule(("!" if is_exception else "") + pattern, is_exception, regex, parts)


def _part(part: str) -> re.Pattern[str] | None:
    """Return what one component of a pattern matches, ``None`` if it can match more than one."""
    # Upstream lets a class match a slash, and takes a backslash before one for part of the pattern.
    if "**" in part or "[" in part or _LETTER.search(part) or _OPEN_ESCAPE.search(part):
        return None
    return compile_glob(part) if has_wildcard(part) or "\\" in part else re.compile(re.escape(part))


def _may_reach_below(rule: Rule, names: list[str]) -> bool:
    """Tell whether a path below the directory ``names``, or the directory itself, may match ``rule``."""
    for part, name in zip(rule.parts, names, strict=False):
        if part is None:
            return True
        if part.fullmatch(name) is None:
            return False
    return True


def _to_regex(pattern: str) -> str:
    """Return the regular expression of a pattern.

    A pattern whose only wildcard is ``**`` in front is a plain suffix: ``**file`` also matches ``my.file``, while
    ``**file*`` starts at a component.
    """
    if pattern.startswith("**") and not has_wildcard(pattern[2:]) and "\\" not in pattern:
        suffix = pattern[2:]
        return f"(?:.*/)?{re.escape(suffix[1:])}" if suffix.startswith("/") else f".*{re.escape(suffix)}"
    groups: list[list[str]] = [[]]  # what stands between ``**``
    position = 0
    is_open = False
    while position < len(pattern):
        if pattern.startswith("**", position):
            position += 2
            position += pattern.startswith("/", position)
            is_open = position == len(pattern)
            groups.append([])
        else:
            part, position = _next_part(pattern, position)
            groups[-1].append(part)
    first, *others = groups
    texts = [joined(first)]
    for number, group in enumerate(others, 1):
        text = joined(group)
        if is_open and number == len(others):
            texts.append(".*")
        elif group[-1:] == ["/"] and number < len(others) and not _matches_slash(group[:-1]):
            # The first place where whole names match is the best one: another ``**`` follows.
            texts.append(f"(?>(?:.*?/)??{text})")
        else:
            texts.append(f"(?:.*/)?{text}")
    return "".join(texts)


def _matches_slash(group: Iterable[str]) -> bool:
    return any(part not in ("/", STAR) and re.fullmatch(part, "/") for part in group)


def _next_part(pattern: str, position: int) -> tuple[str, int]:
    character = pattern[position]
    if character == "*":
        return STAR, position + 1
    if character == "?":
        return "[^/]", position + 1
    if character == "[":
        return class_to_regex(pattern, position, allows_reversed=False)
    if character == "\\":
        return _escaped(pattern, position + 1), position + 2
    return re.escape(character), position + 1


def _escaped(pattern: str, position: int) -> str:
    """Return what a character behind a backslash stands for.

    Upstream hands it to Go's regular expressions, where letters then mean something else than themselves.
    """
    character = pattern[position]
    if character in _LETTERS:
        return _LETTERS[character]
    if character.isascii() and character.isalnum():
        raise PatternError(f"error parsing regexp: invalid escape sequence: `\\{character}`", pattern)
    return re.escape(character)
