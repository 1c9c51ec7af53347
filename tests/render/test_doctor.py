from __future__ import annotations

import io
import json
from datetime import UTC, datetime

from minidock.core.diagnosis import Diagnosis, Finding, Verdict
from minidock.render.console import Console
from minidock.render.doctor import print_diagnosis
from minidock.render.formats import Format

DIAGNOSIS = Diagnosis(
    [
        Finding("kernel", Verdict.OK, "6.1"),
        Finding("user namespaces", Verdict.PROBLEM, "switched off", "no RUN", "sudo sysctl x=1"),
        Finding("fuse", Verdict.NOTE, "not installed", "matters little"),
        Finding("proc", Verdict.NOTE, "covered"),
    ]
)


def shown(diagnosis: Diagnosis, shape: Format) -> str:
    out = io.StringIO()
    console = Console(out, io.StringIO(), now=datetime(2026, 1, 1, tzinfo=UTC), zone=UTC)
    print_diagnosis(console, diagnosis, shape=shape)
    return out.getvalue()


def test_findings_are_told_with_what_follows_and_what_helps() -> None:
    assert shown(DIAGNOSIS, Format.TABLE).splitlines() == [
        "ok       kernel            6.1",
        "problem  user namespaces   switched off",
        "                           so: no RUN",
        "                           fix: sudo sysctl x=1",
        "note     fuse              not installed",
        "                           so: matters little",
        "note     proc              covered",
        "",
        "1 problem, 2 notes",
    ]
    assert shown(Diagnosis([DIAGNOSIS.findings[0]]), Format.TABLE).splitlines()[-1] == "nothing is missing"


def test_json_has_everything() -> None:
    found = json.loads(shown(DIAGNOSIS, Format.JSON))
    assert found["Healthy"] is False
    assert found["Findings"][1] == {
        "Subject": "user namespaces",
        "Verdict": "problem",
        "Found": "switched off",
        "Consequence": "no RUN",
        "Remedy": "sudo sysctl x=1",
    }
