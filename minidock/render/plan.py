"""What a build would do, step by step."""

from __future__ import annotations

from minidock.core.build_plan import BuildPlan
from minidock.core.context_size import ContextSize
from minidock.core.units import human_size
from minidock.render.console import Console
from minidock.render.formats import Format, json_text


def print_plan(console: Console, plan: BuildPlan, *, shape: Format = Format.TABLE) -> None:
    """Print a plan; in a document every changed file is named."""
    if shape is Format.JSON:
        console.out.write(json_text(plan.to_json()) + "\n")
        return
    if shape.template:
        console.out.write(shape.document(plan.to_json()))
        return
    for step in plan.steps:
        console.out.write(f"{step.name}: {step.outcome}\n")
        for reason in step.reasons:
            console.out.write(f"    {reason.text}\n")
    context = size_text(plan.context) if plan.context is not None else "not all of it may be read"
    console.out.write(f"context: {context}\n{_summary(plan)}\n")


def _summary(plan: BuildPlan) -> str:
    count = len(plan.steps) - plan.missing
    steps = f"{count} step{'' if count == 1 else 's'}"
    if plan.is_cached:
        return f"nothing would run: {steps} cached"
    missing = f", {plan.missing} FROM image{' is' if plan.missing == 1 else 's are'} missing" if plan.missing else ""
    return f"{plan.run} of {steps} would run{missing}"


def size_text(size: ContextSize) -> str:
    """Return how many files and bytes, in words."""
    return f"{size.files:,} file{'' if size.files == 1 else 's'}, {human_size(size.size)}"
