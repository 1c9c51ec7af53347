"""--cache-to and --cache-from with a real registry: another machine, with an empty store, runs nothing again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from minidock.core.build_options import CacheOption
from minidock.core.cache_manifest import CACHE_CONFIG
from minidock.core.events import BuildWarning
from minidock.core.reference import Reference
from minidock.engine import images
from minidock.engine.push import push
from minidock.engine.workspace import Workspace
from minidock.errors import BuildError, MinidockError
from minidock.runtime.fake import FakeRuntime
from tests.engine.building import Built, check_consistent, import_base, run_build, workspace, write_context
from tests.engine.test_cache_folders import DOCKERFILE, FILES, make, other
from tests.registry_server import Server, make_image, registry_server, upload


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with registry_server(tmp_path_factory.mktemp("registry")) as found:
        yield found


class Machine:
    """A store of its own, and a registry that others use too."""

    def __init__(self, server: Server, place: Path, name: str) -> None:
        self.runtime = FakeRuntime({"make": make, "other": other})
        self.ws: Workspace = workspace(place / name, self.runtime)
        self.server = server
        self.environment = server.environment(place / f"home-{name}")
        import_base(self.ws)
        self.context = write_context(place / f"context-{name}", FILES)

    def build(self, reads: str = "", writes: str = "", **attributes: str) -> Built:
        def option(name: str) -> tuple[CacheOption, ...]:
            return (CacheOption("registry", {"ref": f"{self.server.domain}/{name}", **attributes}),) if name else ()

        return run_build(
            self.ws,
            self.context,
            tags=(f"{self.server.domain}/image:1",),
            cache_from=option(reads),
            cache_to=option(writes),
            environment=self.environment,
        )

    def pushed(self) -> list[str]:
        """Push the image; return the digest that has, and what became of its layers."""
        told: list[str] = []
        with closing(self.server.registries(Path(self.environment["HOME"]))) as registries:
            reference = Reference.parse(f"{self.server.domain}/image:1")
            done = push(self.ws, registries, reference, lambda event: told.append(getattr(event, "text", "")))
        ends = {text.partition(" ")[0] for text in told if re.match("Pushed|Layer|Mounted", text)}
        return [str(done.manifest.digest), *sorted(ends)]

    def warnings(self, built: Built) -> list[str]:
        texts = [event.text for event in built.events if isinstance(event, BuildWarning)]
        return [text for text in texts if not text.startswith("JSONArgsRecommended")]


@pytest.fixture
def first(server: Server, tmp_path: Path) -> Machine:
    return Machine(server, tmp_path, "first")


@pytest.fixture
def second(server: Server, tmp_path: Path) -> Machine:
    return Machine(server, tmp_path, "second")


@pytest.mark.parametrize("compression", ["", "gzip", "zstd", "uncompressed"])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_second_machine_runs_nothing_and_gets_the_same_image(
    first: Machine, second: Machine, mode: str, compression: str
) -> None:
    name = f"cache:{mode}-{compression}"
    built = first.build(writes=name, mode=mode, **({"compression": compression} if compression else {}))
    assert len(first.runtime.ran) == 2
    again = second.build(reads=name)
    assert second.runtime.ran == []
    assert again.image_id == built.image_id
    assert all(outcome.startswith("CACHED") for outcome in again.outcomes)
    assert second.warnings(again) == []
    check_consistent(second.ws.store)
    # Nothing packed stays, and without the registry all is cached too.
    kept = {path.name for path in Path(second.ws.store.layout.path("blobs/sha256")).iterdir()}
    assert kept == {path.name for path in Path(first.ws.store.layout.path("blobs/sha256")).iterdir()}
    assert sorted(second.build().outcomes) == sorted(again.outcomes)


def test_what_came_from_a_cache_is_not_uploaded_again(first: Machine, second: Machine) -> None:
    first.build(writes="shared:1")
    digest = first.pushed()[0]
    second.build(reads="shared:1")
    import_again = second.pushed()
    assert import_again[0] == digest  # the same manifest from both machines
    assert "Pushed" not in import_again or import_again[1:] == ["Layer", "Pushed"]  # but the base perhaps, from a tar


def test_a_cache_that_packs_otherwise_does_not_change_what_is_pushed(first: Machine, second: Machine) -> None:
    first.build(writes="otherwise:1", compression="zstd")
    digest = first.pushed()[0]
    second.build(reads="otherwise:1")
    assert second.pushed()[0] == digest


def test_only_what_changed_runs_and_only_what_is_used_is_fetched(
    server: Server, first: Machine, second: Machine, tmp_path: Path
) -> None:
    first.build(writes="partly:1")
    log = server.place / "log"

    def fetched() -> int:
        return len(re.findall(r'"GET /v2/partly/blobs/', log.read_text()))

    write_context(second.context, {"app/a": "changed"})
    assert [outcome.split(" ", 1)[0] for outcome in second.build(reads="partly:1").outcomes].count("DONE") == 4
    assert fetched() == 1  # the config of the cache: no layer fits
    third = Machine(server, tmp_path, "third")
    write_context(third.context, {"Dockerfile": DOCKERFILE.replace("RUN other", "RUN other\nRUN make")})
    third.build(reads="partly:1")
    assert [spec.args for spec in third.runtime.ran] == [("/bin/sh", "-c", "make")]
    assert fetched() == 1 + 1 + 4


def test_a_second_export_uploads_nothing_but_the_manifest(server: Server, first: Machine) -> None:
    first.build(writes="again:1")
    log = server.place / "log"

    def uploads() -> int:
        return len(re.findall(r'"(?:POST|PATCH|PUT) /v2/again/blobs', log.read_text()))

    before = uploads()
    first.build(writes="again:1")
    assert uploads() == before > 0


def test_a_cache_is_an_image_manifest_that_registries_keep(server: Server, first: Machine, tmp_path: Path) -> None:
    first.build(writes="form:1")
    with closing(server.registries(tmp_path / "home")) as registries:
        found = registries.repository(Reference.parse(f"{server.domain}/form:1")).manifest("1")
    members = json.loads(found.data)
    assert members["config"]["mediaType"] == CACHE_CONFIG
    assert {layer["annotations"]["dev.minidock.packed"] for layer in members["layers"]} == {"gzip"}


def test_a_cache_that_is_not_there_or_no_cache_is_told_and_done_without(
    server: Server, second: Machine, tmp_path: Path
) -> None:
    with closing(server.registries(tmp_path / "home")) as registries:
        upload(registries, f"{server.domain}/image-of:1", make_image([{"a": b"1"}]))
    for name, problem in (("nowhere:1", "not found"), ("image-of:1", "it is no build cache of this program")):
        built = second.build(reads=name)
        (warning,) = second.warnings(built)
        assert warning.startswith(f"registry cache import at {server.domain}/{name} is not used: ")
        assert problem in warning or "pull access denied" in warning
    assert len(second.runtime.ran) == 2  # the second build found the first one's steps


def test_a_damaged_layer_is_told_and_its_step_runs(server: Server, first: Machine, second: Machine) -> None:
    first.build(writes="damaged:1", compression="zstd", **{"compression-level": "11"})
    place = server.place / "data/docker/registry/v2"
    for link in (place / "repositories/damaged/_layers/sha256").iterdir():
        data = place / "blobs/sha256" / link.name[:2] / link.name / "data"
        content = data.read_bytes()
        if content[:4] == b"\x28\xb5\x2f\xfd":
            data.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    built = second.build(reads="damaged:1")
    assert len(second.runtime.ran) == 2
    assert all("is not used: " in text for text in second.warnings(built)) and second.warnings(built)
    check_consistent(second.ws.store)


def test_an_export_that_fails_is_an_error_unless_that_is_to_be_ignored(first: Machine) -> None:
    option = CacheOption("registry", {"ref": "127.0.0.1:9/cache:1"})
    with pytest.raises(MinidockError, match="connection refused"):
        run_build(first.ws, first.context, tags=("app:1",), cache_to=(option,), environment=first.environment)
    assert images.find(first.ws, "app:1")  # the build itself went well
    ignored = CacheOption("registry", {**option.attributes, "ignore-error": "true"})
    built = run_build(first.ws, first.context, cache_to=(ignored,), environment=first.environment)
    assert first.warnings(built)[0].startswith("the cache was not exported: ")


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ({}, "registry cache exporter requires ref"),
        ({"ref": "Nonsense!"}, 'invalid ref "Nonsense!" of a registry cache'),
        ({"ref": f"x@sha256:{'0' * 64}"}, "a cache cannot be written to the digest x@sha256:0"),
        ({"ref": "x", "mode": "most"}, 'invalid mode "most"'),
        ({"ref": "x", "compression": "lzma"}, 'unsupported layer compression type "lzma"'),
        ({"ref": "x", "compression-level": "high"}, 'invalid compression level "high"'),
    ],
)
def test_mistakes_are_told_before_anything_is_built(first: Machine, attributes: dict[str, str], problem: str) -> None:
    with pytest.raises(BuildError, match=problem):
        run_build(first.ws, first.context, cache_to=(CacheOption("registry", attributes),))
    with pytest.raises(BuildError, match="registry cache importer requires ref"):
        run_build(first.ws, first.context, cache_from=(CacheOption("registry", {}),))
    assert first.runtime.ran == []
