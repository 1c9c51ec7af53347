"""Builds for several platforms: a directory for each, an index in archives and at registries, nothing in the store."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from minidock.core.build_options import Annotation, Output
from minidock.core.events import StepStarted
from minidock.core.platform import Platform
from minidock.engine.build import BuildResult, build
from minidock.engine.load import load
from minidock.engine.outputs import Outputs
from minidock.engine.plan import plan
from minidock.engine.platforms import parse_platforms, this_platform
from minidock.engine.preparing import BuildRequest
from minidock.engine.workspace import Workspace
from minidock.errors import BuildError, DockerfileError
from minidock.runtime.fake import FakeRuntime
from tests.engine.building import content_of, import_base, workspace, write_context

TEXT = """\
FROM scratch
ARG TARGETPLATFORM TARGETARCH
LABEL for=$TARGETPLATFORM
COPY for-$TARGETARCH /d/f
"""
PLATFORMS = parse_platforms(("linux/amd64,linux/arm",))


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return workspace(tmp_path / "store", FakeRuntime())


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return write_context(tmp_path / "context", {"Dockerfile": TEXT, "for-amd64": "of amd64", "for-arm": "of arm"})


def built(ws: Workspace, context: Path, *texts: str, stdout: io.BytesIO | None = None, **fields: Any) -> BuildResult:
    outputs = Outputs(tuple(Output.parse(text) for text in texts), stdout)
    given = {"platforms": PLATFORMS, "outputs": outputs, **fields}
    return build(ws, BuildRequest(str(context), **given), lambda event: None)


def blob(layout: Path, digest: str) -> bytes:
    return (layout / "blobs" / digest.replace(":", "/")).read_bytes()


def test_files_of_each_platform_have_a_directory(ws: Workspace, context: Path, tmp_path: Path) -> None:
    built(ws, context, str(tmp_path / "out"))
    found = {
        str(path.relative_to(tmp_path / "out")): path.is_dir() or path.read_text()
        for path in (tmp_path / "out").rglob("*")
    }
    assert found == {
        "linux_amd64": True,
        "linux_amd64/d": True,
        "linux_amd64/d/f": "of amd64",
        "linux_arm_v7": True,
        "linux_arm_v7/d": True,
        "linux_arm_v7/d/f": "of arm",
    }


def test_one_directory_for_all_holds_each_file_once(ws: Workspace, context: Path, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nARG TARGETARCH\nCOPY for-$TARGETARCH /\n")
    built(ws, context, f"type=local,dest={tmp_path}/out,platform-split=false")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["for-amd64", "for-arm"]
    (context / "Dockerfile").write_text(TEXT)
    with pytest.raises(BuildError) as caught:
        built(ws, context, f"type=local,dest={tmp_path}/other,platform-split=false")
    assert str(caught.value) == (
        "cannot overwrite d/f from linux/amd64 with linux/arm/v7 when split option is disabled"
    )
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("truth", ["True", "t", ""])
def test_every_word_for_true_splits_platforms(ws: Workspace, context: Path, tmp_path: Path, truth: str) -> None:
    built(ws, context, f"type=local,dest={tmp_path}/out,platform-split={truth}")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["linux_amd64", "linux_arm_v7"]


def test_one_platform_has_a_directory_if_that_is_asked_for(ws: Workspace, context: Path, tmp_path: Path) -> None:
    output = f"type=local,dest={tmp_path}/out,platform-split=true"
    built(ws, context, output, platforms=(), platform=Platform("linux", "arm", "v7"))
    assert (tmp_path / "out/linux_arm_v7/d/f").read_text() == "of arm"


def test_a_tar_has_them_one_after_the_other(ws: Workspace, context: Path) -> None:
    (context / "Dockerfile").write_text(TEXT + "COPY --link for-amd64 /d/hard\n")
    stdout = io.BytesIO()
    built(ws, context, "-", stdout=stdout)
    with tarfile.open(fileobj=io.BytesIO(stdout.getvalue())) as archive:
        assert [item.name for item in archive] == [
            *("linux_amd64", "linux_amd64/d", "linux_amd64/d/f", "linux_amd64/d/hard"),
            *("linux_arm_v7", "linux_arm_v7/d", "linux_arm_v7/d/f", "linux_arm_v7/d/hard"),
        ]


def test_an_archive_has_one_index_of_them(ws: Workspace, context: Path, tmp_path: Path) -> None:
    annotations = (
        Annotation("a", "of all"),
        Annotation("b", "of arm", "manifest-descriptor", Platform("linux", "arm", "v7")),
        Annotation("c", "of the index", "index"),
        Annotation("d", "beside it", "index-descriptor"),
    )
    output = f"type=oci,dest={tmp_path}/layout,tar=false,compression=gzip,name=app:1"
    result = built(ws, context, output, annotations=annotations, tags=("app:2",))
    (listed, other) = json.loads((tmp_path / "layout/index.json").read_text())["manifests"]
    assert result.image_id == result.manifest.digest
    assert listed == {
        "annotations": {
            "d": "beside it",
            "io.containerd.image.name": "docker.io/library/app:2",
            "org.opencontainers.image.ref.name": "2",
        },
        "digest": str(result.image_id),
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "size": result.manifest.size,
    }
    assert other["annotations"]["org.opencontainers.image.ref.name"] == "1"
    index = json.loads(blob(tmp_path / "layout", listed["digest"]))
    assert index["annotations"] == {"c": "of the index"}
    assert [item["platform"] for item in index["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm", "os": "linux", "variant": "v7"},
    ]
    assert [item.get("annotations") for item in index["manifests"]] == [None, {"b": "of arm"}]
    for item, shown in zip(index["manifests"], ("linux/amd64", "linux/arm/v7"), strict=True):
        manifest = json.loads(blob(tmp_path / "layout", item["digest"]))
        assert manifest["annotations"] == {"a": "of all"}
        assert [layer["mediaType"] for layer in manifest["layers"]] == ["application/vnd.oci.image.layer.v1.tar+gzip"]
        config = json.loads(blob(tmp_path / "layout", manifest["config"]["digest"]))
        assert config["config"]["Labels"] == {"for": shown}
    assert ws.store.images.list() == ()


def test_the_archive_is_loaded_for_this_machine(ws: Workspace, context: Path, tmp_path: Path) -> None:
    (context / f"for-{this_platform().architecture}").write_text("ours")
    platforms = (this_platform(), Platform("linux", "arm", "v6"))
    built(ws, context, f"type=oci,dest={tmp_path}/a.tar", tags=("app:1",), platforms=platforms)
    with open(tmp_path / "a.tar", "rb") as archive:
        (loaded,) = load(ws, archive)
    assert loaded.name == "app:1"
    assert content_of(ws, loaded.image_id, "d/f") == b"ours"


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (
            (),
            "Multi-platform build is not supported for the store, where a name leads to the image of one platform",
        ),
        (
            ("type=image",),
            "Multi-platform build is not supported for the store, where a name leads to the image of one platform",
        ),
        (("type=docker",), "docker exporter does not currently support exporting manifest lists"),
        (("type=docker,dest=x",), "docker exporter does not currently support exporting manifest lists"),
    ],
)
def test_what_cannot_hold_several_is_refused_before_anything_is_built(
    ws: Workspace, context: Path, outputs: Sequence[str], message: str
) -> None:
    (context / "Dockerfile").write_text("FROM missing\n")
    with pytest.raises(BuildError) as caught:
        built(ws, context, *outputs)
    assert str(caught.value) == message
    assert caught.value.hint is not None and "--output type=oci,dest=FILE" in caught.value.hint


def test_an_annotation_for_another_platform_is_refused(ws: Workspace, context: Path, tmp_path: Path) -> None:
    wrong = Annotation("a", "b", "manifest", Platform("linux", "s390x"))
    with pytest.raises(BuildError, match="invalid annotation: no platform linux/s390x found in source"):
        built(ws, context, str(tmp_path / "out"), annotations=(wrong,))


def test_steps_are_shown_with_their_platform_and_found_again(ws: Workspace, context: Path, tmp_path: Path) -> None:
    names: list[str] = []
    request = BuildRequest(str(context), platforms=PLATFORMS, outputs=Outputs((Output("cacheonly"),)))
    build(ws, request, lambda event: names.append(event.name) if isinstance(event, StepStarted) else None)
    assert [name for name in names if "COPY" in name] == [
        "[linux/amd64 1/1] COPY for-amd64 /d/f",
        "[linux/arm/v7 1/1] COPY for-arm /d/f",
    ]
    planned = plan(ws, request)
    assert [(step.name, step.is_cached) for step in planned.steps] == [
        ("[linux/amd64 1/1] COPY for-amd64 /d/f", True),
        ("[linux/arm/v7 1/1] COPY for-arm /d/f", True),
    ]


def test_a_step_that_needs_another_machine_is_told(ws: Workspace, context: Path, tmp_path: Path) -> None:
    import_base(ws)
    (context / "Dockerfile").write_text("FROM scratch\nRUN make\n")
    with pytest.raises(DockerfileError, match="--platform=linux/s390x: RUN needs a machine of that kind"):
        built(ws, context, str(tmp_path / "out"), platforms=(Platform("linux", "s390x"), this_platform()))
    assert not (tmp_path / "out").exists()
