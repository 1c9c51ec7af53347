"""``--change`` of `commit` and `import`: instructions that change the config of an image that no Dockerfile makes.

Source: moby, builder/dockerfile/builder.go (BuildFromConfig).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from minidock.core import metadata
from minidock.core.config import ContainerConfig
from minidock.core.dockerfile.expansion import expand
from minidock.core.dockerfile.instructions import read
from minidock.core.dockerfile.model import Cmd, Entrypoint, Instruction, Onbuild, Workdir
from minidock.core.dockerfile.parser import parse
from minidock.core.dockerfile.workdir import resolve_workdir
from minidock.errors import DockerfileError, InvalidRequest

_NO_INSTRUCTIONS = "file with no instructions"
_ALLOWED = frozenset(
    ("cmd", "entrypoint", "env", "expose", "healthcheck", "label", "onbuild", "stopsignal", "user", "volume", "workdir")
)


def with_changes(config: ContainerConfig, changes: Sequence[str]) -> ContainerConfig:
    """Return the config after the instructions of ``changes``. Raises: InvalidRequest in docker's words."""
    if not changes:
        return config
    text = "\n".join(changes)
    if not text.strip():
        raise InvalidRequest(_NO_INSTRUCTIONS)
    try:
        dockerfile = parse(text.encode())
        for node in dockerfile.nodes:
            if node.keyword.lower() not in _ALLOWED:
                raise InvalidRequest(f"{node.keyword.lower()} is not a valid change command")
        return _applied(config, read(dockerfile), dockerfile.escape)
    except DockerfileError as error:
        raise InvalidRequest(str(error), hint=error.hint) from error


def _applied(config: ContainerConfig, instructions: Sequence[Instruction], escape: str) -> ContainerConfig:
    has_cmd = False
    for instruction in instructions:
        env = {name: value for name, _, value in (item.partition("=") for item in config.env)}
        instruction = expand(instruction, env, escape)
        match instruction:
            case Workdir():
                config = replace(config, working_dir=resolve_workdir(config.working_dir, instruction.path))
            case Onbuild():
                config = replace(config, on_build=(*config.on_build, instruction.trigger))
            case _:
                config, _ = metadata.apply(instruction, config)
        has_cmd = has_cmd or isinstance(instruction, Cmd)
        if isinstance(instruction, Entrypoint) and not has_cmd:
            config = replace(config, cmd=None)  # it was for the entrypoint before
    return config
