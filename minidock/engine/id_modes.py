"""Chooses whose ids the files of containers have, and enters the user namespace that goes with it.

Before anything else happens, while there is one thread: who has entered it is root there, and everything else follows.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NoReturn

from minidock.core.dataclass import dataclass
from minidock.core.id_mode import IdMode
from minidock.engine.workspace import open_workspace
from minidock.errors import CommandNotExecutable, CommandNotFound, IdRangesUnavailable, InvalidRequest, StoreError
from minidock.runtime import identity as identities
from minidock.runtime import ids
from minidock.store.identity import Identity, check_mode, read_identity
from minidock.store.layout import Layout
from minidock.store.namespace_record import namespace_record
from minidock.store.writer import Disk

AUTO = "auto"
_KNOWN = (AUTO, *(mode.value for mode in IdMode))


@dataclass(frozen=True, slots=True)
class Chosen:
    """An id mode, and why it is this one."""

    mode: IdMode
    reason: str


def choose(root: str, wanted: str = AUTO, *, enters: bool = True, is_patient: bool = False) -> Chosen:
    """Return the id mode for the store at ``root``; with ``enters`` this process works in it from now on.

    A new store of a plain user has ranges of ids if they can be had, else a single one. ``is_patient``: go on with a
    single id where a store of ranges cannot be entered, to say so.
    Raises: InvalidRequest, StoreForeign; IdRangesUnavailable if a namespace is needed that cannot be had.
    """
    if wanted not in _KNOWN:
        raise InvalidRequest(f"invalid id mode: {wanted}", hint=f"known are {', '.join(_KNOWN)}")
    identity = _identity(root)
    asked = None if wanted == AUTO else IdMode(wanted)
    if asked is not None and identity is not None:
        check_mode(root, identity, asked)
    own = ids.id_mode()
    if own is not IdMode.SINGLE or os.geteuid() == 0:
        return _of_root(own, asked)
    if asked is IdMode.ROOT:
        raise InvalidRequest("only root can work in id mode root", hint="use sudo, or another MINIDOCK_ID_MODE")
    mode = asked or (identity.id_mode if identity else None)
    if mode is IdMode.SINGLE or mode is IdMode.ROOT:
        return Chosen(IdMode.SINGLE, _reason(asked, identity))
    if not enters:
        return Chosen(mode or IdMode.SINGLE, _reason(asked, identity))
    try:
        _enter(root, identity)
    except IdRangesUnavailable as error:
        why = f"{error}; {error.hint}" if error.hint else str(error)
        if mode is None or is_patient:
            return Chosen(IdMode.SINGLE, why)
        what = f"id mode range was asked for: {error}" if asked else f"{root} is a store for id mode range: {error}"
        raise IdRangesUnavailable(what, hint=error.hint) from error
    return Chosen(IdMode.RANGE, _reason(asked, identity) or "ranges in /etc/subuid and /etc/subgid, newuidmap works")


def _of_root(own: IdMode, asked: IdMode | None) -> Chosen:
    """Return the only mode that there is for root, here or in a user namespace."""
    if asked not in (None, own):
        raise InvalidRequest(
            f"this process works in id mode {own}, not in {asked}", hint="leave MINIDOCK_ID_MODE and --id-mode out"
        )
    reasons = {
        IdMode.ROOT: "you are root",
        IdMode.RANGE: "you are root in a user namespace with many ids",
        IdMode.SINGLE: "you are root in a user namespace with one id",
    }
    return Chosen(own, reasons[own])


def _reason(asked: IdMode | None, identity: Identity | None) -> str:
    return "asked for" if asked else "the store was made in it" if identity else ""


def _identity(root: str) -> Identity | None:
    try:
        return read_identity(Layout(root))
    except (PermissionError, StoreError):
        return None  # another user's store, or a broken one, which opening it will say; `system reset` opens none


def _enter(root: str, identity: Identity | None) -> None:
    """Enter the namespace of the store, or one with the maps of this user. Raises: IdRangesUnavailable."""
    from minidock.runtime import id_ranges

    maps = id_ranges.Maps.parse(identity.id_maps) if identity and identity.id_maps else id_ranges.maps_of_user()
    with namespace_record(Layout(root), Disk()) as record:
        record.keep(id_ranges.enter(maps, record.inode))


def execute(root: str, words: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Become the program ``words`` with the ids that the files of the store at ``root`` have.

    Raises: CommandNotFound, CommandNotExecutable.
    """
    open_workspace(root)  # somebody else's says so
    if os.geteuid() != 0:
        identities.enter_user_namespace((os.geteuid(), os.getegid()))
    try:
        os.execvpe(words[0], list(words), dict(environment))
    except FileNotFoundError as error:
        raise CommandNotFound(words[0]) from error
    except OSError as error:
        raise CommandNotExecutable(words[0], (error.strerror or "").lower()) from error
