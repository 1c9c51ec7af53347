"""What every command reads from outside: where the store is, what starts processes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from minidock.errors import MinidockError

ROOT_VARIABLE = "MINIDOCK_ROOT"
RUNTIME_VARIABLE = "MINIDOCK_RUNTIME"
ID_MODE_VARIABLE = "MINIDOCK_ID_MODE"
CACHE_VARIABLE = "MINIDOCK_CACHE_LIMIT"
PLATFORM_VARIABLE = "DOCKER_DEFAULT_PLATFORM"
SYSTEM_ROOT = "/var/lib/minidock"

# These options stand before the command, whose own parameters do not know of them.
_given_root: ContextVar[str] = ContextVar("given_root", default="")
_given_runtime: ContextVar[str] = ContextVar("given_runtime", default="")
_given_id_mode: ContextVar[str] = ContextVar("given_id_mode", default="")
_id_mode_reason: ContextVar[str] = ContextVar("id_mode_reason", default="")


@contextmanager
def given_root(directory: str) -> Iterator[None]:
    """Make ``directory`` the store of everything that runs inside; an empty one changes nothing."""
    token = _given_root.set(directory or _given_root.get())
    try:
        yield
    finally:
        _given_root.reset(token)


@contextmanager
def given_runtime(name: str) -> Iterator[None]:
    """Make ``name`` the runtime of everything that runs inside; an empty one changes nothing."""
    token = _given_runtime.set(name or _given_runtime.get())
    try:
        yield
    finally:
        _given_runtime.reset(token)


@contextmanager
def given_id_mode(name: str) -> Iterator[None]:
    """Make ``name`` the id mode of everything that runs inside; an empty one changes nothing."""
    token = _given_id_mode.set(name or _given_id_mode.get())
    try:
        yield
    finally:
        _given_id_mode.reset(token)


@contextmanager
def working(*, is_reader: bool, is_diagnosis: bool) -> Iterator[None]:
    """Enter the id mode of the store, for good; where that is left to the store, a reader needs none.

    Raises: InvalidRequest, StoreForeign, IdRangesUnavailable.
    """
    wanted = _given_id_mode.get() or os.environ.get(ID_MODE_VARIABLE, "") or "auto"
    if wanted == "auto" and (is_reader or (os.geteuid() == 0 and not is_diagnosis)):
        yield  # nothing to choose
        return
    from minidock.engine import id_modes

    root = store_root()
    chosen = id_modes.choose(root, wanted, enters=not is_reader, is_patient=is_diagnosis)
    token = _id_mode_reason.set(chosen.reason)
    try:
        with given_root(root):  # a plain user's, who is no plain user any more
            yield
    finally:
        _id_mode_reason.reset(token)


def id_mode_reason() -> str:
    """Return why the id mode is what it is, where that has been asked (`working`)."""
    return _id_mode_reason.get()


def runtime(wanted: str = "") -> str:
    """Return the name of the runtime for new processes, empty for the usual one.

    The first of: ``wanted`` (an option of the command), ``--runtime`` before the command, ``$MINIDOCK_RUNTIME``.
    """
    return wanted or _given_runtime.get() or os.environ.get(RUNTIME_VARIABLE, "")


def store_root() -> str:
    """Return the absolute path of the store's directory; it need not exist.

    The first of: ``--root``, ``$MINIDOCK_ROOT``, /var/lib/minidock for root, the user's data directory.
    """
    directory = _given_root.get() or os.environ.get(ROOT_VARIABLE, "")
    if directory:
        return os.path.abspath(directory)
    if os.geteuid() == 0:
        return SYSTEM_ROOT
    import platformdirs

    return platformdirs.user_data_dir("minidock")


def source_date_epoch() -> int | None:
    """Return the time that everything made now is dated with, in seconds; None if $SOURCE_DATE_EPOCH is not set.

    Raises: MinidockError. Source: reproducible-builds.org, "SOURCE_DATE_EPOCH specification".
    """
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not text.isdigit():
        raise MinidockError(f"invalid SOURCE_DATE_EPOCH: {text}", hint="it is a number of seconds since 1970")
    return int(text)


def cache_bound() -> int | None:
    """Return the bytes that the build cache may take ($MINIDOCK_CACHE_LIMIT), None if that is not said.

    Raises: MinidockError.
    """
    text = os.environ.get(CACHE_VARIABLE, "")
    if not text:
        return None
    from minidock.core.units import parse_size

    try:
        return parse_size(text)
    except MinidockError as error:
        hint = "it is a size such as 20g; 0 means no limit"
        raise MinidockError(f"invalid {CACHE_VARIABLE}: {error}", hint=hint) from error


def platform(wanted: str = "") -> str:
    """Return the platform that ``--platform`` names, or else docker's variable for it; empty: this machine's."""
    return wanted or os.environ.get(PLATFORM_VARIABLE, "")


def labels(words: Iterable[str]) -> dict[str, str]:
    """Return ``NAME=value`` and ``NAME`` words (--label) as a map."""
    return {name: value for name, _, value in (word.partition("=") for word in words)}
