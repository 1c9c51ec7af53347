"""--cache-to and --cache-from with folders: another machine, with an empty store, runs nothing again."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from minidock.core.build_options import CacheOption
from minidock.core.cache_manifest import CACHE_CONFIG, CacheConfig
from minidock.core.digest import Digest
from minidock.core.events import BuildWarning
from minidock.engine import images
from minidock.engine.workspace import Workspace
from minidock.errors import BuildError, MinidockError
from minidock.runtime.fake import FakeRuntime
from tests.engine.building import MTIME, Built, check_consistent, import_base, run_build, workspace, write_context

DOCKERFILE = """FROM base:1 AS made
COPY app /app/
RUN make
FROM base:1
ENV A=b
COPY --from=made /made /
RUN other
CMD app
"""
FILES = {"Dockerfile": DOCKERFILE, "app/a": "aaa", "app/b": "bbb"}


def make(rootfs: Path) -> None:
    (rootfs / "made").write_bytes(os.urandom(50))


def other(rootfs: Path) -> None:
    (rootfs / "other").write_bytes(b"other")
    for path in (rootfs / "other", rootfs):  # the same layer whenever it is made
        os.utime(path, (MTIME, MTIME))


class Machine:
    """A store of its own; folders of caches are shared."""

    def __init__(self, place: Path, name: str) -> None:
        self.runtime = FakeRuntime({"make": make, "other": other})
        self.ws: Workspace = workspace(place / name, self.runtime)
        import_base(self.ws)
        self.context = write_context(place / f"context-{name}", FILES)
        self.cache = place / "cache"

    def build(self, *, reads: bool = False, writes: bool = False, **attributes: str) -> Built:
        source = (CacheOption("local", {"src": str(self.cache), **attributes}),) if reads else ()
        target = (CacheOption("local", {"dest": str(self.cache), **attributes}),) if writes else ()
        return run_build(self.ws, self.context, tags=("app:1",), cache_from=source, cache_to=target)

    def blobs(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.cache / "blobs/sha256").iterdir()}

    def config(self) -> CacheConfig:
        (manifest,) = json.loads((self.cache / "index.json").read_bytes())["manifests"]
        blobs = self.blobs()
        members = json.loads(blobs[Digest.parse(manifest["digest"]).hex])
        assert members["config"]["mediaType"] == CACHE_CONFIG
        return CacheConfig.from_bytes(blobs[Digest.parse(members["config"]["digest"]).hex])


@pytest.fixture
def first(tmp_path: Path) -> Machine:
    return Machine(tmp_path, "first")


@pytest.fixture
def second(tmp_path: Path) -> Machine:
    return Machine(tmp_path, "second")


@pytest.mark.parametrize("compression", ["", "uncompressed", "gzip", "zstd"])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_second_machine_runs_nothing_and_gets_the_same_image(
    first: Machine, second: Machine, mode: str, compression: str
) -> None:
    attributes = {"mode": mode} | ({"compression": compression} if compression else {})
    built = first.build(writes=True, **attributes)
    assert len(first.runtime.ran) == 2
    again = second.build(reads=True)
    assert second.runtime.ran == []
    assert again.image_id == built.image_id
    assert all(outcome.startswith("CACHED") for outcome in again.outcomes)
    check_consistent(second.ws.store)
    assert sorted(second.build().outcomes) == sorted(again.outcomes)


def test_only_what_changed_runs_on_the_second_machine(first: Machine, second: Machine) -> None:
    first.build(writes=True)
    write_context(second.context, {"app/a": "changed"})
    assert [outcome.split(" ", 1)[0] for outcome in second.build(reads=True).outcomes].count("DONE") == 4
    write_context(second.context, FILES)
    write_context(second.context, {"Dockerfile": DOCKERFILE.replace("RUN other", "RUN other\nRUN make")})
    ran = len(second.runtime.ran)
    second.build(reads=True)
    assert [spec.args for spec in second.runtime.ran[ran:]] == [("/bin/sh", "-c", "make")]


def test_the_store_of_a_cached_build_can_be_exported_again(first: Machine, second: Machine, tmp_path: Path) -> None:
    first.build(writes=True, compression="gzip")
    second.build(reads=True)
    before = first.blobs()
    second.build(writes=True, compression="gzip")
    assert first.blobs() == before


def test_a_folder_holds_what_is_live_and_nothing_else(first: Machine) -> None:
    first.build(writes=True)
    size = len(first.blobs())
    for number in range(3):
        write_context(first.context, {"app/a": f"changed {number}"})
        first.build(writes=True)
        assert len(first.blobs()) == size
        live = {blob.hex for blob in first.config().blobs.values()}
        assert live < set(first.blobs())
    (first.cache / "blobs/.killed").write_bytes(b"x")
    first.build(writes=True, tag="other")
    index = json.loads((first.cache / "index.json").read_bytes())
    assert [item["annotations"]["org.opencontainers.image.ref.name"] for item in index["manifests"]] == [
        "latest",
        "other",
    ]
    assert not (first.cache / "blobs/.killed").exists()
    assert len(first.blobs()) == size


def test_no_secret_and_no_path_of_this_machine_leaves_it(first: Machine) -> None:
    dockerfile = "FROM base:1\nARG TOKEN\nENV API_KEY=hidden-value\nRUN other\n"
    write_context(first.context, {"Dockerfile": dockerfile})
    target = (CacheOption("local", {"dest": str(first.cache)}),)
    run_build(first.ws, first.context, build_args={"TOKEN": "hidden-token"}, cache_to=target)
    config = first.config().to_bytes()
    assert b"hidden" not in config
    assert str(first.context).encode() not in config


def test_every_key_that_leaves_the_machine_is_sha256(first: Machine) -> None:
    first.build(writes=True)
    told = first.config().to_bytes().decode()
    keys = [record["digest"] for record in json.loads(told)["records"]]
    assert len(keys) >= 5
    assert [key for key in keys if not re.fullmatch("sha256:[0-9a-f]{64}", key)] == []
    assert re.findall('"[0-9a-f]{8,32}"', told) == []  # what xxhash would look like


@pytest.mark.parametrize("damage", ["layer", "config", "manifest", "index", "nothing there"])
def test_a_damaged_cache_is_told_and_not_used(first: Machine, second: Machine, damage: str) -> None:
    built = first.build(writes=True)
    blobs = first.cache / "blobs/sha256"
    (manifest,) = json.loads((first.cache / "index.json").read_bytes())["manifests"]
    digest = Digest.parse(manifest["digest"]).hex
    members = json.loads((blobs / digest).read_bytes())
    if damage == "layer":
        for layer in members["layers"]:
            path = blobs / Digest.parse(layer["digest"]).hex
            path.write_bytes(path.read_bytes()[:-1] + b"x")
    elif damage in ("config", "manifest"):
        name = digest if damage == "manifest" else Digest.parse(members["config"]["digest"]).hex
        (blobs / name).write_bytes((blobs / name).read_bytes().replace(b"sha256", b"SHA256", 1))
    elif damage == "index":
        (first.cache / "index.json").write_text("{")
    else:
        second.cache = second.cache.with_name("nowhere")
    again = second.build(reads=True)
    assert len(second.runtime.ran) == 2
    assert again.image_id != built.image_id
    assert any("is not used" in event.text for event in again.events if isinstance(event, BuildWarning))
    check_consistent(second.ws.store)


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ({}, "local cache exporter requires dest"),
        ({"dest": "x", "mode": "most"}, "invalid mode \"most\""),
        ({"dest": "x", "compression": "lzma"}, "unsupported layer compression type \"lzma\""),
        ({"dest": "x", "compression-level": "high"}, "invalid compression level \"high\""),
    ],
)  # fmt: skip
def test_mistakes_are_told_before_anything_is_built(first: Machine, attributes: dict[str, str], problem: str) -> None:
    with pytest.raises(BuildError, match=problem):
        run_build(first.ws, first.context, cache_to=(CacheOption("local", attributes),))
    with pytest.raises(BuildError, match="local cache importer requires src"):
        run_build(first.ws, first.context, cache_from=(CacheOption("local", {}),))
    assert first.runtime.ran == []


def test_a_folder_of_something_else_is_left_alone(first: Machine) -> None:
    first.cache.mkdir()
    (first.cache / "letter.txt").write_text("mine")
    with pytest.raises(MinidockError, match=r"is no cache: it holds letter\.txt"):
        first.build(writes=True)
    assert sorted(path.name for path in first.cache.rglob("*") if path.is_file()) == ["letter.txt"]
    first.build(writes=True, **{"ignore-error": "true"})
    assert images.find(first.ws, "app:1")


def test_a_damaged_layer_is_replaced_by_the_next_build_that_writes(
    first: Machine, second: Machine, tmp_path: Path
) -> None:
    write_context(first.context, {"Dockerfile": "FROM base:1\nRUN other\n"})
    write_context(second.context, {"Dockerfile": "FROM base:1\nRUN other\n"})
    first.build(writes=True)
    (layer,) = first.config().blobs.values()
    path = first.cache / "blobs/sha256" / layer.hex
    whole = path.read_bytes()
    path.write_bytes(bytes(len(whole)))
    second.build(reads=True, writes=True)
    assert len(second.runtime.ran) == 1
    assert path.read_bytes() == whole
    third = Machine(tmp_path, "third")
    write_context(third.context, {"Dockerfile": "FROM base:1\nRUN other\n"})
    third.build(reads=True)
    assert third.runtime.ran == []
