"""Makes, changes and removes the control groups of containers: the parent's side.

::

    TOP/minidock/ID   a container's group, in the tree of each controller that it needs (version 1) or in one tree
                      (version 2)
    BASE/minidock.leaf   where BASE's own processes go if they are in the way (version 2: only leaves hold processes)

A group is made for a container that has limits, and later for one that is paused or updated. Its monitor removes it;
if that was killed, `sweep` does.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from typing import NamedTuple

from minidock.core import cgroups as rules
from minidock.core.cgroups import Tree, Trees
from minidock.core.resources import Resources
from minidock.errors import RuntimeProblem
from minidock.runtime.cgroup_files import enable, inherit_set, read, remove, write

PARENT = "minidock"
_TRIES = 3

Read = Callable[[str], str]


class Base(NamedTuple):
    """Where the groups of containers can be: the directory above ``minidock``."""

    directory: str
    is_unified: bool


class Cgroups:
    """The control groups of this machine, as far as this user may use them. ``read_file`` reads /proc (tests)."""

    def __init__(self, read_file: Read = read) -> None:
        self._read = read_file

    def trees(self, pid: int | str = "self") -> Trees:
        """Return the trees with the groups of a process; none if it has ended or hides them."""
        try:
            return rules.parse_trees(self._read("/proc/self/mountinfo"), self._read(f"/proc/{pid}/cgroup"))
        except OSError:
            return Trees()

    def bases(self) -> dict[str, Base]:
        """Return where the groups of each controller can be; those that this user may not use are missing."""
        trees = self.trees()
        found = {}
        for controller, tree in trees.legacy.items():
            directory = next((path for path in (tree.top, tree.own_directory) if path and _is_ours(path)), None)
            if directory is not None:
                found[controller] = Base(directory, is_unified=False)
        if trees.unified is not None:
            base = _delegated(trees.unified)
            for name in _controllers(base) if base else ():
                found.setdefault(name, Base(str(base), is_unified=True))
            if base:
                found.setdefault(rules.FREEZER, Base(base, is_unified=True))
        return found

    def usable(self, resources: Resources) -> tuple[frozenset[str], tuple[str, ...]]:
        """Return the controllers that keep the limits here, and the options that even they do not know.

        Tries it: makes the group above those of containers.
        """
        bases, kept, unknown = self.bases(), [], list[str]()
        for controller in sorted(rules.wanted_controllers(resources)):
            base = bases.get(controller)
            if base is None or not self._prepare_parent(base, controller):
                continue
            kept.append(controller)
            unknown += rules.inexact(resources, is_unified=base.is_unified) if controller == rules.MEMORY else ()
            for name, _ in _writes(base, controller, resources):
                if not os.path.exists(f"{base.directory}/{PARENT}/{name}"):
                    unknown.append(_OPTIONS.get(name, name))
        return frozenset(kept), tuple(unknown)

    def make(self, name: str, resources: Resources, *, also: Iterable[str] = ()) -> list[str]:
        """Make the groups called ``name`` with their limits, and those of the controllers ``also``.

        Returns their directories, for a process to join. Raises: RuntimeProblem if the kernel takes a limit amiss.
        """
        bases = self.bases()
        made: dict[str, None] = {}
        for controller in sorted({*rules.wanted_controllers(resources), *also}):
            base = bases.get(controller)
            directory = self._make_group(base, controller, name) if base else None
            if base is None or directory is None:
                continue
            made[directory] = None
            try:
                _write_limits(directory, _writes(base, controller, resources))
            except RuntimeProblem:
                for refused in made:
                    remove(refused)  # of a running container they stay: something is in them
                raise
        return list(made)

    def possible(self, name: str) -> list[str]:
        """Return every directory that a group called ``name`` may have, now or later."""
        return list(dict.fromkeys(f"{base.directory}/{PARENT}/{name}" for base in self.bases().values()))

    def of(self, pid: int) -> dict[str, str]:
        """Return the directories of the groups that were made for the container of ``pid``, by controller.

        Version 2 has all its controllers in one.
        """
        trees = self.trees(pid)
        found = {}
        for controller, tree in trees.legacy.items():
            if _is_container(tree):
                found[controller] = str(tree.own_directory)
        if trees.unified is not None and _is_container(trees.unified):
            directory = str(trees.unified.own_directory)
            for controller in (*_controllers(directory), rules.FREEZER):
                found.setdefault(controller, directory)
        return found

    def sweep(self, is_dead: Callable[[str], bool]) -> None:
        """Remove the groups whose names are those of containers that have ended."""
        parents = {f"{base.directory}/{PARENT}" for base in self.bases().values()}
        for parent in sorted(parents):
            try:
                names = [entry.name for entry in os.scandir(parent) if entry.is_dir(follow_symlinks=False)]
            except OSError:
                continue  # nobody needed it
            for name in filter(is_dead, names):
                remove(f"{parent}/{name}")
            remove(parent)

    def _prepare_parent(self, base: Base, controller: str) -> bool:
        """Make the group above those of containers, fit for ``controller``; False if that is refused."""
        parent = f"{base.directory}/{PARENT}"
        try:
            os.makedirs(parent, exist_ok=True)
            if base.is_unified:
                for directory in (base.directory, parent):
                    enable(directory, controller)
            elif controller == rules.CPUSET:
                inherit_set(base.directory, parent)
        except OSError:
            return False
        return True

    def _make_group(self, base: Base, controller: str, name: str) -> str | None:
        """Return the directory of a group, which is made if need be; None if that is refused."""
        directory = f"{base.directory}/{PARENT}/{name}"
        for _ in range(_TRIES):
            if not self._prepare_parent(base, controller):
                return None
            try:
                os.mkdir(directory)
            except FileExistsError:
                pass  # for another controller, or it is to be changed
            except FileNotFoundError:
                continue  # somebody has removed the group above, for it was empty
            except OSError:
                return None
            if controller == rules.CPUSET and not base.is_unified:
                inherit_set(os.path.dirname(directory), directory)
            return directory
        return None


_OPTIONS = {
    "memory.memsw.limit_in_bytes": "--memory-swap",
    "memory.swap.max": "--memory-swap",
    "blkio.weight": "--blkio-weight",
    "io.weight": "--blkio-weight",
    "cpu.cfs_period_us": "--cpu-period",
    "cpu.cfs_quota_us": "--cpus",
    "cpu.max": "--cpus",
}


def _writes(base: Base, controller: str, resources: Resources) -> rules.Writes:
    return (rules.unified_writes if base.is_unified else rules.legacy_writes)(controller, resources)


def _write_limits(directory: str, writes: rules.Writes) -> None:
    """Write limits in the given order or, since one must not pass the other on its way, in the opposite one."""
    present = [(name, value) for name, value in writes if os.path.exists(f"{directory}/{name}")]
    try:
        for name, value in present:
            write(f"{directory}/{name}", value)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise _refused(error) from error
        try:
            for name, value in reversed(present):
                write(f"{directory}/{name}", value)
        except OSError as second:
            raise _refused(second) from second


def _refused(error: OSError) -> RuntimeProblem:
    return RuntimeProblem(f"failed to write {error.filename}: {(error.strerror or '').lower()}")


def _is_ours(directory: str) -> bool:
    return os.access(directory, os.W_OK) and os.access(f"{directory}/cgroup.procs", os.W_OK)


def _delegated(tree: Tree) -> str | None:
    """Return the highest directory of a tree of version 2 that this user may divide up: the top, or a delegated one."""
    if _is_ours(tree.top):
        return tree.top
    directory, found = tree.own_directory, None
    while directory and directory != tree.top and _is_ours(directory):
        found, directory = directory, os.path.dirname(directory)
    return found


def _controllers(directory: str) -> list[str]:
    """Return the controllers that a group of version 2 can pass on, by their names in version 1."""
    try:
        names = read(f"{directory}/cgroup.controllers").split()
    except OSError:
        return []
    older = {new: old for old, new in rules.V2_NAMES.items()}
    return [older.get(name, name) for name in names]


def _is_container(tree: Tree) -> bool:
    parts = (tree.own or "").split("/")
    return len(parts) >= 2 and parts[-2] == PARENT
