"""The static table of commands."""

from __future__ import annotations

import importlib
from importlib.util import find_spec

import pytest

from minidock.cli import commands
from minidock.cli.parsing import signature_of


def test_aliases_lead_to_commands_and_groups_have_help() -> None:
    assert set(commands.ALIASES.values()) <= set(commands.COMMANDS)
    assert not set(commands.ALIASES) & set(commands.COMMANDS)
    assert {name.split()[0] for name in commands.COMMANDS if " " in name} == set(commands.GROUPS)


def test_a_command_is_found_by_every_name() -> None:
    images = commands.COMMANDS["images"]
    assert [commands.find(name) for name in ("images", "image ls", "image list", "image", "lsi")] == [
        images, images, images, None, None
    ]  # fmt: skip
    assert commands.names_of(images) == ("image ls", "image list", "images")
    assert commands.names_of(commands.COMMANDS["version"]) == ("version",)
    build = commands.COMMANDS["build"]
    assert commands.names_of(build) == ("buildx build", "image build", "builder build", "buildx b", "build")
    assert [commands.find(name) for name in commands.names_of(build)] == [build] * 5
    assert commands.find("buildx prune") == commands.find("builder prune")


@pytest.mark.parametrize("command", sorted(set(commands.COMMANDS.values())), ids=lambda command: command.function)
def test_a_command_describes_itself_as_the_table_does(command: commands.Command) -> None:
    if find_spec(f"minidock.cli.{command.module}") is None:
        pytest.skip(f"minidock.cli.{command.module} is not written yet")
    function = getattr(importlib.import_module(f"minidock.cli.{command.module}"), command.function)
    assert signature_of(function).summary == command.summary
