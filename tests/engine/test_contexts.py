"""Build contexts other than a directory, and --build-context."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from minidock.core.platform import Platform
from minidock.engine import images
from minidock.engine.platforms import this_platform
from minidock.engine.workspace import Workspace
from minidock.errors import BuildError, DockerfileError
from minidock.runtime.fake import FakeRuntime
from tests.engine.building import (
    Built,
    content_of,
    directory,
    import_base,
    link,
    member,
    outcomes,
    root_tar,
    run_build,
    tree_of,
    workspace,
    write_context,
)
from tests.engine.served import Served, git_server, make_repository, web_server

DOCKERFILE = b"FROM scratch\nCOPY f /copied\n"
OTHER = Platform("linux", "arm64") if this_platform().architecture == "amd64" else Platform("linux", "amd64")


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    found = workspace(tmp_path / "store", FakeRuntime({"make": lambda rootfs: None}))
    import_base(found)
    return found


def packed(**more: bytes) -> bytes:
    return root_tar(
        [
            directory("."),
            (member("./Dockerfile"), more.get("dockerfile", DOCKERFILE)),
            (member("./f", mode=0o640, uid=7, gid=8), b"file"),
            (member("./.dockerignore"), b"f\n"),
        ]
    )


@pytest.mark.parametrize(
    "compress", [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.ZstdCompressor().compress]
)
def test_a_tar_on_stdin_is_the_context_whatever_it_is_compressed_with(
    ws: Workspace, compress: Callable[[bytes], bytes]
) -> None:
    built = run_build(ws, "-", stdin=io.BytesIO(compress(packed())))
    assert content_of(ws, built.image_id, "copied") == b"file"
    entry = tree_of(ws, built.image_id).get("copied")
    assert entry is not None
    # Owners are not kept, and no ignore file counts, as in BuildKit.
    assert (entry.mode, entry.uid, entry.gid) == (0o640, 0, 0)


def test_the_same_files_give_the_same_image_however_they_come(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "context.tar").write_bytes(packed())
    first = run_build(ws, "-", stdin=io.BytesIO(packed()))
    second = run_build(ws, tmp_path / "context.tar")
    assert (second.image_id, outcomes(second.events)) == (first.image_id, ["CACHED [1/1] COPY f /copied"])


def test_a_dockerfile_on_stdin_has_no_files_beside_it(ws: Workspace) -> None:
    built = run_build(ws, "-", stdin=io.BytesIO(b"FROM base:1\nLABEL a=b\n"))
    assert images.load(ws, built.image_id).config.config.labels == {"a": "b"}
    with pytest.raises(DockerfileError, match='"/f": not found'):
        run_build(ws, "-", stdin=io.BytesIO(DOCKERFILE))


def test_only_the_dockerfile_comes_from_stdin(ws: Workspace, tmp_path: Path) -> None:
    files = {"Dockerfile": "nonsense", "f": "file", "g": "", ".dockerignore": "g\n", "Dockerfile.dockerignore": "f\n"}
    context = write_context(tmp_path / "context", files)
    built = run_build(ws, context, dockerfile="-", stdin=io.BytesIO(DOCKERFILE))
    assert content_of(ws, built.image_id, "copied") == b"file"
    with pytest.raises(DockerfileError, match='"/g": not found'):
        run_build(ws, context, dockerfile="-", stdin=io.BytesIO(b"FROM scratch\nCOPY g /\n"))


def test_a_dockerfile_outside_of_the_context_has_its_own_ignore_file(ws: Workspace, tmp_path: Path) -> None:
    context = write_context(tmp_path / "context", {"f": "file", "g": "", ".dockerignore": "f\n"})
    other = write_context(tmp_path / "other", {"D": DOCKERFILE, "D.dockerignore": "g\n"})
    built = run_build(ws, context, dockerfile=str(other / "D"))
    assert content_of(ws, built.image_id, "copied") == b"file"


@pytest.mark.parametrize(
    ("context", "fields", "problem"),
    [
        ("-", {"dockerfile": "-"}, "invalid argument: can't use stdin for both build context and dockerfile"),
        ("-", {"dockerfile": "D"}, "ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles"),
        ("nowhere", {}, 'unable to prepare context: path "nowhere" not found'),
        (".", {"contexts": {"a": "nowhere"}}, "failed to get build context a: stat nowhere: no such file or directory"),
    ],
)
def test_what_cannot_be_a_context_is_refused_in_dockers_words(
    ws: Workspace, context: str, fields: dict[str, Any], problem: str
) -> None:
    with pytest.raises(BuildError) as caught:
        run_build(ws, context, stdin=io.BytesIO(DOCKERFILE), **fields)
    assert str(caught.value) == problem


def test_a_file_that_is_no_tar_is_no_context(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "D").write_bytes(DOCKERFILE)
    with pytest.raises(BuildError) as caught:
        run_build(ws, tmp_path / "D")
    assert str(caught.value) == f"unable to prepare context: context must be a directory: {tmp_path}/D"


@pytest.mark.parametrize(
    ("hostile", "problem"),
    [
        ([(member("../out"), b"x")], "a name with '..'"),
        ([link("Dockerfile", "/etc/passwd")], "failed to read dockerfile: open Dockerfile: no such file"),
        ([link("Dockerfile", "Dockerfile")], "too many levels of symbolic links"),
        ([directory("Dockerfile")], "failed to read dockerfile: Dockerfile is a directory"),
    ],
)
def test_a_tar_reaches_nothing_outside_of_itself(ws: Workspace, hostile: list[Any], problem: str) -> None:
    with pytest.raises(Exception, match=problem):
        run_build(ws, "-", stdin=io.BytesIO(root_tar(hostile)))


@pytest.mark.parametrize("cut", [600, 2000])
def test_a_tar_that_ends_early_is_refused(ws: Workspace, cut: int) -> None:
    with pytest.raises(BuildError, match="failed to read the build context"):
        run_build(ws, "-", stdin=io.BytesIO(gzip.compress(packed()[:cut])))


def test_nothing_stays_behind(ws: Workspace) -> None:
    run_build(ws, "-", stdin=io.BytesIO(gzip.compress(packed())))
    assert list(Path(ws.store.layout.path("tmp")).iterdir()) == []


def test_a_url_is_a_tar_or_a_dockerfile(ws: Workspace) -> None:
    with web_server({"/c.tgz": Served(gzip.compress(packed())), "/D": Served(b"FROM base:1\n")}) as web:
        assert content_of(ws, run_build(ws, f"{web.url}/c.tgz").image_id, "copied") == b"file"
        assert images.load(ws, run_build(ws, f"{web.url}/D").image_id).config.history
        with pytest.raises(BuildError, match="invalid response status 404"):
            run_build(ws, f"{web.url}/none")


def test_a_dockerfile_at_a_url_goes_with_any_context(ws: Workspace, tmp_path: Path) -> None:
    files = {"f": "file", ".dockerignore": "ignored", "ignored": "", "Dockerfile": "no instruction\n"}
    context = write_context(tmp_path / "context", files)
    with web_server({"/D": Served(b"FROM scratch\nCOPY . /\n"), "/c.tgz": Served(gzip.compress(packed()))}) as web:
        local = run_build(ws, context, dockerfile=f"{web.url}/D")
        remote = run_build(ws, f"{web.url}/c.tgz", dockerfile=f"{web.url}/D")
        with pytest.raises(BuildError, match="invalid response status 404"):
            run_build(ws, context, dockerfile=f"{web.url}/none")
    names = sorted(entry.path for entry in tree_of(ws, local.image_id).entries())
    assert names == ["", ".dockerignore", "Dockerfile", "f"]
    assert images.load(ws, remote.image_id).config.diff_ids
    assert list(Path(ws.store.layout.path("tmp")).iterdir()) == []


def test_a_git_repository_is_a_context(ws: Workspace, tmp_path: Path) -> None:
    commands = [
        "git init -q",
        "git config user.email a@b && git config user.name a",
        "mkdir sub && echo -n one > sub/f && printf 'FROM scratch\\nCOPY . /\\n' > sub/Dockerfile",
        "ln -s /etc/passwd sub/link",
        "git add . && git commit -qm 1",
    ]
    make_repository(tmp_path / "made", commands)
    with git_server(tmp_path) as url:
        built = run_build(ws, f"{url}/made/.git#master:sub")
    assert content_of(ws, built.image_id, "f") == b"one"
    assert sorted(entry.path for entry in tree_of(ws, built.image_id).entries()) == ["", "Dockerfile", "f", "link"]


def test_a_git_repository_leads_nowhere_else(ws: Workspace, tmp_path: Path) -> None:
    write_context(tmp_path / "outside", {"Dockerfile": "FROM scratch\nCOPY . /\n"})
    commands = [
        "git init -q",
        "git config user.email a@b && git config user.name a",
        f"ln -s {tmp_path}/outside out && mkdir sub && ln -s {tmp_path}/outside/Dockerfile sub/Dockerfile",
        "git add . && git commit -qm 1",
    ]
    make_repository(tmp_path / "made", commands)
    with git_server(tmp_path) as url:
        remote = f"{url}/made/.git"
        for place, problem in {
            "master:out": "invalid subdir out: out is not a directory of the repository",
            "master:../outside": "invalid subdir",
            "master:sub": "failed to read dockerfile",
            f"--upload-pack=touch {tmp_path}/mark": ".",
        }.items():
            with pytest.raises(BuildError, match=problem):
                run_build(ws, f"{remote}#{place}")
    assert not (tmp_path / "mark").exists()


class TestNamedContexts:
    """--build-context."""

    def built(self, ws: Workspace, tmp_path: Path, *lines: str, **contexts: str) -> Built:
        context = write_context(tmp_path / "context", {"Dockerfile": "\n".join([*lines, ""]), "f": "main"})
        return run_build(ws, context, contexts=contexts)

    def test_a_directory_stands_for_an_image(self, ws: Workspace, tmp_path: Path) -> None:
        named = write_context(tmp_path / "named", {"d/f": "named", "d/g": "", ".dockerignore": "d/g\n"})
        built = self.built(ws, tmp_path, "FROM scratch", "COPY --from=src:latest d /d", src=str(named))
        assert content_of(ws, built.image_id, "d/f") == b"named"
        assert "d/g" not in tree_of(ws, built.image_id)
        assert not built.reasons or built.outcomes == ["DONE [1/1] COPY --from=src:latest d /d"]
        (named / "d/f").write_text("changed")
        again = self.built(ws, tmp_path, "FROM scratch", "COPY --from=src:latest d /d", src=str(named))
        assert content_of(ws, again.image_id, "d/f") == b"changed"

    def test_a_directory_can_be_built_upon(self, ws: Workspace, tmp_path: Path) -> None:
        named = write_context(tmp_path / "named", {"d/f": "named"})
        built = self.built(ws, tmp_path, "FROM src", "COPY f /", src=str(named))
        assert content_of(ws, built.image_id, "d/f") == b"named"
        assert content_of(ws, built.image_id, "f") == b"main"

    def test_a_context_stands_for_a_stage_which_is_not_built(self, ws: Workspace, tmp_path: Path) -> None:
        named = write_context(tmp_path / "named", {"made": "elsewhere"})
        lines = ["FROM base:1 AS maker", "RUN false", "FROM scratch", "COPY --from=maker made /"]
        assert content_of(ws, self.built(ws, tmp_path, *lines, maker=str(named)).image_id, "made") == b"elsewhere"
        lines = ["FROM base:1 AS maker", "RUN false", "FROM maker", "COPY --from=0 made /again"]
        built = self.built(ws, tmp_path, *lines, maker=str(named))
        assert content_of(ws, built.image_id, "again") == b"elsewhere"

    def test_an_image_stands_for_another(self, ws: Workspace, tmp_path: Path) -> None:
        parent = ["FROM base:1", "ENV who=other", "ONBUILD LABEL fired=yes"]
        run_build(ws, write_context(tmp_path / "p", {"Dockerfile": "\n".join(parent)}), tags=("other:2",))
        built = self.built(ws, tmp_path, "FROM missing:1", "LABEL who=$who", **{"missing:1": "docker-image://other:2"})
        assert images.load(ws, built.image_id).config.config.labels == {"who": "other", "fired": "yes"}
        built = self.built(ws, tmp_path, "FROM base", "COPY f /", base="docker-image://scratch")
        assert [entry.path for entry in tree_of(ws, built.image_id).entries()] == ["", "f"]

    def test_a_missing_image_is_an_error_of_the_line_that_uses_it(self, ws: Workspace, tmp_path: Path) -> None:
        with pytest.raises(DockerfileError, match="nothere:latest: failed to resolve source metadata") as caught:
            self.built(ws, tmp_path, "FROM base:1", "COPY --from=x a /", x="docker-image://nothere")
        assert caught.value.first == 2
        self.built(ws, tmp_path, "FROM base:1", x="docker-image://nothere")

    def test_a_run_mounts_a_context(self, ws: Workspace, tmp_path: Path) -> None:
        named = write_context(tmp_path / "named", {"f": "1"})
        line = "RUN --mount=type=bind,from=src,target=/m make"
        first = self.built(ws, tmp_path, "FROM base:1", line, src=str(named))
        again = self.built(ws, tmp_path, "FROM base:1", line, src=str(named))
        assert again.outcomes[1] == f"CACHED [2/2] {line}"
        (named / "f").write_text("2")
        changed = self.built(ws, tmp_path, "FROM base:1", line, src=str(named))
        assert (first.outcomes[1], changed.outcomes[1]) == (f"DONE [2/2] {line}",) * 2

    def test_a_file_at_a_url_is_a_context_of_one_file(self, ws: Workspace, tmp_path: Path) -> None:
        with web_server({"/x/tool.tar": Served(packed())}) as web:
            lines = ["FROM scratch", "COPY --from=tool tool.tar /t"]
            built = self.built(ws, tmp_path, *lines, tool=f"{web.url}/x/tool.tar")
        assert content_of(ws, built.image_id, "t") == packed()


class TestPlatforms:
    """--platform."""

    def test_another_platform_needs_no_machine_where_nothing_runs(self, ws: Workspace, tmp_path: Path) -> None:
        lines = ["FROM scratch", "ARG TARGETPLATFORM", "LABEL for=$TARGETPLATFORM", "COPY f /"]
        context = write_context(tmp_path / "context", {"Dockerfile": "\n".join(lines), "f": ""})
        image = images.load(ws, run_build(ws, context, platform=OTHER).image_id).config
        assert (image.architecture, image.config.labels) == (OTHER.architecture, {"for": str(OTHER)})

    def test_a_run_for_another_platform_is_refused_by_its_name(self, ws: Workspace, tmp_path: Path) -> None:
        context = write_context(tmp_path / "context", {"Dockerfile": "FROM scratch\nRUN make\n"})
        with pytest.raises(DockerfileError) as caught:
            run_build(ws, context, platform=OTHER)
        assert str(caught.value).startswith(f"--platform={OTHER}: RUN needs a machine of that kind")
        assert caught.value.first == 2

    def test_an_image_of_another_platform_is_no_base(self, ws: Workspace, tmp_path: Path) -> None:
        context = write_context(tmp_path / "context", {"Dockerfile": "FROM base:1\n"})
        with pytest.raises(DockerfileError, match="no match for platform in manifest"):
            run_build(ws, context, platform=OTHER)
        assert run_build(ws, context, platform=this_platform()).image_id
