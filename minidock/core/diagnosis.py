"""What `minidock doctor` finds: one statement about the machine each, what follows from it, and what would help."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from minidock.core.dataclass import dataclass


class Verdict(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    NOTE = "note"  # something is not to be had, and little depends on it
    WARNING = "warning"  # something works in a slower or weaker way
    PROBLEM = "problem"  # something that people expect does not work


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``consequence`` and ``remedy`` are empty where all is well."""

    subject: str
    verdict: Verdict
    found: str
    consequence: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings, in the order of the checks."""

    findings: Sequence[Finding]

    @property
    def exit_code(self) -> int:
        """1 if there is a problem; warnings and notes leave it 0."""
        return int(any(finding.verdict is Verdict.PROBLEM for finding in self.findings))

    def count(self, verdict: Verdict) -> int:
        """Return how many findings are that bad."""
        return sum(finding.verdict is verdict for finding in self.findings)
