from __future__ import annotations

from minidock.core.diagnosis import Diagnosis, Finding, Verdict


def test_only_a_problem_is_a_failure() -> None:
    findings = [Finding("x", verdict, "found") for verdict in Verdict]
    assert [Diagnosis([finding]).exit_code for finding in findings] == [0, 0, 0, 1]
    assert Diagnosis(findings * 2).count(Verdict.NOTE) == 2
