"""Random operations on a store: after each its terms add up to what `du` says, and removals free what was foretold.

No tolerance: not one byte. MINIDOCK_SEED chooses other sequences, MINIDOCK_OPERATIONS how many operations each has; a
failure prints the seed.
"""

from __future__ import annotations

import os
import shutil

import pytest

from tests.e2e.disks import fragmented, new_disk
from tests.e2e.operations import prepared
from tests.other_users import PLAIN_ID, become_plain, can_have_ranges, public_place, ranged_user

SEED = int(os.environ.get("MINIDOCK_SEED", "20261124"))
COUNT = int(os.environ.get("MINIDOCK_OPERATIONS", "200"))


def test_a_few_random_operations_add_up() -> None:
    with public_place() as place, prepared(place, SEED) as player:
        player.play(16)


def test_the_last_container_of_a_removed_image_takes_its_layers_along() -> None:
    with public_place() as place, prepared(place, SEED) as player:
        tag = player.call("images", "app", "--format", "{{.Repository}}:{{.Tag}}").strip()
        player.call("run", "--network", "none", "--name", "box", tag, "/bin/sh", "-c", "exit 0")
        player.call("rmi", "-f", tag, "base:1")
        player.call("builder", "prune", "-a", "-f")
        assert os.listdir(player.root / "layers")
        player.foretold(("system", "df", "--if-removed", "box"), ("rm", "box"))
        assert player.gains == 1
        assert [os.listdir(player.root / name) for name in ("layers", "snapshots", "blobs/sha256")] == [[], [], []]


def test_system_prune_counts_networks() -> None:
    with public_place() as place, prepared(place, SEED) as player:
        player.call("network", "create", "unused")
        before = player.du()
        assert "Would delete Networks:\nunused\n" in player.call("system", "prune", "--dry-run")
        player.foretold(("system", "prune", "--dry-run"), ("system", "prune", "-f"))
        assert player.gains == 1
        assert before > player.du()


@pytest.mark.slow
def test_two_hundred_random_operations_add_up() -> None:
    with new_disk() as place, prepared(place, SEED) as player:
        player.play(COUNT)
        assert player.removals >= COUNT // 4
        assert player.gains >= COUNT // 10
        assert COUNT < 200 or len(player.kinds) >= 18


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_they_add_up_for_a_plain_user_in_single_mode() -> None:
    with new_disk() as place:
        os.chown(place, PLAIN_ID, PLAIN_ID)
        os.chmod(place, 0o777)
        with prepared(place, SEED + 1, become_plain, "single") as player:
            player.play(COUNT)


@pytest.mark.slow
@pytest.mark.skipif(not can_have_ranges(), reason="no user with ranges of ids can be made here")
def test_they_add_up_for_a_user_with_ranges_of_ids() -> None:
    with new_disk() as place, ranged_user() as user:
        os.chown(place, user.uid, user.gid)
        os.chmod(place, 0o777)
        with prepared(place, SEED + 2, user.become, "range") as player:
            player.play(COUNT)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mkfs.ext4"), reason="needs root and mkfs.ext4")
def test_they_add_up_on_a_fragmented_file_system() -> None:
    with fragmented(192 << 20) as mounted, prepared(mounted, SEED + 3) as player:
        player.play(COUNT)
