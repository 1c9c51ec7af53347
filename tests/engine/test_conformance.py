"""The conformance cases of another builder, whose expectations are what docker made of them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from minidock.core.entries import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry, Tree
from minidock.engine import images
from minidock.engine.workspace import SystemClock, Workspace
from minidock.errors import MinidockError
from tests.engine.building import import_base, open_store, run_build, workspace
from tests.engine.conformance_files import base, content, make_context

_KINDS = {"file": FILE, "dir": DIRECTORY, "symlink": SYMLINK, "fifo": "fifo"}
_BELOW = ("", "/file-a.txt", "/file-n.txt", "/file-o.txt", "/subdir-g", "/subdir-g/subdir-b")
# The oracle looked below an ignored directory only for exceptions that begin with its name. A current BuildKit does so
# only if no exception has a wildcard (tonistiigi/fsutil, filter.go, onlyPrefixExcludeExceptions); so do we. The oracle
# left the empty directory that a mount was on; a current BuildKit removes it (executor/stubs.go), so do we.
# By case: the paths that are missing here, and those that are here beyond what is expected.
DEVIATIONS: dict[str, tuple[set[str], set[str]]] = {
    "copy-integration1": (set(), {"subdir", "subdir/sub1.txt", "sub1.txt", "test2.txt"}),
    "dockerignore-exceptions-skip": (set(), {"volume", "volume/data", "volume/data/oneline.txt"}),
    "dockerignore-exclude-deep-subdir-dot-2": (
        set(),
        {f"subdir/subdir-e/subdir-f{path}" for path in ("", "/subdir-g", "/subdir-g/subdir-b")},
    ),
    "dockerignore-exclude-deep-subdir-star-2": (
        set(),
        {f"subdir/subdir-f{path}" for path in ("", "/subdir-g", "/subdir-g/subdir-b")},
    ),
    "dockerignore-exclude-kind-of-deep-subdir-dot": (
        set(),
        {"subdir/subdir-e", *(f"subdir/subdir-e/subdir-f{path}" for path in _BELOW)},
    ),
    "dockerignore-exclude-kind-of-deep-subdir-star": (set(), {f"subdir/subdir-f{path}" for path in _BELOW}),
    "multistage-copyback": ({"base"}, set()),
}
# The words by which docs/compatibility.md, "Building", knows them.
_TOLD = ("exceptions of the ignore file", "The empty place of a mount")
# Their RUN steps set owners, which a plain user's cannot.
_OTHER_IDS = ("ci-pipeline-modified", "copy-from-owner")
# What is expected of its history and config is that of docker's older builder, which BuildKit replaced.
_OLDER_BUILDER = ("dockerignore-allowlist-subsubdir-nofile",)
# Written down in the order opposite to its Dockerfile.
_REVERSED_HISTORY = ("copy-permissions",)


def cases() -> list[Any]:
    place = os.environ.get("MINIDOCK_CONFORMANCE")
    if not place:
        return [pytest.param({}, marks=pytest.mark.skip(reason="MINIDOCK_CONFORMANCE is not set"), id="no-cases")]
    found = [json.loads(path.read_text()) for path in sorted(Path(place).glob("*/case.json"))]
    return [pytest.param(case, id=case["name"]) for case in found]


def needs_unsupported(error: MinidockError) -> bool:
    return "not supported yet" in str(error)


@pytest.mark.parametrize("case", cases())
def test_an_image_is_what_docker_makes_of_it(case: dict[str, Any], tmp_path: Path) -> None:
    if case["needs_run"] and not shutil.which("busybox"):
        pytest.skip("this machine has no static busybox")
    if case["name"] in _OTHER_IDS and os.geteuid() != 0:
        pytest.skip("owners that only root can set for a process")
    if case["expected"].get("basis") == "none":
        pytest.skip("nobody knows what to expect")
    ws = workspace(tmp_path / "store")
    if case["needs_run"]:
        ws = Workspace(open_store(tmp_path / "store"), SystemClock())
    for name in case["base_images"]:
        import_base(ws, base("etc/alpine-release" in json.dumps(case)), name)
    make_context(tmp_path / "context", case["context"])
    try:
        built = run_build(
            ws,
            tmp_path / "context",
            dockerfile=str(tmp_path / "context" / case["dockerfile"]),
            build_args=case["build_args"],
            target=case["target"],
        )
    except MinidockError as error:
        if needs_unsupported(error):
            pytest.skip(str(error))
        assert not case["expected"]["ok"], error
        assert case["expected"]["error_contains"].rpartition(": ")[2] in str(error)
        return
    assert case["expected"]["ok"] or case["name"] in DEVIATIONS, case["expected"]
    check(ws, images.load(ws, built.image_id), case)


def check(ws: Workspace, image: images.Image, case: dict[str, Any]) -> None:
    """Compare the whole image with what is expected above the base."""
    expected = case["expected"]
    count = expected.get("layers", sum(not entry["empty_layer"] for entry in expected.get("history", [])))
    split = len(image.config.diff_ids) - count if expected["ok"] else 1  # our base images have one layer
    below = ws.store.layers.tree(image.config.diff_ids[:split])
    tree = ws.store.layers.tree(image.config.diff_ids)
    found = {entry.path: entry for entry in tree.entries() if entry != below.get(entry.path) and entry.path}
    wanted = {item["path"]: item for item in expected.get("tree", ())}
    missing = {path for path in wanted if path not in tree}
    extra = {path for path, entry in found.items() if path not in wanted and differs(entry, below.get(path))}
    assert (missing, extra) == DEVIATIONS.get(case["name"], (set(), set()))
    wanted = {path: item for path, item in wanted.items() if path not in missing}
    assert {path: described(tree, path, item) for path, item in wanted.items()} == {
        path: asked(item) for path, item in wanted.items()
    }
    assert sorted(path for path in expected.get("removed_from_base", ()) if path in tree) == []
    if case["name"] in _OLDER_BUILDER or "history" not in expected:
        return
    history = image.config.history[len(image.config.history) - len(expected["history"]) :]
    texts = [(entry["created_by"], entry["empty_layer"]) for entry in expected["history"]]
    if case["name"] in _REVERSED_HISTORY:
        texts.reverse()
    assert [(entry.created_by, entry.is_empty_layer) for entry in history] == texts
    config = image.config.config.to_json()
    base_config = json.loads((Path(os.environ["MINIDOCK_CONFORMANCE"]) / "base.json").read_text())["config"]
    if split and "Cmd" not in config:  # our base images have none
        config["Cmd"] = base_config["Cmd"]
    assert dict(sorted(config.items())) == dict(sorted(expected["config"].items()))


def differs(entry: Entry, below: Entry | None) -> bool:
    """Whether an entry says anything new; the times of directories are not compared."""
    if below is None:
        return True
    ignored = {"offset": 0, "mtime": 0} if entry.kind == DIRECTORY else {"offset": 0}
    return entry._replace(**ignored) != below._replace(**ignored)


def asked(item: dict[str, Any]) -> dict[str, Any]:
    wanted = {"type": item["type"], "mode": int(item.get("mode", "0777"), 8), "owner": (item["uid"], item["gid"])}
    if item["type"] == "symlink":
        return {**wanted, "target": item["target"]}
    if item["type"] == "file":
        wanted["sha256"] = item.get("sha256") or hashlib.sha256(content(item)).hexdigest()
        if "mtime" in item:
            wanted["mtime"] = item["mtime"]
        if "same_inode_as" in item:
            wanted["link"] = item["same_inode_as"]
    return wanted


def described(tree: Tree, path: str, item: dict[str, Any]) -> dict[str, Any]:
    entry = tree.get(path)
    assert entry is not None
    kinds = {kind: name for name, kind in _KINDS.items()}
    found: dict[str, Any] = {"type": kinds[entry.kind], "mode": entry.mode, "owner": (entry.uid, entry.gid)}
    if entry.kind == SYMLINK:
        return {**found, "target": entry.linkname}
    if entry.kind in (FILE, HARDLINK):
        found["sha256"] = entry.sha256
        if "mtime" in item:
            found["mtime"] = entry.mtime
        if "same_inode_as" in item:
            other = tree.get(item["same_inode_as"])
            assert other is not None
            same = {entry.path, entry.linkname} & {other.path, other.linkname} - {""}
            found["link"] = item["same_inode_as"] if same else None
    return found


@pytest.mark.parametrize("words", _TOLD)
def test_deviations_are_told(words: str) -> None:
    told = (Path(__file__).parents[2] / "docs" / "compatibility.md").read_text()
    assert words in told.partition("## Building\n")[2].partition("\n## ")[0]
