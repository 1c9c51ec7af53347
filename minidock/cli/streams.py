"""The streams of this process, for the commands that connect them with those of a container."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from minidock.cli.commands import PROGRAM

if TYPE_CHECKING:
    from minidock.engine.attend import Streams


def are_fit(*, is_interactive: bool, has_terminal: bool) -> bool:
    """Whether stdin is a terminal where ``-it`` needs one; says so if it is not."""
    if is_interactive and has_terminal and not os.isatty(0):
        sys.stderr.write("the input device is not a TTY\n")
        return False
    return True


def standard(*, has_stdin: bool) -> Streams:
    """Return the streams of this process."""
    from minidock.engine.attend import Streams

    sys.stdout.flush()
    return Streams(0 if has_stdin else None, 1, 2)


def warn(text: str) -> None:
    """Tell something that the user should know."""
    sys.stderr.write(f"WARNING: {text}\n")


def tell_waiting(what: str) -> None:
    """Tell that another process is waited for."""
    sys.stderr.write(f"{PROGRAM}: waiting for {what}\n")
