"""Who a user is in an image."""

from __future__ import annotations

from collections.abc import Sequence

from minidock.core.digest import Digest
from minidock.core.entries import FILE, Tree
from minidock.core.process import User
from minidock.core.users import resolve_user
from minidock.engine.workspace import Workspace
from minidock.store.layers import Contents


def image_user(ws: Workspace, diff_ids: Sequence[Digest], tree: Tree, spec: str) -> User:
    """Return the numeric user that ``spec`` names in an image's own passwd and group files. Raises: RuntimeProblem."""
    passwd, group = account_files(ws, diff_ids, tree)
    return resolve_user(spec, passwd, group, User(home="/"))


def account_files(ws: Workspace, diff_ids: Sequence[Digest], tree: Tree) -> tuple[str, str]:
    """Return the texts of an image's passwd and group files, empty where there are none."""
    with Contents(ws.store.blobs, ws.store.layers, diff_ids) as contents:

        def text(path: str) -> str:
            entry = tree.get(tree.resolve(path))
            is_file = entry is not None and entry.kind == FILE
            return contents.read(entry).decode("utf-8", "surrogateescape") if entry and is_file else ""

        return text("etc/passwd"), text("etc/group")
