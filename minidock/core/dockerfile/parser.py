r"""The lines of a Dockerfile become nodes: one per instruction, with its words but without their meaning.

Grammar, line by line (``\`` is the escape character)::

    file        = [BOM] { directive } { comment | blank line | instruction }
    directive   = # name = value                only before everything else
    instruction = KEYWORD { --flag[=value] } arguments { \ newline continuation } { heredoc body }

Source: BuildKit, frontend/dockerfile/parser.
"""

from __future__ import annotations

import re

from minidock.core.dataclass import dataclass
from minidock.core.dockerfile import arguments, heredocs
from minidock.core.dockerfile.directives import BOM, DEFAULT_ESCAPE, Directive, match_directive
from minidock.core.dockerfile.flags import split_flags
from minidock.core.dockerfile.heredocs import Heredoc
from minidock.errors import DockerfileError, ExpansionError

_LONGEST_LINE = 65535
_BLANKS = re.compile(r"[\t\v\f\r ]+")
_WITH_HEREDOCS = frozenset({"add", "copy", "run"})


@dataclass(frozen=True, slots=True)
class Node:
    """One instruction as it is written.

    ``keyword`` is lower-cased, ``name`` as written. ``args`` is what the instruction's form of arguments gives: ENV and
    LABEL have triples of key, value and separator (empty in the legacy form). ``child`` is what ONBUILD
    keeps, ``original`` the logical line, ``comments`` the comment lines right above. Lines are 1-based, inclusive.
    """

    keyword: str
    name: str
    flags: tuple[str, ...]
    args: tuple[str, ...]
    original: str
    first: int
    last: int
    is_json: bool = False
    child: Node | None = None
    heredocs: tuple[Heredoc, ...] = ()
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Warning:
    """Something that works but should not be written; ``rule`` is the name of BuildKit's check."""

    rule: str
    message: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A parsed Dockerfile; ``source`` is its whole text, without byte order mark."""

    nodes: tuple[Node, ...]
    escape: str
    directives: tuple[Directive, ...]
    warnings: tuple[Warning, ...]
    source: str
    filename: str

    def error(self, message: str, first: int = 0, last: int = 0, *, hint: str | None = None) -> DockerfileError:
        """Return (not raise) an error at the given lines of this file."""
        return DockerfileError(message, filename=self.filename, first=first, last=last, source=self.source, hint=hint)


def parse(data: bytes, filename: str = "Dockerfile") -> Dockerfile:
    """Return the nodes of a Dockerfile. Bytes that are not UTF-8 are replaced, with a warning.

    Raises: DockerfileError.
    """
    text = data.decode(errors="replace").removeprefix(BOM)
    if not data:
        raise DockerfileError("the Dockerfile cannot be empty", filename=filename)
    reader = _Reader(text, filename)
    nodes = reader.nodes()
    if not nodes:
        raise reader.error("file with no instructions", reader.line_count)
    if "\ufffd" in text and b"\xef\xbf\xbd" not in data:
        reader.warnings.append(Warning("InvalidEncoding", "The file is not encoded in UTF-8", 1, 1))
    return Dockerfile(tuple(nodes), reader.escape, tuple(reader.directives), tuple(reader.warnings), text, filename)


class _Reader:
    """One pass over the lines; ``escape``, ``directives`` and ``warnings`` are complete once `nodes` returns."""

    def __init__(self, text: str, filename: str) -> None:
        self._text = text
        self._filename = filename
        self._lines = text.split("\n")
        if not self._lines[-1]:
            self._lines.pop()
        self._position = 0
        self._allows_directives = True
        self.escape = DEFAULT_ESCAPE
        self._continuation = _continuation(DEFAULT_ESCAPE)
        self.directives: list[Directive] = []
        self.warnings: list[Warning] = []

    @property
    def line_count(self) -> int:
        return len(self._lines)

    def error(self, message: str, first: int, last: int = 0) -> DockerfileError:
        return DockerfileError(message, filename=self._filename, first=first, last=last, source=self._text)

    def nodes(self) -> list[Node]:
        nodes: list[Node] = []
        comments: list[str] = []
        while self._has_lines():
            line = self._next_line().rstrip("\r").lstrip()
            if self._take_directive(line):
                continue
            if line.startswith("#"):
                comments.append(line[1:].strip())
                continue
            if line:
                nodes.append(self._instruction(line, tuple(comments)))
            comments = []
        return nodes

    def _has_lines(self) -> bool:
        return self._position < len(self._lines)

    def _next_line(self) -> str:
        line = self._lines[self._position]
        self._position += 1
        if len(line) > _LONGEST_LINE // 4 and len(line.encode()) > _LONGEST_LINE:
            raise self.error(f"dockerfile line greater than max allowed size of {_LONGEST_LINE}", self._position)
        return line

    def _take_directive(self, line: str) -> bool:
        """Whether the line is a directive, which is no comment on what follows."""
        if not self._allows_directives:
            return False
        directive = match_directive(line, self._position)
        if directive is None:
            self._allows_directives = False
            return False
        if any(directive.name == other.name for other in self.directives):
            raise self.error(f"only one {directive.name} parser directive can be used", self._position)
        if directive.name == "escape":
            if directive.value not in ("\\", "`"):
                message = f"invalid escape token '{directive.value}' does not match ` or \\"
                raise self.error(message, self._position)
            self.escape = directive.value
            self._continuation = _continuation(directive.value)
        self.directives.append(directive)
        return True

    def _instruction(self, line: str, comments: tuple[str, ...]) -> Node:
        first = self._position
        line = self._joined(line, first)
        try:
            node = _node(line, self.escape, first, comments)
            found = heredocs.heredocs_of_line(line) if _can_hold_heredocs(node) and "<<" in line else ()
        except (arguments.ArgumentError, ExpansionError) as error:
            raise self.error(str(error), first, self._position) from error
        except RecursionError:
            raise self.error("ONBUILD is nested too deeply", first, self._position) from None
        bodies = tuple(self._heredoc(heredoc, first) for heredoc in found)
        return _with_lines(node, bodies, self._position)

    def _joined(self, line: str, first: int) -> str:
        """Return the logical line that starts with ``line``: its continuation lines joined, comments left out."""
        parts: list[str] = []
        has_empty_line = False
        is_continued = True
        while is_continued:
            line, is_continued = self._without_continuation(line)
            parts.append(line)
            while is_continued:
                if not self._has_lines():
                    is_continued = False
                    break
                line = self._next_line().rstrip("\r")
                if line.lstrip() and not line.lstrip().startswith("#"):
                    break
                has_empty_line = has_empty_line or not line.strip()
        joined = "".join(parts)
        if has_empty_line:
            message = f"Empty continuation line found in: {joined}"
            self.warnings.append(Warning("NoEmptyContinuation", message, first, self._position))
        return joined

    def _without_continuation(self, line: str) -> tuple[str, bool]:
        match = self._continuation.search(line)
        return (line, False) if match is None else (line[: match.start()] + (match[1] or ""), True)

    def _heredoc(self, heredoc: Heredoc, first: int) -> Heredoc:
        body: list[str] = []
        while self._has_lines():
            line = self._next_line()
            end = line.rstrip("\r")
            if (end.lstrip("\t") if heredoc.strips_tabs else end) == heredoc.name:
                return Heredoc(heredoc.name, "".join(body), heredoc.fd, heredoc.is_expanded, heredoc.strips_tabs)
            body.append(f"{line}\n")
        raise self.error("unterminated heredoc", first, self._position)


def _continuation(escape: str) -> re.Pattern[str]:
    """Return what ends a line that goes on: one escape character, blanks behind it, no other escape before it."""
    mark = re.escape(escape)
    return re.compile(rf"([^{mark}]){mark}[ \t]*$|^{mark}[ \t]*$")


def _node(line: str, escape: str, first: int, comments: tuple[str, ...] = ()) -> Node:
    name, *rest = _BLANKS.split(line.strip(), maxsplit=1)
    flags, text = split_flags(rest[0]) if rest else ((), "")
    keyword = name.lower()
    if keyword == "onbuild":
        child = _node(text, escape, first) if text else None
        args = (child.keyword, *child.args) if child else ()
        return Node(keyword, name, flags, args, line, first, first, child=child, comments=comments)
    args, is_json = arguments.split_arguments(keyword, text, escape)
    return Node(keyword, name, flags, args, line, first, first, is_json=is_json, comments=comments)


def _can_hold_heredocs(node: Node) -> bool:
    inner = node.child or node
    return inner.keyword in _WITH_HEREDOCS and not inner.is_json


def _with_lines(node: Node, found: tuple[Heredoc, ...], last: int) -> Node:
    if last == node.last and not found:
        return node
    return Node(
        node.keyword,
        node.name,
        node.flags,
        node.args,
        node.original,
        node.first,
        last,
        is_json=node.is_json,
        child=node.child,
        heredocs=found,
        comments=node.comments,
    )
