"""`minidock context`: what a build context holds after its ignore rules, and why a path is in it or not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import BinaryIO

from minidock.core.context_size import parts_of, size_of
from minidock.core.context_why import ContextListing, PathInContext
from minidock.core.dockerfile.ignore import IgnoreRules
from minidock.engine.contexts import Fetching, FileContext, open_context
from minidock.engine.definition import read_ignore_rules
from minidock.engine.preparing import Sessions
from minidock.engine.progress import Progress
from minidock.engine.secrets import Secrets
from minidock.engine.workspace import Workspace
from minidock.errors import BuildError, InvalidRequest
from minidock.store.dry_session import dry_session


@contextmanager
def _opened(
    ws: Workspace, path: str, dockerfile: str | None, stdin: BinaryIO | None
) -> Iterator[tuple[FileContext, IgnoreRules]]:
    """Open a context as `build` does, with nothing written to the store."""
    with ExitStack() as stack:
        progress = Progress(lambda event: None)
        sessions = Sessions(partial(dry_session, ws.store.disk), stack)
        opened = open_context(Fetching(ws, sessions.get, progress, Secrets()), path, stdin)
        if opened.dockerfile is not None:
            raise BuildError(f"{path} is a Dockerfile, not a context")
        yield opened.files, read_ignore_rules(opened, dockerfile, progress) or IgnoreRules()


def listing(
    ws: Workspace, path: str, dockerfile: str | None = None, stdin: BinaryIO | None = None, depth: int = 1
) -> ContextListing:
    """Return what a context holds, in parts ``depth`` levels down. Raises: BuildError."""
    with _opened(ws, path, dockerfile, stdin) as (files, rules):
        entries = files.entries(rules)
        return ContextListing(files.scope, rules.filename, size_of(entries), parts_of(entries, depth))


def why(
    ws: Workspace, path: str, name: str, dockerfile: str | None = None, stdin: BinaryIO | None = None
) -> PathInContext:
    """Return what the ignore rules say of the file called ``name`` in a context. Raises: BuildError, InvalidRequest."""
    with _opened(ws, path, dockerfile, stdin) as (files, rules):
        inside = _inside(files, name)
        everything = {entry.path for entry in files.entries(IgnoreRules())} if not files.is_local else set()
        exists = not inside or inside in everything or (files.is_local and _exists(files.scope, inside))
        is_ignored = rules.is_ignored(inside)
        holds = is_ignored and exists and rules.may_hold_included(inside) and _holds(files, rules, inside)
        return PathInContext(inside or ".", rules.filename, exists, is_ignored, rules.matches(inside), holds)


def _inside(files: FileContext, name: str) -> str:
    """Return a path of a context without ``.`` and ``..``.

    An absolute one is a path of the machine, and so is one that is there but not in the context.
    """
    is_here = os.path.lexists(name) and not os.path.lexists(os.path.join(files.scope, name))
    if files.is_local and (os.path.isabs(name) or is_here):
        parent, last = os.path.split(os.path.normpath(name))
        name = os.path.relpath(os.path.join(os.path.realpath(parent), last), files.scope)
    cleaned = os.path.normpath(name.lstrip("/") or ".")
    if cleaned == ".." or cleaned.startswith("../"):
        raise InvalidRequest(f"{name} is outside of the context {files.scope}")
    return "" if cleaned == "." else cleaned


def _exists(root: str, path: str) -> bool:
    """Tell whether a context has a path: what a link leads to has another one."""
    parent, name = os.path.split(f"{root}/{path}")
    return os.path.realpath(parent) == parent and os.path.lexists(f"{parent}/{name}")


def _holds(files: FileContext, rules: IgnoreRules, directory: str) -> bool:
    return any(entry.path.startswith(f"{directory}/") for entry in files.entries(rules))
