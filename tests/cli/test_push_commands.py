"""push as typed, with a real registry: what it says and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from minidock.core.reference import Reference
from minidock.engine import images
from tests.cli.test_image_commands import Said
from tests.cli.test_pull_commands import GONE, REFUSED, said
from tests.engine.building import import_base, workspace
from tests.registry_server import Server, registry_server

LZMA = 'unsupported layer compression type "lzma"'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with registry_server(tmp_path_factory.mktemp("registry")) as found:
        yield found


def store(tmp_path: Path, *names: str) -> Path:
    """Return a store with an image of one layer under some names."""
    ws = workspace(tmp_path / "store")
    import_base(ws)
    for name in names:
        images.tag(ws, "base:1", name)
    return tmp_path / "store"


def test_a_push_says_what_docker_says(server: Server, tmp_path: Path) -> None:
    name = f"{server.domain}/app"
    root, user = (
        store(tmp_path, f"{name}:latest", f"{name}:1", f"{server.domain}/other:1"),
        server.environment(tmp_path),
    )
    layer = images.find(workspace(root), "base:1").config.diff_ids[0].short
    done = said(root, user, "push", name)
    digest = said(root, user, "images", "--digests", "--format", "{{.Digest}}", name).out.splitlines()[0]
    refers = f"The push refers to repository [{name}]\n"

    def told(tag: str, state: str) -> str:
        with closing(server.registries(tmp_path)) as registries:
            size = len(registries.repository(Reference.parse(f"{name}:{tag}")).manifest(tag).data)
        return f"{layer}: {state}\n{tag}: digest: {digest} size: {size}\n"

    assert done == Said(f"Using default tag: latest\n{refers}{layer}: Preparing\n{told('latest', 'Pushed')}", "", 0)
    again = said(root, user, "image", "push", "-a", name)
    exists = "Layer already exists"
    assert again == Said(f"{refers}{layer}: Preparing\n{told('1', exists)}{told('latest', exists)}", "", 0)
    mounted = said(root, user, "push", f"{server.domain}/other:1").out
    assert f"\n{layer}: Mounted from app\n1: digest: {digest} size: " in mounted
    assert said(root, user, "push", "-q", f"{name}:1") == Said(f"{name}:1\n", "", 0)
    assert said(root, user, "inspect", "-f", "{{json .RepoDigests}}", f"{name}:1").out == (
        f'["{server.domain}/other@{digest}","{name}@{digest}"]\n'
    )


@pytest.mark.parametrize(
    ("words", "out", "problem"),
    [
        (
            ("nosuch:1",),
            "The push refers to repository [docker.io/library/nosuch]\n",
            "An image does not exist locally with the tag: nosuch\n"
            "hint: name one so first: `minidock tag IMAGE nosuch:1`; see `minidock image ls`\n",
        ),
        (("-a", "base:1"), "", "tag can't be used with --all-tags/-a\n"),
        ((f"base@sha256:{'0' * 64}",), "", "cannot push a digest reference\n"),
        (("--compression", "lzma", "base:1"), "", f"{LZMA}: it is uncompressed, gzip, zstd\n"),
        (("--compression-level", "high", "base:1"), "", 'invalid compression level "high": it is a number\n'),
        (("nonsense!",), "", "invalid reference format\n"),
    ],
)  # fmt: skip
def test_what_cannot_be_pushed_is_said(tmp_path: Path, words: tuple[str, ...], out: str, problem: str) -> None:
    root = store(tmp_path)
    assert said(root, {"HOME": str(tmp_path)}, "push", *words) == Said(out, f"minidock: {problem}", 1)


def test_a_registry_that_nobody_answers_for_is_said(tmp_path: Path) -> None:
    root = store(tmp_path, f"{GONE}/x:1")
    done = said(root, {"HOME": str(tmp_path)}, "push", f"{GONE}/x:1")
    assert (done.err[: len(REFUSED)], done.code) == (REFUSED, 1)
