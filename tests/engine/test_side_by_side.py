"""Stages that do not need each other are built at the same time; one that fails ends the others."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from minidock.core.events import StepCanceled, StepError, StepStarted
from minidock.engine.build import build
from minidock.engine.preparing import BuildRequest
from minidock.errors import StepFailed
from minidock.runtime.fake import FakeRuntime, UntilSignalled
from tests.engine.building import content_of, import_base, run_build, workspace, write_context

PATIENCE = 20


def written(name: str, *waits: threading.Barrier) -> Any:
    """Return a program that writes a file once everybody at the barriers is there."""

    def program(rootfs: Path) -> None:
        for barrier in waits:
            barrier.wait(PATIENCE)
        (rootfs / name).write_text(name)

    return program


def test_stages_run_at_the_same_time_and_meet_where_one_copies_from_another(tmp_path: Path) -> None:
    together = threading.Barrier(3)
    programs = {name: written(name, together) for name in ("a", "b", "c")}
    ws = workspace(tmp_path / "store", FakeRuntime({**programs, "last": written("last")}))
    import_base(ws)
    text = (
        "FROM base:1 AS one\nRUN a\nFROM base:1 AS two\nRUN b\nFROM base:1\nRUN c\nCOPY --from=one /a /from-a\n"
        "COPY --from=two /b /from-b\nRUN last\n"
    )
    built = run_build(ws, write_context(tmp_path / "context", {"Dockerfile": text}))
    assert [content_of(ws, built.image_id, path) for path in ("c", "from-a", "from-b", "last")] == [
        b"c",
        b"a",
        b"b",
        b"last",
    ]
    again = run_build(ws, tmp_path / "context")
    assert (again.image_id, {line.split()[0] for line in again.outcomes}) == (built.image_id, {"CACHED"})


def test_a_stage_that_fails_ends_the_others(tmp_path: Path) -> None:
    is_running = threading.Event()

    class Watched(FakeRuntime):
        def start(self, spec: Any, io: Any) -> Any:
            handle = super().start(spec, io)
            if "endless" in spec.args:
                is_running.set()
            return handle

    def fail(rootfs: Path) -> int:
        assert is_running.wait(PATIENCE)
        return 3

    runtime = Watched({"endless": UntilSignalled(), "fail": fail, "never": written("never")})
    ws = workspace(tmp_path / "store", runtime)
    import_base(ws)
    text = "FROM base:1 AS one\nRUN endless\nRUN never\nFROM base:1 AS two\nRUN fail\nFROM one\nCOPY --from=two /a /\n"
    events: list[Any] = []
    with pytest.raises(StepFailed, match="exit code: 3"):
        context = write_context(tmp_path / "context", {"Dockerfile": text})
        build(ws, BuildRequest(str(context)), events.append)
    names = {event.number: event.name for event in events if isinstance(event, StepStarted)}
    ends = {names[event.number]: type(event) for event in events if isinstance(event, StepCanceled | StepError)}
    assert ends == {"[one 2/3] RUN endless": StepCanceled, "[two 2/2] RUN fail": StepError}
    assert [spec.args[-1] for spec in runtime.ran if "never" in spec.args] == []


def test_the_same_step_in_two_stages_is_carried_out_once(tmp_path: Path) -> None:
    runtime = FakeRuntime({"same": written("same")})
    ws = workspace(tmp_path / "store", runtime)
    import_base(ws)
    stages = "".join(f"FROM base:1 AS s{number}\nRUN same\n" for number in range(6))
    copies = "".join(f"COPY --from=s{number} /same /{number}\n" for number in range(6))
    text = f"{stages}FROM base:1\n{copies}"
    run_build(ws, write_context(tmp_path / "context", {"Dockerfile": text}))
    assert len(runtime.ran) == 1
