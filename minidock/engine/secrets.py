"""What a build may show to its steps and must not keep: secrets and ssh agents."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import field

from minidock.core.build_options import AgentOption, SecretOption
from minidock.core.dataclass import dataclass
from minidock.errors import BuildError


@dataclass(frozen=True, slots=True)
class Agent:
    """An ssh agent: the socket of one that runs, or the files of private keys."""

    socket: str = ""
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Secrets:
    """Secrets by ID, as files or as values, and agents by ID."""

    paths: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    agents: Mapping[str, Agent] = field(default_factory=dict)

    def read(self, name: str) -> bytes | None:
        """Return the content of a secret, None if there is none of that name. Raises: BuildError."""
        if name in self.values:
            return self.values[name]
        if name not in self.paths:
            return None
        try:
            with open(self.paths[name], "rb") as file:
                return file.read()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise BuildError(f"failed to read secret {name}: {self.paths[name]}: {reason}") from error


def gather(secrets: Iterable[SecretOption], agents: Iterable[AgentOption], environment: Mapping[str, str]) -> Secrets:
    """Return what the options give access to. Raises: BuildError for a file or an agent that is not there."""
    paths: dict[str, str] = {}
    values: dict[str, bytes] = {}
    for option in secrets:
        if not option.id:
            raise BuildError("secret missing ID", hint="--secret id=NAME,src=FILE or --secret id=NAME,env=VARIABLE")
        if option.env or (not option.source and option.id in environment):
            values[option.id] = environment.get(option.env or option.id, "").encode("utf-8", "surrogateescape")
        else:
            path = option.source or option.id
            if not os.path.isfile(path):
                reason = "is a directory" if os.path.isdir(path) else "no such file or directory"
                raise BuildError(f"failed to read secret {option.id}: {path}: {reason}")
            paths[option.id] = os.path.abspath(path)
    return Secrets(paths, values, {option.id: _agent(option, environment) for option in agents})


def _agent(option: AgentOption, environment: Mapping[str, str]) -> Agent:
    paths = option.paths or tuple(filter(None, [environment.get("SSH_AUTH_SOCK", "")]))
    if not paths:
        reason = f"invalid empty ssh agent socket for {option.id}: SSH_AUTH_SOCK is not set"
        raise BuildError(reason, hint="start an agent, or name a socket or a key: --ssh default=PATH")
    sockets = []
    for path in paths:
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            raise BuildError(f"--ssh {option.id}: {path}: {(error.strerror or '').lower()}") from error
        if stat.S_ISSOCK(mode):
            sockets.append(path)
    if sockets and len(paths) > 1:
        raise BuildError(f"--ssh {option.id}: an agent's socket stands alone, without keys beside it")
    return Agent(os.path.abspath(sockets[0])) if sockets else Agent("", tuple(map(os.path.abspath, paths)))
