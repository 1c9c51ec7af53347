"""What a build gets its files from: a directory, a tar, a git repository, a URL, or nothing beside a Dockerfile.

What is fetched or unpacked lies in the session's temporary directory, which goes with the session, however that ends.
A tar is not unpacked at all: it is read where it lies, by the bounded reader of layers.
Source: BuildKit, frontend/dockerui/context.go; docker/buildx, build/opt.go.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import BinaryIO, Protocol

from minidock.core import units
from minidock.core.dataclass import dataclass
from minidock.core.dockerfile.ignore import IgnoreRules
from minidock.core.entries import FILE, Entry, Tree
from minidock.core.git_reference import GitReference, parse_git_reference, without_password
from minidock.core.selecting import Selected, Selection
from minidock.engine.archives import is_tar
from minidock.engine.context import Context
from minidock.engine.decompress import decompressed, is_compressed
from minidock.engine.git import check_out, resolve
from minidock.engine.git_part import settings_file
from minidock.engine.progress import Progress, Step
from minidock.engine.secrets import Secrets
from minidock.engine.sources import ContextSource, Source
from minidock.engine.url_part import authorization
from minidock.engine.workspace import Workspace
from minidock.errors import BuildError, TarError
from minidock.store.content import Stretch
from minidock.store.members import read_entries
from minidock.store.session import Session
from minidock.store.statcache import StatCache
from minidock.store.tar import BLOCK_SIZE
from minidock.store.tar_reader import Source as TarStream

STDIN = "-"
_LARGEST_DOCKERFILE = 16 << 20
_CHUNK = 1 << 20


class FileContext(Protocol):
    """Files to build from. ``scope`` tells one context from another; ``is_local`` if ignore files count."""

    scope: str
    is_local: bool

    def read(self, path: str) -> bytes:
        """Return the content of a file. Raises: FileNotFoundError, IsADirectoryError."""
        ...

    def source(self, rules: IgnoreRules, progress: Progress) -> Source:
        """Return what COPY takes files from, seen through ignore rules."""
        ...

    def entries(self, rules: IgnoreRules) -> list[Entry]:
        """Return everything in it that the rules leave, sorted by path, contents unread."""
        ...

    def save(self, session: Session) -> None:
        """Remember what was learned of the files."""
        ...


@dataclass(frozen=True, slots=True)
class Fetching:
    """What getting a context needs: ``session`` begins one when it is first called, ``check`` raises at the end."""

    ws: Workspace
    session: Callable[[], Session]
    progress: Progress
    secrets: Secrets
    check: Callable[[], None] = lambda: None
    keeps_git_dir: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """A context; ``dockerfile`` is the Dockerfile itself where something else than the context brought it."""

    files: FileContext
    dockerfile: bytes | None = None


class DirectoryContext:
    """A directory of this machine."""

    is_local = True

    def __init__(self, ws: Workspace, root: str) -> None:
        self.root = self.scope = os.path.realpath(root)
        self._stats = StatCache(ws.store.layout, self.root)

    def read(self, path: str) -> bytes:
        """Return the content of a file; the user's own links may lead anywhere."""
        with open(os.path.join(self.root, path), "rb") as file:
            return file.read()

    def source(self, rules: IgnoreRules, progress: Progress) -> Source:
        """Return the files that the rules leave."""
        return ContextSource(Context(self.root, rules, self._stats), progress)

    def entries(self, rules: IgnoreRules) -> list[Entry]:
        """Return the files that the rules leave."""
        return Context(self.root, rules, self._stats).tree(["."]).below("")

    def save(self, session: Session) -> None:
        """Remember digests, so that the next build opens changed files only."""
        self._stats.save(session)


class CheckoutContext:
    """A directory that was fetched: nothing is ignored, and links do not lead out of it."""

    is_local = False

    def __init__(self, ws: Workspace, root: str, scope: str) -> None:
        self.scope = scope
        self._context = Context(root, IgnoreRules(), StatCache(ws.store.layout, root))

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        entry = _file(self._context.tree([path]), path)
        with os.fdopen(self._context.open(entry.path), "rb") as file:
            return file.read(_LARGEST_DOCKERFILE)

    def source(self, rules: IgnoreRules, progress: Progress) -> Source:
        """Return the files."""
        return ContextSource(self._context, progress)

    def entries(self, rules: IgnoreRules) -> list[Entry]:
        """Return the files."""
        return self._context.tree(["."]).below("")

    def save(self, session: Session) -> None:
        """Nothing lasts."""


class TarContext:
    """The members of a tar, which lies in the file ``path``; owners are not kept."""

    is_local = False
    keeps_owners = False
    rules = IgnoreRules()

    def __init__(self, path: str, entries: Sequence[Entry], scope: str) -> None:
        self.scope = scope
        self._path = path
        self._tree = Tree.fold([[entry._replace(uid=0, gid=0) for entry in entries if not entry.is_deletion]])

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        entry = _file(self._tree, path)
        fd, start = self.open(entry, entry.path)
        try:
            return Stretch(fd, start or 0, entry.size, entry.parts).read(0, _LARGEST_DOCKERFILE)
        finally:
            os.close(fd)

    def source(self, rules: IgnoreRules, progress: Progress) -> Source:
        """Return the members."""
        return self

    def entries(self, rules: IgnoreRules) -> list[Entry]:
        """Return the members."""
        return self._tree.below("")

    def save(self, session: Session) -> None:
        """Nothing lasts."""

    def select(self, patterns: Sequence[str], selection: Selection) -> tuple[tuple[Selected, ...], ...]:
        """Return what each of the patterns names."""
        return tuple(selection.of(self._tree, pattern) for pattern in patterns)

    def open(self, entry: Entry, path: str) -> tuple[int, int | None]:
        """Return the tar and the place of a member's content."""
        original = self._tree.get(path)
        assert original is not None
        return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC), original.offset

    def refresh(self, path: str) -> None:
        """The tar is this session's own. Raises: BuildError."""
        raise BuildError(f"{path}: the build context was changed while it was read")


def _file(tree: Tree, path: str) -> Entry:
    entry = tree.get(tree.resolve(path))
    if entry is None:
        raise FileNotFoundError(path)
    if entry.kind != FILE:
        raise IsADirectoryError(path)
    return entry


def open_context(fetching: Fetching, text: str, stdin: BinaryIO | None) -> Opened:
    """Return the context that the argument of `build` names. Raises: BuildError."""
    if text == STDIN:
        if stdin is None:
            raise BuildError("failed to read context from stdin: there is none")
        return _from_stream(fetching, stdin, "stdin")
    if os.path.isdir(text):
        return Opened(DirectoryContext(fetching.ws, text))
    if os.path.isfile(text):
        return _from_file(fetching, text)
    remote = open_remote(fetching, text)
    if remote is not None:
        return remote
    raise BuildError(f'unable to prepare context: path "{text}" not found')


def open_remote(fetching: Fetching, text: str) -> Opened | None:
    """Return the context at a git reference or URL, None if the text is neither. Raises: BuildError."""
    reference = parse_git_reference(text)
    if reference is not None:
        return Opened(_from_git(fetching, reference))
    if not is_url(text):
        return None
    with fetching.progress.internal("[internal] load remote build context") as step:
        path = fetch(fetching, text, step)
    with open(path, "rb") as stream:
        return _from_stream(fetching, stream, without_password(text))


def is_url(text: str) -> bool:
    """Tell whether a context or Dockerfile is fetched by HTTP."""
    return text.startswith(("http://", "https://"))


def fetch_dockerfile(fetching: Fetching, url: str) -> bytes:
    """Return the Dockerfile at a URL. Source: docker/buildx, build/dockerfile.go. Raises: BuildError."""
    with fetching.progress.internal(f"[internal] load build definition from {without_password(url)}") as step:
        path = fetch(fetching, url, step, "dockerfile")
    try:
        with open(path, "rb") as stream:
            return stream.read()
    finally:
        fetching.session().discard(path)


def fetch(fetching: Fetching, url: str, step: Step, what: str = "context") -> str:
    """Download a file; return its path in the session's temporary directory. Raises: BuildError."""
    from minidock.registry import download  # http and TLS, which few builds need, take 10 ms to load

    with download.opened(url, authorization=authorization(fetching.secrets, url)) as response:
        path, size = _write(fetching, response.chunks())
    step.status(f"transferring {what}: {units.progress_size(size)} done")
    return path


def _write(fetching: Fetching, chunks: Iterable[bytes]) -> tuple[str, int]:
    path = fetching.session().temporary()
    disk, size = fetching.ws.store.disk, 0
    fd = disk.open_new(path)
    try:
        for chunk in chunks:
            fetching.check()
            disk.write(fd, chunk)
            size += len(chunk)
    finally:
        os.close(fd)
    return path, size


def _from_git(fetching: Fetching, reference: GitReference) -> FileContext:
    if reference.is_like_path:
        reference = replace(reference, remote=f"https://{reference.remote}", is_like_path=False)
    if fetching.keeps_git_dir and reference.keep_git_dir is None:
        reference = replace(reference, keep_git_dir=True)
    session, shown = fetching.session(), without_password(reference.remote)
    with fetching.progress.internal(f"[internal] load git source {shown}") as step:
        config = settings_file(fetching.ws, session, fetching.secrets, reference)
        resolved = resolve(reference, config)
        found = check_out(reference, resolved, session.temporary(), fetching.check, config)
        step.status(f"{resolved.found}\t{resolved.ref or found.commit}")
    return CheckoutContext(fetching.ws, found.root, f"{shown}#{reference.ref}:{reference.subdir}")


def _from_file(fetching: Fetching, path: str) -> Opened:
    with open(path, "rb") as stream:
        opened = _from_stream(fetching, stream, os.path.realpath(path))
    if opened.dockerfile is not None:
        raise BuildError(
            f"unable to prepare context: context must be a directory: {os.path.realpath(path)}",
            hint="name a directory or a tar; for a Dockerfile elsewhere: -f FILE DIRECTORY",
        )
    return opened


def _from_stream(fetching: Fetching, stream: BinaryIO, scope: str) -> Opened:
    """Return a tar as a context, anything else as a Dockerfile without files. Raises: BuildError."""
    head = stream.read(BLOCK_SIZE)
    if not (is_compressed(head) or is_tar(head) or head == bytes(BLOCK_SIZE)):
        text = head + stream.read(_LARGEST_DOCKERFILE)
        if len(text) > _LARGEST_DOCKERFILE:
            raise BuildError("neither a tar nor a Dockerfile: it is too large")
        return Opened(TarContext("", (), scope), text)
    with fetching.progress.internal("[internal] load remote build context") as step:
        try:
            context, size = _from_tar(fetching, head, stream, scope)
        except TarError as error:
            raise BuildError(f"failed to read the build context: {error}") from error
        step.status(f"transferring context: {units.progress_size(size)} done")
    return Opened(context)


def _from_tar(fetching: Fetching, head: bytes, stream: BinaryIO, scope: str) -> tuple[TarContext, int]:
    path, size = _write(fetching, _chunks(head, stream))
    if is_compressed(head):
        with open(path, "rb") as packed:
            plain = decompressed(packed)
            unpacked, _ = _write(fetching, _chunks(b"", plain))
        fetching.ws.store.disk.unlink(path)
        path = unpacked
    with open(path, "rb") as tar:
        return TarContext(path, read_entries(tar), scope), size


def _chunks(head: bytes, stream: TarStream) -> Iterator[bytes]:
    if head:
        yield head
    while chunk := stream.read(_CHUNK):
        yield chunk
