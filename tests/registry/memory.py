"""A registry in memory that misbehaves as it is told, and remembers every request."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from minidock.errors import RegistryUnreachable
from minidock.registry.authorization import Authorization, Credentials
from minidock.registry.client import Repository
from minidock.registry.exchange import Exchange
from minidock.registry.origin import Origin
from minidock.registry.transport import Request

HOME = "https://registry.example"


@dataclass
class Answer:
    """A response; after ``cut`` bytes of it the connection breaks."""

    status: int = 200
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = ()
    cut: int | None = None

    def read(self, size: int, /) -> bytes:
        if self.cut is not None:
            size = min(size, self.cut)
            if not size:
                raise RegistryUnreachable("cut")
            self.cut -= size
        data, self.body = self.body[:size], self.body[size:]
        return data

    def close(self) -> None:
        pass


Give = Callable[[Request], Answer]


@dataclass
class Memory:
    """A transport whose answers come from ``give``."""

    give: Give
    requests: list[Request] = field(default_factory=list)

    def send(self, request: Request) -> Answer:
        self.requests.append(request)
        return self.give(request)

    def close(self) -> None:
        pass


def repository(memory: Memory, credentials: Credentials | None = None) -> Repository:
    """Return a repository of the registry, whose pauses take no time."""
    home = Origin.of(HOME)
    authorization = Authorization(memory, home, lambda: credentials)
    return Repository(Exchange(memory, home, authorization, pause=lambda seconds: None), "app")


def in_turn(answers: Iterable[Answer | Give]) -> Give:
    """Return what gives one answer after the other; the last one stays."""
    left = list(answers)

    def give(request: Request) -> Answer:
        found = left.pop(0) if len(left) > 1 else left[0]
        return found(request) if callable(found) else found

    return give


def ranged(data: bytes, cut: int | None = None) -> Give:
    """Return what serves a blob, in parts where that is asked for."""

    def give(request: Request) -> Answer:
        found = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        if found is None:
            return Answer(200, data, [("Content-Length", str(len(data)))], cut)
        start = int(found[1])
        told = f"bytes {start}-{len(data) - 1}/{len(data)}"
        return Answer(206, data[start:], [("Content-Range", told)], cut)

    return give
