"""What probing has found is kept as long as the circumstances stay the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from minidock.core.id_mode import IdMode
from minidock.engine import rootfs
from minidock.engine.known_report import forget
from minidock.engine.workspace import Workspace, open_workspace
from minidock.runtime.base import Isolation, RuntimeReport
from minidock.runtime.fake import FakeRuntime

COMPLETE = RuntimeReport(Isolation.NAMESPACES, IdMode.ROOT, has_overlay=True)


class Machine(FakeRuntime):
    """A runtime that counts how often it is tried."""

    def __init__(self, report: RuntimeReport, circumstances: str = "a kernel") -> None:
        super().__init__(report=report)
        self.tries = 0
        self._circumstances = circumstances

    def probe(self, directory: str) -> RuntimeReport:
        self.tries += 1
        return super().probe(directory)

    def circumstances(self, directory: str) -> str:
        return self._circumstances


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return open_workspace(str(tmp_path / "store"))


def _tries(ws: Workspace, *machines: Machine) -> list[int]:
    for machine in machines:
        rootfs.probe(ws.with_runtime(machine))
    return [machine.tries for machine in machines]


def test_a_second_process_tries_nothing(ws: Workspace) -> None:
    assert _tries(ws, Machine(COMPLETE), Machine(COMPLETE)) == [1, 0]


def test_other_circumstances_are_tried(ws: Workspace) -> None:
    assert _tries(ws, Machine(COMPLETE), Machine(COMPLETE, "another kernel")) == [1, 1]


def test_two_runtimes_are_remembered_side_by_side(ws: Workspace) -> None:
    first, other = Machine(COMPLETE), Machine(COMPLETE, "another runtime")
    assert _tries(ws, first, other, Machine(COMPLETE), Machine(COMPLETE, "another runtime")) == [1, 1, 0, 0]


def test_what_is_missing_is_tried_again_for_it_may_have_been_mended(ws: Workspace) -> None:
    poor = replace(COMPLETE, has_overlay=False, reasons=("overlay: refused",))
    assert _tries(ws, Machine(poor), Machine(poor), Machine(COMPLETE)) == [1, 1, 1]


def test_unknown_circumstances_are_never_kept(ws: Workspace) -> None:
    assert _tries(ws, Machine(COMPLETE, ""), Machine(COMPLETE, "")) == [1, 1]


@pytest.mark.parametrize("content", ["", "[]", '{"complete": [["a kernel", "none"]]}', "\\0"])
def test_a_damaged_file_is_written_anew(ws: Workspace, content: str) -> None:
    path = Path(ws.store.layout.path("probe.json"))
    _tries(ws, Machine(COMPLETE))
    good = json.loads(path.read_text())
    path.write_text(content)
    assert _tries(ws, Machine(COMPLETE)) == [1]
    assert json.loads(path.read_text()) == good


def test_what_is_forgotten_is_tried_again(ws: Workspace) -> None:
    assert _tries(ws, Machine(COMPLETE)) == [1]
    forget(ws)
    assert _tries(ws, Machine(COMPLETE)) == [1]
