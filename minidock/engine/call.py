"""`build --call`: questions about a Dockerfile that nothing has to be built for."""

from __future__ import annotations

from contextlib import ExitStack

from minidock.core.dockerfile import outline, stage_needs, stage_plan
from minidock.core.dockerfile.checks.check import CheckReport
from minidock.core.dockerfile.outline import Outline, TargetList
from minidock.engine.preparing import BuildRequest, Prepared, Sessions, bases, prepare
from minidock.engine.progress import Progress
from minidock.engine.workspace import Workspace
from minidock.errors import DockerfileError


def check(ws: Workspace, request: BuildRequest) -> CheckReport:
    """Return what the build checks find in the target, in all stages if none is named.

    Raises: BuildError, DockerfileError for a file that cannot be read as a Dockerfile.
    """
    prepared = _prepared(ws, request)
    definition = prepared.definition
    try:
        plan = definition.plan(request.build_args, request.target)
        plan = stage_plan.with_contexts(plan, prepared.contexts.__contains__)
        everything = range(len(plan.stages))
        wanted = (
            stage_needs.needed(plan, stage_plan.resolve_target(plan, request.target)) if request.target else everything
        )
    except DockerfileError as error:
        findings = definition.findings_of_file(request.build_args, request.target)
        return CheckReport(definition.dockerfile, findings, error)
    checked = definition.checked(plan, wanted, request.build_args, request.target, bases(ws, prepared.contexts))
    return CheckReport(definition.dockerfile, checked.findings, checked.problem(definition.dockerfile))


def outline_of(ws: Workspace, request: BuildRequest) -> Outline:
    """Return the arguments, secrets and agents that the target takes. Raises: BuildError, DockerfileError."""
    definition = _prepared(ws, request).definition
    plan = definition.plan(request.build_args, request.target)
    target = stage_plan.resolve_target(plan, request.target)
    return outline.outline(plan, definition.instructions, target, request.build_args)


def targets_of(ws: Workspace, request: BuildRequest) -> TargetList:
    """Return the stages that can be built. Raises: BuildError, DockerfileError."""
    definition = _prepared(ws, request).definition
    found = outline.targets(definition.dockerfile, definition.instructions)
    return TargetList(found, definition.dockerfile.source)


def _prepared(ws: Workspace, request: BuildRequest) -> Prepared:
    with ExitStack() as stack:
        return prepare(ws, request, Progress(lambda event: None), Sessions(ws.store.session, stack))
