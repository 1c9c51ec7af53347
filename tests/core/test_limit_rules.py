"""Limits as users write them, and docker's refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from minidock.core.limit_rules import (
    check,
    parse_cpu_list,
    parse_cpus,
    parse_swap,
    parse_ulimit,
    updated,
)
from minidock.core.resources import Resources, Ulimit
from minidock.errors import InvalidRequest, InvalidUnit

MIB = 1 << 20


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("1", 10**9),
        ("0.5", 5 * 10**8),
        ("1.000000001", 10**9 + 1),
        (".25", 25 * 10**7),
        ("1/2", 5 * 10**8),
        ("-1", -(10**9)),
        ("1e-1", 10**8),
    ],
)
def test_cpus(text: str, nano: int) -> None:
    assert parse_cpus(text) == nano


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "failed to parse x as a rational number"),
        ("", "failed to parse  as a rational number"),
        ("1/0", "failed to parse 1/0 as a rational number"),
        ("0.0000000001", "value is too precise"),
    ],
)
def test_cpus_that_are_no_number(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_cpus(text)
    assert str(caught.value) == message


def test_swap() -> None:
    assert [parse_swap(text) for text in ("-1", "0", "1g")] == [-1, 0, 1 << 30]
    with pytest.raises(InvalidUnit, match="invalid size: '-2'"):
        parse_swap("-2")


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("nofile=100", Ulimit("nofile", 100, 100)),
        ("nofile=100:200", Ulimit("nofile", 100, 200)),
        ("core=-1", Ulimit("core", -1, -1)),
        ("stack=infinity", Ulimit("stack", -1, -1)),
        ("cpu=5:-1", Ulimit("cpu", 5, -1)),
    ],
)
def test_ulimits(text: str, limit: Ulimit) -> None:
    assert parse_ulimit(text) == limit


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nofile", "invalid ulimit argument: nofile"),
        ("as=5", "invalid ulimit type: as"),
        ("nofile=x", 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("nofile=9999999999999999999", 'strconv.ParseInt: parsing "9999999999999999999": value out of range'),
        ("nofile=1:2:3", "too many limit value arguments - 1:2:3, can only have up to two, `soft[:hard]`"),
        ("nofile=5:3", "ulimit soft limit must be less than or equal to hard limit: 5 > 3"),
        (
            "nofile=-1:3",
            "ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: 3",
        ),
    ],
)
def test_ulimits_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_ulimit(text)
    assert str(caught.value) == message


def test_lists_of_processors() -> None:
    assert [sorted(parse_cpu_list(text)) for text in ("", "0", "0-2,5", "1,1")] == [[], [0], [0, 1, 2, 5], [1]]
    for text in ("x", "0-", "-1", "2-1", "0,,1", "0-99999"):
        with pytest.raises(ValueError, match="invalid format: "):
            parse_cpu_list(text)


REFUSED = [
    (Resources(memory=1 * MIB), "Minimum memory limit allowed is 6MB"),
    (
        Resources(memory=16 * MIB, memory_swap=15 * MIB),
        "Minimum memoryswap limit should be larger than memory limit, see usage",
    ),
    (
        Resources(memory_swap=15 * MIB),
        "You should always set the Memory limit when using Memoryswap limit, see usage",
    ),
    (Resources(memory_swappiness=101), "invalid value: 101. Valid memory swappiness range is 0-100"),
    (Resources(memory_swappiness=-2), "invalid value: -2. Valid memory swappiness range is 0-100"),
    (Resources(memory_reservation=MIB), "Minimum memory reservation allowed is 6MB"),
    (
        Resources(memory=16 * MIB, memory_reservation=17 * MIB),
        "Minimum memory limit can not be less than memory reservation limit, see usage",
    ),
    (Resources(nano_cpus=1, cpu_period=5000), "Conflicting options: Nano CPUs and CPU Period cannot both be set"),
    (Resources(nano_cpus=1, cpu_quota=5000), "Conflicting options: Nano CPUs and CPU Quota cannot both be set"),
    (Resources(nano_cpus=3 * 10**9), "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"),
    (Resources(nano_cpus=-1), "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"),
    (Resources(cpu_shares=-1), "shares: invalid argument"),
    (Resources(cpu_period=999), "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"),
    (Resources(cpu_quota=999), "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
    (Resources(cpuset_cpus="0-"), "Invalid value 0- for cpuset cpus: invalid format: 0-"),
    (Resources(cpuset_cpus="5"), "Requested CPUs are not available - requested 5, available: 0-1"),
    (Resources(cpuset_mems="1"), "Requested memory nodes are not available - requested 1, available: 0"),
    (Resources(blkio_weight=9), "Range of blkio weight is from 10 to 1000"),
    (Resources(oom_score_adj=1001), "Invalid value 1001, range for oom score adj is [-1000, 1000]"),
]


@pytest.mark.parametrize(("resources", "message"), REFUSED)
def test_limits_that_make_no_sense_are_refused_in_dockers_words(resources: Resources, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(resources, processors=2, cpus="0-1", nodes="0")
    assert str(caught.value) == message


def test_limits_that_make_sense_are_taken() -> None:
    sensible = Resources(
        memory=6 * MIB,
        memory_swap=6 * MIB,
        memory_reservation=6 * MIB,
        memory_swappiness=0,
        nano_cpus=2 * 10**9,
        cpuset_cpus="0,1",
        cpuset_mems="0",
        blkio_weight=10,
        oom_score_adj=-1000,
    )
    check(sensible, processors=2, cpus="0-1", nodes="0")
    check(Resources(cpuset_cpus="7"), processors=2, cpus="", nodes="")
    check(Resources(cpu_quota=-1, memory_swap=-1), processors=1, cpus="0", nodes="0")


def test_an_update_may_give_swap_without_memory() -> None:
    check(Resources(memory_swap=16 * MIB), processors=1, cpus="", nodes="", is_update=True)


def test_an_update_changes_what_it_gives() -> None:
    before = Resources(memory=16 * MIB, pids=10, cpu_shares=512, shm_size=5)
    after = updated(before, Resources(memory=20 * MIB, pids=-1))
    assert after == replace(before, memory=20 * MIB, memory_swap=32 * MIB, pids=-1)


@pytest.mark.parametrize(
    ("before", "changes", "message"),
    [
        (
            Resources(memory=16 * MIB),
            Resources(memory=33 * MIB),
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
        ),
        (
            Resources(cpu_quota=5000),
            Resources(nano_cpus=10**9),
            "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set",
        ),
        (
            Resources(nano_cpus=10**9),
            Resources(cpu_period=5000),
            "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set",
        ),
    ],
)
def test_updates_that_are_refused(before: Resources, changes: Resources, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        updated(before, changes)
    assert str(caught.value) == message


def test_resources_survive_being_written_down() -> None:
    full = Resources(
        memory=1,
        memory_swap=-1,
        memory_reservation=2,
        memory_swappiness=3,
        is_oom_kill_disabled=True,
        oom_score_adj=-5,
        nano_cpus=4,
        cpu_quota=5,
        cpu_period=6,
        cpu_shares=7,
        cpuset_cpus="0",
        cpuset_mems="0-1",
        pids=8,
        blkio_weight=9,
        ulimits=(Ulimit("nofile", 1, 2),),
        shm_size=10,
        is_strict=True,
        without_effect=("--cpu-rt-period",),
    )
    assert Resources.from_json(full.to_json()) == full
