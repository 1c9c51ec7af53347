"""`minidock version`."""

from __future__ import annotations

import json
import platform

import pytest

import minidock
from minidock.cli.app import main


def test_version_tells_what_runs_where(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "Client: minidock",
        f" Version:           {minidock.__version__}",
        f" Python version:    {platform.python_version()}",
    ]
    assert [line.partition(":")[0] for line in lines[3:]] == [" Kernel version", " OS/Arch"]


def test_version_as_json_has_dockers_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "-f", "json"]) == 0
    client = json.loads(capsys.readouterr().out)["Client"]
    assert list(client) == ["Version", "PythonVersion", "KernelVersion", "Os", "Arch"]
    assert (client["Version"], client["Os"]) == (minidock.__version__, "linux")


def test_scripts_may_ask_for_either_side(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "-f", "{{.Client.Version}} {{.Server.Version}}"]) == 0
    assert capsys.readouterr().out == f"{minidock.__version__} {minidock.__version__}\n"
