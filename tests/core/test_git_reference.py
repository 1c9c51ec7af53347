"""What is a git reference, and what it says."""

from __future__ import annotations

from typing import Any

import pytest

from minidock.core.git_reference import GitReference, parse_git_reference, without_password
from minidock.errors import BuildError
from tests.vectors import params


def fields(reference: GitReference) -> dict[str, Any]:
    found = {
        "Remote": reference.remote,
        "ShortName": reference.short_name,
        "Ref": reference.ref,
        "SubDir": reference.subdir,
        "Checksum": reference.checksum,
        "MTime": reference.mtime,
        "KeepGitDir": reference.keep_git_dir,
        "Submodules": reference.submodules,
        "FetchByCommit": reference.fetch_by_commit,
        "IndistinguishableFromLocal": reference.is_like_path,
    }
    return {name: value for name, value in found.items() if value not in ("", None, False) or value is False}


@pytest.mark.parametrize("case", params("git-ref"))
def test_references_are_read_as_buildkit_reads_them(case: dict[str, Any]) -> None:
    if "error_contains" in case or "error" in case:
        with pytest.raises(BuildError) as caught:
            parse_git_reference(case["ref"])
        assert case.get("error_contains", case.get("error")) in str(caught.value)
        return
    found = parse_git_reference(case["ref"])
    if case["git"] is None:
        assert found is None
        return
    assert found is not None
    wanted = {name: value for name, value in case["git"].items() if name != "UnencryptedTCP"}
    assert {name: value for name, value in fields(found).items() if value or name in wanted} == wanted


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("https://h/r.git", GitReference("https://h/r.git")),
        ("https://h/r.git#v1:a/../b", GitReference("https://h/r.git", "v1", "b")),
        ("git@h:o/r.git#main:../../x", GitReference("git@h:o/r.git", "main", "x")),
        ("ssh://git@h:22/r?branch=b&subdir=s", GitReference("ssh://git@h:22/r", "refs/heads/b", "s")),
        ("git://h/r?keep-git-dir&submodules=0", GitReference("git://h/r", keep_git_dir=True, submodules=False)),
        ("https://h/r.git?commit=ab", GitReference("https://h/r.git", checksum="ab")),
        ("https://h/r", None),
        ("ftp://h/r.git", None),
        ("dir/repo.git", None),
        ("file:///tmp/r.git", None),
    ],
)
def test_a_reference_says_repository_ref_and_directory(text: str, reference: GitReference | None) -> None:
    assert parse_git_reference(text) == reference


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("tag=a&branch=b", "branch conflicts with tag"),
        ("ref=a&tag=b", 'ref conflicts: "a" vs "refs/tags/b"'),
        ("tag=", 'query "tag" has no value'),
        ("tag=a&tag=b", 'query "tag" has multiple values'),
        ("mtime=now", 'invalid mtime value: "now" (must be "checkout" or "commit")'),
        ("depth=1", 'unexpected query "depth"'),
        ("submodules=maybe", 'invalid submodules value: "maybe"'),
    ],
)
def test_queries_that_make_no_sense_are_refused(query: str, message: str) -> None:
    with pytest.raises(BuildError) as caught:
        parse_git_reference(f"https://h/r.git?{query}")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h/r", "https://h/r"),
        ("https://u:secret@h/r@x", "https://u:xxxxx@h/r@x"),
        ("https://u@h/r", "https://u@h/r"),
        ("git@h:r", "git@h:r"),
    ],
)
def test_passwords_are_not_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown
