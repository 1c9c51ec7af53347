"""The options of `run` and `create` that say how much of the machine a container may use."""

from __future__ import annotations

from dataclasses import dataclass

from minidock.core.resources import Resources


@dataclass(frozen=True, slots=True)
class ResourceFlags:
    """Memory, processors, processes, files."""

    def resources(self) -> Resources:
        """Return the limits that the options ask for. Raises: InvalidRequest."""
        return Resources()
