"""What every `Runtime` does; each implementation runs this suite with programs of its own."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path

import pytest

from minidock.core.process import ProcessSpec
from minidock.errors import CommandNotFound, RuntimeProblem
from minidock.runtime.base import Isolation, ProcessIO, Runtime

NOTHING = ProcessIO()


class RuntimeContract(ABC):
    """Subclasses give the fixtures ``runtime`` and ``specs``: programs by what they do."""

    @abstractmethod
    def spec(self, name: str) -> ProcessSpec:
        """Return a spec: ``succeed``, ``fail`` (with 3), ``print`` (hello), ``write`` (made), ``stay``, ``missing``."""

    def test_exit_codes_are_those_of_the_process(self, runtime: Runtime) -> None:
        codes = [runtime.start(self.spec(name), NOTHING).wait() for name in ("succeed", "fail")]
        assert codes == [0, 3]

    def test_wait_may_be_called_again(self, runtime: Runtime) -> None:
        handle = runtime.start(self.spec("fail"), NOTHING)
        assert (handle.wait(), handle.wait()) == (3, 3)

    def test_output_goes_to_the_descriptor_that_the_caller_keeps(self, runtime: Runtime) -> None:
        read_end, write_end = os.pipe()
        handle = runtime.start(self.spec("print"), ProcessIO(stdout=write_end))
        os.close(write_end)
        with os.fdopen(read_end) as file:
            assert file.read() == "hello\n"
        assert handle.wait() == 0

    def test_output_of_a_terminal_comes_to_its_other_end(self, runtime: Runtime) -> None:
        ends: list[int] = []
        handle = runtime.start(replace(self.spec("print"), has_terminal=True), ProcessIO(on_terminal=ends.append))
        (master,) = ends
        assert os.read(master, 100) == b"hello\r\n"
        assert handle.wait() == 0
        os.close(master)

    def test_changes_go_to_the_root_file_system(self, runtime: Runtime) -> None:
        spec = self.spec("write")
        assert runtime.start(spec, NOTHING).wait() == 0
        receiver = Path(spec.rootfs.copied or spec.rootfs.upper)
        assert (receiver / "made").read_text() == "content\n"

    def test_a_missing_program_is_named(self, runtime: Runtime) -> None:
        with pytest.raises(CommandNotFound) as caught:
            runtime.start(self.spec("missing"), NOTHING)
        assert str(caught.value) == 'exec: "no-such-program": executable file not found in $PATH'
        assert caught.value.exit_code == 127

    def test_a_process_runs_until_it_is_killed(self, runtime: Runtime) -> None:
        handle = runtime.start(self.spec("stay"), NOTHING)
        assert runtime.is_running(handle.started)
        handle.kill(9)
        assert handle.wait() == 137
        assert not runtime.is_running(handle.started)
        handle.kill(9)

    def test_a_signal_reaches_a_container_until_it_has_ended(self, runtime: Runtime) -> None:
        handle = runtime.start(self.spec("stay"), NOTHING)
        assert runtime.signal(handle.started, 9)
        assert handle.wait() == 137
        assert not runtime.signal(handle.started, 9)

    def test_another_process_can_join_a_container(self, runtime: Runtime) -> None:
        handle = runtime.start(self.spec("stay"), NOTHING)
        joined = runtime.exec(handle.started, self.spec("fail"), NOTHING)
        assert joined.wait() == 3
        assert runtime.is_running(handle.started)
        handle.kill(9)
        handle.wait()

    def test_no_process_can_join_a_container_that_has_ended(self, runtime: Runtime) -> None:
        handle = runtime.start(self.spec("succeed"), NOTHING)
        handle.wait()
        with pytest.raises(RuntimeProblem, match="the container is not running"):
            runtime.exec(handle.started, self.spec("succeed"), NOTHING)

    def test_a_process_that_has_the_pid_of_an_ended_one_is_another(self, runtime: Runtime) -> None:
        handle = runtime.start(self.spec("stay"), NOTHING)
        earlier = replace(handle.started, start_ticks=handle.started.start_ticks - 1)
        assert not runtime.is_running(earlier)
        assert not runtime.signal(earlier, 9)
        handle.kill(9)
        handle.wait()

    def test_circumstances_are_one_line_and_stay_the_same(self, runtime: Runtime, tmp_path: Path) -> None:
        told = {runtime.circumstances(str(tmp_path)) for _ in range(2)}
        assert len(told) == 1
        assert "\n" not in told.pop()

    def test_probing_leaves_nothing_behind(self, runtime: Runtime, tmp_path: Path) -> None:
        place = tmp_path / "store"
        place.mkdir()
        report = runtime.probe(str(place))
        assert report.isolation is not Isolation.UNAVAILABLE
        assert list(place.iterdir()) == []
