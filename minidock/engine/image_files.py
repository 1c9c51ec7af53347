"""The files of an image, read no further than they are asked for: the merged tree of a distribution has thousands."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from minidock.core.digest import Digest
from minidock.core.entries import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry, Tree
from minidock.core.process import User
from minidock.core.users import resolve_groups, resolve_user
from minidock.engine.workspace import Workspace
from minidock.errors import RuntimeProblem
from minidock.store.contents import Contents

_LARGEST_ACCOUNTS = 10 << 20  # bytes: a file of accounts is read whole, and its image may be anybody's


class ImageFiles:
    """The files of the stack of layers ``diff_ids``, whose merged tree is read when it is needed and not given."""

    def __init__(self, ws: Workspace, diff_ids: Sequence[Digest], tree: Tree | None = None) -> None:
        self._ws = ws
        self._diff_ids = diff_ids
        self._given = tree

    @cached_property
    def tree(self) -> Tree:
        """The merged tree."""
        return self._ws.store.layers.tree(self._diff_ids) if self._given is None else self._given

    @cached_property
    def root(self) -> Entry:
        """The top directory."""
        landmarks = self._landmarks
        tree = self.tree if landmarks is None else Tree.fold(landmarks)
        return tree.get("") or Entry("", DIRECTORY, 0o755)

    @cached_property
    def accounts(self) -> tuple[str | None, str | None]:
        """The texts of the passwd and group files, None of one that is not there. Raises: RuntimeProblem."""
        landmarks = self._landmarks
        tree = self.tree if landmarks is None else Tree.fold(landmarks)
        with Contents(self._ws.store.blobs, self._ws.store.layers, self._diff_ids, landmarks) as contents:

            def text(path: str) -> str | None:
                entry = tree.get(tree.resolve(path))
                if entry is None or entry.kind != FILE:
                    return None
                if entry.size > _LARGEST_ACCOUNTS:
                    raise RuntimeProblem(f"/{path} of the image is larger than {_LARGEST_ACCOUNTS >> 20} MiB")
                return contents.read(entry).decode("utf-8", "surrogateescape")

            return text("etc/passwd"), text("etc/group")

    def user(self, spec: str, groups: Sequence[str] = ()) -> User:
        """Return the numeric user that ``spec`` names in the image's own files, in ``groups`` as well.

        Raises: RuntimeProblem.
        """
        passwd, group = self.accounts
        return resolve_user(spec, passwd, group, User(home="/")).joining(resolve_groups(groups, group))

    @cached_property
    def _landmarks(self) -> list[list[Entry]] | None:
        """The few entries of each layer that lead to the top directory and the accounts, or None if they do not."""
        if self._given is not None:
            return None
        found = []
        for diff_id in self._diff_ids:
            entries = self._ws.store.layers.landmarks(diff_id)
            if entries is None or any(entry.kind in (SYMLINK, HARDLINK) for entry in entries):
                return None  # a link leads elsewhere
            found.append(entries)
        return found
