"""`build --call`: questions about a Dockerfile that nothing has to be built for."""

from __future__ import annotations

from minidock.core.dockerfile import outline, stages
from minidock.core.dockerfile.checks.check import CheckReport
from minidock.core.dockerfile.outline import Outline, Target
from minidock.engine.build import BuildRequest, base_config
from minidock.engine.definition import Definition, read_definition
from minidock.engine.progress import Progress
from minidock.engine.workspace import Workspace
from minidock.errors import DockerfileError


def check(ws: Workspace, request: BuildRequest) -> CheckReport:
    """Return what the build checks find in the target, in all stages if none is named.

    Raises: BuildError, DockerfileError for a file that cannot be read as a Dockerfile.
    """
    definition = _definition(request)
    try:
        plan = definition.plan(request.build_args, request.target)
        everything = range(len(plan.stages))
        wanted = stages.needed(plan, stages.resolve_target(plan, request.target)) if request.target else everything
    except DockerfileError as error:
        findings = definition.findings_of_file(request.build_args, request.target)
        return CheckReport(definition.dockerfile, findings, error)
    checked = definition.checked(plan, wanted, request.build_args, request.target, lambda name: base_config(ws, name))
    return CheckReport(definition.dockerfile, checked.findings, checked.problem(definition.dockerfile))


def outline_of(request: BuildRequest) -> Outline:
    """Return the arguments, secrets and agents that the target takes. Raises: BuildError, DockerfileError."""
    definition = _definition(request)
    plan = definition.plan(request.build_args, request.target)
    target = stages.resolve_target(plan, request.target)
    return outline.outline(plan, definition.instructions, target, request.build_args)


def targets_of(request: BuildRequest) -> tuple[Target, ...]:
    """Return the stages that can be built. Raises: BuildError, DockerfileError."""
    definition = _definition(request)
    return outline.targets(definition.dockerfile, definition.instructions)


def _definition(request: BuildRequest) -> Definition:
    return read_definition(request.context, request.dockerfile, Progress(lambda event: None))
