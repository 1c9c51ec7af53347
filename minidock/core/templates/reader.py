r"""Reads the part of Go's templates that docker's users write.

::

    template = { text | "{{" action "}}" }          "{{-" and "-}}" take the blanks beside them away
    action   = pipeline | "if" pipeline | "range" [$i, $v :=] pipeline | "with" pipeline
             | "else" ["if" pipeline] | "end"
    pipeline = [$x (":=" | "=")] command { "|" command }
    command  = operand { operand }
    operand  = .A.B | $ | $x.A | function | "text" | `text` | number | true | false | nil | "(" pipeline ")" .A

Source: Go, text/template, its documentation.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from minidock.core.templates.nodes import Block, Call, Command, Literal, Node, Operand, Path, Pipe, Show, Text
from minidock.errors import TemplateError

FUNCTIONS = (
    *("and", "eq", "ge", "gt", "index", "join", "json", "le", "len", "lower", "lt", "ne", "not", "or", "pad", "print"),
    *("printf", "println", "slice", "split", "title", "truncate", "upper"),
)
_KEYWORDS = ("if", "else", "end", "range", "with")
_CONSTANTS: dict[str, object] = {"true": True, "false": False, "nil": None}
_BLANKS = " \t\r\n"
_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r\n]+)
      | (?P<string>"(?:\\.|[^"\\\n])*")
      | (?P<raw>`[^`]*`)
      | (?P<number>[+-]?[0-9]+(?:\.[0-9]+)?)
      | (?P<variable>\$[A-Za-z0-9_]*)
      | (?P<field>\.[A-Za-z_][A-Za-z0-9_]*)
      | (?P<dot>\.)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<sign>:=|=|\||\(|\)|,)""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


class Token(NamedTuple):
    kind: str
    text: str
    position: int


def read(source: str) -> tuple[Node, ...]:
    """Return the nodes of a template. Raises: TemplateError in Go's words."""
    return _Reader(source).whole()


class _Reader:
    def __init__(self, source: str) -> None:
        self._source = source
        self._pieces = _pieces(source)
        self._place = 0
        self._tokens: list[Token] = []

    def whole(self) -> tuple[Node, ...]:
        nodes, end = self._nodes()
        if end:
            raise _problem(f"unexpected {{{{{end}}}}}")
        return nodes

    def _nodes(self) -> tuple[tuple[Node, ...], str]:
        """Return nodes up to ``end`` or ``else``, and which of them it was."""
        found: list[Node] = []
        while self._place < len(self._pieces):
            text, position = self._pieces[self._place]
            self._place += 1
            if position < 0:
                found.append(Text(text))
                continue
            self._tokens = _tokens(text, position)
            if not self._tokens:
                raise _problem("missing value for command")
            word = self._tokens[0].text if self._tokens[0].kind == "name" else ""
            if word in ("end", "else"):
                self._tokens.pop(0)
                return tuple(found), word
            found.append(self._block(word) if word in _KEYWORDS else Show(self._pipe(allows_variables=1)))
            self._finish()
        return tuple(found), ""

    def _block(self, word: str) -> Block:
        self._tokens.pop(0)
        pipe = self._pipe(allows_variables=2 if word == "range" else 1)
        self._finish()
        body, end = self._nodes()
        otherwise: tuple[Node, ...] = ()
        if end == "else":
            if self._tokens and self._tokens[0].text in ("if", "with"):
                otherwise = (self._block(self._tokens[0].text),)
                return Block(word, pipe, body, otherwise)
            self._finish()
            otherwise, end = self._nodes()
        if end != "end":
            raise _problem("unexpected EOF" if not end else f"unexpected {{{{{end}}}}}")
        self._finish()
        return Block(word, pipe, body, otherwise)

    def _finish(self) -> None:
        if self._tokens:
            raise _problem(f'unexpected "{self._tokens[0].text}" in operand')

    def _pipe(self, *, allows_variables: int = 0) -> Pipe:
        variables = self._variables(allows_variables)
        commands = [self._command()]
        while self._tokens and self._tokens[0].text == "|":
            self._tokens.pop(0)
            commands.append(self._command())
        return Pipe(tuple(commands), variables)

    def _variables(self, most: int) -> tuple[str, ...]:
        signs = [token.text for token in self._tokens[:4]]
        for count in range(1, most + 1):
            place = 2 * count - 1
            names = signs[0:place:2]
            if signs[place : place + 1] in ([":="], ["="]) and all(name.startswith("$") for name in names):
                del self._tokens[: place + 1]
                return tuple(names)
        return ()

    def _command(self) -> Command:
        start = self._tokens[0].position if self._tokens else len(self._source)
        operands: list[Operand] = []
        end = start
        while self._tokens and self._tokens[0].text not in ("|", ")"):
            operand, end = self._operand()
            operands.append(operand)
        if not operands:
            raise _problem("missing value for command")
        first = operands[0]
        # A field may be a method; whether it is turns out when there is an object.
        if len(operands) > 1 and not isinstance(first, Call) and not (isinstance(first, Path) and first.names):
            raise _problem(f"can't give argument to non-function {self._source[start:end].split()[0]}")
        return Command(tuple(operands), start, self._source[start:end])

    def _operand(self) -> tuple[Operand, int]:
        token = self._tokens.pop(0)
        end = token.position + len(token.text)
        match token.kind:
            case "string":
                return Literal(_ESCAPE.sub(_unescaped, token.text[1:-1])), end
            case "raw":
                return Literal(token.text[1:-1]), end
            case "number":
                return Literal(float(token.text) if "." in token.text else int(token.text)), end
            case "name" if token.text in _CONSTANTS:
                return Literal(_CONSTANTS[token.text]), end
            case "name":
                if token.text not in FUNCTIONS:
                    raise _problem(f'function "{token.text}" not defined')
                return Call(token.text, token.position), end
            case "dot":
                return Path("", (), token.position, "."), end
            case "field":
                self._tokens.insert(0, token)
                return self._path("", token.position, token.position)
            case "variable":
                return self._path(token.text, token.position, end)
        if token.text == "(":
            inner = self._pipe()
            if not self._tokens or self._tokens[0].text != ")":
                raise _problem("unclosed left paren")
            close = self._tokens.pop(0)
            return self._path(inner, token.position, close.position + 1)
        raise _problem(f'unexpected "{token.text}" in operand')

    def _path(self, start: str | Pipe, position: int, end: int) -> tuple[Path, int]:
        names = []
        while self._tokens and self._tokens[0].kind == "field" and self._tokens[0].position == end:
            token = self._tokens.pop(0)
            names.append((token.text[1:], token.position))
            end += len(token.text)
        return Path(start, tuple(names), position, self._source[position:end]), end


def _pieces(source: str) -> list[tuple[str, int]]:
    """Return text (position -1) and the insides of braces with their positions, in order."""
    found: list[tuple[str, int]] = []
    place = 0
    trims = False
    while True:
        start = source.find("{{", place)
        text = source[place:] if start < 0 else source[place:start]
        text = text.lstrip(_BLANKS) if trims else text
        if start < 0:
            return [*found, (text, -1)] if text else found
        inside = start + 2
        if source[inside : inside + 1] == "-" and source[inside + 1 : inside + 2] in tuple(_BLANKS):
            text, inside = text.rstrip(_BLANKS), inside + 1
        if text:
            found.append((text, -1))
        end = _end_of_action(source, inside)
        content = source[inside:end]
        trims = content.endswith(tuple(f"{blank}-" for blank in _BLANKS))
        content = content[:-1] if trims else content
        if not content.strip(_BLANKS).startswith("/*"):
            found.append((content, inside))
        place = end + 2


def _end_of_action(source: str, start: int) -> int:
    """Return where the closing braces stand; those in texts do not count."""
    place = start
    while place < len(source):
        if source.startswith("}}", place):
            return place
        if source.startswith("/*", place):
            close = source.find("*/", place)
            place = len(source) if close < 0 else close + 2
            continue
        quote = source[place]
        place += 1
        if quote in '"`':
            while place < len(source) and source[place] != quote:
                place += 2 if quote == '"' and source[place] == "\\" else 1
            place += 1
    raise _problem("unclosed action")


def _tokens(text: str, position: int) -> list[Token]:
    found = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise _problem(f"unexpected {text[place]!r} in operand")
        if match.lastgroup != "blank":
            found.append(Token(match.lastgroup or "", match[0], position + place))
        place = match.end()
    return found


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code[1:], 16)) if len(code) > 1 else _ESCAPES.get(code, code)


def _problem(text: str) -> TemplateError:
    return TemplateError(f"template: :1: {text}")
