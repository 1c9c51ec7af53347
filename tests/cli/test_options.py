"""Where the store is, and what starts processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from minidock.cli import options


def test_the_option_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIDOCK_ROOT", "/from/environment")
    assert options.store_root() == "/from/environment"
    with options.given_root("/from/option"):
        assert options.store_root() == "/from/option"
        with options.given_root(""):
            assert options.store_root() == "/from/option"
    assert options.store_root() == "/from/environment"


def test_a_relative_directory_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with options.given_root("store"):
        assert options.store_root() == str(tmp_path / "store")


def test_without_either_it_depends_on_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIDOCK_ROOT", "")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert options.store_root() == ("/var/lib/minidock" if os.geteuid() == 0 else "/data/minidock")


def test_the_runtime_nearest_to_the_command_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINIDOCK_RUNTIME", raising=False)
    found = [options.runtime()]
    monkeypatch.setenv("MINIDOCK_RUNTIME", "from-environment")
    found.append(options.runtime())
    with options.given_runtime("global"):
        found += [options.runtime(), options.runtime("of-the-command")]
    assert found == ["", "from-environment", "global", "of-the-command"]
