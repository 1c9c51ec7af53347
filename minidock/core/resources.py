"""How much of the machine a container may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DEFAULT_SHM_SIZE = 64 << 20


@dataclass(frozen=True, slots=True)
class Ulimit:
    """A resource limit of setrlimit(2): ``name`` as docker spells it (``nofile``), -1 for no limit."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class Resources:
    """The limits of a container; 0 stands for none.

    ``memory``, ``memory_swap`` (both together; -1 for unlimited swap) and ``shm_size`` are bytes; ``nano_cpus`` are
    thousand-millionths of a processor, ``cpu_shares`` a relative weight (1024 is usual). ``is_strict`` fails a start
    where a limit cannot be kept, instead of a warning.
    """

    memory: int = 0
    memory_swap: int = 0
    nano_cpus: int = 0
    cpu_shares: int = 0
    pids: int = 0
    ulimits: tuple[Ulimit, ...] = ()
    shm_size: int = DEFAULT_SHM_SIZE
    is_strict: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the members of a record."""
        return {
            "memory": self.memory,
            "memory_swap": self.memory_swap,
            "nano_cpus": self.nano_cpus,
            "cpu_shares": self.cpu_shares,
            "pids": self.pids,
            "ulimits": [[limit.name, limit.soft, limit.hard] for limit in self.ulimits],
            "shm_size": self.shm_size,
            "strict": self.is_strict,
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Resources:
        """Return what `to_json` has written. Raises: KeyError, TypeError."""
        return cls(
            memory=members["memory"],
            memory_swap=members["memory_swap"],
            nano_cpus=members["nano_cpus"],
            cpu_shares=members["cpu_shares"],
            pids=members["pids"],
            ulimits=tuple(Ulimit(*values) for values in members["ulimits"]),
            shm_size=members["shm_size"],
            is_strict=members["strict"],
        )
