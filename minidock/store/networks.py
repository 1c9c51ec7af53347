"""Networks on disk: ``networks/ID/network.json``, and beside it what the relays of running containers leave there."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from minidock.core.canonical import dumps
from minidock.core.networks import BRIDGE, HOST, NONE, Network
from minidock.core.times import parse_time
from minidock.errors import MinidockError, NoSuchNetwork
from minidock.store.layout import Layout
from minidock.store.session import Session
from minidock.store.writer import Disk, write_new

_FIRST_TIME = "1970-01-01T00:00:00Z"


class Networks:
    """The networks of a store; `Locks.networks` is held while they change."""

    def __init__(self, layout: Layout, disk: Disk) -> None:
        self._layout = layout
        self._disk = disk

    def directory(self, network_id: str) -> str:
        """Return the directory of a network. Raises: NoSuchNetwork if it has been removed."""
        path = self._layout.path("networks", network_id)
        if not os.path.isdir(path):
            raise NoSuchNetwork(network_id)
        return path

    def list(self) -> list[Network]:
        """Return all networks, those that are always there too, by name."""
        try:
            names = sorted(os.listdir(self._layout.path("networks")))
        except FileNotFoundError:
            names = []
        found = [network for name in names if (network := self._read(name)) is not None]
        fixed = [one for one in (predefined(name) for name in (BRIDGE, HOST, NONE)) if one.id not in names]
        return sorted([*found, *fixed], key=lambda network: network.name)

    def find(self, name: str) -> Network:
        """Return the network with a name, an ID or the beginning of one. Raises: NoSuchNetwork, MinidockError."""
        networks = self.list()
        for network in networks:
            if name in (network.name, network.id):
                return network
        found = [network for network in networks if name and network.id.startswith(name)]
        if len(found) > 1:
            raise MinidockError(f"network {name} is ambiguous ({len(found)} matches found based on ID prefix)")
        if not found:
            raise NoSuchNetwork(name)
        return found[0]

    def create(self, session: Session, network: Network) -> None:
        """Make a network."""
        parent = self._layout.path("networks")
        if not os.path.isdir(parent):
            self._disk.mkdir(parent)  # a store of an earlier version
        directory = session.temporary()
        self._disk.mkdir(directory)
        write_new(self._disk, f"{directory}/network.json", dumps(network.to_json()))
        self._disk.rename(directory, self._layout.path("networks", network.id))
        self._disk.sync_directory(parent)

    def discard(self, session: Session, network_id: str) -> None:
        """Remove a network."""
        session.discard(self._layout.path("networks", network_id))

    def _read(self, network_id: str) -> Network | None:
        try:
            with open(self._layout.path("networks", network_id, "network.json"), "rb") as file:
                members: dict[str, Any] = json.load(file)
                return Network.from_json(members)
        except (OSError, KeyError, TypeError, ValueError, MinidockError):
            return None


def predefined(name: str) -> Network:
    """Return one of the networks that are always there; ``bridge`` without its subnets."""
    driver = {NONE: "null"}.get(name, name)
    network_id = hashlib.sha256(f"minidock network {name}".encode()).hexdigest()
    return Network(network_id, name, parse_time(_FIRST_TIME), (), driver=driver)
