"""`build --plan`: exit codes and what is printed; `--format` goes with nothing else."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from minidock.cli.app import main
from tests.other_users import environment, public_place, python_for_everybody, ranged_user


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MINIDOCK_ROOT", str(tmp_path / "store"))
    place = tmp_path / "context"
    (place / "app").mkdir(parents=True)
    (place / "app/run").write_text("#!/bin/sh\n")
    (place / "app/run").chmod(0o644)
    (place / "app/log").write_text("not wanted\n")
    (place / ".dockerignore").write_text("*/log\n")
    (place / "Dockerfile").write_text("FROM scratch\nCOPY app /app\nWORKDIR /work\n")
    return str(place)


def test_the_exit_code_tells_whether_something_would_run(context: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--plan", context]) == 2
    assert capsys.readouterr() == (
        "[1/2] COPY app /app: run\n"
        "    never built here before\n"
        "[2/2] WORKDIR /work: run\n"
        "    parent rebuilt\n"
        "context: 3 files, 57B\n"
        "2 of 2 steps would run\n",
        "",
    )
    assert main(["build", "--progress=none", context]) == 0
    assert main(["build", "--plan", context]) == 0
    assert capsys.readouterr().out == (
        "[1/2] COPY app /app: cached\n"
        "[2/2] WORKDIR /work: cached\n"
        "context: 3 files, 57B\n"
        "nothing would run: 2 steps cached\n"
    )


def test_a_document_tells_the_same(context: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["build", "--progress=none", context])
    Path(context, "app/run").chmod(0o755)
    capsys.readouterr()
    assert main(["build", "--plan", "--format", "json", context]) == 2
    found = json.loads(capsys.readouterr().out)
    ids = [step.pop("id") for step in found["steps"]]
    assert [text.rpartition(" stage-0 ")[2] for text in ids] == ["1 layer", "2 layer"]
    diff_ids = [step.pop("diff_id") for step in found["steps"]]
    assert diff_ids == [None, None]
    text = "1 of 1 file changed: app/run (mode 644→755)"
    assert found == {
        "version": 1,
        "context": {"files": 3, "bytes": 57},
        "cached": 0,
        "run": 2,
        "missing": 0,
        "steps": [
            {
                "step": 4,
                "name": "[1/2] COPY app /app",
                "outcome": "run",
                "reasons": [{"text": text, "details": ["app/run (mode 644→755)"]}],
            },
            {
                "step": 5,
                "name": "[2/2] WORKDIR /work",
                "outcome": "run",
                "reasons": [{"text": "parent rebuilt", "details": ["[1/2] COPY app /app"]}],
            },
        ],
    }
    assert main(["build", "--plan", "--format", "{{.run}} of {{len .steps}}", context]) == 2
    assert capsys.readouterr().out == "2 of 2\n"


def test_a_format_of_nothing_is_a_mistake(context: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--format", "json", context]) == 1
    assert "--format says how --plan and --require-cached are shown" in capsys.readouterr().err
    assert not Path(context).with_name("store").exists()


def test_a_missing_image_is_no_step_that_runs(context: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(context, "Dockerfile").write_text("FROM absent\nCOPY app /app\n")
    assert main(["build", "--plan", context]) == 2
    assert capsys.readouterr().out == (
        "[1/2] FROM absent: missing\n"
        "    image absent:latest is not in this store\n"
        "[2/2] COPY app /app: run\n"
        "    base missing\n"
        "context: 3 files, 42B\n"
        "1 of 1 step would run, 1 FROM image is missing\n"
    )


def test_a_build_that_requires_the_cache_tells_what_it_finds(context: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["build", "--require-cached", "--format={{.cached}} {{.run}}", "--progress=none", context]
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert out == "0 2\n"
    assert "--require-cached: [1/2] COPY app /app is not in the build cache: never built here before" in err
    assert main(["build", "--progress=none", context]) == 0
    assert main(words) == 0
    assert capsys.readouterr().out == "2 0\n"


def look(place: Path) -> list[tuple[str, int, int, int]]:
    """Return names, sizes and times of everything in a place."""
    found = ((path, path.lstat()) for path in sorted(place.rglob("*")))
    return [(str(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns) for path, status in found]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make users")
def test_a_plan_of_a_user_with_ranges_of_ids_writes_nothing_either() -> None:
    python = python_for_everybody()
    with ranged_user() as user, public_place() as place:
        (place / "ctx").mkdir()
        (place / "ctx/Dockerfile").write_text("FROM scratch\nCOPY --chown=33:42 Dockerfile /a\n")
        for path in (place, place / "ctx"):
            os.chown(path, user.uid, user.gid)

        def called(*words: str) -> tuple[int, str]:
            command = [python, "-m", "minidock", "--root", f"{place}/store", *words]
            ran = subprocess.run(
                command,
                cwd=place,
                env=environment(),
                preexec_fn=user.become,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            return ran.returncode, ran.stdout + ran.stderr

        code, text = called("build", "-q", "ctx")
        if code:
            pytest.skip(f"such a user cannot build here: {text}")
        Path(place, "store/locks/namespace").unlink(missing_ok=True)
        before = look(place)
        assert called("build", "--plan", "ctx") == (
            0,
            "[1/1] COPY --chown=33:42 Dockerfile /a: cached\ncontext: 1 file, 46B\nnothing would run: 1 step cached\n",
        )
        assert look(place) == before
