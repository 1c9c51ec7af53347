"""What `build` can be asked instead of building: `--call=METHOD[,format=json][,ignorestatus]`, and `--plan`."""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self

import typer

from minidock.core.csv_line import fields_of
from minidock.core.dataclass import dataclass
from minidock.core.quoting import quoted
from minidock.errors import FlagError, InvalidRequest, NotCached
from minidock.render import formats
from minidock.render.formats import Format

if TYPE_CHECKING:
    from minidock.engine.preparing import BuildRequest
    from minidock.engine.workspace import Workspace

BUILD = "build"
_METHODS = (BUILD, "check", "outline", "targets")
_NAMES = {"lint": "check"}
_SOMETHING_RUNS = 2


class Call(NamedTuple):
    """What is asked, in which form it is answered, and whether findings count as a failure."""

    method: str = BUILD
    is_json: bool = False
    ignores_status: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the value of ``--call``. Raises: FlagError."""
        call = cls()
        try:
            words = fields_of(text)
        except InvalidRequest as error:
            raise FlagError(f"invalid --call: {error}") from error
        for word in words:
            name, equals, value = word.partition("=")
            match name.strip():
                case "format" if value in ("json", "text", "default"):
                    call = call._replace(is_json=value == "json")
                case "ignorestatus":
                    call = call._replace(ignores_status=value != "false")
                case method if not equals and _NAMES.get(method, method) in _METHODS:
                    call = call._replace(method=_NAMES.get(method, method))
                case _:
                    methods = ", ".join(_METHODS)
                    raise FlagError(
                        f"invalid --call {quoted(word)}: it is one of {methods}, with format=json or without"
                    )
        return call

    def answer(self, ws: "Workspace", request: "BuildRequest") -> int:
        """Print the answer and return the exit code. Raises: BuildError, DockerfileError."""
        from minidock.engine import call
        from minidock.render import call as render

        if self.method == "outline":
            outline = call.outline_of(ws, request)
            self._print(render.outline_text(outline), render.outline_json(outline))
            return 0
        if self.method == "targets":
            targets = call.targets_of(ws, request)
            self._print(render.targets_text(targets), render.targets_json(targets))
            return 0
        report = call.check(ws, request)
        self._print(render.check_text(report), render.check_json(report))
        return int(bool(report.findings or report.error) and not self.ignores_status)

    def _print(self, text: str, members: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(members, indent=2, ensure_ascii=False) + "\n" if self.is_json else text)


_BUILDING = Call()


@dataclass(frozen=True, slots=True)
class BuildQuestions:
    """Checks, outlines, plans, and a build that is to find everything in the cache."""

    call: Annotated[
        Call,
        typer.Option(
            "--call",
            parser=Call.parse,
            metavar="string",
            help='Set method for evaluating build ("check", "outline", "targets")',
        ),
    ] = _BUILDING
    print_: Annotated[
        Call, typer.Option("--print", parser=Call.parse, metavar="string", hidden=True, help="Same as --call")
    ] = _BUILDING
    check: Annotated[bool, typer.Option("--check", help='Shorthand for "--call=check"')] = False
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Tell which steps would run and why instead of building; exit code 2 if any would"),
    ] = False
    shape: Annotated[
        Format, typer.Option("--format", parser=Format.parse, metavar="string", help=formats.DOCUMENT_HELP)
    ] = Format.TABLE
    require_cached: Annotated[
        bool, typer.Option("--require-cached", help="Fail, instead of running, if a step is not in the build cache")
    ] = False

    @property
    def only_reads(self) -> bool:
        """Whether nothing of a container is needed: not even its ids, for which a record would be written."""
        return self.plan or self.check or self._call.method != BUILD

    @property
    def are_asked(self) -> bool:
        """Whether nothing is to be built. Raises: InvalidRequest for a format of nothing."""
        if self.shape is not Format.TABLE and not (self.plan or self.require_cached):
            raise InvalidRequest("--format says how --plan and --require-cached are shown: give one of them too")
        return self.only_reads

    @property
    def _call(self) -> Call:
        return self.print_ if self.call.method == BUILD else self.call

    def answer(self, ws: "Workspace", request: "BuildRequest") -> int:
        """Print the answer and return the exit code. Raises: BuildError, DockerfileError."""
        if not self.plan:
            return (self._call._replace(method="check") if self.check else self._call).answer(ws, request)
        from minidock.engine.plan import plan
        from minidock.render.console import Console
        from minidock.render.plan import print_plan

        found = plan(ws, request)
        print_plan(Console.standard(), found, shape=self.shape)
        return 0 if found.is_cached else _SOMETHING_RUNS

    def require(self, ws: "Workspace", request: "BuildRequest") -> None:
        """Print what a build with --require-cached would find, if a format is given.

        Raises: NotCached if a step is not in the cache, InvalidRequest for a context that can be read only once.
        """
        if self.shape is Format.TABLE or not self.require_cached:
            return
        from minidock.engine.plan import plan
        from minidock.render.console import Console
        from minidock.render.plan import print_plan

        if request.stdin is not None:
            raise InvalidRequest("--require-cached with --format looks twice, and stdin can be read only once")
        found = plan(ws, request)
        print_plan(Console.standard(), found, shape=self.shape)
        for step in found.steps:
            if not step.is_cached:
                raise NotCached(step.name, step.line)
