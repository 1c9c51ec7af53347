"""Values of `build`'s options that name secrets, agents and the like.

Source: docker buildx, util/buildflags.
"""

from __future__ import annotations

from dataclasses import dataclass

from minidock.core import csv_record
from minidock.core.quoting import quoted
from minidock.errors import InvalidRequest

DEFAULT_AGENT = "default"


@dataclass(frozen=True, slots=True)
class SecretOption:
    """``--secret``: the content of the file ``source``, or the value of the variable ``env``, under the name ``id``."""

    id: str
    source: str = ""
    env: str = ""

    @classmethod
    def parse(cls, text: str) -> SecretOption:
        """Return the value of ``id=ID[,src=FILE|,env=NAME][,type=file|env]``. Raises: InvalidRequest."""
        found: dict[str, str] = {}
        for field in csv_record.fields(text):
            key, equals, value = field.partition("=")
            key = key.lower()
            if not equals:
                raise InvalidRequest(f"invalid field '{field}' must be a key=value pair")
            if key == "type" and value not in ("file", "env"):
                raise InvalidRequest(f"unsupported secret type {quoted(value)}")
            if key not in ("id", "source", "src", "env", "type"):
                raise InvalidRequest(f"unexpected key '{key}' in '{field}'")
            found["src" if key == "source" else key] = value
        source, env = found.get("src", ""), found.get("env", "")
        if found.get("type") == "env" and source and not env:
            source, env = "", source
        return cls(found.get("id", ""), source, env)


@dataclass(frozen=True, slots=True)
class AgentOption:
    """``--ssh``: an agent called ``id``: a socket, private keys, or (no ``paths``) the caller's own."""

    id: str = DEFAULT_AGENT
    paths: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> AgentOption:
        """Return the value of ``ID[=SOCKET|KEY[,KEY…]]``."""
        name, _, paths = text.partition("=")
        return cls(name or DEFAULT_AGENT, tuple(path for path in paths.split(",") if path))
