"""The part of a `Runtime` that deals with containers that run already; what it takes is loaded when it is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from minidock.core.resources import Resources
from minidock.runtime.base import Started
from minidock.runtime.cgroups import Cgroups
from minidock.runtime.monitor import stat_fields

if TYPE_CHECKING:
    from minidock.core.stats import Sample


class HostProcesses:
    """What every runtime of this machine can say about containers, and do to them, whoever has started them."""

    def __init__(self, groups: Cgroups | None = None) -> None:
        self._groups = groups or Cgroups()

    def is_running(self, started: Started) -> bool:
        try:
            fields = stat_fields(started.pid)
        except (FileNotFoundError, ProcessLookupError):
            return False
        return fields[0] not in "ZX" and int(fields[19]) == started.start_ticks

    def shortcomings(self, resources: Resources) -> tuple[str, ...]:
        from minidock.runtime import limits

        return limits.shortcomings(self._groups, resources)

    def limit(self, started: Started, name: str, resources: Resources) -> None:
        from minidock.runtime import limits
        from minidock.runtime.halting import gather

        gather(limits.changed_groups(self._groups, name, resources), started)

    def processes(self, started: Started) -> tuple[int, ...]:
        from minidock.runtime.halting import processes_of

        return processes_of(started)

    def pause(self, started: Started, name: str) -> None:
        from minidock.runtime.halting import pause

        pause(self._groups, started, name)

    def resume(self, started: Started) -> None:
        from minidock.runtime.halting import resume

        resume(self._groups, started)

    def sample(self, started: Started) -> Sample:
        from minidock.runtime.halting import processes_of
        from minidock.runtime.usage import sample

        return sample(self._groups.of(started.pid), started, processes_of(started))

    def sweep(self, is_dead: Callable[[str], bool]) -> None:
        self._groups.sweep(is_dead)
