"""What commands that may pull have in common: `pull`, `run`, `create`, `build`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from minidock.errors import InvalidRequest, NoSuchImage

if TYPE_CHECKING:
    from minidock.cli.container_flags.process import ProcessFlags
    from minidock.core.platform import Platform
    from minidock.engine.run import Created
    from minidock.engine.workspace import Workspace

ALWAYS, MISSING, NEVER = "always", "missing", "never"


def platform_of(text: str) -> Platform | None:
    """Return the platform that ``--platform`` names, None for this machine's. Raises: InvalidPlatform."""
    if not text:
        return None
    from minidock.core.platform import Platform
    from minidock.engine.platforms import this_platform

    return Platform.parse(text, this_platform())


def check_policy(policy: str) -> None:
    """Make sure that ``--pull`` says something. Raises: InvalidRequest."""
    if policy not in (ALWAYS, MISSING, NEVER):
        raise InvalidRequest(f'invalid pull option: \'{policy}\': must be one of "always", "missing" or "never"')


def created(ws: Workspace, image: str, process: ProcessFlags, create: Callable[[], Created]) -> Created:
    """Return the container that ``create`` makes, its image pulled before if ``--pull`` asks for that.

    Raises: what `create` and pulling raise.
    """
    if process.pull == ALWAYS:
        _pull(ws, image, process)
    try:
        return create()
    except NoSuchImage as error:
        if process.pull != MISSING or not _is_name(image):
            raise
        sys.stderr.write(f"Unable to find image '{error.reference}' locally\n")
    _pull(ws, image, process)
    return create()


def _is_name(image: str) -> bool:
    """Tell whether a registry could know an image by this text, which is no ID."""
    from minidock.core.reference import IDENTIFIER

    return not image.startswith("sha256:") and IDENTIFIER.fullmatch(image) is None


def _pull(ws: Workspace, image: str, process: ProcessFlags) -> None:
    from contextlib import closing

    from minidock.cli import streams
    from minidock.core.reference import Reference
    from minidock.engine import images
    from minidock.engine.pull import pull
    from minidock.engine.registries import open_registries
    from minidock.render.transfers import transfers

    if images.is_id(ws, image):
        return  # no registry knows it by that
    reference, platform = Reference.parse(image), platform_of(process.platform)
    with (
        closing(open_registries(os.environ, streams.warn)) as known,
        transfers(sys.stderr, is_quiet=process.quiet) as observer,
    ):
        pull(ws, known, reference, observer, platform=platform)
