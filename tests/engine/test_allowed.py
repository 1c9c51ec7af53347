"""What a RUN may do only if the build allows it: what it gets then, and what is said otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from minidock.cli.build_others import BuildOthers
from minidock.core.security import ALL_CAPABILITIES, UNCONFINED, Security
from minidock.errors import DockerfileError, InvalidRequest
from minidock.runtime.fake import FakeRuntime
from tests.engine.building import import_base, run_build, workspace, write_context

TEXT = "FROM base:1\nRUN --security=insecure make\nRUN make\n"


def context(tmp_path: Path, text: str = TEXT) -> Path:
    return write_context(tmp_path / "context", {"Dockerfile": text})


def test_an_insecure_step_is_privileged_and_the_next_one_is_not(tmp_path: Path) -> None:
    runtime = FakeRuntime({"/bin/sh": lambda rootfs: None})
    ws = workspace(tmp_path / "store", runtime)
    import_base(ws)
    run_build(ws, context(tmp_path), allowed=("security.insecure",))
    everything = Security(tuple(sorted(ALL_CAPABILITIES)), UNCONFINED, is_privileged=True)
    assert [spec.security for spec in runtime.ran] == [everything, Security()]


def test_what_the_security_mode_made_is_kept_apart(tmp_path: Path) -> None:
    runtime = FakeRuntime({"/bin/sh": lambda rootfs: None})
    ws = workspace(tmp_path / "store", runtime)
    import_base(ws)
    run_build(ws, context(tmp_path, "FROM base:1\nRUN make\n"))
    insecure = context(tmp_path, "FROM base:1\nRUN --security=insecure make\n")
    assert run_build(ws, insecure, allowed=("security.insecure",)).outcomes == [
        "CACHED [1/2] FROM docker.io/library/base:1",
        "DONE [2/2] RUN --security=insecure make",
    ]
    assert (
        run_build(ws, context(tmp_path, "FROM base:1\nRUN --security=sandbox make\n")).outcomes[1].startswith("CACHED")
    )


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        (
            "RUN --security=insecure make",
            "entitlement security.insecure is not allowed",
            "`--allow security.insecure` allows it",
        ),
        (
            "RUN --device=vendor.example/gpu=0 make",
            "device feature is only supported in Dockerfile frontend 1.14.0-labs or later",
            "RUN --device is of that pre-release syntax; `minidock run --device` gives devices",
        ),
    ],
)
def test_what_is_not_allowed_is_found_before_anything_runs(tmp_path: Path, line: str, message: str, hint: str) -> None:
    runtime = FakeRuntime({"/bin/sh": lambda rootfs: None})
    ws = workspace(tmp_path / "store", runtime)
    import_base(ws)
    with pytest.raises(DockerfileError) as caught:
        run_build(ws, context(tmp_path, f"FROM base:1\nRUN before\n{line}\n"))
    assert (str(caught.value), caught.value.hint, caught.value.first) == (message, hint, 3)
    assert runtime.ran == []


def test_a_stage_that_is_not_needed_needs_no_permission(tmp_path: Path) -> None:
    ws = workspace(tmp_path / "store", FakeRuntime())
    import_base(ws)
    text = "FROM base:1 AS other\nRUN --security=insecure make\nFROM base:1\nCOPY Dockerfile /\n"
    assert run_build(ws, context(tmp_path, text)).outcomes[-1] == "DONE [stage-1 2/2] COPY Dockerfile /"


def test_entitlements_are_read_as_docker_does() -> None:
    words = ("network.host", "security.insecure", "device=vendor.example/gpu=0,alias=x", "buildx.local.delete", "")
    assert BuildOthers(allow=words).allowed() == (
        *("network.host", "security.insecure", "device", "buildx.local.delete"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bogus", "unknown entitlement bogus"),
        ("security.insecure=1", "unknown entitlement security.insecure=1"),
        ("device=x,alias", 'invalid device config "alias"'),
        ("device=x,as=y", 'unknown device config key "as"'),
        ("buildx.local.delete=1", "buildx.local.delete does not accept a value"),
    ],
)
def test_an_unknown_entitlement_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        BuildOthers(allow=(text,)).allowed()
    assert str(caught.value) == message
