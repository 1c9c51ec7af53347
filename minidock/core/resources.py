"""How much of the machine a container may use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minidock.core.dataclass import dataclass

DEFAULT_SHM_SIZE = 64 << 20
UNLIMITED = -1
CPU_PERIOD = 100_000  # microseconds; docker's and the kernel's usual one


@dataclass(frozen=True, slots=True)
class Ulimit:
    """A resource limit of setrlimit(2): ``name`` as docker spells it (``nofile``), -1 for no limit."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class Resources:
    """The limits of a container; 0 (an empty text) stands for none.

    ``memory``, ``memory_swap`` (both together; -1 for unlimited swap, 0 for twice the memory), ``memory_reservation``
    and ``shm_size`` are bytes; ``memory_swappiness`` is -1 if not given. ``nano_cpus`` are thousand-millionths of a
    processor, ``cpu_quota`` and ``cpu_period`` microseconds, ``cpu_shares`` and ``blkio_weight`` relative weights (1024
    and 500 are usual), ``cpuset_cpus`` and ``cpuset_mems`` lists such as ``0-2,5``. ``pids`` is negative if explicitly
    unlimited. ``is_strict`` fails a start where a limit cannot be kept, instead of a warning;
    ``without_effect`` names options that were given and do nothing, for that warning.
    """

    memory: int = 0
    memory_swap: int = 0
    memory_reservation: int = 0
    memory_swappiness: int = -1
    is_oom_kill_disabled: bool = False
    oom_score_adj: int = 0
    nano_cpus: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    cpu_shares: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids: int = 0
    blkio_weight: int = 0
    ulimits: tuple[Ulimit, ...] = ()
    shm_size: int = DEFAULT_SHM_SIZE
    is_strict: bool = False
    without_effect: tuple[str, ...] = ()

    @property
    def whole_memory(self) -> int:
        """Memory and swap together: as given, or docker's default; 0 if there is no limit, -1 if swap is unlimited."""
        return self.memory_swap or 2 * self.memory

    @property
    def quota(self) -> tuple[int, int]:
        """Microseconds of processor time in every period, and that period; (0, 0) if nothing limits them."""
        if self.nano_cpus:
            return self.nano_cpus * CPU_PERIOD // 10**9, CPU_PERIOD
        if self.cpu_quota or self.cpu_period:
            return self.cpu_quota, self.cpu_period or CPU_PERIOD
        return 0, 0

    def to_json(self) -> dict[str, Any]:
        """Return the members of a record."""
        return {
            "memory": self.memory,
            "memory_swap": self.memory_swap,
            "memory_reservation": self.memory_reservation,
            "memory_swappiness": self.memory_swappiness,
            "oom_kill_disabled": self.is_oom_kill_disabled,
            "oom_score_adj": self.oom_score_adj,
            "nano_cpus": self.nano_cpus,
            "cpu_quota": self.cpu_quota,
            "cpu_period": self.cpu_period,
            "cpu_shares": self.cpu_shares,
            "cpuset_cpus": self.cpuset_cpus,
            "cpuset_mems": self.cpuset_mems,
            "pids": self.pids,
            "blkio_weight": self.blkio_weight,
            "ulimits": [[limit.name, limit.soft, limit.hard] for limit in self.ulimits],
            "shm_size": self.shm_size,
            "strict": self.is_strict,
            "without_effect": list(self.without_effect),
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Resources:
        """Return what `to_json` has written. Raises: KeyError, TypeError."""
        return cls(
            memory=members["memory"],
            memory_swap=members["memory_swap"],
            memory_reservation=members["memory_reservation"],
            memory_swappiness=members["memory_swappiness"],
            is_oom_kill_disabled=members["oom_kill_disabled"],
            oom_score_adj=members["oom_score_adj"],
            nano_cpus=members["nano_cpus"],
            cpu_quota=members["cpu_quota"],
            cpu_period=members["cpu_period"],
            cpu_shares=members["cpu_shares"],
            cpuset_cpus=members["cpuset_cpus"],
            cpuset_mems=members["cpuset_mems"],
            pids=members["pids"],
            blkio_weight=members["blkio_weight"],
            ulimits=tuple(Ulimit(*values) for values in members["ulimits"]),
            shm_size=members["shm_size"],
            is_strict=members["strict"],
            without_effect=tuple(members["without_effect"]),
        )
