"""Whose a store is, and what owns its files: what ``minidock.json`` says."""

from __future__ import annotations

import json
from typing import NamedTuple

from minidock.core.id_mode import IdMode
from minidock.errors import StoreError, StoreForeign
from minidock.store.layout import VERSION, Layout

_ELSEWHERE = "choose another with --root or MINIDOCK_ROOT"


class Identity(NamedTuple):
    """Whose a store is, and what owns its files."""

    version: int
    uid: int
    id_mode: IdMode
    id_maps: str  # of the user namespace, if there is one with ranges of ids


def read_identity(layout: Layout) -> Identity | None:
    """Return what a store says of itself, None where there is none. Raises: StoreError, PermissionError."""
    try:
        with open(layout.identity, "rb") as file:
            members = json.load(file)
        mode, maps = IdMode(members["id_mode"]), str(members.get("id_maps", ""))
        return Identity(int(members["version"]), int(members["uid"]), mode, maps)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{layout.identity} cannot be read: is this a minidock store?") from error


def check_mode(root: str, identity: Identity, wanted: IdMode) -> None:
    """Make sure that a store is one of this id mode. Raises: StoreForeign."""
    if identity.id_mode is not wanted:
        raise StoreForeign(
            f"{root} is a store for id mode {identity.id_mode}, this process works in {wanted}",
            hint=f"set MINIDOCK_ID_MODE={identity.id_mode}, or choose another store with --root or MINIDOCK_ROOT",
        )


def check_identity(layout: Layout, *, uid: int, id_mode: IdMode, id_maps: str) -> None:
    """Make sure that the store, if there is one yet, may be used by this process. Raises: StoreError, StoreForeign."""
    try:
        found = read_identity(layout)
    except PermissionError as error:
        raise StoreForeign(f"{layout.root} is the store of another user", hint=_ELSEWHERE) from error
    if found is None:
        return
    if found.version > VERSION:
        raise StoreForeign(
            f"{layout.root} was written by a newer minidock (store version {found.version}, this one knows {VERSION})"
        )
    if found.uid != uid:
        raise StoreForeign(f"{layout.root} is the store of uid {found.uid}, you are uid {uid}", hint=_ELSEWHERE)
    check_mode(layout.root, found, id_mode)
    if id_maps and found.id_maps and id_maps != found.id_maps:
        raise StoreForeign(
            f"the files in {layout.root} have other ids ({found.id_maps}) than this process ({id_maps})",
            hint="leave that user namespace, or choose another store with --root or MINIDOCK_ROOT",
        )
