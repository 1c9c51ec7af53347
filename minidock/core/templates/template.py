"""A template, filled with the values of an object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from minidock.core.dataclass import dataclass
from minidock.core.templates import values
from minidock.core.templates.nodes import Block, Call, Command, Literal, Node, Operand, Path, Pipe, Show, Text
from minidock.core.templates.reader import read
from minidock.errors import TemplateError

Method = Callable[[str], str]

# What JSON has as null: docker's lists and maps of these names print as empty ones.
_LISTS = (
    *("Args", "Binds", "CapAdd", "CapDrop", "Cmd", "DeviceRequests", "Devices", "Dns", "DnsOptions", "DnsSearch"),
    *("Entrypoint", "Env", "ExecIDs", "ExtraHosts", "GroupAdd", "Links", "MaskedPaths", "Mounts", "OnBuild"),
    *("ReadonlyPaths", "RepoDigests", "RepoTags", "SecurityOpt", "Shell", "Test", "Ulimits", "VolumesFrom"),
)
_MAPS = ("ExposedPorts", "Labels", "Networks", "Options", "PortBindings", "Ports", "Sysctls", "Tmpfs", "Volumes")


@dataclass(frozen=True, slots=True)
class Template:
    """A template that has been read. ``unknown`` is what Go says of a field that an object has not."""

    nodes: tuple[Node, ...]
    unknown: str = "map has no entry for key {quoted}"

    @classmethod
    def parse(cls, source: str, unknown: str = "map has no entry for key {quoted}") -> Template:
        """Return the template. Raises: TemplateError."""
        return cls(read(source), unknown)

    def fill(self, data: Any, methods: Mapping[str, Method] = MappingProxyType({}), *, is_header: bool = False) -> str:
        """Return the text for an object. In a table's header functions leave what they are given as it is.

        ``methods`` are what the object can be asked beside its fields (`{{.Label "a"}}`). Raises: TemplateError.
        """
        return _Run(self.unknown, data, methods, is_header=is_header).nodes(self.nodes, data)


class _Run:
    def __init__(self, unknown: str, data: Any, methods: Mapping[str, Method], *, is_header: bool) -> None:
        self._unknown = unknown
        self._data = data
        self._methods = methods
        self._is_header = is_header
        self._variables: dict[str, Any] = {"$": data}

    def nodes(self, nodes: tuple[Node, ...], dot: Any) -> str:
        parts = []
        for node in nodes:
            match node:
                case Text(text):
                    parts.append(text)
                case Show(pipe):
                    value, name = self._pipe(pipe, dot)
                    parts.append("" if pipe.variables else _shown(value, name))
                case Block():
                    parts.append(self._block(node, dot))
        return "".join(parts)

    def _block(self, block: Block, dot: Any) -> str:
        value, _ = self._pipe(block.pipe, dot)
        if not values.is_true(value):
            return self.nodes(block.otherwise, dot)
        if block.kind == "range":
            return self._range(block, value)
        return self.nodes(block.body, value if block.kind == "with" else dot)

    def _range(self, block: Block, value: Any) -> str:
        if isinstance(value, Mapping):
            items: list[tuple[Any, Any]] = [(key, value[key]) for key in sorted(value)]
        elif isinstance(value, int) and not isinstance(value, bool):
            items = [(number, number) for number in range(value)]
        elif isinstance(value, list | tuple):
            items = list(enumerate(value))
        else:
            raise _failure(block.pipe.commands[0], f"range can't iterate over {values.text_of(value)}")
        parts = []
        for key, item in items:
            names = block.pipe.variables
            self._variables.update(zip(names, (key, item) if len(names) == 2 else (item,), strict=False))
            parts.append(self.nodes(block.body, item))
        return "".join(parts)

    def _pipe(self, pipe: Pipe, dot: Any) -> tuple[Any, str]:
        """Return the value of a pipeline, and the name of the field that it is, if it is one."""
        previous: list[Any] = []
        name = ""
        for command in pipe.commands:
            value, name = self._command(command, dot, previous)
            previous = [value]
        for variable in pipe.variables[:1]:
            self._variables[variable] = value
        return value, name

    def _command(self, command: Command, dot: Any, previous: list[Any]) -> tuple[Any, str]:
        first, *rest = command.operands
        if not isinstance(first, Call):
            if rest or previous or self._is_method(first, dot):
                return self._asked(command, [*(self._operand(operand, dot) for operand in rest), *previous], dot), ""
            return self._operand(first, dot), _last_name(first)
        if first.name in ("and", "or"):
            return self._choice(first.name, rest, dot, previous), ""
        arguments = [*(self._operand(operand, dot) for operand in rest), *previous]
        if self._is_header and first.name in values.KEPT_IN_HEADERS:
            return arguments[0] if arguments else "", ""
        try:
            return values.FUNCTIONS[first.name](*arguments), ""
        except values.Wrong as error:
            raise _failure(command, f"error calling {first.name}: {error}") from error
        except TypeError as error:
            raise _failure(command, f"wrong number of args for {first.name}") from error

    def _is_method(self, operand: Operand, dot: Any) -> bool:
        match operand:
            case Path(start, ((name, _),)) if name in self._methods and not isinstance(start, Pipe):
                return self._start(operand, start, dot) is self._data
        return False

    def _asked(self, command: Command, arguments: list[Any], dot: Any) -> Any:
        """Return what a method says."""
        first = command.operands[0]
        if not isinstance(first, Path) or not first.names:
            raise _failure(command, "can't give argument to non-function")
        name = first.names[-1][0]
        if not self._is_method(first, dot):
            self._operand(first, dot)  # perhaps there is no such field at all
            raise _failure(command, f"{name} has arguments but cannot be invoked as function")
        if len(arguments) != 1 or not isinstance(arguments[0], str):
            raise _failure(command, f"wrong number of args for {name}: want 1 got {len(arguments)}")
        return self._methods[name](arguments[0])

    def _choice(self, name: str, operands: list[Operand], dot: Any, previous: list[Any]) -> Any:
        value: Any = None
        for operand in operands:
            value = self._operand(operand, dot)
            if values.is_true(value) is (name == "or"):
                return value
        return previous[0] if previous else value

    def _operand(self, operand: Operand, dot: Any) -> Any:
        match operand:
            case Literal(value):
                return value
            case Call():
                return self._command(Command((operand,), operand.position, operand.name), dot, [])[0]
            case Path(start, names):
                value = self._start(operand, start, dot)
                for name, position in names:
                    value = self._field(operand, value, name, position)
                return value

    def _start(self, operand: Path, start: str | Pipe, dot: Any) -> Any:
        if isinstance(start, Pipe):
            return self._pipe(start, dot)[0]
        if not start:
            return dot
        if start not in self._variables:
            raise TemplateError(f'template: :1: undefined variable "{start}"')
        return self._variables[start]

    def _field(self, operand: Path, value: Any, name: str, position: int) -> Any:
        if not isinstance(value, Mapping):
            reason = f"can't evaluate field {name} in type interface {{}}"
            raise TemplateError(f'template: :1:{position}: executing "" at <{operand.text}>: {reason}')
        if name not in value:
            reason = self._unknown.format(name=name, quoted=f'"{name}"')
            raise TemplateError(f'template: :1:{position}: executing "" at <{operand.text}>: {reason}')
        return value[name]


def _last_name(operand: Operand) -> str:
    return operand.names[-1][0] if isinstance(operand, Path) and operand.names else ""


def _shown(value: Any, name: str) -> str:
    if value is None and name in _LISTS:
        return "[]"
    if value is None and name in _MAPS:
        return "map[]"
    return values.text_of(value)


def _failure(command: Command, reason: str) -> TemplateError:
    return TemplateError(f'template: :1:{command.position}: executing "" at <{command.text}>: {reason}')
