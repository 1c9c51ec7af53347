"""pull, run and create as typed, with a real registry: what they say and how they end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.test_image_commands import Said
from tests.registry_server import Server, make_image, registry_server, upload

GONE = "127.0.0.1:9"  # a port that nobody listens on
REFUSED = f'minidock: Get "https://{GONE}/v2/": dial tcp {GONE}: connect: connection refused\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with registry_server(tmp_path_factory.mktemp("registry")) as found:
        registries = found.registries(tmp_path_factory.mktemp("home"))
        for tag in ("1", "latest"):
            upload(registries, f"{found.domain}/app:{tag}", make_image([{"tag": tag.encode()}]))
        registries.close()
        yield found


def said(root: Path, user: Mapping[str, str], *words: str) -> Said:
    command = [sys.executable, "-m", "minidock", "--root", str(root), *words]
    environment = {**os.environ, **user}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
    )
    return Said(done.stdout.decode(), done.stderr.decode(), done.returncode)


def test_a_pull_tells_what_docker_tells(server: Server, tmp_path: Path) -> None:
    user, name = server.environment(tmp_path / "home"), f"{server.domain}/app"
    image = make_image([{"tag": b"latest"}])
    layer = next(iter(image.blobs)).removeprefix("sha256:")[:12]
    first = said(tmp_path / "store", user, "pull", name)
    assert first == Said(
        "Using default tag: latest\n"
        "latest: Pulling from app\n"
        f"{layer}: Pulling fs layer\n{layer}: Download complete\n{layer}: Pull complete\n"
        f"Digest: {image.digest}\nStatus: Downloaded newer image for {name}:latest\n{name}:latest\n",
        "",
        0,
    )
    again = said(tmp_path / "store", user, "image", "pull", f"{name}:latest")
    assert again.out == (
        f"latest: Pulling from app\nDigest: {image.digest}\n"
        f"Status: Image is up to date for {name}:latest\n{name}:latest\n"
    )
    assert said(tmp_path / "store", user, "pull", "-q", name) == Said(f"{name}:latest\n", "", 0)
    listed = said(tmp_path / "store", user, "image", "inspect", "--format", "{{.RepoDigests}}", name).out
    assert listed == f"[{name}@{image.digest}]\n"
    assert said(tmp_path / "store", user, "images", "--digests", "--format", "{{.Digest}}").out == f"{image.digest}\n"
    assert said(tmp_path / "store", user, "pull", "scratch").err == "minidock: 'scratch' is a reserved name\n"


def test_all_tags_are_pulled(server: Server, tmp_path: Path) -> None:
    user, name = server.environment(tmp_path / "home"), f"{server.domain}/app"
    done = said(tmp_path / "store", user, "pull", "-a", name)
    assert done.out.endswith(f"Status: Downloaded newer image for {name}\n{name}\n")
    listed = said(tmp_path / "store", user, "images", "--format", "{{.Tag}}").out
    assert sorted(listed.split()) == ["1", "latest"]
    problem = "minidock: tag can't be used with --all-tags/-a\n"
    assert said(tmp_path / "store", user, "pull", "-a", f"{name}:1") == Said("", problem, 1)


def test_an_image_pulled_by_its_digest_is_listed_with_its_repository(server: Server, tmp_path: Path) -> None:
    user, root, name = server.environment(tmp_path / "home"), tmp_path / "store", f"{server.domain}/pinned"
    image = make_image([{"tag": b"pinned"}])
    with closing(server.registries(tmp_path / "home")) as registries:
        upload(registries, f"{name}:1", image)
    pinned = f"{name}@{image.digest}"
    assert said(root, user, "pull", "-q", pinned) == Said(f"{pinned}\n", "", 0)
    row = "{{.Repository}} {{.Tag}} {{.Digest}}"
    listed = Said(f"{name} <none> {image.digest}\n", "", 0)
    for words in ((), (name,), ("-f", "dangling=true"), ("-f", f"reference={server.domain}/pin*")):
        assert said(root, user, "images", "--digests", "--format", row, *words) == listed
    for words in (("-f", "dangling=false"), (f"{name}:1",)):
        assert said(root, user, "images", "--format", row, *words) == Said("", "", 0)
    assert said(root, user, "pull", "-q", f"{name}:1").code == 0
    assert said(root, user, "images", "--digests", "--format", row) == Said(f"{name} 1 {image.digest}\n", "", 0)


@pytest.mark.parametrize(
    ("words", "problem", "code"),
    [
        (("pull", "Nonsense!"), "minidock: invalid reference format", 1),
        (("pull", f"{GONE}/x:1"), REFUSED, 1),
        (("run", "--pull=never", f"{GONE}/x:1"), f"minidock: No such image: {GONE}/x:1\n", 125),
        (("run", f"{GONE}/x:1"), f"Unable to find image '{GONE}/x:1' locally\n{REFUSED}", 125),
        (("create", "--pull=always", f"{GONE}/x:1"), REFUSED, 1),
        (("run", "--pull=sometimes", "x:1"), "minidock: invalid pull option: 'sometimes': must be one of", 125),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_said(
    server: Server, tmp_path: Path, words: tuple[str, ...], problem: str, code: int
) -> None:
    done = said(tmp_path / "store", server.environment(tmp_path / "home"), *words)
    assert (done.err[: len(problem)], done.code) == (problem, code)


def test_create_pulls_what_is_missing_and_what_is_old(server: Server, tmp_path: Path) -> None:
    user, name = server.environment(tmp_path / "home"), f"{server.domain}/app:1"
    first = said(tmp_path / "store", user, "create", name, "sh")
    assert first.err.startswith(f"Unable to find image '{name}' locally\n1: Pulling from app\n")
    assert f"Status: Downloaded newer image for {name}\n" in first.err
    again = said(tmp_path / "store", user, "create", "--pull", "always", name, "sh")
    assert f"Status: Image is up to date for {name}\n" in again.err
    assert said(tmp_path / "store", user, "create", "--pull", "always", "-q", name, "sh").err == ""
    assert said(tmp_path / "store", user, "create", name, "sh").err == ""
