"""USER and --user: names and numbers become the identity of a process. Source: moby/sys, user/user.go."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from minidock.core.process import User
from minidock.errors import RuntimeProblem, UnknownAccount

# What docker gives a process where the image says nothing.
DEFAULT_USER = User(0, 0, (), "/")

_NUMBER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_HIGHEST = 2**31 - 1


class _Account(NamedTuple):
    name: str
    uid: int
    gid: int
    home: str


class _Group(NamedTuple):
    name: str
    gid: int
    members: tuple[str, ...]


def resolve_user(spec: str, passwd_text: str | None, group_text: str | None, default: User = DEFAULT_USER) -> User:
    """Return the identity that ``user[:group]`` means where /etc/passwd and /etc/group hold the given texts.

    ``None`` is a file that is not there. What neither ``spec`` nor the files say comes from ``default``. A number is
    always an ID, even if an account has it as its name. Supplementary groups are looked up by the name of the account,
    and only if no group is given. Raises: RuntimeProblem, in docker's words; for IDs of the files out of range too:
    the kernel would take 2**32 for root.
    """
    user = _user(spec, passwd_text, group_text, default)
    for number in (user.uid, user.gid, *user.groups):
        _check_range(number)
    return user


def _user(spec: str, passwd_text: str | None, group_text: str | None, default: User) -> User:
    user_part, _, group_part = spec.partition(":")
    account = _find_account(user_part, passwd_text or "", default)
    if account is None and user_part:
        account = _Account("", _number(user_part, "user", "passwd"), default.gid, default.home)
    user = default if account is None else User(account.uid, account.gid, default.groups, account.home)
    if group_part:
        return User(user.uid, _find_group(group_part, group_text or ""), user.groups, user.home)
    name = account.name if account else ""
    groups = tuple(group.gid for group in _groups(group_text or "") if name and name in group.members)
    return User(user.uid, user.gid, groups or user.groups, user.home)


class Owner(NamedTuple):
    """Whom --chown makes the owner; ``unknown`` are the names that the files do not have, which stand for 0."""

    uid: int
    gid: int
    unknown: tuple[str, ...] = ()


def resolve_owner(spec: str, passwd_text: str, group_text: str) -> Owner:
    """Return the owner that ``user[:group]`` of --chown means; without a group it is the user's.

    The rules are not those of USER: a number is never looked up and is its own group, ``root`` is 0 whatever the files
    say, and an unknown name is no error. Source: BuildKit, solver/llbsolver/ops/user_linux.go, client/llb/fileop.go.
    """
    user_part, colon, group_part = spec.partition(":")
    uid, gid = _owner_number(user_part), 0
    unknown = []
    if uid is None:
        account = next((account for account in _accounts(passwd_text) if account.name == user_part), None)
        uid, gid = (0, 0) if account is None else (account.uid, account.gid)
        unknown += [user_part] if account is None else []
    else:
        gid = uid
    if colon:
        number = _owner_number(group_part)
        if number is None:
            number = next((group.gid for group in _groups(group_text) if group.name == group_part), None)
            unknown += [group_part] if number is None else []
        gid = gid if number is None else number
    return Owner(uid, gid, tuple(unknown))


def _owner_number(text: str) -> int | None:
    """Return the ID that is not looked up, None for a name."""
    if text in ("", "root"):
        return 0
    return int(text) if _NUMBER.fullmatch(text) and 0 <= _integer(text) <= _HIGHEST else None


def is_numeric_owner(spec: str) -> bool:
    """Tell whether ``user[:group]`` of --chown needs no file to be understood."""
    return all(_owner_number(part) is not None for part in spec.split(":", 1))


def resolve_groups(names: Iterable[str], group_text: str | None) -> tuple[int, ...]:
    """Return the IDs of groups given by name or number (--group-add), each once, in order. Raises: RuntimeProblem."""
    found = tuple(dict.fromkeys(_find_group(name, group_text or "") for name in names))
    for number in found:
        _check_range(number)
    return found


def _find_account(wanted: str, text: str, default: User) -> _Account | None:
    if not wanted:
        return next((account for account in _accounts(text) if account.uid == default.uid), None)
    if _NUMBER.fullmatch(wanted):
        return next((account for account in _accounts(text) if account.uid == _integer(wanted)), None)
    return next((account for account in _accounts(text) if account.name == wanted), None)


def _find_group(wanted: str, text: str) -> int:
    if _NUMBER.fullmatch(wanted):
        return _number(wanted, "group", "group")
    for group in _groups(text):
        if group.name == wanted:
            return group.gid
    return _number(wanted, "group", "group")


def _number(text: str, kind: str, file: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise UnknownAccount(kind, text, file)
    _check_range(_integer(text))
    return _integer(text)


def _check_range(number: int) -> None:
    if not 0 <= number <= _HIGHEST:
        raise RuntimeProblem(f"uids and gids must be in range 0-{_HIGHEST}")


def _integer(text: str) -> int:
    """Return the number in a field, 0 if it holds none: a broken line of a file stops nothing."""
    return int(text) if _NUMBER.fullmatch(text) and len(text) < 40 else 0 if not _NUMBER.fullmatch(text) else 2**63


def _accounts(text: str) -> Iterator[_Account]:
    for fields in _lines(text, 7):
        yield _Account(fields[0], _integer(fields[2]), _integer(fields[3]), fields[5])


def _groups(text: str) -> Iterator[_Group]:
    for fields in _lines(text, 4):
        yield _Group(fields[0], _integer(fields[2]), tuple(fields[3].split(",")) if fields[3] else ())


def _lines(text: str, count: int) -> Iterator[list[str]]:
    for line in text.split("\n"):
        if line.strip():
            fields = line.strip().split(":")
            yield fields + [""] * (count - len(fields))
