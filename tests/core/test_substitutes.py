"""What stands in for limits where there are no control groups."""

from __future__ import annotations

import pytest

from minidock.core.resources import Resources
from minidock.core.substitutes import Substitutes, nice_of_shares, substitutes

MIB = 1 << 20


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (Resources(), Substitutes()),
        (
            Resources(memory=64 * MIB, memory_swap=-1),
            Substitutes(
                rlimits=((2, 64 * MIB, 64 * MIB),),
                shortcomings=(
                    "--memory holds for each process by itself, and not for shared memory",
                    "--memory-swap has no effect",
                ),
            ),
        ),
        (Resources(pids=20), Substitutes(rlimits=((6, 21, 21),), shortcomings=("--pids-limit counts an exec twice",))),
        (
            Resources(nano_cpus=15 * 10**8),
            Substitutes(cpus=(2, 3), shortcomings=("--cpus only keeps the container on 2 processors",)),
        ),
        (Resources(nano_cpus=4 * 10**9), Substitutes()),
        (
            Resources(nano_cpus=35 * 10**8),
            Substitutes(shortcomings=("--cpus only keeps the container on 4 processors",)),
        ),
        (
            Resources(cpuset_cpus="0-2", cpu_quota=50_000),
            Substitutes(
                cpus=(2,),
                shortcomings=(
                    "--cpuset-cpus can be changed by the container itself",
                    "--cpu-quota only keeps the container on 1 processor",
                ),
            ),
        ),
        (Resources(cpu_shares=512), Substitutes(nice=3, shortcomings=("--cpu-shares is a nice value",))),
        (Resources(cpu_shares=2048), Substitutes(shortcomings=("--cpu-shares above 1024 has no effect",))),
        (
            Resources(blkio_weight=500, cpuset_mems="0"),
            Substitutes(shortcomings=("--cpuset-mems has no effect", "--blkio-weight has no effect")),
        ),
    ],
)
def test_what_comes_nearest(resources: Resources, expected: Substitutes) -> None:
    assert substitutes(resources, (), processors=range(4), counts_processes=True) == expected


def test_what_a_control_group_keeps_needs_no_substitute() -> None:
    wanted = Resources(memory=64 * MIB, pids=5, nano_cpus=10**9)
    assert substitutes(wanted, ("memory", "pids", "cpu"), processors=range(4), counts_processes=True) == Substitutes()


def test_processes_of_root_are_not_counted_by_the_kernel() -> None:
    found = substitutes(Resources(pids=5), (), processors=range(4), counts_processes=False)
    assert found == Substitutes(shortcomings=("--pids-limit has no effect",))


def test_shares_become_a_nice_value() -> None:
    assert [nice_of_shares(shares) for shares in (1024, 820, 512, 102, 2, 1)] == [0, 1, 3, 10, 19, 19]
