"""What --chmod makes of a mode."""

from __future__ import annotations

from typing import Any

import pytest

from minidock.core.file_mode import ModeChange
from minidock.errors import BuildError
from tests.vectors import params


def octal(text: str) -> int:
    return int(text, 8)


@pytest.mark.parametrize("case", params("chmod-symbolic"))
def test_modes_are_changed_as_buildkit_does(case: dict[str, Any]) -> None:
    if "flag" in case or case.get("error_any"):
        with pytest.raises(BuildError) as caught:
            ModeChange.parse(case.get("mode", case.get("flag", "").removeprefix("--chmod=")))
        assert case.get("error", "invalid chmod parameter") in str(caught.value)
        return
    change = ModeChange.parse(case["mode"], octal(case["umask"]))
    assert change.apply(octal(case["before"]), is_directory=case["is_dir"]) == octal(case["after"])


@pytest.mark.parametrize(
    ("text", "before", "is_directory", "after"),
    [
        ("0644", 0o4755, False, 0o644),
        ("4711", 0o644, False, 0o4711),
        ("u=rwX,go=rX", 0o600, False, 0o644),
        ("u=rwX,go=rX", 0o600, True, 0o755),
        ("go+r,u+s", 0o700, False, 0o4744),
        ("u=g", 0o4750, False, 0o4550),
        ("a=", 0o7777, True, 0o1000),
        ("=t", 0o777, True, 0o1000),
        ("o=u", 0o740, False, 0o747),
    ],
)
def test_letters_change_what_they_name(text: str, before: int, is_directory: bool, after: int) -> None:
    assert ModeChange.parse(text).apply(before, is_directory=is_directory) == after


@pytest.mark.parametrize(("text", "mode"), [("1711", 0o711), ("4640", 0o640), ("u=rwx", 0o755), ("a+w", 0o755)])
def test_directories_on_the_way_take_a_number_only(text: str, mode: int) -> None:
    assert ModeChange.parse(text).of_parents == mode


@pytest.mark.parametrize("text", ["", ",", "u", "u+r,", "u+q", "q+r", "644x", "10000", "9", "0o644", "+644"])
def test_what_is_no_mode_is_refused(text: str) -> None:
    with pytest.raises(BuildError, match="invalid chmod parameter"):
        ModeChange.parse(text)
