"""The test double of `Disk`: fails at one chosen operation, as crashes and full disks do."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from minidock.store.writer import OPERATIONS, Disk


class Crash(BaseException):
    """The process died here: from now on nothing is written, whatever clean-up tries to do."""


class Fault(Enum):
    """What happens at the chosen operation."""

    CRASH_BEFORE = auto()
    CRASH_AFTER = auto()
    CRASH_INSIDE = auto()  # half of the data is written, then the process dies
    NO_SPACE = auto()  # from here on nothing can be created or written; removing works
    IO_ERROR = auto()  # this one operation fails


# What needs space. Renaming and unlinking do not.
_NEEDS_SPACE = frozenset(
    {"open_new", "write", "copy_range", "allocate", "mkdir", "symlink", "mknod", "link", "setxattr"}
)


class FaultyDisk(Disk):
    """A `Disk` whose operation number ``at`` (from 1; 0: none) meets ``fault``. ``done`` counts the operations."""

    def __init__(self, at: int = 0, fault: Fault = Fault.CRASH_BEFORE) -> None:
        self.at = at
        self.fault = fault
        self.done = 0
        self.log: list[str] = []
        self.is_dead = False
        self._counting = threading.Lock()

    def _operate(self, name: str, call: Callable[..., Any], *args: Any) -> Any:
        with self._counting:
            if self.is_dead:
                raise Crash
            self.done += 1
            number = self.done
            self.log.append(name)
        if number == self.at:
            return self._fail(name, call, *args)
        if self.fault is Fault.NO_SPACE and 0 < self.at < number and name in _NEEDS_SPACE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return call(*args)

    def _fail(self, name: str, call: Callable[..., Any], *args: Any) -> Any:
        if self.fault is Fault.IO_ERROR:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self.fault is Fault.NO_SPACE:
            if name in _NEEDS_SPACE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(*args)
        self.is_dead = True
        if self.fault is Fault.CRASH_AFTER:
            call(*args)
        elif self.fault is Fault.CRASH_INSIDE and name == "write":
            call(args[0], bytes(args[1])[: len(args[1]) // 2])
        raise Crash


def _faulty(name: str) -> Callable[..., Any]:
    original = getattr(Disk, name)

    def operation(self: FaultyDisk, *args: Any) -> Any:
        return self._operate(name, lambda *rest: original(self, *rest), *args)

    operation.__name__ = name
    operation.__doc__ = original.__doc__
    return operation


for _name in OPERATIONS:
    setattr(FaultyDisk, _name, _faulty(_name))
