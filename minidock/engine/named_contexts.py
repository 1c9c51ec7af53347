"""--build-context NAME=VALUE: what stands for an image or a stage of that name, looked at only where it is used.

Source: BuildKit, frontend/dockerui/namedcontext.go; docker/buildx, build/opt.go.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from hashlib import sha256

from xxhash import xxh3_128

from minidock.core.build_options import context_name
from minidock.core.dockerfile.ignore import IgnoreRules
from minidock.core.entries import FILE, Entry
from minidock.core.git_reference import parse_git_reference
from minidock.engine import images
from minidock.engine.contexts import DirectoryContext, Fetching, FileContext, TarContext, fetch, open_remote
from minidock.engine.images import Image
from minidock.engine.load_layout import load_layout
from minidock.engine.sources import Source
from minidock.engine.url_part import file_name
from minidock.errors import BuildError, InvalidReference
from minidock.store.session import Session

SCRATCH = "docker-image://scratch"
_IMAGE = "docker-image://"
_LAYOUT = "oci-layout://"
_CHUNK = 1 << 20
_OTHERS = ("input:", "target:")  # of bake files


class NamedContexts:
    """The named contexts of one build, by familiar name without ``:latest``."""

    def __init__(self, values: Mapping[str, str], fetching: Fetching) -> None:
        self._values = dict(values)
        self._fetching = fetching
        self._opened: dict[str, tuple[FileContext, Source]] = {}
        self._layouts: dict[str, Image] = {}
        self._lock = threading.Lock()
        for name, value in self._values.items():
            _check(name, value)

    def __contains__(self, name: str) -> bool:
        return self._key(name) in self._values

    def _key(self, name: str) -> str:
        try:
            return context_name(name)
        except InvalidReference:
            return name

    def names_image(self, name: str) -> bool:
        """Tell whether an image stands behind ``name``, not files."""
        return self._values[self._key(name)].startswith((_IMAGE, _LAYOUT))

    def is_scratch(self, name: str) -> bool:
        """Tell whether ``name`` means the empty image."""
        return self._values[self._key(name)] == SCRATCH

    def reference(self, name: str) -> str | None:
        """Return the reference of the image that stands for ``name``, None if something else does."""
        value = self._values[self._key(name)]
        return value.removeprefix(_IMAGE) if value.startswith(_IMAGE) and value != SCRATCH else None

    def image(self, name: str) -> Image:
        """Return the image that stands for ``name``. Raises: NoSuchImage."""
        value = self._values[self._key(name)]
        if not value.startswith(_LAYOUT):
            return images.find(self._fetching.ws, value.removeprefix(_IMAGE))
        with self._lock:
            if value not in self._layouts:
                place, _, digest = value.removeprefix(_LAYOUT).partition("@")
                path, _, tag = place.rpartition(":") if ":" in place.rpartition("/")[2] else (place, "", "")
                self._layouts[value] = load_layout(self._fetching.ws, self._fetching.session(), path, tag, digest)
            return self._layouts[value]

    def source(self, name: str) -> Source:
        """Return the files that stand for ``name``; the same every time. Raises: BuildError."""
        key = self._key(name)
        with self._lock:
            if key not in self._opened:
                self._opened[key] = self._open(key, self._values[key])
            return self._opened[key][1]

    def _open(self, name: str, value: str) -> tuple[FileContext, Source]:
        progress = self._fetching.progress
        if os.path.isdir(value):
            files: FileContext = DirectoryContext(self._fetching.ws, value)
            rules = _ignore_rules(files)
            return files, files.source(rules, progress)
        if value.startswith(("http://", "https://")) and parse_git_reference(value) is None:
            files = self._downloaded(name, value)
        else:
            opened = open_remote(self._fetching, value)
            if opened is None:
                raise BuildError(f"failed to get build context {name}: stat {value}: no such file or directory")
            files = opened.files
        return files, files.source(IgnoreRules(), progress)

    def _downloaded(self, name: str, url: str) -> FileContext:
        """Return a context of one file: other than the main context, a tar at a URL is not unpacked."""
        with self._fetching.progress.internal(f"[context {name}] {url}") as step:
            path = fetch(self._fetching, url, step)
        slow, fast = sha256(), xxh3_128()
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                slow.update(chunk)
                fast.update(chunk)
        entry = Entry(file_name(url), FILE, 0o600, size=os.path.getsize(path))
        return TarContext(path, [entry._replace(sha256=slow.hexdigest(), xxh3=fast.hexdigest())], url)

    def save(self, session: Session) -> None:
        """Remember what was learned of directories."""
        for files, _ in self._opened.values():
            files.save(session)


def _check(name: str, value: str) -> None:
    """Refuse what can never be used, also where nothing uses it. Raises: BuildError."""
    if value.startswith(_OTHERS):
        raise BuildError(f"failed to get build context {name}: {value}: only bake files have those")
    if "://" in value or parse_git_reference(value) is not None or os.path.isdir(value):
        return
    if os.path.exists(value):
        raise BuildError(f"failed to get build context path {value}: not a directory")
    raise BuildError(f"failed to get build context {name}: stat {value}: no such file or directory")


def _ignore_rules(files: FileContext) -> IgnoreRules:
    try:
        return IgnoreRules.parse(files.read(".dockerignore").decode("utf-8", "surrogateescape"), ".dockerignore")
    except (FileNotFoundError, IsADirectoryError):
        return IgnoreRules()
