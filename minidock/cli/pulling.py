"""What commands that pull or push have in common: `pull`, `push`, `run`, `create`, `build`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, TextIO

from minidock.errors import InvalidRequest, NoSuchImage

if TYPE_CHECKING:
    from minidock.cli.container_flags.process import ProcessFlags
    from minidock.core.platform import Platform
    from minidock.core.reference import Reference
    from minidock.core.transfers import TransferObserver
    from minidock.engine.registries import Registries
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


def named(name: str, *, all_tags: bool, is_quiet: bool) -> Reference:
    """Return the reference that ``name`` is, of all tags if that is wanted; tell of a tag that goes without saying.

    Raises: InvalidReference, MinidockError in docker's words.
    """
    from minidock.core.reference import DEFAULT_TAG, Reference
    from minidock.errors import MinidockError

    reference = Reference.parse(name)
    has_tag = name.endswith(f":{DEFAULT_TAG}") or reference.tag not in (None, DEFAULT_TAG)
    if all_tags and (has_tag or reference.digest):
        raise MinidockError("tag can't be used with --all-tags/-a")
    if not (all_tags or has_tag or reference.digest or is_quiet):
        print(f"Using default tag: {DEFAULT_TAG}", flush=True)
    return reference


@contextmanager
def transferring(stream: TextIO, *, is_quiet: bool) -> Iterator[tuple[Registries, TransferObserver]]:
    """Yield the user's registries, closed afterwards, and what shows on ``stream`` what comes and goes."""
    from minidock.cli import streams
    from minidock.engine.registries import open_registries
    from minidock.render.transfers import transfers

    with closing(open_registries(os.environ, streams.warn)) as known, transfers(stream, is_quiet=is_quiet) as observer:
        yield known, observer


def check_trust(*, is_disabled: bool) -> None:
    """Tell that ``--disable-content-trust=false`` does nothing."""
    from minidock.cli import streams

    if not is_disabled:
        streams.warn("--disable-content-trust has no effect: images are not signed")


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
    from minidock.cli import options
    from minidock.core.reference import Reference
    from minidock.engine import images
    from minidock.engine.pull import pull

    if images.is_id(ws, image):
        return  # no registry knows it by that
    reference, platform = Reference.parse(image), platform_of(options.platform(process.platform))
    with transferring(sys.stderr, is_quiet=process.quiet) as (registries, observer):
        pull(ws, registries, reference, observer, platform=platform)
