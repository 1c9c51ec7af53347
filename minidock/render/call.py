"""Answers of `build --call` as text in docker's layout, and as JSON values.

Source: BuildKit, frontend/subrequests; docker buildx, commands/build.go.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Any

from minidock.core.dockerfile.checks.check import CheckReport
from minidock.core.dockerfile.checks.rule import Finding
from minidock.core.dockerfile.outline import Outline, TargetList, Wanted
from minidock.render.errors import excerpt

_DEFAULT = "(default)"


def check_text(report: CheckReport) -> str:
    """Return how many findings there are, each with the lines to blame, and the error that stops the build."""
    parts = [_count(len(report.findings))] if report.error is None or report.findings else []
    parts += [_finding_text(report, finding) for finding in report.findings]
    error = report.error
    if error is not None:
        parts.append(f"\nERROR: {error}\n" if parts else f"ERROR: {error}\n")
        if error.first:
            parts.append(excerpt(error.filename, error.source, error.first, error.last))
    return "".join(parts)


def _count(number: int) -> str:
    if not number:
        return "Check complete, no warnings found.\n"
    found = "1 warning has" if number == 1 else f"{number} warnings have"
    return f"Check complete, {found} been found!\n"


def _finding_text(report: CheckReport, finding: Finding) -> str:
    lines = excerpt(report.dockerfile.filename, report.dockerfile.source, finding.first, finding.last)
    page = f" - {finding.rule.url}" if finding.rule.url else ""
    return f"\nWARNING: {finding.rule.name}{page}\n{finding.detail}\n{lines}"


def outline_text(outline: Outline) -> str:
    """Return a table each of what a target is, its arguments, secrets and agents; empty ones are left out."""
    parts = []
    if outline.name or outline.description:
        rows = [("TARGET:", outline.name or _DEFAULT)]
        rows += [("DESCRIPTION:", outline.description)] if outline.description else []
        parts.append(_table(rows, gap=1))
    if outline.args:
        args = [(arg.name, arg.value, arg.description) for arg in outline.args]
        parts.append(_table([("BUILD ARG", "VALUE", "DESCRIPTION"), *args]))
    for title, items in (("SECRET", outline.secrets), ("SSH", outline.ssh)):
        if items:
            rows = [(item.id, "true" if item.is_required else "") for item in items]
            parts.append(_table([(title, "REQUIRED"), *rows]))
    return "".join(f"{part}\n" for part in parts)


def targets_text(found: TargetList) -> str:
    """Return a table of the stages that can be built; one without a name is shown only if it is the default."""
    rows = [("TARGET", "DESCRIPTION")]
    for target in found.targets:
        name = " ".join(filter(None, [target.name, _DEFAULT if target.is_default else ""]))
        rows.append((name, target.description))
    return _table(rows, gap=1)


def _table(rows: Sequence[Sequence[str]], gap: int = 3) -> str:
    """Return rows in columns; the last one is not padded."""
    widths = [max(map(len, column)) + gap for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        lines.append("".join(cells) + row[-1] + "\n")
    return "".join(lines)


def check_json(report: CheckReport) -> dict[str, Any]:
    """Return the members that docker's JSON has."""
    members: dict[str, Any] = {"warnings": [_warning(finding) for finding in report.findings] or None}
    members["sources"] = [_source(report)]
    if report.error is not None:
        location = _location(report.error.first, report.error.last)
        members["buildError"] = {"message": str(report.error), "location": location}
    return members


def _warning(finding: Finding) -> dict[str, Any]:
    return {
        "ruleName": finding.rule.name,
        "description": finding.rule.description,
        **({"url": finding.rule.url} if finding.rule.url else {}),
        "detail": finding.detail,
        "location": _location(finding.first, finding.last),
    }


def _source(report: CheckReport) -> dict[str, Any]:
    dockerfile = report.dockerfile
    return {"filename": dockerfile.filename, "data": _base64(dockerfile.source), "language": "Dockerfile"}


def _base64(source: str) -> str:
    """Return a Dockerfile as Go's JSON has bytes."""
    return b64encode(source.encode("utf-8", "surrogateescape")).decode("ascii")


def _location(first: int, last: int) -> dict[str, Any]:
    """Return one range for every line, as BuildKit has it; nothing for what has no line."""
    lines = range(first, max(first, last) + 1) if first else ()
    return _filled(ranges=[{"start": {"line": line}, "end": {"line": line}} for line in lines])


def outline_json(outline: Outline) -> dict[str, Any]:
    """Return the members that docker's JSON has; empty ones are left out."""
    args = [
        _filled(name=arg.name, description=arg.description, value=arg.value, location=_location(arg.line, arg.last))
        for arg in outline.args
    ]
    return _filled(
        name=outline.name,
        description=outline.description,
        args=args,
        secrets=_wanted(outline.secrets),
        ssh=_wanted(outline.ssh),
        sources=[_base64(outline.source)],
    )


def _wanted(items: Iterable[Wanted]) -> list[dict[str, Any]]:
    return [
        _filled(name=item.id, required=item.is_required, location=_location(item.line, item.last)) for item in items
    ]


def targets_json(found: TargetList) -> dict[str, Any]:
    """Return the members that docker's JSON has; empty ones are left out."""
    targets = [
        _filled(
            name=target.name,
            default=target.is_default,
            description=target.description,
            base=target.base,
            platform=target.platform,
            location=_location(target.line, target.last),
        )
        for target in found.targets
    ]
    return {"targets": targets, "sources": [_base64(found.source)]}


def _filled(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value}
