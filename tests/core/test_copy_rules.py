from __future__ import annotations

import pytest

from minidock.core.copy_rules import CopyPath, Place, place_of
from minidock.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("box:/etc", CopyPath("box", "/etc")),
        ("box:etc:x", CopyPath("box", "etc:x")),
        ("./box:x", CopyPath("", "./box:x")),
        ("/box:x", CopyPath("", "/box:x")),
        ("file", CopyPath("", "file")),
        ("-", CopyPath("", "-")),
        (":/x", CopyPath("", "/x")),
    ],
)
def test_a_side_is_a_container_and_a_path_or_a_path(text: str, expected: CopyPath) -> None:
    assert CopyPath.parse(text) == expected


@pytest.mark.parametrize(
    ("source", "is_directory", "target", "there", "expected"),
    [
        ("/a/file", False, "/b/dir", "dir", Place("/b/dir", "file")),
        ("/a/file", False, "/b/dir/", "dir", Place("/b/dir", "file")),
        ("/a/file", False, "/b/file", "file", Place("/b", "file")),
        ("/a/file", False, "/b/new", "", Place("/b", "new")),
        ("/a/file", False, "/b/new/", "", "no such directory"),
        ("/a/file", False, "/b/file/", "file", "not a directory"),
        ("/a/dir", True, "/b/dir", "dir", Place("/b/dir", "dir")),
        ("/a/dir/", True, "/b/dir", "dir", Place("/b/dir", "dir")),
        ("/a/dir/.", True, "/b/dir", "dir", Place("/b/dir", "")),
        ("/a/dir", True, "/b/new", "", Place("/b", "new")),
        ("/a/dir/.", True, "/b/new/", "", Place("/b", "new")),
        ("/a/dir", True, "/b/file", "file", "cannot copy directory"),
    ],
)
def test_where_a_copy_goes(source: str, is_directory: bool, target: str, there: str, expected: Place | str) -> None:
    def find() -> Place:
        return place_of(
            source,
            source_is_directory=is_directory,
            target=target,
            target_exists=bool(there),
            target_is_directory=there == "dir",
        )

    if isinstance(expected, Place):
        assert find() == expected
        return
    with pytest.raises(InvalidRequest) as caught:
        find()
    assert str(caught.value) == expected
