"""What `events` tells of what has happened, with docker's words and attributes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from minidock.core.happening import Filter, Happening
from minidock.core.mounts import MountOption
from minidock.core.networking import NetworkChoice, NetworkWish
from minidock.engine import collect, container_removal, events, networks, prune
from minidock.engine.attend import Streams
from minidock.engine.commit import CommitRequest, commit
from minidock.engine.networks import NetworkRequest
from minidock.engine.run import reopened
from minidock.engine.workspace import Workspace
from minidock.runtime.fake import FakeRuntime
from tests.engine.building import import_base, workspace
from tests.engine.test_containers import BASE, PROGRAMS, run

MINE = NetworkWish((NetworkChoice("mine"),))
MOUNTS = (MountOption.parse("vol:/data:ro"), MountOption.parse("/anonymous"))


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    ws = workspace(tmp_path / "store", FakeRuntime(PROGRAMS))
    import_base(ws, BASE)
    return ws


def told(ws: Workspace, since: int, *filters: tuple[str, str]) -> list[Happening]:
    return list(events.watch(ws, Filter(filters), since=since, until=time.time_ns()))


def words(happened: list[Happening]) -> list[str]:
    return [f"{event.kind} {event.action}" for event in happened]


def test_volumes_and_networks_of_a_container_are_told_of_as_it_starts_and_ends(ws: Workspace, streams: Streams) -> None:
    network_id = networks.create(ws, NetworkRequest("mine"))
    begin = time.time_ns()
    assert run(ws, streams, "fail", name="box", mounts=MOUNTS, network=MINE) == 3
    record = ws.store.containers.find("box").record
    anonymous = next(name for name in record.volumes if name != "vol")
    lock = ws.store.containers.claim(record.id)
    assert lock is not None
    os.close(reopened(ws, record.id, lock).lock)  # the first half of another start, whose volumes are there
    container_removal.remove(ws, "box", removes_volumes=True)
    happened = told(ws, begin)
    assert words(happened) == [
        *["volume create"] * 2, "container create", "container attach",
        "network connect", *["volume mount"] * 2, "container start",
        "container die", "network disconnect", *["volume unmount"] * 2, "volume destroy", "container destroy",
    ]  # fmt: skip
    connect, mount, unmount = (
        next(event for event in happened if event.action == action) for action in ("connect", "mount", "unmount")
    )
    assert (connect.actor, connect.attributes) == (
        network_id,
        {"container": record.id, "name": "mine", "type": "bridge"},
    )
    assert (mount.actor, mount.attributes) == (
        anonymous,
        {
            "container": record.id,
            "destination": "/anonymous",
            "driver": "local",
            "propagation": "",
            "read/write": "true",
        },
    )
    assert (unmount.actor, unmount.attributes) == (anonymous, {"container": record.id, "driver": "local"})
    assert [event.actor for event in happened if event.action == "destroy"] == [anonymous, record.id]
    assert words(told(ws, begin, ("volume", "vol"))) == ["volume create", "volume mount", "volume unmount"]
    assert words(told(ws, begin, ("network", "mine"))) == ["network connect", "network disconnect"]


def test_images_that_lose_names_or_go_are_told_of(ws: Workspace, streams: Streams) -> None:
    run(ws, streams, "change", name="box")
    begin = time.time_ns()
    made = commit(ws, CommitRequest("box", "made:1"))
    collect.remove_image(ws, "made:1", is_forced=False)
    unnamed = commit(ws, CommitRequest("box"))
    assert prune.prune_images(ws, includes_named=False).images[0].deleted[0] == unnamed
    happened = told(ws, begin, ("type", "image"))
    assert [(event.action, event.actor, event.attributes["name"]) for event in happened] == [
        ("tag", str(made), "made:1"),
        ("untag", str(made), "made:1"),
        ("delete", str(made), str(made)),
        ("delete", str(unnamed), str(unnamed)),
    ]
    assert words(told(ws, begin, ("event", "untag"))) == ["image untag"]
