"""Makes the directories and files of a store, whoever else may be making them at the same time."""

from __future__ import annotations

import errno
import os

from minidock.core.canonical import dumps
from minidock.errors import StoreUnwritable
from minidock.store.identity import Identity
from minidock.store.layout import DIRECTORIES, Layout
from minidock.store.writer import Disk, remove_tree, write_new

_OCI_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_EMPTY_INDEX = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
_RESERVE = 64 << 10
_OWN_FILES = {"oci-layout", "index.json", "minidock.json", "reserve", "events", "events.1"}


class Making:
    """Makes one store."""

    def __init__(self, layout: Layout, disk: Disk) -> None:
        self._layout = layout
        self._disk = disk

    def make(self, identity: Identity) -> None:
        """Make what is missing of the store. Raises: StoreUnwritable for a directory of something else."""
        root = self._layout.root
        if os.path.exists(self._layout.identity) and all(
            os.path.isdir(self._layout.path(name)) for name in ("tmp", "trash", "locks/lease", "forms")
        ):
            return
        if os.path.isdir(root) and not os.path.exists(self._layout.identity):
            strangers = set(os.listdir(root)) - {name.split("/")[0] for name in DIRECTORIES} - _OWN_FILES
            if strangers:
                raise StoreUnwritable(
                    f"{root} is not empty and not a minidock store (it holds {min(strangers)})",
                    hint="choose another directory with --root or MINIDOCK_ROOT",
                )
        os.makedirs(root, 0o700, exist_ok=True)
        for name in DIRECTORIES:
            self._make_directory(self._layout.path(name))
        self._make_file(self._layout.oci_layout, _OCI_LAYOUT)
        self._make_file(self._layout.index, _EMPTY_INDEX)
        self._make_file(self._layout.path("reserve"), bytes(_RESERVE))
        members: dict[str, int | str] = {
            "version": identity.version,
            "uid": identity.uid,
            "id_mode": identity.id_mode.value,
        }
        if identity.id_maps:
            members["id_maps"] = identity.id_maps
        self._make_file(self._layout.identity, dumps(members))

    def keep_reserve(self) -> None:
        """Make the reserve anew if a removal on a full disk has taken it."""
        try:
            self._make_file(self._layout.path("reserve"), bytes(_RESERVE))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise  # else: not the moment for it; what needs the space more says so itself

    def _make_directory(self, path: str) -> None:
        try:
            self._disk.mkdir(path)
        except FileExistsError:
            pass

    def _make_file(self, path: str, data: bytes) -> None:
        # Two processes may make the store at once: each writes its own file, one of the equal ones gets the name.
        # A third that is further may take the temporary file for rubbish: then the next attempt makes it.
        while not os.path.exists(path):
            temporary = self._layout.path("tmp", f"new-{os.urandom(6).hex()}")
            try:
                write_new(self._disk, temporary, data)
                self._disk.link(temporary, path)
            except FileExistsError:
                pass
            except FileNotFoundError:
                continue
            finally:
                remove_tree(self._disk, temporary)
            self._disk.sync_directory(self._layout.root)
