"""`build --call=METHOD[,format=json][,ignorestatus]`: asks about a Dockerfile instead of building it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from minidock.core.csv_line import fields_of
from minidock.core.quoting import quoted
from minidock.errors import FlagError, InvalidRequest

if TYPE_CHECKING:
    from minidock.engine.preparing import BuildRequest
    from minidock.engine.workspace import Workspace

BUILD = "build"
_METHODS = (BUILD, "check", "outline", "targets")
_NAMES = {"lint": "check"}


class Call(NamedTuple):
    """What is asked, in which form it is answered, and whether findings count as a failure."""

    method: str = BUILD
    is_json: bool = False
    ignores_status: bool = False

    @classmethod
    def parse(cls, text: str) -> Call:
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

    def answer(self, ws: Workspace, request: BuildRequest) -> int:
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
