"""The options of `run` and `create` that concern the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer


@dataclass(frozen=True, slots=True)
class NetworkFlags:
    """Which network, which ports, which names."""

    network: Annotated[
        str, typer.Option("--network", metavar="network", help="Connect a container to a network (host, none)")
    ] = ""
