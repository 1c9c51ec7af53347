"""`minidock doctor` as text and as JSON."""

from __future__ import annotations

from minidock.core.diagnosis import Diagnosis, Finding, Verdict
from minidock.render.console import Console
from minidock.render.formats import Format, json_text

_WIDTH = 17
_ENDS = {
    Verdict.PROBLEM: "problem",
    Verdict.WARNING: "warning",
    Verdict.NOTE: "note",
}


def print_diagnosis(console: Console, diagnosis: Diagnosis, *, shape: Format = Format.TABLE) -> None:
    """Print one line for each finding, and below it what follows and what helps; last, the sum."""
    if shape is Format.JSON:
        findings = [_members(finding) for finding in diagnosis.findings]
        console.out.write(json_text({"Findings": findings, "Healthy": not diagnosis.exit_code}) + "\n")
        return
    for finding in diagnosis.findings:
        console.out.write(f"{finding.verdict.value:<8} {finding.subject:<{_WIDTH}} {finding.found}\n")
        if finding.verdict is Verdict.OK:
            continue
        for arrow, text in (("so:", finding.consequence), ("fix:", finding.remedy)):
            if text:
                console.out.write(f"{'':<8} {'':<{_WIDTH}} {arrow} {text}\n")
    console.out.write(f"\n{_summary(diagnosis)}\n")


def _summary(diagnosis: Diagnosis) -> str:
    counts = [(diagnosis.count(verdict), word) for verdict, word in _ENDS.items()]
    told = [f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts if count]
    return ", ".join(told) if told else "nothing is missing"


def _members(finding: Finding) -> dict[str, str]:
    return {
        "Subject": finding.subject,
        "Verdict": finding.verdict.value,
        "Found": finding.found,
        "Consequence": finding.consequence,
        "Remedy": finding.remedy,
    }
