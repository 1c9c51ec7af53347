from __future__ import annotations

from pathlib import Path

import pytest

from minidock.core.process import ProcessSpec, RootFs
from minidock.runtime.fake import UNTIL_SIGNALLED, FakeRuntime
from tests.runtime.contract import NOTHING, RuntimeContract


def _write(rootfs: Path) -> None:
    (rootfs / "made").write_text("content\n")


PROGRAMS = {
    "succeed": lambda rootfs: None,
    "fail": lambda rootfs: 3,
    "print": lambda rootfs: "hello\n",
    "write": _write,
    "stay": UNTIL_SIGNALLED,
}


class TestFakeRuntime(RuntimeContract):
    @pytest.fixture
    def runtime(self) -> FakeRuntime:
        return FakeRuntime(PROGRAMS)

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.place = tmp_path

    def spec(self, name: str) -> ProcessSpec:
        program = "no-such-program" if name == "missing" else name
        return ProcessSpec(id="box", args=(program,), env=(), rootfs=RootFs(upper=str(self.place)))


def test_what_ran_is_kept_in_order(tmp_path: Path) -> None:
    runtime = FakeRuntime(PROGRAMS)
    for name in ("succeed", "print"):
        runtime.start(ProcessSpec(id=name, args=(name,), env=(), rootfs=RootFs(upper=str(tmp_path))), NOTHING)
    assert [spec.args for spec in runtime.ran] == [("succeed",), ("print",)]


def test_a_program_of_the_shell_is_found_by_its_text(tmp_path: Path) -> None:
    runtime = FakeRuntime({"make all": lambda rootfs: 7})
    spec = ProcessSpec(
        id="box", args=("/bin/sh", "-c", "make all"), env=(), rootfs=RootFs(copied=str(tmp_path), upper="/nowhere")
    )
    assert runtime.start(spec, NOTHING).wait() == 7
