"""What `minidock info` tells about a store and about what can be done on this machine."""

from __future__ import annotations

from minidock.core.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class SystemInfo:
    """The store, its counts, and the runtime; ``reasons`` say what is missing on this machine and what would help.

    ``runtime`` is the one in use, ``runtimes`` all of this machine; ``isolation``, ``storage`` and ``id_mode`` are the
    words of the runtime; ``architecture`` is Go's name for the machine.
    """

    root: str
    is_store: bool
    id_mode: str
    id_mode_reason: str  # why it is that one; may be empty
    containers: int
    running: int
    paused: int
    images: int
    volumes: int
    cache_records: int
    runtime: str
    runtimes: tuple[str, ...]
    isolation: str
    storage: str
    reasons: tuple[str, ...]
    version: str
    kernel: str
    architecture: str
    processors: int
    memory: int
    name: str
    operating_system: str = ""

    @property
    def stopped(self) -> int:
        """The containers that do not run."""
        return self.containers - self.running - self.paused
