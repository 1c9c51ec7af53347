"""ADD of a git reference: the files of one commit, fetched only if the cache does not have the layer that they give."""

from __future__ import annotations

import os
from base64 import b64encode
from dataclasses import replace

from minidock.core.cache_key import InputFile
from minidock.core.copying import Planned
from minidock.core.dockerfile.ignore import IgnoreRules
from minidock.core.entries import Entry
from minidock.core.git_reference import GitReference, without_password
from minidock.core.selecting import Selected, Selection
from minidock.engine.context import Context
from minidock.engine.git import Checkout, Resolved, check_out, resolve
from minidock.engine.progress import Step
from minidock.engine.secrets import Secrets
from minidock.engine.sources import with_digests
from minidock.engine.stage_state import BuildContext
from minidock.engine.workspace import Workspace
from minidock.store.session import Session
from minidock.store.statcache import StatCache
from minidock.store.writer import remove_tree, write_new


class GitPart:
    """The files of a repository at one commit, owned by 0:0, without a name of their own."""

    unpacks = False
    is_of_context = False

    def __init__(self, build: BuildContext, reference: GitReference, selection: Selection, mtime: int) -> None:
        self._build = build
        self._reference = reference
        self._selection = selection
        self._mtime = mtime
        self._resolved: Resolved | None = None
        self._directory = ""
        self._config = ""
        self._context: Context | None = None

    def inputs(self) -> tuple[InputFile, ...]:
        """Return the commit, and what of it: the name of the branch or tag counts only where .git is kept."""
        self._resolved = resolve(self._reference, self._settings_file())
        reference, resolved = self._reference, self._resolved
        parts = [resolved.commit if not reference.keep_git_dir else f"{resolved.found}.git#{resolved.ref}"]
        parts += [f":{reference.subdir}"] if reference.subdir else []
        parts += ["(skip-submodules)"] if reference.submodules is False else []
        parts += ["(mtime=commit)"] if reference.mtime == "commit" else []
        return (InputFile(without_password(reference.remote), "git", 0, "".join(parts)),)

    def settings(self) -> tuple[tuple[str, str], ...]:
        """Return the patterns of --exclude: which files they leave out is not known before the fetch."""
        rules = self._selection.excludes
        return () if rules is None else (("exclude", " ".join(rule.text for rule in rules.rules)),)

    def take(self, step: Step) -> tuple[Selected, ...]:
        """Fetch and check out; return the files."""
        assert self._resolved is not None
        self._directory = self._directory or self._build.session.temporary()
        check = self._build.cancellation.check
        found: Checkout = check_out(self._reference, self._resolved, self._directory, check, self._settings_file())
        step.status(f"{without_password(self._reference.remote)} at {found.commit} done")
        context = Context(found.root, IgnoreRules(), StatCache(self._build.ws.store.layout, found.root))
        self._context = context
        mtime = found.time if self._reference.mtime == "commit" else self._mtime
        selected = with_digests(context, self._selection.of(context.tree(["."]), "."))
        return tuple(
            replace(
                item,
                entry=_dated(item.entry, mtime),
                members=tuple(_dated(member, mtime) for member in item.members),
            )
            for item in selected
        )

    def open(self, item: Planned) -> tuple[int, int | None]:
        """Open a file of the checkout."""
        assert self._context is not None
        return self._context.open(item.source or ""), None

    def _settings_file(self) -> str:
        if not self._config:
            build = self._build
            self._config = settings_file(build.ws, build.session, build.secrets, self._reference)
        return self._config

    def close(self) -> None:
        """Remove the checkout."""
        if self._config not in ("", os.devnull):
            self._build.ws.store.disk.unlink(self._config)
        self._config = ""
        if self._directory and os.path.lexists(self._directory):
            remove_tree(self._build.ws.store.disk, self._directory)


def _dated(entry: Entry, mtime: int) -> Entry:
    return entry._replace(mtime=mtime)


def settings_file(ws: Workspace, session: Session, secrets: Secrets, reference: GitReference) -> str:
    """Return a file that tells git what the build's secrets say to this server: arguments could be seen."""
    scheme, _, rest = reference.remote.partition("://")
    host = rest.partition("/")[0].rpartition("@")[2]
    header = _authorization(secrets, host) if scheme in ("http", "https") else ""
    if not header:
        return os.devnull
    path = session.temporary()
    quoted = header.replace("\\", "\\\\").replace('"', '\\"')
    text = f'[http "{scheme}://{host}/"]\n\textraHeader = "Authorization: {quoted}"\n'
    write_new(ws.store.disk, path, text.encode())
    return path


def _authorization(secrets: Secrets, host: str) -> str:
    for suffix in (f".{host}", ""):
        for name, is_token in (("GIT_AUTH_HEADER", False), ("GIT_AUTH_TOKEN", True)):
            secret = secrets.read(name + suffix)
            if secret is not None and is_token:
                return f"basic {b64encode(b'x-access-token:' + secret.strip()).decode()}"
            if secret is not None:
                return secret.decode("latin-1").strip()
    return ""
