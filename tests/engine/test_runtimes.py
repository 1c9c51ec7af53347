"""Which runtime is taken for a container, and that it stays with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from minidock.engine.container_inspect import inspect_container
from minidock.engine.info import info
from minidock.engine.run import create
from minidock.engine.run_request import RunRequest
from minidock.engine.runtimes import installed, make_runtime
from minidock.engine.workspace import Workspace, open_workspace
from minidock.errors import InvalidRequest
from minidock.runtime import oci
from minidock.runtime.base import Isolation
from minidock.runtime.native import NativeRuntime
from tests.engine.building import import_base
from tests.engine.machine_image import machine_tar
from tests.other_users import PLAIN_ID, become_plain, public_place, python_for_everybody
from tests.other_users import environment as user_environment


def test_names_of_runtimes() -> None:
    assert [make_runtime(name).name for name in ("", "native")] == ["native", "native"]
    assert [make_runtime(name).name for name in oci.found()] == list(oci.found())
    assert [make_runtime(path).name for path in oci.found().values()] == list(oci.found())
    assert make_runtime("/opt/crun").name == "/opt/crun"
    assert installed() == ("native", *oci.found())


def test_an_unknown_runtime_is_refused_in_dockers_words() -> None:
    with pytest.raises(InvalidRequest) as caught:
        make_runtime("runsc")
    assert str(caught.value) == "unknown or invalid runtime name: runsc"


@pytest.fixture(params=oci.KNOWN)
def name(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An OCI runtime of this machine."""
    if request.param not in oci.found():
        pytest.skip(f"{request.param} is not installed")
    if NativeRuntime().probe(str(tmp_path)).isolation is not Isolation.NAMESPACES:
        pytest.skip("an OCI runtime needs namespaces")
    return str(request.param)


@pytest.fixture
def ws(name: str, tmp_path: Path) -> Workspace:
    found = open_workspace(str(tmp_path / "store"), runtime=name)
    import_base(found, machine_tar(), "base")
    return found


def test_a_container_remembers_its_runtime(ws: Workspace, name: str) -> None:
    created = create(ws, RunRequest("base", ("true",)), lambda text: None)
    os.close(created.lock)
    other = open_workspace(ws.store.layout.root)
    record = other.store.containers.get(created.record.id).record
    assert other.runtime_called(record.runtime).name == name
    assert inspect_container(other, record.id)["HostConfig"]["Runtime"] == name


def test_info_tells_the_runtime_in_use_and_the_others(ws: Workspace, name: str) -> None:
    told = info(ws)
    assert (told.runtime, told.runtimes) == (name, installed())


def minidock(ws: Workspace, *words: str, **environment: str) -> tuple[int, str]:
    """Run a command of its own; return its code and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "minidock", *words],
        env=os.environ | {"MINIDOCK_ROOT": ws.store.layout.root} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_container_is_started_joined_and_started_again_by_its_runtime(ws: Workspace, name: str) -> None:
    code, text = minidock(ws, "run", "-d", "--name", "box", "base", "sleep", "1000", MINIDOCK_RUNTIME=name)
    assert code == 0, text
    try:
        for _ in range(2):
            assert minidock(ws, "exec", "box", "sh", "-c", "echo $$ >/dev/null; id -u; exit 3") == (3, "0\n")
            (container,) = json.loads(minidock(ws, "inspect", "box")[1])
            assert container["State"]["Running"] is True
            assert minidock(ws, "restart", "-t", "0", "box") == (0, "box\n")
    finally:
        assert minidock(ws, "rm", "-f", "box") == (0, "box\n")


def test_a_build_step_is_run_by_the_runtime_that_was_chosen(ws: Workspace, name: str, tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text("FROM base\nRUN echo made >/made && mkdir -p /a/b\n")
    digests = set()
    for runtime in (name, "native"):
        command = ("--runtime", runtime, "build", "-q", "--no-cache", str(tmp_path / "context"))
        code, text = minidock(ws, *command, SOURCE_DATE_EPOCH="1700000000")
        assert code == 0, text
        digests.add(text)
    assert len(digests) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a plain user")
def test_a_layer_without_owners_does_not_stand_in_for_one_with_them(name: str) -> None:
    with public_place() as place:
        os.chown(place, PLAIN_ID, PLAIN_ID)
        (place / "Dockerfile").write_text("FROM base\nRUN touch /q && chown 33:42 /q\n")
        python = python_for_everybody()

        def call(*words: str) -> str:
            done = subprocess.run(
                [python, "-m", "minidock", *words],
                env=user_environment() | {"HOME": str(place), "MINIDOCK_ROOT": str(place / "store")},
                cwd=place,
                preexec_fn=become_plain,  # there are no threads
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            return done.stdout + done.stderr

        call("image", "from-host", "-t", "base", "sh", "touch", "chown")
        told, owners = [], []
        for runtime in (name, "native", name, "native"):
            told.append(call("--runtime", runtime, "build", "--progress", "plain", "-t", "app", "."))
            files = call("image", "files", "app").splitlines()
            owners += [line.split()[2] for line in files if line.endswith(" /q")]
        assert owners == ["0:0", "33:42"] * 2
        assert "why: id mode changed: 'single, owners not kept' -> 'single'" in told[1]
        assert "why:" not in told[2] + told[3]
