"""What a build gave, told in a form that those of other builders can be compared with."""

from __future__ import annotations

import hashlib
import json
import stat
import tarfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from tests.engine.building import MTIME

_KINDS = {
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "link",
    tarfile.FIFOTYPE: "fifo",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
}
_FIELDS = (
    *("Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "Labels", "OnBuild", "Shell", "StopSignal", "User"),
    *("Volumes", "WorkingDir", "ArgsEscaped"),
)


@dataclass(frozen=True, slots=True)
class Result:
    """The tree by path, the config's fields that are not empty, the history; or the message of a failure."""

    tree: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[list[Any]] = field(default_factory=list)
    error: str = ""

    def above(self, base: dict[str, str]) -> Result:
        """Return the result without the paths that are as in ``base``, what is gone of them as ``gone``.

        A tree that has less than half of the base's paths is not built on it: it comes back whole.
        """
        if 2 * sum(path in self.tree for path in base) < len(base):
            return self
        tree = {path: told for path, told in self.tree.items() if base.get(path) != told}
        tree |= {path: "gone" for path in base if path not in self.tree}
        return replace(self, tree=dict(sorted(tree.items())))


def config_of(config: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that say something."""
    return {name: config[name] for name in _FIELDS if config.get(name)}


def history_of(document: dict[str, Any]) -> list[list[Any]]:
    """Return what made each layer, and whether it is empty."""
    return [[item.get("created_by", ""), item.get("empty_layer", False)] for item in document.get("history") or ()]


def read_archive(path: Path) -> Result:
    """Return the image in an archive: an OCI layout, or that of `docker save`."""
    with tarfile.open(path) as archive:
        names = set(archive.getnames())

        def read(name: str) -> bytes:
            file = archive.extractfile(name)
            assert file is not None, name
            return file.read()

        if "manifest.json" in names:
            (manifest,) = json.loads(read("manifest.json"))
            config, layers = json.loads(read(manifest["Config"])), manifest["Layers"]
        else:
            (found,) = json.loads(read("index.json"))["manifests"]
            manifest = json.loads(read(_blob(found["digest"])))
            config = json.loads(read(_blob(manifest["config"]["digest"])))
            layers = [_blob(layer["digest"]) for layer in manifest["layers"]]
        tree: dict[str, str] = {}
        for layer in layers:
            file = archive.extractfile(layer)
            assert file is not None
            add_layer(tree, file)  # type: ignore[arg-type]
    return Result(dict(sorted(tree.items())), config_of(config.get("config") or {}), history_of(config))


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def add_layer(tree: dict[str, str], file: BinaryIO) -> None:
    """Lay a layer over a tree."""
    added: dict[str, str] = {}
    with tarfile.open(fileobj=file) as layer:
        for item in layer:
            path = item.name.strip("/").removeprefix("./")
            if path in ("", "."):
                continue
            directory, _, name = path.rpartition("/")
            if name == ".wh..wh..opq":
                _remove(tree, directory, keeps_top=True)
            elif name.startswith(".wh."):
                _remove(tree, f"{directory}/{name[4:]}".strip("/"))
            else:
                added[path] = told = _told(layer, item, added, tree)
                if not told.startswith("dir"):
                    _remove(tree, path)
    tree.update(added)


def _remove(tree: dict[str, str], path: str, *, keeps_top: bool = False) -> None:
    for other in [other for other in tree if other.startswith(f"{path}/") or (other == path and not keeps_top)]:
        del tree[other]


def _told(layer: tarfile.TarFile, item: tarfile.TarInfo, added: dict[str, str], tree: dict[str, str]) -> str:
    if item.islnk():
        first = item.linkname.strip("/").removeprefix("./")
        return added.get(first) or tree[first]
    kind, owner = _KINDS.get(item.type, "file"), f"{item.uid}:{item.gid}"
    if kind == "link":
        return f"link {owner} -> {item.linkname}"
    told = f"{kind} {stat.S_IMODE(item.mode):o} {owner}"
    if kind == "file":
        content = layer.extractfile(item)
        assert content is not None
        told += told_content(content.read(), item.mtime)
    return f"{told} {item.devmajor}:{item.devminor}" if kind in ("char", "block") else told


def told_content(data: bytes, mtime: float) -> str:
    """Return what is compared of a file: its text if it is short, and whether it has the time of the context."""
    short = len(data) <= 80 and data.isascii()
    text = repr(data.decode()) if short else f"sha256:{hashlib.sha256(data).hexdigest()[:16]}"
    return f" {text}{' dated' if int(mtime) == MTIME else ''}"
