"""Downloads a blob whole, however often the connection breaks: by range from where it stopped, or from the start.

A server that gives more bytes than the descriptor says is cut off at the first of them. The digest is of the whole,
whatever parts it came in; if parts do not fit together, it is fetched once more in one.
"""

from __future__ import annotations

from typing import Protocol

from minidock.core.descriptor import Descriptor
from minidock.core.digest import Digest
from minidock.errors import RegistryError, RegistryRefused, RegistryUnreachable
from minidock.registry.client import Repository
from minidock.registry.exchange import TRIES

_BLOCK = 1 << 18


class Target(Protocol):
    """Takes the bytes of a blob."""

    @property
    def size(self) -> int:
        """How many bytes it has."""
        ...

    def write(self, data: bytes, /) -> None:
        """Append bytes."""
        ...

    def restart(self) -> None:
        """Forget all bytes."""
        ...

    def digest(self) -> Digest:
        """Return the digest of all bytes, which are complete then."""
        ...


def fetch(repository: Repository, descriptor: Descriptor, target: Target) -> None:
    """Fill ``target`` with a blob and make sure that it is the one. Raises: RegistryError."""
    was_resumed = False
    while True:
        was_resumed = _complete(repository, descriptor, target, may_resume=not was_resumed)
        found = target.digest()
        if found == descriptor.digest:
            return
        if not was_resumed:
            raise RegistryError(
                f"filesystem layer verification failed for digest {descriptor.digest}: its bytes are {found}"
            )
        target.restart()


def _complete(repository: Repository, descriptor: Descriptor, target: Target, *, may_resume: bool) -> bool:
    """Read until all bytes are there; return whether they came in parts."""
    failures = 0
    was_resumed = may_resume and target.size > 0
    while target.size < descriptor.size or descriptor.size == 0:
        before = target.size
        try:
            if before and not may_resume:
                target.restart()
            with repository.blob(descriptor, target.size) as stream:
                if stream.offset != target.size:
                    target.restart()
                was_resumed = was_resumed or target.size > 0
                while chunk := stream.read(min(_BLOCK, descriptor.size + 1 - target.size)):
                    if target.size + len(chunk) > descriptor.size:
                        raise RegistryError(f"blob {descriptor.digest} has more than {descriptor.size} bytes there")
                    target.write(chunk)
            if target.size == descriptor.size:
                return was_resumed
            problem: RegistryError = RegistryUnreachable(
                f"blob {descriptor.digest}: unexpected EOF: {target.size} of {descriptor.size} bytes came"
            )
        except RegistryUnreachable as error:
            problem = error
        except RegistryRefused as error:
            if error.status != 416 or not target.size:
                raise
            target.restart()  # a server that knows of ranges, but not of this one
            problem = error
        failures = 1 if target.size > before else failures + 1
        if failures >= TRIES:
            raise problem
        repository.wait(failures)
    return was_resumed
