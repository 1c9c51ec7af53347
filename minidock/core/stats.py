"""What containers use of the machine: samples, and the figures that come of two of them.

Source: docker/cli, cli/command/container/stats_helpers.go, as seen from outside.
"""

from __future__ import annotations

from typing import NamedTuple


class Sample(NamedTuple):
    """What a container has used up to a moment, or uses at that moment.

    Times are seconds of processor time: the container's, and all that passed on all ``processors`` (idle ones too).
    ``memory`` is without files that could be dropped; ``memory_limit`` is the machine's memory if nothing limits it.
    ``pids`` counts threads. Sizes are bytes.
    """

    cpu_time: float = 0.0
    machine_time: float = 0.0
    processors: int = 1
    memory: int = 0
    memory_limit: int = 0
    received: int = 0
    sent: int = 0
    read: int = 0
    written: int = 0
    pids: int = 0


class StatsRow(NamedTuple):
    """One container of `stats`; ``sample`` is None if it does not run, ``asked`` the name that the user gave."""

    id: str
    name: str
    asked: str
    cpu_percent: float = 0.0
    sample: Sample | None = None

    @property
    def memory_percent(self) -> float:
        """The used part of the memory that there is."""
        if self.sample is None or not self.sample.memory_limit:
            return 0.0
        return self.sample.memory / self.sample.memory_limit * 100


def cpu_percent(before: Sample, after: Sample) -> float:
    """Return how much of one processor was used between two samples; 200 stands for two whole ones."""
    used, passed = after.cpu_time - before.cpu_time, after.machine_time - before.machine_time
    if used <= 0 or passed <= 0:
        return 0.0
    return used / passed * after.processors * 100
