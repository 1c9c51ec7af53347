"""ONBUILD and HEALTHCHECK: what an image keeps, and what fires in the builds on top of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from minidock.engine import images
from minidock.engine.workspace import Workspace
from minidock.errors import DockerfileError
from minidock.runtime.fake import FakeRuntime
from tests.engine.building import Built, content_of, import_base, run_build, tree_of, workspace, write_context


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    found = workspace(tmp_path / "store", FakeRuntime({"make": lambda rootfs: None}))
    import_base(found)
    return found


def built(ws: Workspace, tmp_path: Path, *lines: str, tag: str = "", target: str | None = None) -> Built:
    context = write_context(tmp_path / "context", {"Dockerfile": "\n".join([*lines, ""]), "f": "file"})
    return run_build(ws, context, tags=(tag,) if tag else (), target=target)


def test_triggers_are_kept_as_written_without_history(ws: Workspace, tmp_path: Path) -> None:
    lines = ["FROM base:1", "ONBUILD  COPY   f  $dest", "onbuild run <<E", "make", "E", "LABEL a=b"]
    config = images.load(ws, built(ws, tmp_path, *lines).image_id).config
    assert config.config.to_json()["OnBuild"] == ["COPY   f  $dest", "run <<E\nmake\nE"]
    assert [entry.created_by for entry in config.history] == ["", "LABEL a=b"]


def test_triggers_fire_behind_from_and_are_gone(ws: Workspace, tmp_path: Path) -> None:
    built(ws, tmp_path, "FROM base:1", "ENV dest=/in/", "ONBUILD COPY f $dest", "ONBUILD LABEL x=y", tag="parent:1")
    found = built(ws, tmp_path, "FROM parent:1", "COPY f /last", tag="child:1")
    assert content_of(ws, found.image_id, "in/f") == b"file"
    assert found.outcomes == [
        "CACHED [1/3] FROM docker.io/library/parent:1",
        "DONE [2/3] COPY f /in/",
        "DONE [3/3] COPY f /last",
    ]
    config = images.load(ws, found.image_id).config
    assert (config.config.on_build, dict(config.config.labels)) == ((), {"x": "y"})
    assert [entry.created_by for entry in config.history[2:]] == [
        "COPY f /in/ # buildkit",
        "LABEL x=y",
        "COPY f /last # buildkit",
    ]
    grandchild = built(ws, tmp_path, "FROM child:1", "LABEL g=h")
    assert grandchild.outcomes == ["CACHED [1/1] FROM docker.io/library/child:1"]


def test_triggers_of_a_stage_fire_too_and_find_stages_of_the_file(ws: Workspace, tmp_path: Path) -> None:
    found = built(
        ws,
        tmp_path,
        "FROM base:1 AS files",
        "COPY f /made",
        "FROM base:1 AS parent",
        "ONBUILD COPY --from=files /made /taken",
        "FROM base:1 AS unneeded",
        "COPY missing /",
        "FROM parent",
        "LABEL a=b",
    )
    assert content_of(ws, found.image_id, "taken") == b"file"
    assert [line for line in found.outcomes if "files" in line][:1] == [
        "CACHED [files 1/2] FROM docker.io/library/base:1"
    ]


def test_a_trigger_that_fails_names_the_from(ws: Workspace, tmp_path: Path) -> None:
    built(ws, tmp_path, "FROM base:1", "ONBUILD COPY none /", tag="parent:1")
    with pytest.raises(DockerfileError, match='"/none": not found') as caught:
        built(ws, tmp_path, "# a comment", "FROM parent:1")
    assert caught.value.first == 2


def test_a_trigger_that_needs_a_later_stage_is_refused(ws: Workspace, tmp_path: Path) -> None:
    built(ws, tmp_path, "FROM base:1", "ONBUILD COPY --from=late / /", tag="parent:1")
    with pytest.raises(DockerfileError) as caught:
        built(ws, tmp_path, "FROM parent:1 AS early", "FROM base:1 AS late", target="early")
    assert str(caught.value) == ('cannot copy from stage "late", it needs to be defined before current stage "early"')


def test_only_what_fires_is_built_again(ws: Workspace, tmp_path: Path) -> None:
    built(ws, tmp_path, "FROM base:1", "ONBUILD COPY f /in", tag="parent:1")
    first = built(ws, tmp_path, "FROM parent:1")
    second = built(ws, tmp_path, "FROM parent:1")
    assert second.outcomes == ["CACHED [1/2] FROM docker.io/library/parent:1", "CACHED [2/2] COPY f /in"]
    assert second.image_id == first.image_id
    assert "in" in tree_of(ws, first.image_id)


@pytest.mark.parametrize(
    ("line", "members", "created_by"),
    [
        (
            "HEALTHCHECK --interval=5m --timeout=3s --start-period=1m30s --start-interval=1.5s --retries=2 CMD a",
            {
                "Test": ["CMD-SHELL", "a"],
                "Interval": 300_000_000_000,
                "Timeout": 3_000_000_000,
                "StartPeriod": 90_000_000_000,
                "StartInterval": 1_500_000_000,
                "Retries": 2,
            },
            "HEALTHCHECK {Test:[CMD-SHELL a] Interval:5m0s Timeout:3s StartPeriod:1m30s StartInterval:1.5s Retries:2}",
        ),
        (
            'HEALTHCHECK CMD ["a", "b c"]',
            {"Test": ["CMD", "a", "b c"]},
            "HEALTHCHECK {Test:[CMD a b c] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}",
        ),
        (
            "HEALTHCHECK NONE",
            {"Test": ["NONE"]},
            "HEALTHCHECK {Test:[NONE] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}",
        ),
    ],
)
def test_a_health_check_is_kept(
    ws: Workspace, tmp_path: Path, line: str, members: dict[str, object], created_by: str
) -> None:
    config = images.load(ws, built(ws, tmp_path, "FROM base:1", "HEALTHCHECK CMD before", line).image_id).config
    assert config.config.to_json()["Healthcheck"] == members
    assert config.history[-1].created_by == created_by


def test_the_rest_of_the_metadata_is_kept(ws: Workspace, tmp_path: Path) -> None:
    lines = ['SHELL ["/bin/bash", "-ec"]', "STOPSIGNAL SIGUSR1", "MAINTAINER me <me@example.com>", "EXPOSE 80-82/udp 9"]
    image = images.load(ws, built(ws, tmp_path, "FROM base:1", *lines, "CMD x").image_id).config
    found = image.config.to_json()
    assert {name: found[name] for name in ("Shell", "StopSignal", "ExposedPorts", "Cmd")} == {
        "Shell": ["/bin/bash", "-ec"],
        "StopSignal": "SIGUSR1",
        "ExposedPorts": {"80/udp": {}, "81/udp": {}, "82/udp": {}, "9/tcp": {}},
        "Cmd": ["/bin/bash", "-ec", "x"],
    }
    assert image.author == "me <me@example.com>"
    assert [entry.created_by for entry in image.history[1:]] == [
        "SHELL [/bin/bash -ec]",
        "STOPSIGNAL SIGUSR1",
        "MAINTAINER me <me@example.com>",
        "EXPOSE [80/udp 81/udp 82/udp 9/tcp]",
        'CMD ["/bin/bash" "-ec" "x"]',
    ]
