"""`minidock build`, `minidock image build`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from minidock.cli.build_call import BUILD, Call
from minidock.cli.build_limits import StepLimits
from minidock.cli.build_others import BuildOthers
from minidock.cli.build_outputs import BuildOutputs
from minidock.cli.build_places import BuildPlaces
from minidock.cli.values import parse_choice
from minidock.core.build_options import AgentOption, SecretOption
from minidock.errors import FlagError, InvalidReference


def parse_tag(text: str) -> str:
    """Return ``text`` if it names an image. Raises: FlagError in docker's words."""
    from minidock.core.reference import Reference

    try:
        Reference.parse(text)
    except InvalidReference as error:
        raise FlagError(str(error)) from error
    return text


def parse_progress(text: str) -> str:
    """Return the kind of progress. Raises: FlagError."""
    return parse_choice(text, ("auto", "none", "plain", "quiet", "rawjson", "tty"))


def parse_network(text: str) -> str:
    """Return the network of RUN instructions. Raises: FlagError."""
    return parse_choice(text, ("default", "host", "none"))


def build(
    path: Annotated[str, typer.Argument(metavar="PATH | URL | -")],
    step_limits: StepLimits,
    places: BuildPlaces,
    outputs: BuildOutputs,
    others: BuildOthers,
    tags: Annotated[
        list[str],
        typer.Option(
            "--tag", "-t", parser=parse_tag, metavar="list", help='Name and optionally a tag in the "name:tag" format'
        ),
    ] = [],  # noqa: B006  # the parser makes a new list for each call
    file: Annotated[
        str, typer.Option("--file", "-f", help='Name of the Dockerfile (Default is "PATH/Dockerfile")')
    ] = "",
    build_args: Annotated[list[str], typer.Option("--build-arg", metavar="list", help="Set build-time variables")] = [],  # noqa: B006
    labels: Annotated[list[str], typer.Option("--label", metavar="list", help="Set metadata for an image")] = [],  # noqa: B006
    target: Annotated[str, typer.Option("--target", help="Set the target build stage to build")] = "",
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Do not use cache when building the image")] = False,
    no_cache_filter: Annotated[
        list[str], typer.Option("--no-cache-filter", metavar="list", help="Do not cache specified stages")
    ] = [],  # noqa: B006
    network: Annotated[
        str,
        typer.Option(
            "--network",
            parser=parse_network,
            metavar="string",
            help='Set the networking mode for the "RUN" instructions during build (default, host, none)',
        ),
    ] = "default",
    secrets: Annotated[
        list[SecretOption],
        typer.Option(
            "--secret",
            parser=SecretOption.parse,
            metavar="list",
            help='Secret to expose to the build (format: "id=mysecret[,src=/local/secret]")',
        ),
    ] = [],  # noqa: B006
    agents: Annotated[
        list[AgentOption],
        typer.Option(
            "--ssh",
            parser=AgentOption.parse,
            metavar="list",
            help='SSH agent socket or keys to expose to the build (format: "default|<id>[=<socket>|<key>[,<key>]]")',
        ),
    ] = [],  # noqa: B006
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
    call: Annotated[
        Call,
        typer.Option(
            "--call",
            parser=Call.parse,
            metavar="string",
            help='Set method for evaluating build ("check", "outline", "targets")',
        ),
    ] = Call(),  # noqa: B008  # a value
    print_: Annotated[
        Call, typer.Option("--print", parser=Call.parse, metavar="string", hidden=True, help="Same as --call")
    ] = Call(),  # noqa: B008  # a value
    require_cached: Annotated[
        bool, typer.Option("--require-cached", help="Fail, instead of running, if a step is not in the build cache")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help='Shorthand for "--call=check"')] = False,
) -> int:
    """Build an image from a Dockerfile."""
    import os
    import sys

    from minidock.cli import options, streams
    from minidock.core.events import StoreWaiting
    from minidock.engine import workspace
    from minidock.engine.build import build as build_image
    from minidock.engine.preparing import BuildRequest
    from minidock.engine.secrets import gather
    from minidock.render.progress import Kind
    from minidock.render.progress import progress as observer_for

    for remark in others.remarks():
        streams.warn(remark)
    request = BuildRequest(
        context=path,
        dockerfile=file or None,
        tags=tuple(tags),
        build_args=pairs(build_args, os.environ),
        labels={name: value or "" for name, value in (item.partition("=")[::2] for item in labels)},
        target=target or None,
        uses_cache=not no_cache,
        source_date_epoch=options.source_date_epoch(),
        secrets=gather(secrets, agents, os.environ),
        network="" if network == "default" else network,
        no_cache_stages=tuple(name.lower() for item in no_cache_filter for name in item.split(",")),
        resources=step_limits.resources(),
        stdin=sys.stdin.buffer if "-" in (path, file) else None,
        contexts=places.contexts(),
        platform=places.platform(),
        hosts=places.hosts(),
        outputs=outputs.wanted(),
        annotations=outputs.annotations(),
        requires_cached=require_cached,
    )
    call = print_ if call.method == BUILD else call
    if check or call.method != BUILD:
        question = call._replace(method="check") if check else call
        return question.answer(workspace.open_workspace(options.store_root()), request)
    outputs.begin()
    with observer_for(Kind.QUIET if quiet else Kind(progress), sys.stderr) as observer:
        ws = workspace.open_workspace(
            options.store_root(),
            waiting=lambda text: observer(StoreWaiting(f"waiting for {text}")),
            runtime=options.runtime(),
        )
        result = build_image(ws, request, observer)
    outputs.end(result)
    if quiet and not outputs.is_to_stdout:
        print(result.image_id)
    return 0


def pairs(items: list[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return ``NAME=value`` items as a map; a bare NAME takes the caller's value, if there is one."""
    found = {}
    for item in items:
        name, equals, value = item.partition("=")
        if equals:
            found[name] = value
        elif name in environment:
            found[name] = environment[name]
    return found
