"""The options of `run` and `create` that say what a container may do."""

from __future__ import annotations

from dataclasses import dataclass

from minidock.core.security import Security


@dataclass(frozen=True, slots=True)
class SecurityFlags:
    """Capabilities, system calls, privileges."""

    def security(self) -> Security:
        """Return the limits that the options ask for. Raises: InvalidRequest."""
        return Security()
