"""Where control groups are on machines of every kind, and what is written into them."""

from __future__ import annotations

import pytest

from minidock.core.cgroups import (
    Tree,
    Trees,
    clamped_shares,
    legacy_writes,
    parse_trees,
    unified_writes,
    wanted_controllers,
    weight_of_blkio,
    weight_of_shares,
)
from minidock.core.resources import Resources

# Version 1 with systemd, as on CentOS 7: controllers share trees, links are not mounts.
V1_MOUNTS = """\
24 18 0:20 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:8 - tmpfs tmpfs ro,mode=755
25 24 0:21 / /sys/fs/cgroup/systemd rw,nosuid,nodev,noexec,relatime shared:9 - cgroup cgroup rw,xattr,name=systemd
27 24 0:23 / /sys/fs/cgroup/memory rw,nosuid,nodev,noexec,relatime shared:10 - cgroup cgroup rw,memory
28 24 0:24 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid,nodev,noexec,relatime shared:11 - cgroup cgroup rw,cpuacct,cpu
29 24 0:25 / /sys/fs/cgroup/pids rw,nosuid,nodev,noexec,relatime shared:12 - cgroup cgroup rw,pids
"""
V1_GROUPS = """\
11:memory:/user.slice
4:cpuacct,cpu:/user.slice
3:pids:/
1:name=systemd:/user.slice/user-0.slice/session-1.scope
"""
# Version 2 with systemd, as on Fedora and Debian 12, in a session of user 1000.
V2_MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
"""
V2_GROUPS = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-term.scope\n"
# A hybrid: version 1 for most, version 2 beside it.
HYBRID_MOUNTS = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
HYBRID_GROUPS = "6:freezer:/\n4:memory:/jobs/7\n0::/\n"
# A container of docker, version 1 without a cgroup namespace: the mounts show a part of the tree.
DOCKER_MOUNTS = """\
745 744 0:32 /docker/2f8a /sys/fs/cgroup/memory ro,nosuid,nodev,noexec,relatime master:15 - cgroup cgroup rw,memory
746 744 0:36 /docker/2f8a /sys/fs/cgroup/pids ro,nosuid,nodev,noexec,relatime master:19 - cgroup cgroup rw,pids
"""
DOCKER_GROUPS = "4:memory:/docker/2f8a\n8:pids:/docker/2f8a/inner\n"
# A container of docker, version 2 with a cgroup namespace.
DIND_MOUNTS = "1100 1099 0:26 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate\n"
DIND_GROUPS = "0::/\n"
# WSL 2: version 2 below a tree of version 1 without controllers of use, at places of its own.
WSL_MOUNTS = """\
90 80 0:30 / /sys/fs/cgroup/unified rw,nosuid,nodev,noexec,relatime shared:20 - cgroup2 cgroup2 rw,nsdelegate
91 80 0:31 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid,nodev,noexec,relatime shared:21 - cgroup cgroup rw,cpu,cpuacct
92 80 0:40 / /mnt/wsl/odd\\040name rw,relatime - cgroup cgroup rw,pids
"""
WSL_GROUPS = "14:misc:/\n3:pids:/\n2:cpu,cpuacct:/init\n0::/init\n"


@pytest.mark.parametrize(
    ("mounts", "groups", "trees"),
    [
        (
            V1_MOUNTS,
            V1_GROUPS,
            Trees(
                {
                    "memory": Tree("/sys/fs/cgroup/memory", "/user.slice"),
                    "cpu": Tree("/sys/fs/cgroup/cpu,cpuacct", "/user.slice"),
                    "cpuacct": Tree("/sys/fs/cgroup/cpu,cpuacct", "/user.slice"),
                    "pids": Tree("/sys/fs/cgroup/pids", "/"),
                }
            ),
        ),
        (
            V2_MOUNTS,
            V2_GROUPS,
            Trees(
                unified=Tree("/sys/fs/cgroup", "/user.slice/user-1000.slice/user@1000.service/app.slice/app-term.scope")
            ),
        ),
        (
            HYBRID_MOUNTS,
            HYBRID_GROUPS,
            Trees(
                {
                    "memory": Tree("/sys/fs/cgroup/memory", "/jobs/7"),
                    "freezer": Tree("/sys/fs/cgroup/freezer", "/"),
                },
                Tree("/sys/fs/cgroup/unified", "/"),
            ),
        ),
        (
            DOCKER_MOUNTS,
            DOCKER_GROUPS,
            Trees({"memory": Tree("/sys/fs/cgroup/memory", "/"), "pids": Tree("/sys/fs/cgroup/pids", "/inner")}),
        ),
        (DIND_MOUNTS, DIND_GROUPS, Trees(unified=Tree("/sys/fs/cgroup", "/"))),
        (
            WSL_MOUNTS,
            WSL_GROUPS,
            Trees(
                {
                    "cpu": Tree("/sys/fs/cgroup/cpu,cpuacct", "/init"),
                    "cpuacct": Tree("/sys/fs/cgroup/cpu,cpuacct", "/init"),
                    "pids": Tree("/mnt/wsl/odd name", "/"),
                },
                Tree("/sys/fs/cgroup/unified", "/init"),
            ),
        ),
        ("", "", Trees()),
        ("nonsense\n1 2 - cgroup\n", "nonsense\n0::relative\n", Trees()),
    ],
    ids=["v1", "v2", "hybrid", "docker-v1", "docker-v2", "wsl", "nothing", "nonsense"],
)
def test_trees_are_found(mounts: str, groups: str, trees: Trees) -> None:
    assert parse_trees(mounts, groups) == trees


def test_a_group_outside_of_the_namespace_has_no_directory() -> None:
    tree = parse_trees(V2_MOUNTS, "0::/../../user.slice\n").unified
    assert tree == Tree("/sys/fs/cgroup", None)
    assert tree.own_directory is None


def test_the_directory_of_a_group_lies_below_the_mount() -> None:
    assert Tree("/sys/fs/cgroup/memory", "/jobs/7").own_directory == "/sys/fs/cgroup/memory/jobs/7"
    assert Tree("/sys/fs/cgroup/memory", "/").own_directory == "/sys/fs/cgroup/memory"


MIB = 1 << 20


@pytest.mark.parametrize(
    ("controller", "resources", "legacy", "unified"),
    [
        (
            "memory",
            Resources(memory=64 * MIB),
            (("memory.limit_in_bytes", "67108864"), ("memory.memsw.limit_in_bytes", "134217728")),
            (("memory.max", "67108864"), ("memory.swap.max", "67108864")),
        ),
        (
            "memory",
            Resources(memory=64 * MIB, memory_swap=64 * MIB, memory_reservation=8 * MIB),
            (
                ("memory.limit_in_bytes", "67108864"),
                ("memory.memsw.limit_in_bytes", "67108864"),
                ("memory.soft_limit_in_bytes", "8388608"),
            ),
            (("memory.max", "67108864"), ("memory.swap.max", "0"), ("memory.low", "8388608")),
        ),
        (
            "memory",
            Resources(memory=64 * MIB, memory_swap=-1, memory_swappiness=0, is_oom_kill_disabled=True),
            (
                ("memory.limit_in_bytes", "67108864"),
                ("memory.memsw.limit_in_bytes", "-1"),
                ("memory.swappiness", "0"),
                ("memory.oom_control", "1"),
            ),
            (("memory.max", "67108864"), ("memory.swap.max", "max")),
        ),
        (
            "cpu",
            Resources(nano_cpus=1_500_000_000),
            (("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "150000")),
            (("cpu.max", "150000 100000"),),
        ),
        (
            "cpu",
            Resources(cpu_quota=20_000, cpu_period=50_000, cpu_shares=512),
            (("cpu.cfs_period_us", "50000"), ("cpu.cfs_quota_us", "20000"), ("cpu.shares", "512")),
            (("cpu.max", "20000 50000"), ("cpu.weight", "59")),
        ),
        (
            "cpu",
            Resources(cpu_quota=-1),
            (("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "-1")),
            (("cpu.max", "max 100000"),),
        ),
        ("pids", Resources(pids=20), (("pids.max", "20"),), (("pids.max", "20"),)),
        ("pids", Resources(pids=-1), (("pids.max", "max"),), (("pids.max", "max"),)),
        (
            "cpuset",
            Resources(cpuset_cpus="0-1", cpuset_mems="0"),
            (("cpuset.cpus", "0-1"), ("cpuset.mems", "0")),
            (("cpuset.cpus", "0-1"), ("cpuset.mems", "0")),
        ),
        ("blkio", Resources(blkio_weight=500), (("blkio.weight", "500"),), (("io.weight", "default 4950"),)),
        ("memory", Resources(), (), ()),
    ],
)
def test_limits_are_written(
    controller: str, resources: Resources, legacy: tuple[tuple[str, str], ...], unified: tuple[tuple[str, str], ...]
) -> None:
    assert legacy_writes(controller, resources) == legacy
    assert unified_writes(controller, resources) == unified


def test_only_the_controllers_of_the_limits_are_wanted() -> None:
    assert wanted_controllers(Resources(pids=-1)) == frozenset()
    assert wanted_controllers(Resources(memory=1, cpuset_mems="0", blkio_weight=10)) == {"memory", "cpuset", "blkio"}
    assert wanted_controllers(Resources(pids=3, cpu_shares=2)) == {"pids", "cpu"}


# The first, the fifth and the seventh define the curve.
@pytest.mark.parametrize(
    ("shares", "weight"),
    [(1, 1), (2, 1), (102, 17), (512, 59), (1024, 100), (2048, 174), (262144, 10000), (10**9, 10000)],
)
def test_shares_become_a_weight(shares: int, weight: int) -> None:
    assert weight_of_shares(shares) == weight


def test_the_kernel_is_given_what_it_takes() -> None:
    assert [clamped_shares(shares) for shares in (1, 2, 1024, 10**9)] == [2, 2, 1024, 262144]
    assert [weight_of_blkio(weight) for weight in (10, 500, 1000)] == [1, 4950, 10000]
