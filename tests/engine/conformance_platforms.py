"""What builds for several platforms wrote, for the cases that are about it."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from minidock.core.build_options import Output


def files_of(place: Path) -> dict[str, bytes]:
    """Return the files below a directory, by path."""
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def written(output: Output) -> dict[str, bytes]:
    """Return the files of an output, a directory or an archive."""
    if output.type == "local":
        return files_of(Path(output.dest))
    with tarfile.open(output.dest) as archive:
        return {item.name: content.read() for item in archive if (content := archive.extractfile(item))}


def check_index_platforms(files: Mapping[str, bytes], wanted: list[str]) -> None:
    """Compare the platforms of the index that the layout's own index leads to."""
    assert [_shown(item["platform"]) for item in _nested(files)["manifests"]] == wanted


def check_platform(files: Mapping[str, bytes], item: Mapping[str, Any]) -> None:
    """Compare the image for one platform with what is said of it."""
    found = next(each for each in _nested(files)["manifests"] if _shown(each["platform"]) == item["platform"])
    manifest = json.loads(_blob(files, found["digest"]))
    config = json.loads(_blob(files, manifest["config"]["digest"]))
    assert len(manifest["layers"]) == item["layers"]
    assert (config["os"], config["architecture"]) == (item["os"], item["architecture"])
    assert config["config"]["Labels"] == item["label"]
    with tarfile.open(fileobj=BytesIO(_blob(files, manifest["layers"][-1]["digest"]))) as layer:
        content = layer.extractfile(item["file"].strip("/"))
        assert content is not None
        assert content.read().decode() == item["content"]


def _nested(files: Mapping[str, bytes]) -> Any:
    (descriptor,) = json.loads(files["index.json"])["manifests"]
    return json.loads(_blob(files, descriptor["digest"]))


def _blob(files: Mapping[str, bytes], digest: str) -> bytes:
    return files[f"blobs/{digest.replace(':', '/')}"]


def _shown(platform: Mapping[str, str]) -> str:
    return "/".join(filter(None, (platform["os"], platform["architecture"], platform.get("variant"))))
