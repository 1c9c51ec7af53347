from __future__ import annotations

from typing import Any

import pytest

from minidock.core.process import User
from minidock.core.users import Owner, is_numeric_owner, resolve_groups, resolve_owner, resolve_user
from minidock.errors import RuntimeProblem
from tests.vectors import load, params

PASSWD = "root:x:0:0:root:/root:/bin/sh\n\napp:x:1000:1001::/home/app:/bin/sh\n77:x:5:6::/seven:/bin/sh\nbroken\n"
GROUP = "root:x:0:\napp:x:1001:\nvideo:x:44:root,app\naudio:x:29:app\n88:x:9:\n"


@pytest.mark.parametrize(
    ("spec", "user"),
    [
        ("", User(0, 0, (44,), "/root")),
        ("root", User(0, 0, (44,), "/root")),
        ("0", User(0, 0, (44,), "/root")),
        ("app", User(1000, 1001, (44, 29), "/home/app")),
        ("1000", User(1000, 1001, (44, 29), "/home/app")),
        ("app:video", User(1000, 44, (), "/home/app")),
        ("app:", User(1000, 1001, (44, 29), "/home/app")),
        (":video", User(0, 44, (), "/root")),
        ("4711", User(4711, 0, (), "/")),
        ("4711:4712", User(4711, 4712, (), "/")),
        ("77", User(77, 0, (), "/")),
        ("app:88", User(1000, 88, (), "/home/app")),
        ("2147483647", User(2147483647, 0, (), "/")),
    ],
)
def test_a_user_is_looked_up(spec: str, user: User) -> None:
    assert resolve_user(spec, PASSWD, GROUP) == user


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nobody", "unable to find user nobody: no matching entries in passwd file"),
        ("app:nogroup", "unable to find group nogroup: no matching entries in group file"),
        ("-1", "uids and gids must be in range 0-2147483647"),
        ("2147483648", "uids and gids must be in range 0-2147483647"),
        ("0:" + "9" * 5000, "uids and gids must be in range 0-2147483647"),
    ],
)
def test_an_unknown_user_is_refused_in_dockers_words(spec: str, message: str) -> None:
    with pytest.raises(RuntimeProblem) as caught:
        resolve_user(spec, PASSWD, GROUP)
    assert str(caught.value) == message


def test_an_image_without_account_files_knows_numbers_only() -> None:
    assert resolve_user("5:6", None, None) == User(5, 6, (), "/")
    assert resolve_user("", None, None) == User(0, 0, (), "/")
    with pytest.raises(RuntimeProblem):
        resolve_user("root", None, None)


def test_additional_groups_are_named_or_numbered() -> None:
    assert resolve_groups(["video", "29", "44", "5"], GROUP) == (44, 29, 5)


def texts(case: dict[str, Any]) -> tuple[str | None, str | None]:
    files = load("user-spec")["files"][case["files"]]
    passwd, group = files.get("passwd"), files["group"]
    if files.get("group_append") == "largegroup":
        group += "largegroup:x:1000:" + ",".join(f"user{number}" for number in range(1, 7501)) + "\n"
    passwd = passwd if case.get("passwd_exists", True) else None
    return passwd, group if case.get("group_exists", True) else None


@pytest.mark.parametrize("case", params("user-spec"))
def test_vectors_of_users(case: dict[str, Any]) -> None:
    passwd, group = texts(case)

    def resolve() -> User | tuple[int, ...]:
        if "additional_groups" in case:
            return tuple(sorted(resolve_groups(case["additional_groups"], group)))
        default = case.get("default", {"Uid": 0, "Gid": 0, "Sgids": [], "Home": "/"})
        user = User(default["Uid"], default["Gid"], tuple(default["Sgids"]), default["Home"])
        return resolve_user(case["user"], passwd, group, user)

    if case.get("error_any"):
        with pytest.raises(RuntimeProblem):
            resolve()
    elif "gids_sorted" in case:
        assert resolve() == tuple(case["gids_sorted"])
    else:
        assert resolve() == User(case["uid"], case["gid"], tuple(case["groups"]), case["home"])


@pytest.mark.parametrize(
    ("spec", "owner"),
    [
        ("5", Owner(5, 5)),
        ("5:", Owner(5, 0)),
        (":5", Owner(0, 5)),
        ("root:root", Owner(0, 0)),
        ("app", Owner(1000, 1001)),
        ("app:staff", Owner(1000, 50)),
        ("app:none", Owner(1000, 1001, ("none",))),
        ("none:staff", Owner(0, 50, ("none",))),
        ("none:nobody", Owner(0, 0, ("none", "nobody"))),
        ("4294967296", Owner(0, 0, ("4294967296",))),
        ("-1", Owner(0, 0, ("-1",))),
    ],
)
def test_owners_of_copied_files_have_rules_of_their_own(spec: str, owner: Owner) -> None:
    passwd = "app:x:1000:1001::/:/bin/sh\nroot:x:7:7::/:/bin/sh\nbroken\n"
    assert resolve_owner(spec, passwd, "staff:x:50:\nroot:x:8:\n") == owner
    assert is_numeric_owner(spec) == all(part in ("", "5", "root") for part in spec.split(":"))


@pytest.mark.parametrize("number", ["4294967296", "-1", "2147483648"])
@pytest.mark.parametrize("line", ["evil:x:{}:0::/:/sh", "evil:x:0:{}::/:/sh"])
def test_ids_of_an_image_that_would_become_others_are_refused(line: str, number: str) -> None:
    with pytest.raises(RuntimeProblem, match="uids and gids must be in range 0-2147483647"):
        resolve_user("evil", line.format(number) + "\n", "")


@pytest.mark.parametrize("number", ["4294967296", "-1"])
def test_groups_of_an_image_that_would_become_others_are_refused(number: str) -> None:
    group = f"evil:x:{number}:app\n"
    for find in (lambda: resolve_user("app", PASSWD, group), lambda: resolve_groups(["evil"], group)):
        with pytest.raises(RuntimeProblem, match="uids and gids must be in range 0-2147483647"):
            find()
