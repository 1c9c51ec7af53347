"""ADD of URLs and of git references, from servers on loopback."""

from __future__ import annotations

import gzip
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minidock.core.git_reference import GitReference
from minidock.engine import git, images
from minidock.engine.secrets import Secrets
from minidock.engine.workspace import Workspace
from minidock.errors import BuildError, DockerfileError
from minidock.registry import download
from tests.engine.building import (
    Built,
    content_of,
    import_base,
    member,
    root_tar,
    run_build,
    top_layer,
    tree_of,
    workspace,
    write_context,
)
from tests.engine.served import Served, WebServer, commit_of, git_server, make_repository, web_server

DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
SECONDS = 1_700_000_000
HELLO = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    found = workspace(tmp_path / "store")
    import_base(found)
    return found


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as found:
        found.files["/a/hello.txt"] = Served(b"hello", {"Last-Modified": DATE, "ETag": '"one"'})
        yield found


def built(ws: Workspace, tmp_path: Path, *lines: str, **fields: object) -> Built:
    context = write_context(tmp_path / "context", {"Dockerfile": "\n".join(["FROM scratch", *lines, ""])})
    return run_build(ws, context, **fields)


def error_of(ws: Workspace, tmp_path: Path, *lines: str) -> str:
    with pytest.raises(DockerfileError) as caught:
        built(ws, tmp_path, *lines)
    assert caught.value.first == len(lines) + 1
    return str(caught.value)


# --- URLs


@pytest.mark.parametrize(
    ("path", "destination", "place"),
    [
        ("/a/hello.txt", "/x/", "x/hello.txt"),
        ("/a/hello.txt?v=1", "/x/", "x/hello.txt"),
        ("/a/hello.txt", "/x", "x"),
        ("/a%20b", "/", "a b"),
        ("/", "/", "__unnamed__"),
        ("/a/", "/", "a"),
    ],
)
def test_a_url_becomes_a_private_file_of_its_name(
    ws: Workspace, web: WebServer, tmp_path: Path, path: str, destination: str, place: str
) -> None:
    web.files[path.partition("?")[0]] = web.files["/a/hello.txt"]
    found = built(ws, tmp_path, f"ADD {web.url}{path} {destination}")
    entry = tree_of(ws, found.image_id).get(place)
    assert entry is not None
    assert (entry.mode, entry.uid, entry.gid, entry.mtime) == (0o600, 0, 0, SECONDS)
    assert content_of(ws, found.image_id, place) == b"hello"
    history = images.load(ws, found.image_id).config.history[-1].created_by
    assert history == f"ADD {web.url}{path} {destination} # buildkit"


def test_flags_count_for_urls_too(ws: Workspace, web: WebServer, tmp_path: Path) -> None:
    found = built(ws, tmp_path, f"ADD --chmod=644 --chown=5:6 {web.url}/a/hello.txt /x/")
    assert top_layer(ws, found.image_id)["x/hello.txt"] == "file 644 5:6 5"


def test_without_a_date_a_file_is_as_old_as_can_be(ws: Workspace, web: WebServer, tmp_path: Path) -> None:
    web.files["/f"] = Served(b"x", {"Last-Modified": "yesterday"})
    entry = tree_of(ws, built(ws, tmp_path, f"ADD {web.url}/f /").image_id).get("f")
    assert entry is not None
    assert entry.mtime == 0


def test_an_etag_that_holds_spares_the_download(ws: Workspace, web: WebServer, tmp_path: Path) -> None:
    line = f"ADD {web.url}/a/hello.txt /"
    built(ws, tmp_path, line)
    assert built(ws, tmp_path, line).outcomes[-1].startswith("CACHED")
    assert web.requests == ["GET /a/hello.txt", 'HEAD /a/hello.txt "one"']


def test_a_changed_file_is_fetched_and_told(ws: Workspace, web: WebServer, tmp_path: Path) -> None:
    line = f"ADD {web.url}/a/hello.txt /"
    built(ws, tmp_path, line)
    web.files["/a/hello.txt"] = Served(b"other", {"Last-Modified": DATE, "ETag": 'W/"two"'})
    found = built(ws, tmp_path, line)
    assert content_of(ws, found.image_id, "hello.txt") == b"other"
    assert found.reasons == [f"1 of 1 file changed: {web.url}/a/hello.txt (content)"]
    assert web.requests[1:] == ['HEAD /a/hello.txt "one"', 'GET /a/hello.txt "one"']


def test_without_an_etag_the_content_decides(ws: Workspace, web: WebServer, tmp_path: Path) -> None:
    web.files["/f"] = Served(b"x", {"Last-Modified": DATE})
    line = f"ADD {web.url}/f /"
    built(ws, tmp_path, line)
    assert built(ws, tmp_path, line).outcomes[-1].startswith("CACHED")
    assert web.requests == ["GET /f", "GET /f"]
    web.files["/f"] = Served(b"x", {"Last-Modified": "Tue, 14 Nov 2023 22:13:21 GMT"})
    again = built(ws, tmp_path, line)
    assert len(again.reasons) == 1
    assert again.reasons[0].startswith(f"time of {web.url}/f changed: 'Tue, 14 Nov 2023 22:13:20 GMT'")


def test_where_a_step_before_is_rebuilt_the_file_is_fetched_again(
    ws: Workspace, web: WebServer, tmp_path: Path
) -> None:
    line = f"ADD {web.url}/a/hello.txt /"
    built(ws, tmp_path, "COPY <<a /a", "one", "a", line)
    found = built(ws, tmp_path, "COPY <<a /a", "two", "a", line)
    assert content_of(ws, found.image_id, "hello.txt") == b"hello"
    assert web.requests == ["GET /a/hello.txt", 'HEAD /a/hello.txt "one"', "GET /a/hello.txt"]


def test_a_checksum_spares_even_the_question(ws: Workspace, web: WebServer, tmp_path: Path) -> None:
    line = f"ADD --checksum={HELLO} {web.url}/a/hello.txt /"
    built(ws, tmp_path, line)
    assert built(ws, tmp_path, line).outcomes[-1].startswith("CACHED")
    assert web.requests == ["GET /a/hello.txt"]


@pytest.mark.parametrize(
    ("checksum", "message"),
    [
        (HELLO[:-1] + "5", f"digest mismatch for URL: {HELLO} (expected: {HELLO[:-1]}5)"),
        ("md5:00", "unsupported digest algorithm: md5"),
        ("sha512:00", "unsupported digest algorithm: sha512"),
        ("sha256:00", "invalid checksum digest length: sha256:00"),
        ("abc", "invalid checksum digest format: abc"),
    ],
)
def test_another_checksum_is_refused(
    ws: Workspace, web: WebServer, tmp_path: Path, checksum: str, message: str
) -> None:
    url = f"{web.url}/a/hello.txt"
    found = error_of(ws, tmp_path, f"ADD --checksum={checksum} {url} /")
    assert found == message.replace("URL", url)


def test_an_archive_is_unpacked_only_if_that_is_said(ws: Workspace, web: WebServer, tmp_path: Path) -> None:
    web.files["/a.tgz"] = Served(gzip.compress(root_tar([(member("f", mode=0o640), b"x")])))
    assert sorted(top_layer(ws, built(ws, tmp_path, f"ADD {web.url}/a.tgz /").image_id)) == ["", "a.tgz"]
    found = top_layer(ws, built(ws, tmp_path, f"ADD --unpack {web.url}/a.tgz /to").image_id)
    assert (sorted(found), found["to/f"]) == (["", "to", "to/f"], "file 640 0:0 1")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (Served(b"x", status=500), "invalid response status 500"),
        (Served(b"hello", cut=3), "unexpected EOF: 3 of 5 bytes came"),
        (Served(b"", {"Location": "file:///etc/passwd"}, status=302), "invalid response status 302"),
    ],
)
def test_what_servers_do_wrong_is_one_line(
    ws: Workspace, web: WebServer, tmp_path: Path, file: Served, message: str
) -> None:
    web.files["/f"] = file
    assert error_of(ws, tmp_path, f"ADD {web.url}/f /") == f"{web.url}/f: {message}"
    assert os.listdir(ws.store.layout.path("tmp")) == []


def test_a_missing_file_and_a_missing_server_are_told(ws: Workspace, web: WebServer, tmp_path: Path) -> None:
    assert error_of(ws, tmp_path, f"ADD {web.url}/none /").endswith("/none: invalid response status 404")
    assert error_of(ws, tmp_path, "ADD http://127.0.0.1:1/f /") == "http://127.0.0.1:1/f: connection refused"


def test_a_redirect_is_followed(ws: Workspace, web: WebServer, tmp_path: Path) -> None:
    web.files["/old"] = Served(b"", {"Location": f"{web.url}/a/hello.txt"}, status=301)
    found = built(ws, tmp_path, f"ADD {web.url}/old /")
    assert content_of(ws, found.image_id, "old") == b"hello"


def test_secrets_and_passwords_go_to_the_server_and_nowhere_else(ws: Workspace, web: WebServer, tmp_path: Path) -> None:
    built(ws, tmp_path, f"ADD {web.url}/a/hello.txt /", secrets=Secrets(values={"HTTP_AUTH_TOKEN_127.0.0.1": b"abc\n"}))
    assert web.sent[-1]["Authorization"] == "Bearer abc"
    url = web.url.replace("http://", "http://me:pa%20ss@")
    assert error_of(ws, tmp_path, f"ADD {url}/none /").startswith("http://me:xxxxx@127.0.0.1:")
    assert web.sent[-1]["Authorization"] == "Basic bWU6cGEgc3M="


def test_downloads_are_bounded(web: WebServer) -> None:
    with pytest.raises(BuildError, match="larger than 4 bytes"), download.opened(f"{web.url}/a/hello.txt", largest=4):
        pass


# --- git


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Yield the URL and the place of a repository: v1 (annotated), then more on the branches master and feature."""
    if not shutil.which("git"):
        pytest.skip("this machine has no git")
    place = tmp_path / "git" / "main"
    commands = [
        "git init -q",
        "git config user.email t@example.com",
        "git config user.name t",
        "mkdir -p sub",
        "echo one > f; echo in > sub/g; echo '#!' > run; chmod 755 run; ln -s f l",
        "git add .; git commit -qm one --date='2020-01-01T00:00:00Z'",
        "git tag -a v1 -m v1",
        "git checkout -qb feature; echo feature > f; git commit -qam feature",
        "git checkout -q master; echo two > f; git commit -qam two",
    ]
    make_repository(place, commands)
    with git_server(tmp_path / "git") as url:
        yield f"{url}/main/.git", place


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        ("", b"two\n"),
        ("#feature", b"feature\n"),
        ("#v1", b"one\n"),
        ("#refs/heads/feature", b"feature\n"),
        ("?branch=feature", b"feature\n"),
        ("?tag=v1", b"one\n"),
    ],
)
def test_the_files_of_a_branch_or_tag_are_added(
    ws: Workspace, repository: tuple[str, Path], tmp_path: Path, suffix: str, content: bytes
) -> None:
    found = built(ws, tmp_path, f"ADD {repository[0]}{suffix} /src/")
    assert content_of(ws, found.image_id, "src/f") == content
    layer = top_layer(ws, found.image_id)
    assert layer["src/run"] == "file 755 0:0 3"
    assert layer["src/l"] == "symlink 777 0:0 -> f"
    assert sorted(layer) == ["", "src", "src/f", "src/l", "src/run", "src/sub", "src/sub/g"]


def test_a_commit_a_directory_and_flags(ws: Workspace, repository: tuple[str, Path], tmp_path: Path) -> None:
    url, place = repository
    commit = commit_of(place, "v1")
    found = built(ws, tmp_path, f"ADD --chown=5 --exclude=*.no {url}#{commit}:sub /src")
    assert top_layer(ws, found.image_id) == {"": "dir 755 0:0", "src": "dir 755 5:5", "src/g": "file 644 5:5 3"}


def test_exclusions_count_for_repositories_too(ws: Workspace, repository: tuple[str, Path], tmp_path: Path) -> None:
    found = built(ws, tmp_path, f"ADD --exclude=sub --exclude=r* {repository[0]} /src")
    assert sorted(top_layer(ws, found.image_id)) == ["", "src", "src/f", "src/l"]
    again = built(ws, tmp_path, f"ADD --exclude=sub {repository[0]} /src")
    assert again.reasons == ["instruction changed: '--exclude=r*' removed"]
    assert sorted(top_layer(ws, again.image_id)) == ["", "src", "src/f", "src/l", "src/run"]


def test_a_repository_of_sha256_objects(ws: Workspace, tmp_path: Path) -> None:
    if not shutil.which("git"):
        pytest.skip("this machine has no git")
    identity = ["git init -q --object-format=sha256", "git config user.email t@example.com", "git config user.name t"]
    make_repository(tmp_path / "git" / "r", [*identity, "echo x > f", "git add .; git commit -qm one"])
    with git_server(tmp_path / "git") as url:
        found = built(ws, tmp_path, f"ADD {url}/r/.git /s")
    assert content_of(ws, found.image_id, "s/f") == b"x\n"


def test_the_git_directory_is_kept_if_that_is_said(ws: Workspace, repository: tuple[str, Path], tmp_path: Path) -> None:
    url, place = repository
    found = built(ws, tmp_path, f"ADD --keep-git-dir {url}#feature /src")
    assert content_of(ws, found.image_id, "src/.git/HEAD").decode().strip() == commit_of(place, "feature")
    tree = tree_of(ws, found.image_id)
    assert "src/.git/FETCH_HEAD" not in tree
    assert "src/.git/hooks" not in tree


def test_the_commit_decides_not_the_name(ws: Workspace, repository: tuple[str, Path], tmp_path: Path) -> None:
    url, place = repository
    line = f"ADD {url}#feature /src"
    built(ws, tmp_path, line)
    make_repository(place, ["git branch other feature"])
    assert built(ws, tmp_path, line).outcomes[-1].startswith("CACHED")
    checked = built(ws, tmp_path, f"ADD --checksum={commit_of(place, 'feature')[:12]} {url}#feature /src")
    assert checked.outcomes[-1].startswith("CACHED")
    make_repository(place, ["git checkout -q feature; echo more > f; git commit -qam more"])
    again = built(ws, tmp_path, line)
    assert again.reasons == [f"1 of 1 file changed: {url} (content)"]
    assert content_of(ws, again.image_id, "src/f") == b"more\n"


@pytest.mark.parametrize(
    ("flags", "suffix", "message"),
    [
        ("", "#none", "repository does not contain ref none, output: "),
        ("--checksum=123456", "#v1", "expected checksum to match 123456, got "),
        ("--checksum=xyz", "#v1", "invalid checksum xyz for Git URL, expected hex commit hash"),
        ("", "#v1:none", "invalid subdir none: none is not a directory of the repository"),
        ("", "#v1:l", "invalid subdir l: l is not a directory of the repository"),
        ("", "?fetch-by-commit", "fetch-by-commit requires a full commit SHA checksum or ref"),
    ],
)
def test_what_is_not_in_the_repository_is_told(
    ws: Workspace, repository: tuple[str, Path], tmp_path: Path, flags: str, suffix: str, message: str
) -> None:
    assert error_of(ws, tmp_path, f"ADD {flags} {repository[0]}{suffix} /src").startswith(message)
    assert os.listdir(ws.store.layout.path("tmp")) == []


def test_a_repository_that_is_not_there_is_told(ws: Workspace, repository: tuple[str, Path], tmp_path: Path) -> None:
    url = repository[0].replace("/main/", "/none/")
    assert error_of(ws, tmp_path, f"ADD {url} /src").startswith(f"failed to fetch remote {url}: fatal: ")


def test_times_are_those_of_the_build_or_the_commit(
    ws: Workspace, repository: tuple[str, Path], tmp_path: Path
) -> None:
    found = built(ws, tmp_path, f"ADD {repository[0]}#v1 /src", source_date_epoch=SECONDS)
    entry = tree_of(ws, found.image_id).get("src/f")
    assert entry is not None
    assert entry.mtime == SECONDS


def test_submodules_come_along_unless_that_is_refused(ws: Workspace, tmp_path: Path) -> None:
    if not shutil.which("git"):
        pytest.skip("this machine has no git")
    with git_server(tmp_path / "git") as url:
        identity = ["git init -q", "git config user.email t@example.com", "git config user.name t"]
        make_repository(tmp_path / "git" / "part", [*identity, "echo x > f", "git add .; git commit -qm part"])
        adds = [f"git submodule --quiet add {url}/part/.git part", "git add .; git commit -qm whole"]
        make_repository(tmp_path / "git" / "whole", [*identity, *adds])
        found = top_layer(ws, built(ws, tmp_path, f"ADD {url}/whole/.git /s").image_id)
        assert sorted(found) == ["", "s", "s/.gitmodules", "s/part", "s/part/f"]
        found = top_layer(ws, built(ws, tmp_path, f"ADD {url}/whole/.git?submodules=false /s").image_id)
        assert sorted(found) == ["", "s", "s/.gitmodules", "s/part"]


@pytest.mark.parametrize(
    ("secret", "value", "sent"),
    [
        ("GIT_AUTH_TOKEN", b"abc\n", "basic eC1hY2Nlc3MtdG9rZW46YWJj"),
        ("GIT_AUTH_HEADER", b'Odd "quoted"', 'Odd "quoted"'),
    ],
)
def test_secrets_open_a_repository(ws: Workspace, tmp_path: Path, secret: str, value: bytes, sent: str) -> None:
    if not shutil.which("git"):
        pytest.skip("this machine has no git")
    identity = ["git init -q", "git config user.email t@example.com", "git config user.name t"]
    make_repository(tmp_path / "git" / "r", [*identity, "echo x > f", "git add .; git commit -qm one"])
    with git_server(tmp_path / "git", sent) as url:
        assert "403" in error_of(ws, tmp_path, f"ADD {url}/r/.git /s")
        host = url.removeprefix("http://")
        for name in (secret, f"{secret}.{host}"):
            found = built(ws, tmp_path, f"ADD {url}/r/.git /s", "ARG x", secrets=Secrets(values={name: value}))
            assert content_of(ws, found.image_id, "s/f") == b"x\n"
    assert os.listdir(ws.store.layout.path("tmp")) == []


def test_a_fetch_ends_with_its_build(ws: Workspace, tmp_path: Path) -> None:
    class Ended(Exception):
        pass

    def check() -> None:
        raise Ended

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/r.git"
        started = time.monotonic()
        with pytest.raises(Ended):
            git.check_out(GitReference(url), git.Resolved("", "0" * 40, "0" * 40), str(tmp_path / "x"), check)
        assert time.monotonic() - started < 5


def test_copy_takes_neither(ws: Workspace, tmp_path: Path) -> None:
    assert error_of(ws, tmp_path, "COPY https://h/f /") == "source can't be a URL for COPY"
    assert error_of(ws, tmp_path, "COPY git@h:o/r.git /") == "source can't be a git ref for COPY"
