"""The builds of the collections that MINIDOCK_CONFORMANCE names: what is built, not what is expected of it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.differential.case import Case
from tests.engine.conformance_files import base, make_context

_SIMPLE = {
    *("expect", "dockerfile", "dockerfile_name", "files_change", "files_replace"),
    *("build_args", "labels", "target", "no_cache"),
}
_FRONTEND = re.compile(rb"(?mi)^#\s*syntax\s*=.*$")
_SERVED = ("@HTTP@", "@GIT@", "@SUBMODULE@", "@COMMIT")


@dataclass(frozen=True, slots=True)
class Collected(Case):
    """A case whose context is described by entries, in their order."""

    entries: tuple[Mapping[str, Any], ...] = ()

    def write(self, place: Path) -> None:
        place.parent.mkdir(exist_ok=True)
        make_context(place, map(dict, self.entries))
        file = place / self.dockerfile_name
        if not os.path.lexists(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self.dockerfile)
        if file.is_file():  # no other frontend than the one that is built in: that would be a download
            file.write_bytes(_FRONTEND.sub(b"#", file.read_bytes()))


def collected_cases() -> tuple[Case, ...]:
    """Return the builds that need neither a server nor options of their own; none without the variable."""
    place = os.environ.get("MINIDOCK_CONFORMANCE")
    if not place:
        return ()
    found = [_whole(json.loads(path.read_text())) for path in sorted(Path(place).glob("*/case.json"))]
    for name in ("buildkit", "moby"):
        for case in json.loads((Path(place) / f"{name}.json").read_text())["cases"]:
            if not (case["needs"].get("network") or {"prepare", "http", "git"} & set(case)):
                found += _builds(name, case)
    return tuple(case for case in found if not any(word in case.dockerfile for word in _SERVED))


def collected_bases() -> dict[str, bytes]:
    """Return the layers of the base images by name."""
    place = os.environ.get("MINIDOCK_CONFORMANCE")
    if not place:
        return {}
    names: set[str] = set()
    for path in Path(place).glob("*/case.json"):
        names.update(json.loads(path.read_text())["base_images"])
    for name in ("buildkit", "moby"):
        for case in json.loads((Path(place) / f"{name}.json").read_text())["cases"]:
            names.update(case["needs"]["base_images"])
    packed = base(has_alpine_release=True)
    return dict.fromkeys(sorted(names), packed)


def _whole(case: dict[str, Any]) -> Case:
    args, target = case["build_args"] or {}, case["target"] or ""
    text = next((item.get("content", "") for item in case["context"] if item["path"] == case["dockerfile"]), "")
    return Collected(
        f"buildah-{case['name']}",
        text,
        args=args,
        target=target,
        dockerfile_name=case["dockerfile"],
        entries=tuple(case["context"]),
    )


def _builds(collection: str, case: dict[str, Any]) -> Iterator[Case]:
    files: dict[str, Any] = {}
    files.update(case["files"])
    for number, build in enumerate(case["builds"]):
        files = dict(build.get("files_replace", files)) | build.get("files_change", {})
        if not set(build) <= _SIMPLE:
            continue
        yield Collected(
            f"{collection}-{case['name']}-{number}",
            build.get("dockerfile", case["dockerfile"]),
            args={name: str(value) for name, value in build.get("build_args", {}).items()},
            labels=build.get("labels", {}),
            target=build.get("target") or "",
            dockerfile_name=build.get("dockerfile_name", case.get("dockerfile_name", "Dockerfile")),
            entries=tuple(_entry(path, entry) for path, entry in files.items()),
        )


def _entry(path: str, entry: str | dict[str, Any]) -> dict[str, Any]:
    members = {"content": entry, "mode": "0600"} if isinstance(entry, str) else entry
    return {**members, "path": path.strip("/")}
