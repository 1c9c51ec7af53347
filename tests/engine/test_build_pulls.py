"""Builds that pull: what FROM, COPY --from and ONBUILD get from a real registry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from minidock.core import mediatype
from minidock.core.digest import Digest
from minidock.core.events import StepStarted
from minidock.core.platform import Platform
from minidock.core.reference import Reference
from minidock.engine import images
from minidock.engine.plan import plan
from minidock.engine.preparing import BuildRequest
from minidock.engine.workspace import Workspace
from minidock.errors import DockerfileError
from tests.engine.building import Built, run_build, tree_of, workspace, write_context
from tests.registry_server import Image, Server, make_image, make_index, registry_server, upload


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with registry_server(tmp_path_factory.mktemp("registry")) as found:
        yield found


@dataclass
class Builder:
    """Builds with a store that is empty at first, and a registry."""

    ws: Workspace
    server: Server
    place: Path

    def name(self, name: str) -> str:
        return f"{self.server.domain}/{name}"

    def push(self, name: str, image: Image) -> Image:
        registries = self.server.registries(self.place / "home")
        upload(registries, self.name(name), image)
        registries.close()
        return image

    def build(self, *lines: str, **options: Any) -> Built:
        """Build with ``@`` for the registry in the lines."""
        text = "\n".join(lines).replace("@", f"{self.server.domain}/")
        context = write_context(self.place / "context", {"Dockerfile": text})
        environment = self.server.environment(self.place / "home")
        return run_build(self.ws, context, environment=environment, **options)


@pytest.fixture
def builder(server: Server, tmp_path: Path) -> Builder:
    return Builder(workspace(tmp_path / "store"), server, tmp_path)


def pulls(built: Built) -> list[str]:
    return [event.name for event in built.events if isinstance(event, StepStarted) and "load metadata" in event.name]


def test_a_base_that_is_missing_is_pulled_once(builder: Builder) -> None:
    base = builder.push("base:1", make_image([{"f": b"1"}]))
    first = builder.build("FROM @base:1", "LABEL a=b")
    assert pulls(first) == [f"[internal] load metadata for {builder.name('base:1')}"]
    assert [entry.path for entry in tree_of(builder.ws, first.image_id).entries()] == ["", "f"]
    assert str(images.find(builder.ws, builder.name("base:1")).image_id) == base.image_id
    builder.push("base:1", make_image([{"f": b"2"}]))
    assert pulls(builder.build("FROM @base:1", "LABEL a=b")) == []


def test_pull_always_takes_what_the_registry_has_now(builder: Builder) -> None:
    builder.push("moving:1", make_image([{"f": b"1"}]))
    builder.build("FROM @moving:1")
    newer = builder.push("moving:1", make_image([{"f": b"2"}]))
    built = builder.build("FROM @moving:1 AS one", "FROM @moving:1", pulls_always=True)
    assert pulls(built) == [f"[internal] load metadata for {builder.name('moving:1')}"]
    assert str(images.find(builder.ws, builder.name("moving:1")).image_id) == newer.image_id


def test_a_base_is_pulled_by_its_digest(builder: Builder) -> None:
    image = builder.push("pinned:1", make_image([{"f": b"1"}]))
    text = f"FROM {builder.name('pinned')}@{image.digest}"
    context = write_context(builder.place / "context", {"Dockerfile": text})
    environment = builder.server.environment(builder.place / "home")
    for expected in (1, 0):
        built = run_build(builder.ws, context, environment=environment)
        assert (len(pulls(built)), tree_of(builder.ws, built.image_id).get("f") is not None) == (expected, True)


def test_files_of_an_image_that_is_missing_are_copied(builder: Builder) -> None:
    builder.push("tools:1", make_image([{"bin/tool": b"1"}]))
    built = builder.build("FROM scratch", "COPY --from=@tools:1 /bin/tool /t")
    assert [entry.path for entry in tree_of(builder.ws, built.image_id).entries()] == ["", "t"]


def test_only_stages_that_the_target_needs_are_pulled_for(builder: Builder) -> None:
    builder.push("base:2", make_image([{"f": b"1"}]))
    built = builder.build("FROM @nosuch:1 AS other", "FROM @base:2")
    assert pulls(built) == [f"[internal] load metadata for {builder.name('base:2')}"]


def test_triggers_of_a_pulled_base_fire(builder: Builder) -> None:
    plain = make_image([{"f": b"1"}])
    config = json.loads(plain.blobs[plain.image_id])
    config["config"]["OnBuild"] = ["LABEL fired=yes"]
    data = json.dumps(config).encode()
    manifest = json.loads(plain.manifest)
    manifest["config"].update(digest=str(Digest.sha256(data)), size=len(data))
    blobs = {**plain.blobs, str(Digest.sha256(data)): data}
    builder.push("onbuild:1", Image(blobs, json.dumps(manifest).encode()))
    built = builder.build("FROM @onbuild:1")
    assert images.load(builder.ws, built.image_id).config.config.labels == {"fired": "yes"}


def test_what_cannot_be_pulled_is_an_error_of_its_line(builder: Builder) -> None:
    builder.push("base:3", make_image([{"f": b"1"}]))
    with pytest.raises(DockerfileError) as caught:
        builder.build("FROM @base:3", "COPY --from=@base:4 /f /g")
    full = builder.name("base:4")
    assert (str(caught.value), caught.value.first) == (
        f"{full}: failed to resolve source metadata for {full}: {full}: not found",
        2,
    )


def test_an_image_of_another_platform_is_pulled_for_that_one(builder: Builder) -> None:
    images_of = {name: make_image([{name: b"1"}], architecture=name) for name in ("amd64", "riscv64")}
    for image in images_of.values():
        builder.push("both:x", image)
    registries = builder.server.registries(builder.place / "home")
    repository = registries.repository(Reference.parse(builder.name("both:1")))
    repository.put_manifest("1", mediatype.INDEX, make_index(images_of))
    registries.close()
    for name in ("riscv64", "amd64", "riscv64"):
        built = builder.build("FROM @both:1", platform=Platform("linux", name))
        assert [entry.path for entry in tree_of(builder.ws, built.image_id).entries()] == ["", name]


def test_a_plan_pulls_nothing(builder: Builder) -> None:
    builder.push("base:5", make_image([{"f": b"1"}]))
    name = builder.name("base:5")
    context = write_context(builder.place / "context", {"Dockerfile": f"FROM {name}\nLABEL a=b\n"})
    environment = builder.server.environment(builder.place / "home")
    assert plan(builder.ws, BuildRequest(str(context), environment=environment)).steps
    assert not builder.ws.store.exists
