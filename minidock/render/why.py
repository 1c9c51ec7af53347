"""What became of the steps of a build, and why."""

from __future__ import annotations

from minidock.core.build_record import BuildRecord, StepFate
from minidock.render.console import Console
from minidock.render.formats import Format, json_text


def print_build(console: Console, build: BuildRecord, *, shape: Format = Format.TABLE, is_whole: bool = False) -> None:
    """Print a build; ``is_whole`` names every changed file and both of two parents."""
    if shape is Format.JSON:
        console.out.write(json_text(build.to_json()) + "\n")
        return
    if shape.template:
        console.out.write(shape.document(build.to_json()))
        return
    made = str(build.image_id) if build.image_id else "failed"
    console.out.write(f"{', '.join(build.names) or '<none>'}  {build.ended[:19]}Z  {made}\n")
    for step in build.steps:
        console.out.write(f"#{step.number} {step.name}: {step.outcome}\n")
        for line in _reasons(step, is_whole=is_whole):
            console.out.write(f"    {line}\n")


def _reasons(step: StepFate, *, is_whole: bool) -> list[str]:
    lines = []
    for reason in step.reasons:
        lines.append(reason.text)
        if is_whole and any(detail not in reason.text for detail in reason.details):
            lines += [f"    {detail}" for detail in reason.details]
    return lines
