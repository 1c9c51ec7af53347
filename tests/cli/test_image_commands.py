"""The commands that work on images and on the whole store, as typed: output, streams, exit codes."""

from __future__ import annotations

import io
import json
import os
import re
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from minidock.cli.app import main

HINT = "hint: see `minidock image ls`\n"


class Said(NamedTuple):
    """What a command printed, and its exit code."""

    out: str
    err: str
    code: int


Minidock = Callable[..., Said]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def minidock(root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Minidock:
    """Return a function that runs a command line, with an answer to its question."""

    def run(*words: str, answer: str = "") -> Said:
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        code = main(["--root", str(root), *words])
        return Said(*capsys.readouterr(), code)

    return run


def tar_file(place: Path, content: bytes = b"hello\n") -> str:
    """Write a root file system of one file and return its path."""
    with tarfile.open(place, "w") as archive:
        info = tarfile.TarInfo("greeting")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return str(place)


@pytest.fixture
def base(minidock: Minidock, tmp_path: Path) -> str:
    """Import base:1 and return its ID."""
    return minidock("import", tar_file(tmp_path / "base.tar"), "base:1").out.strip()


def du(path: Path) -> int:
    return int(subprocess.run(["du", "-s", "-B1", path], check=True, capture_output=True, text=True).stdout.split()[0])


# --- import, tag, history, inspect


def test_import_prints_the_id(minidock: Minidock, tmp_path: Path) -> None:
    said = minidock("import", "-m", "my message", tar_file(tmp_path / "a.tar"), "imp:1")
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", said.out)
    assert (said.err, said.code) == ("", 0)
    row = json.loads(minidock("history", "--no-trunc", "--format", "json", "imp:1").out)
    assert row["ID"] == said.out.strip()
    assert row["Comment"] == "my message"


def test_import_reads_stdin(root: Path, tmp_path: Path) -> None:
    packed = Path(tar_file(tmp_path / "a.tar")).read_bytes()
    command = [sys.executable, "-m", "minidock", "--root", str(root), "import", "-", "imp:2"]
    done = subprocess.run(command, input=packed, capture_output=True, check=True)
    assert done.stdout.startswith(b"sha256:")
    assert done.stderr == b""


def test_the_same_tar_and_epoch_give_the_same_image(
    minidock: Minidock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    packed = tar_file(tmp_path / "a.tar")
    assert minidock("import", packed).out == minidock("import", packed).out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("import", "/nosuch.tar"), Said("", "minidock: open /nosuch.tar: no such file or directory\n", 1)),
        (("history", "nosuch:1"), Said("", f"minidock: No such image: nosuch:1\n{HINT}", 1)),
        (("tag", "nosuch", "x:1"), Said("", f"minidock: No such image: nosuch:latest\n{HINT}", 1)),
        (("image", "inspect", "nosuch"), Said("[]\n", f"minidock: No such image: nosuch:latest\n{HINT}", 1)),
        (("inspect", "nosuch"), Said("[]\n", "minidock: No such object: nosuch\n", 1)),
        (("inspect", "--type=container", "no"), Said("[]\n", "minidock: No such container: no\n", 1)),
        (("rmi", "nosuch:1"), Said("", f"minidock: No such image: nosuch:1\n{HINT}", 1)),
        (("rmi", "-f", "nosuch:1"), Said("", f"minidock: No such image: nosuch:1\n{HINT}", 0)),
    ],
)
def test_what_is_missing_is_named_and_no_store_is_made(
    minidock: Minidock, root: Path, words: tuple[str, ...], said: Said
) -> None:
    assert minidock(*words) == said
    assert not root.exists()


def test_a_damaged_tar_leaves_nothing(minidock: Minidock, tmp_path: Path, root: Path) -> None:
    packed = Path(tar_file(tmp_path / "a.tar", b"x" * 5000))
    packed.write_bytes(packed.read_bytes()[:3000])
    said = minidock("import", str(packed), "a:1")
    assert (said.out, said.code) == ("", 1)
    assert "unexpected EOF" in said.err
    assert minidock("images", "-q").out == ""
    assert os.listdir(root / "blobs" / "sha256") == os.listdir(root / "tmp") == []


def test_tag_is_silent_and_moves_a_name(minidock: Minidock, base: str, tmp_path: Path) -> None:
    other = minidock("import", tar_file(tmp_path / "b.tar", b"other")).out.strip()
    assert minidock("tag", "base:1", "x") == ("", "", 0)
    assert minidock("image", "tag", other[7:19], "x:latest") == ("", "", 0)
    assert minidock("images", "-q", "--no-trunc", "x").out.strip() == other
    said = minidock("tag", "base:1", "X:1")
    assert (said.out, said.code) == ("", 1)
    assert said.err == (
        'minidock: Error parsing reference: "X:1" is not a valid repository/tag: '
        "invalid reference format: repository name (library/X) must be lowercase\n"
    )


def test_history_has_dockers_columns(minidock: Minidock, base: str) -> None:
    said = minidock("history", "base:1")
    head, row = said.out.splitlines()
    assert head.split("  ")[0] == "IMAGE"
    assert re.fullmatch(rf"{base[7:19]}   Less than a second ago                6B        Imported from -", row)
    assert minidock("history", "-q", "base:1").out == f"{base[7:19]}\n"
    assert minidock("history", "-H=false", "base:1").out.splitlines()[1].split()[-4] == "6"


def test_image_inspect_has_dockers_members(minidock: Minidock, base: str) -> None:
    minidock("tag", "base:1", "other:2")
    said = minidock("image", "inspect", "base:1")
    (members,) = json.loads(said.out)
    assert list(members) == [
        "Id", "RepoTags", "RepoDigests", "Comment", "Created", "Config", "Architecture", "Os", "Size", "RootFS",
        "Metadata", "Descriptor",
    ]  # fmt: skip
    assert members["Id"] == base
    assert members["RepoTags"] == ["base:1", "other:2"]
    assert members["Size"] == 6
    assert list(members["RootFS"]) == ["Type", "Layers"]
    assert said.out.startswith(f'[\n    {{\n        "Id": "{base}",\n        "RepoTags": [\n            "base:1",\n')
    assert minidock("inspect", "--type", "image", base[7:19]).out == minidock("inspect", "base:1").out == said.out
    assert json.loads(minidock("inspect", "-f", "json", "base:1", "base:1").out) == [members, members]
    assert json.loads(minidock("inspect", "-f", "{{json .}}", "base:1").out) == members


def test_inspect_shows_what_it_finds_and_names_the_rest(minidock: Minidock, base: str) -> None:
    said = minidock("image", "inspect", "nosuch", "base:1")
    assert [members["Id"] for members in json.loads(said.out)] == [base]
    assert (said.err, said.code) == (f"minidock: No such image: nosuch:latest\n{HINT}", 1)


# --- rmi


def test_rmi_tells_what_it_takes(minidock: Minidock, base: str) -> None:
    minidock("tag", "base:1", "other")
    assert minidock("rmi", "other") == ("Untagged: other:latest\n", "", 0)
    layer = json.loads(minidock("inspect", "base:1").out)[0]["RootFS"]["Layers"][0]
    said = minidock("image", "rm", "nosuch", "base:1")
    assert said.out == f"Untagged: base:1\nDeleted: {base}\nDeleted: {layer}\n"
    assert (said.err, said.code) == (f"minidock: No such image: nosuch:latest\n{HINT}", 1)


def test_rmi_and_history_of_another_platform_are_refused(minidock: Minidock, base: str) -> None:
    words = "image with reference base:1 was found but does not provide the specified platform (linux/s390x)"
    shown = json.loads(minidock("inspect", "base:1").out)[0]
    for command in ("rmi", "history"):
        refused = minidock(command, "--platform", "linux/s390x", "base:1")
        assert (refused.out, refused.err, refused.code) == ("", f"minidock: {words}\n", 1)
    own = ("--platform", f"{shown['Os']}/{shown['Architecture']}")
    assert minidock("history", *own, "-q", "base:1") == minidock("history", "-q", "base:1")
    said = minidock("rmi", "--no-prune", *own, "base:1")
    assert said == (f"Untagged: base:1\nDeleted: {base}\nDeleted: {shown['RootFS']['Layers'][0]}\n", "", 0)


def test_rmi_dry_run_takes_nothing_and_the_removal_gives_back_what_it_said(
    minidock: Minidock, base: str, root: Path
) -> None:
    minidock("tag", "base:1", "other")
    said = minidock("rmi", "--dry-run", "other", "base:1").out
    found = re.search(r"would free \S+ \(([0-9]+) bytes\)\n$", said)
    assert found is not None
    assert said.startswith(f"Would untag: other:latest\nWould untag: base:1\nWould delete: {base}\n")
    assert minidock("system", "df", "--if-removed", "other", "base:1").out == said.splitlines(keepends=True)[-1]
    before = du(root)
    minidock("rmi", "other", "base:1")
    assert before - du(root) == int(found[1]) > 0


def test_a_refused_removal_gives_nothing_back_nor_does_its_dry_run_say_so(
    minidock: Minidock, base: str, root: Path
) -> None:
    (root / "trash" / "left").write_bytes(bytes(8192))
    before = du(root)
    assert minidock("rmi", "--dry-run", "nosuch").out == "would free 0B (0 bytes)\n"
    assert minidock("rmi", "nosuch").code == 1
    assert du(root) == before
    found = re.search(r"\(([0-9]+) bytes\)\n$", minidock("rmi", "--dry-run", "nosuch", "base:1").out)
    minidock("rmi", "nosuch", "base:1")
    assert found is not None
    assert before - du(root) == int(found[1]) > 8192


def test_rmi_by_id_of_an_image_with_two_names(minidock: Minidock, base: str) -> None:
    minidock("tag", "base:1", "other")
    short = base[7:19]
    assert minidock("rmi", short) == (
        "",
        f"minidock: conflict: unable to delete {short} (must be forced) - "
        "image is referenced in multiple repositories\n",
        1,
    )
    assert minidock("rmi", "-f", short).out.startswith("Untagged: base:1\nUntagged: other:latest\nDeleted: sha256:")


# --- prune


PROMPTS = {
    ("image", "prune"): "WARNING! This will remove all dangling images.\n",
    ("image", "prune", "-a"): (
        "WARNING! This will remove all images without at least one container associated to them.\n"
    ),
    ("container", "prune"): "WARNING! This will remove all stopped containers.\n",
    ("volume", "prune"): ("WARNING! This will remove anonymous local volumes not used by at least one container.\n"),
    ("volume", "prune", "-a"): "WARNING! This will remove all local volumes not used by at least one container.\n",
    ("builder", "prune"): "WARNING! This will remove all dangling build cache. ",
    ("builder", "prune", "-a"): "WARNING! This will remove all build cache. ",
    ("system", "prune"): (
        "WARNING! This will remove:\n  - all stopped containers\n"
        "  - all networks not used by at least one container\n"
        "  - all dangling images\n  - unused build cache\n\n"
    ),
    ("system", "prune", "-a", "--volumes"): (
        "WARNING! This will remove:\n  - all stopped containers\n"
        "  - all networks not used by at least one container\n"
        "  - all anonymous volumes not used by at least one container\n"
        "  - all images without at least one container associated to them\n  - all build cache\n\n"
    ),
}
SURE = "Are you sure you want to continue? [y/N] "


@pytest.mark.parametrize(("words", "warning"), PROMPTS.items(), ids=" ".join)
@pytest.mark.parametrize("answer", ["", "n\n", "yes\n"])
def test_a_prune_asks_and_takes_only_y_for_yes(
    minidock: Minidock, base: str, words: tuple[str, ...], warning: str, answer: str
) -> None:
    assert minidock(*words, answer=answer) == (warning + SURE, "", 0)
    assert minidock("images", "-q").out


@pytest.mark.parametrize("words", PROMPTS, ids=" ".join)
def test_a_prune_of_nothing_reclaims_nothing(minidock: Minidock, root: Path, words: tuple[str, ...]) -> None:
    assert minidock(*words, "-f") == ("Total reclaimed space: 0B\n", "", 0)
    assert minidock(*words, answer="Y\n").out.endswith(f"{SURE}Total reclaimed space: 0B\n")
    assert not root.exists()


def test_image_prune_says_what_du_says(minidock: Minidock, root: Path, tmp_path: Path) -> None:
    image_id = minidock("import", tar_file(tmp_path / "big.tar", b"x" * 1_000_000)).out.strip()
    before = du(root)
    said = minidock("image", "prune", answer="y\n")
    freed = before - du(root)
    assert freed > 1_000_000
    assert f"{SURE}Deleted Images:\ndeleted: {image_id}\ndeleted: sha256:" in said.out
    assert said.out.endswith(f"\n\nTotal reclaimed space: {freed / 1e6:.4g}MB\n")


def test_system_prune_takes_every_unused_image(minidock: Minidock, base: str) -> None:
    assert minidock("system", "prune", "-f").out == "Total reclaimed space: 0B\n"
    said = minidock("system", "prune", "-a", "-f")
    assert said.out.startswith(f"Deleted Images:\nuntagged: base:1\ndeleted: {base}\n")
    assert minidock("images", "-a", "-q").out == ""


# --- df, info, reset


def test_df_of_nothing(minidock: Minidock, root: Path) -> None:
    said = minidock("system", "df")
    assert said.out == (
        "TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE\n"
        "Images          0         0         0B        0B\n"
        "Containers      0         0         0B        0B\n"
        "Local Volumes   0         0         0B        0B\n"
        "Build Cache     0         0         0B        0B\n"
        "\n"
        "On disk: 0 bytes (0B) = images 0 + containers 0 + volumes 0 + build cache 0 + unpacked layers 0 + overhead 0\n"
    )
    assert not root.exists()


def test_df_adds_up_to_du(minidock: Minidock, base: str, root: Path) -> None:
    line = minidock("system", "df").out.splitlines()[-1]
    total = int(line.split()[2])
    assert total == du(root) == sum(int(term.rsplit(" ", 1)[1]) for term in line.partition(" = ")[2].split(" + "))
    details = minidock("system", "df", "-v", "--format", "json").out
    assert not details.endswith("\n")
    assert json.loads(details)["Images"][0]["ID"] == base


def test_info_tells_counts_and_where_the_store_is(minidock: Minidock, base: str, root: Path) -> None:
    said = minidock("info")
    assert said.code == 0
    assert said.out.startswith("Containers: 0\n Running: 0\n Paused: 0\n Stopped: 0\nImages: 1\nVolumes: 0\n")
    assert f"Root Dir: {root}\n" in said.out
    members = json.loads(minidock("system", "info", "--format", "json").out)
    assert (members["DockerRootDir"], members["Images"]) == (str(root), 1)
    assert members["Isolation"] in ("namespaces", "chroot", "unavailable")
    assert members["Isolation"] == "namespaces" or members["Warnings"]


def test_reset_removes_the_store_whatever_modes_its_folders_have(minidock: Minidock, base: str, root: Path) -> None:
    closed = root / "snapshots" / "x" / "fs"
    closed.mkdir(parents=True)
    (closed / "file").write_bytes(b"x")
    closed.chmod(0)
    closed.parent.chmod(stat.S_IRUSR)
    said = minidock("system", "reset", answer="n\n")
    assert said.out.endswith(f"  - the directory {root}\n\n{SURE}")
    assert root.exists()
    said = minidock("system", "reset", answer="y\n")
    assert "Total reclaimed space: " in said.out
    assert (said.err, said.code) == ("", 0)
    assert not root.exists()
    assert minidock("system", "reset", "-f") == ("Total reclaimed space: 0B\n", "", 0)


def test_reset_touches_nothing_that_is_no_store(minidock: Minidock, root: Path) -> None:
    root.mkdir()
    (root / "blobs").mkdir()
    (root / "letter.txt").write_text("dear")
    said = minidock("system", "reset", "-f")
    assert (said.out, said.code) == ("", 1)
    assert "is not a minidock store (it holds letter.txt): nothing was removed" in said.err
    assert sorted(os.listdir(root)) == ["blobs", "letter.txt"]


def test_reset_removes_a_store_that_cannot_be_opened(minidock: Minidock, base: str, root: Path) -> None:
    (root / "minidock.json").chmod(0o600)
    (root / "minidock.json").write_text("{")
    assert minidock("images").code == 1
    assert minidock("system", "reset", "-f").code == 0
    assert not root.exists()


# --- reading only


@pytest.fixture
def closed(root: Path) -> Iterator[Callable[[], None]]:
    """Return a function that takes the permission to write away from the whole store."""
    yield lambda: _chmod(root, 0o500, 0o400)
    _chmod(root, 0o700, 0o600)


def _chmod(root: Path, directories: int, files: int) -> None:
    for directory, _, names in os.walk(root):
        for name in names:
            os.chmod(os.path.join(directory, name), files)
    for directory, _, _ in os.walk(root):
        os.chmod(directory, directories)


def listing(root: Path) -> list[tuple[str, int, int, int]]:
    """Return everything about every file that a command could change."""
    found = []
    for directory, _, names in os.walk(root):
        for name in [".", *names]:
            status = os.lstat(os.path.join(directory, name))
            found.append((os.path.join(directory, name), status.st_ino, status.st_mtime_ns, status.st_ctime_ns))
    return sorted(found)


READERS = (
    ("images", "-a"), ("history", "base:1"), ("image", "inspect", "base:1"), ("inspect", "base:1"), ("system", "df"),
    ("system", "df", "-v"), ("ps", "-a"), ("volume", "ls"),
)  # fmt: skip


def test_commands_that_only_read_change_nothing(
    minidock: Minidock, base: str, root: Path, closed: Callable[[], None]
) -> None:
    (root / "trash" / "rubbish").write_bytes(b"left by a crash")
    closed()
    before = listing(root)
    for words in READERS:
        assert minidock(*words).code == 0, words
    assert listing(root) == before


def test_a_plain_user_can_read_a_store_that_cannot_be_written(
    minidock: Minidock, base: str, root: Path, closed: Callable[[], None]
) -> None:
    if os.geteuid() == 0:
        pytest.skip("modes do not keep root out; the other test compares what was there before and after")
    closed()
    for words in READERS:
        assert minidock(*words).code == 0, words
    said = minidock("tag", "base:1", "x")
    assert (said.out, said.code) == ("", 1)
    assert said.err.startswith("minidock: cannot write ")
