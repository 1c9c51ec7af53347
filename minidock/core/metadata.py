"""Instructions that make no layer: what they do to the image config, and how the history words them.

Source: BuildKit, frontend/dockerfile/dockerfile2llb/convert.go; docs of the image config in the OCI image-spec.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from minidock.core.config import ContainerConfig
from minidock.core.dockerfile.model import (
    Cmd,
    Command,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Shell,
    StopSignal,
    User,
    Volume,
)
from minidock.core.durations import format_duration
from minidock.core.health import HealthCheck
from minidock.core.quoting import quoted

DEFAULT_SHELL = ("/bin/sh", "-c")


def apply(instruction: Instruction, config: ContainerConfig) -> tuple[ContainerConfig, str]:
    """Return the config after a metadata instruction, and the text of its history entry.

    The instruction's variables are expanded already.
    """
    match instruction:
        case Env():
            env = with_variables(config.env, instruction.pairs)
            return replace(config, env=env), f"ENV {_pairs(instruction.pairs)}"
        case Label():
            labels = {**config.labels, **dict(instruction.pairs)}
            return replace(config, labels=labels), f"LABEL {_pairs(instruction.pairs)}"
        case User():
            return replace(config, user=instruction.user), f"USER {instruction.user}"
        case Expose():
            ports = tuple(sorted({*config.exposed_ports, *instruction.ports}))
            return replace(config, exposed_ports=ports), f"EXPOSE [{' '.join(sorted(instruction.ports))}]"
        case Volume():
            volumes = tuple(sorted({*config.volumes, *instruction.paths}))
            return replace(config, volumes=volumes), f"VOLUME [{' '.join(instruction.paths)}]"
        case Cmd():
            words = in_shell(instruction.command, config)
            return replace(config, cmd=words or None), f"CMD {words_text(words)}"
        case Entrypoint():
            words = in_shell(instruction.command, config)
            return replace(config, entrypoint=words or None), f"ENTRYPOINT {words_text(words)}"
        case Shell():
            return replace(config, shell=instruction.args), f"SHELL [{' '.join(instruction.args)}]"
        case StopSignal():
            return replace(config, stop_signal=instruction.signal), f"STOPSIGNAL {instruction.signal}"
        case Healthcheck():
            return replace(config, healthcheck=_check(instruction)), _check_text(instruction)
        case _:
            raise AssertionError(f"not a metadata instruction: {type(instruction).__name__}")


def _check(instruction: Healthcheck) -> HealthCheck:
    return HealthCheck(
        instruction.test,
        instruction.interval,
        instruction.timeout,
        instruction.start_period,
        instruction.start_interval,
        instruction.retries,
    )


def _check_text(instruction: Healthcheck) -> str:
    interval, timeout = format_duration(instruction.interval), format_duration(instruction.timeout)
    period, start = format_duration(instruction.start_period), format_duration(instruction.start_interval)
    return (
        f"HEALTHCHECK {{Test:[{' '.join(instruction.test)}] Interval:{interval} Timeout:{timeout} "
        f"StartPeriod:{period} StartInterval:{start} Retries:{instruction.retries}}}"
    )


def in_shell(command: Command, config: ContainerConfig) -> tuple[str, ...]:
    """Return the words that run ``command``: shell form goes to the image's shell as one argument."""
    if not command.is_shell:
        return command.args
    return (*(config.shell or DEFAULT_SHELL), *command.args)


def with_variables(env: Iterable[str], pairs: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return ``NAME=value`` strings with some set: the first of a name in place, a new name at the end."""
    found = list(env)
    for name, value in pairs:
        places = (number for number, item in enumerate(found) if item.partition("=")[0] == name)
        place = next(places, len(found))
        found[place : place + 1] = [f"{name}={value}"]
    return tuple(found)


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return " ".join(f"{name}={value}" for name, value in pairs)


def words_text(words: Iterable[str]) -> str:
    """Return words as the history shows a list: quoted, in brackets, without commas."""
    return f"[{' '.join(quoted(word) for word in words)}]"
