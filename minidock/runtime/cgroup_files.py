"""Reads and writes the files of control groups: limits, members, freezing."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping

from minidock.core import cgroups as rules

LEAF = "minidock.leaf"


def read(path: str) -> str:
    """Return the text of a file of the kernel."""
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def write(path: str, value: str) -> None:
    """Write a value into a file of a group, in one call. Raises: OSError, which names the file."""
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(fd)


def move(directory: str, pids: Iterable[int]) -> None:
    """Move processes into a group; those that have ended meanwhile do not matter."""
    for pid in pids:
        try:
            write(f"{directory}/cgroup.procs", str(pid))
        except ProcessLookupError:
            continue


def enable(directory: str, controller: str) -> None:
    """Pass a controller on to the groups below. Raises: OSError."""
    name = rules.V2_NAMES.get(controller, controller)
    control = f"{directory}/cgroup.subtree_control"
    if controller == rules.FREEZER or name in read(control).split():
        return  # every group of version 2 can be frozen
    try:
        write(control, f"+{name}")
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        # Only leaves may hold processes.
        leaf = f"{directory}/{LEAF}"
        os.makedirs(leaf, exist_ok=True)
        move(leaf, [int(pid) for pid in read(f"{directory}/cgroup.procs").split()])
        write(control, f"+{name}")


def inherit_set(parent: str, directory: str) -> None:
    """Fill in what a new group of the cpuset controller (version 1) must have before anything can join it."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not read(f"{directory}/{name}").strip():
            write(f"{directory}/{name}", read(f"{parent}/{name}").strip())


def remove(directory: str) -> None:
    """Remove a group that holds nothing any more; what is frozen is let go, so that it can end."""
    state = f"{directory}/freezer.state"
    try:
        if os.path.exists(state) and read(state).strip() != "THAWED":
            write(state, "THAWED")
        os.rmdir(directory)
    except OSError:
        return  # something is in it still: the next time


def freeze(groups: Mapping[str, str], *, is_frozen: bool) -> bool:
    """Freeze or thaw the group of a container; False if it has none that can be frozen. Raises: OSError."""
    directory = groups.get(rules.FREEZER)
    if directory is None:
        return False
    if os.path.exists(f"{directory}/freezer.state"):
        write(f"{directory}/freezer.state", "FROZEN" if is_frozen else "THAWED")
    else:
        write(f"{directory}/cgroup.freeze", "1" if is_frozen else "0")
    return True


def is_frozen(groups: Mapping[str, str]) -> bool:
    """Whether everything in the group has come to a halt."""
    directory = groups.get(rules.FREEZER)
    if directory is None:
        return False
    if os.path.exists(f"{directory}/freezer.state"):
        return read(f"{directory}/freezer.state").strip() == "FROZEN"
    return "frozen 1" in read(f"{directory}/cgroup.events").splitlines()
