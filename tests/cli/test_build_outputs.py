"""Files that tell about a build: `--iidfile`, `--metadata-file`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from minidock.cli.app import main


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINIDOCK_ROOT", str(tmp_path / "store"))
    place = tmp_path / "context"
    place.mkdir()
    (place / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    return place


def test_what_was_stored_is_told(context: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [f"--iidfile={tmp_path}/iid", f"--metadata-file={tmp_path}/told"]
    assert main(["build", "-q", "-t", "app:1", *files, str(context)]) == 0
    image_id = capsys.readouterr().out.strip()
    assert (tmp_path / "iid").read_text() == image_id
    told = json.loads((tmp_path / "told").read_text())
    assert sorted(told) == [
        "buildx.build.ref",
        "containerimage.config.digest",
        "containerimage.descriptor",
        "containerimage.digest",
        "image.name",
    ]
    assert told["containerimage.config.digest"] == image_id
    assert told["containerimage.digest"] == told["containerimage.descriptor"]["digest"]
    assert told["image.name"] == "docker.io/library/app:1"


def test_of_an_archive_its_own_manifest_is_told(context: Path, tmp_path: Path) -> None:
    output = f"type=oci,dest={tmp_path}/l,tar=false,compression=gzip"
    assert main(["build", "-q", "-o", output, f"--metadata-file={tmp_path}/told", str(context)]) == 0
    (descriptor,) = json.loads((tmp_path / "l/index.json").read_text())["manifests"]
    assert json.loads((tmp_path / "told").read_text())["containerimage.descriptor"] == descriptor


def test_of_files_only_the_build_is_told(context: Path, tmp_path: Path) -> None:
    output = f"{tmp_path}/files"
    assert main(["build", "-q", "-t", "app:1", "-o", output, f"--metadata-file={tmp_path}/told", str(context)]) == 0
    assert list(json.loads((tmp_path / "told").read_text())) == ["buildx.build.ref"]


def test_of_several_platforms_the_index_is_told(context: Path, tmp_path: Path) -> None:
    files = [f"--iidfile={tmp_path}/iid", f"--metadata-file={tmp_path}/told"]
    words = ["--platform=linux/amd64,linux/arm64", "-o", f"type=oci,dest={tmp_path}/l,tar=false", *files]
    assert main(["build", "-q", *words, str(context)]) == 0
    (descriptor,) = json.loads((tmp_path / "l/index.json").read_text())["manifests"]
    told = json.loads((tmp_path / "told").read_text())
    del told["buildx.build.ref"]
    assert told == {"containerimage.descriptor": descriptor, "containerimage.digest": descriptor["digest"]}
    assert (tmp_path / "iid").read_text() == descriptor["digest"]


@pytest.mark.parametrize("flag", ["--iidfile", "--metadata-file"])
def test_a_file_without_a_directory_is_refused_before_the_build(
    context: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    (context / "Dockerfile").write_text("FROM nothing\n")
    assert main(["build", f"{flag}={tmp_path}/no/file", str(context)]) == 1
    assert capsys.readouterr() == ("", f"minidock: open {tmp_path}/no/file: no such file or directory\n")


def test_a_failed_build_leaves_no_earlier_digest(context: Path, tmp_path: Path) -> None:
    (tmp_path / "iid").write_text("earlier")
    (context / "Dockerfile").write_text("FROM scratch\nCOPY missing /\n")
    assert main(["build", "-q", f"--iidfile={tmp_path}/iid", str(context)]) == 1
    assert not (tmp_path / "iid").exists()
