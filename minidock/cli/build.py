"""`minidock build`, `minidock image build`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from minidock.cli.build_call import BuildQuestions
from minidock.cli.build_limits import StepLimits
from minidock.cli.build_others import BuildOthers
from minidock.cli.build_outputs import BuildOutputs
from minidock.cli.build_places import BuildPlaces
from minidock.cli.build_steps import BuildSteps
from minidock.cli.values import parse_choice
from minidock.errors import InvalidRequest

if TYPE_CHECKING:
    from minidock.engine.preparing import BuildRequest
    from minidock.engine.workspace import Workspace
    from minidock.render.progress import Kind


def parse_progress(text: str) -> str:
    """Return the kind of progress. Raises: FlagError."""
    return parse_choice(text, ("auto", "none", "plain", "quiet", "rawjson", "tty"))


def build(
    path: Annotated[str, typer.Argument(metavar="PATH | URL | -")],
    step_limits: StepLimits,
    places: BuildPlaces,
    steps: BuildSteps,
    outputs: BuildOutputs,
    questions: BuildQuestions,
    others: BuildOthers,
    progress: Annotated[
        str,
        typer.Option(
            "--progress",
            parser=parse_progress,
            metavar="string",
            help='Set type of progress output ("auto", "none", "plain", "quiet", "rawjson", "tty")',
        ),
    ] = "auto",
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Suppress the build output and print image ID on success")
    ] = False,
) -> int:
    """Build an image from a Dockerfile."""
    from minidock.cli import options, streams
    from minidock.engine import workspace

    for remark in others.remarks():
        streams.warn(remark)
    request = request_of(path, step_limits, places, steps, outputs, questions, others)
    ws = workspace.open_workspace(options.store_root())
    if questions.are_asked:
        return questions.answer(ws, request)
    questions.require(ws, request)
    _build(request, outputs, progress, quiet=quiet)
    return 0


def request_of(
    path: str,
    step_limits: StepLimits,
    places: BuildPlaces,
    steps: BuildSteps,
    outputs: BuildOutputs,
    questions: BuildQuestions,
    others: BuildOthers,
) -> BuildRequest:
    """Return the build that a command line asks for. Raises: InvalidRequest, InvalidPlatform, BuildError."""
    import os
    import sys

    from minidock.cli import options
    from minidock.engine.preparing import BuildRequest

    platforms = places.wanted_platforms()
    return BuildRequest(
        context=path,
        dockerfile=places.file or None,
        tags=outputs.tags,
        build_args=steps.arguments(os.environ),
        labels=outputs.wanted_labels(),
        target=places.target or None,
        uses_cache=not steps.no_cache,
        source_date_epoch=options.source_date_epoch(),
        secrets=steps.wanted_secrets(os.environ),
        network="" if steps.network == "default" else steps.network,
        no_cache_stages=steps.no_cache_stages(),
        resources=step_limits.resources(),
        stdin=sys.stdin.buffer if "-" in (path, places.file) else None,
        contexts=places.contexts(),
        platform=platforms[0] if len(platforms) == 1 else None,
        platforms=platforms if len(platforms) > 1 else (),
        hosts=places.hosts(),
        outputs=outputs.wanted(),
        annotations=outputs.annotations(),
        requires_cached=questions.require_cached,
        cache_from=others.sources(),
        cache_to=others.destinations(),
        environment=os.environ,
        pulls_always=others.pull,
        allowed=others.allowed(),
    )


def _build(request: BuildRequest, outputs: BuildOutputs, progress: str, *, quiet: bool) -> None:
    import sys

    from minidock.cli import options
    from minidock.core.events import StoreWaiting
    from minidock.engine import workspace
    from minidock.engine.build import build as build_image
    from minidock.render.progress import Kind
    from minidock.render.progress import progress as observer_for

    bound = options.cache_bound()
    kind = _progress_kind(progress, quiet=quiet)
    outputs.begin()
    with observer_for(kind, sys.stderr) as observer:
        ws = workspace.open_workspace(
            options.store_root(),
            waiting=lambda text: observer(StoreWaiting(f"waiting for {text}")),
            runtime=options.runtime(),
        )
        result = build_image(ws, request, observer)
    outputs.end(result)
    _keep_bound(ws, bound)
    if kind is Kind.QUIET and not outputs.is_to_stdout:
        print(result.image_id)


def _progress_kind(progress: str, *, quiet: bool) -> Kind:
    """Return how progress is shown. Raises: InvalidRequest for one that cannot be quiet."""
    from minidock.render.progress import Kind

    kind = Kind(progress)
    if not quiet:
        return kind
    if kind not in (Kind.AUTO, Kind.NONE, Kind.QUIET):
        raise InvalidRequest(f"progress={progress} and quiet cannot be used together")
    return Kind.QUIET


def _keep_bound(ws: Workspace, bound: int | None) -> None:
    """Take from the build cache what is too much; the build has succeeded, whatever comes of it."""
    from minidock.cli import streams
    from minidock.core.units import human_size
    from minidock.engine.cache_bound import keep_bound
    from minidock.errors import MinidockError

    try:
        size = keep_bound(ws, bound)
    except MinidockError as error:
        streams.warn(f"the build cache could not be brought down to its limit: {error}")
        return
    if size:
        streams.warn(f"the build cache was above its limit: {human_size(size)} removed")
