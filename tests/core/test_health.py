from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from minidock.core.health import Health, HealthCheck, HealthResult, HealthStatus

STARTED = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = 1_000_000_000


def result(code: int, seconds: float = 100) -> HealthResult:
    start = STARTED + timedelta(seconds=seconds)
    return HealthResult(start, start + timedelta(seconds=1), code, "text")


def after(check: HealthCheck, *results: HealthResult) -> Health:
    health = Health()
    for found in results:
        health = health.after(found, check, STARTED)
    return health


@pytest.mark.parametrize(
    ("codes", "status", "streak"),
    [
        ([0], HealthStatus.HEALTHY, 0),
        ([1], HealthStatus.STARTING, 1),
        ([1, 1, 1], HealthStatus.UNHEALTHY, 3),
        ([0, 1, 1], HealthStatus.HEALTHY, 2),
        ([0, 1, 1, -1], HealthStatus.UNHEALTHY, 3),
        ([1, 1, 1, 0], HealthStatus.HEALTHY, 0),
    ],
)
def test_three_failures_in_a_row_are_too_many(codes: list[int], status: HealthStatus, streak: int) -> None:
    health = after(HealthCheck(("CMD", "x")), *(result(code) for code in codes))
    assert (health.status, health.failing_streak) == (status, streak)


def test_failures_in_the_start_period_do_not_count_until_one_check_was_good() -> None:
    check = HealthCheck(("CMD", "x"), start_period=50 * SECOND, retries=1)
    assert after(check, result(1, 10), result(1, 20)).failing_streak == 0
    assert after(check, result(0, 10), result(1, 20)).status is HealthStatus.UNHEALTHY
    assert after(check, result(1, 10), result(1, 60)).status is HealthStatus.UNHEALTHY


def test_the_last_five_results_are_kept_and_written_as_docker_does() -> None:
    health = after(HealthCheck(("CMD", "x")), *(result(0, number) for number in range(7)))
    assert [entry["Start"][17:19] for entry in health.to_json()["Log"]] == ["02", "03", "04", "05", "06"]
    assert Health.from_json(health.to_json()) == health


def test_what_the_user_says_goes_over_what_the_image_says() -> None:
    image = HealthCheck(("CMD", "a"), interval=1, timeout=2, retries=3)
    assert HealthCheck(timeout=9).over(image) == HealthCheck(("CMD", "a"), interval=1, timeout=9, retries=3)
    assert HealthCheck(("CMD-SHELL", "b")).over(image).test == ("CMD-SHELL", "b")
    assert not HealthCheck(("NONE",)).over(image).is_active


@pytest.mark.parametrize(
    ("test", "shell", "command"),
    [
        (("CMD", "a", "b"), None, ("a", "b")),
        (("CMD-SHELL", "a b"), None, ("/bin/sh", "-c", "a b")),
        (("CMD-SHELL", "a b"), ("/bin/bash", "-ec"), ("/bin/bash", "-ec", "a b")),
    ],
)
def test_commands_run_in_the_shell_of_the_image(
    test: tuple[str, ...], shell: tuple[str, ...] | None, command: tuple[str, ...]
) -> None:
    assert HealthCheck(test).command(shell) == command


def test_checks_come_every_thirty_seconds_unless_said_otherwise() -> None:
    check = HealthCheck(("CMD", "x"))
    assert (check.pause(is_starting=True), check.pause(is_starting=False)) == (5 * SECOND, 30 * SECOND)
    assert check.patience == 30 * SECOND
