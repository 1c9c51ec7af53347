"""The streams of this process, for the commands that connect them with those of a container."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

from minidock.cli.commands import PROGRAM
from minidock.core.lifecycle import ALL_STREAMS

if TYPE_CHECKING:
    from minidock.cli.container_flags.process import ProcessFlags
    from minidock.engine.attend import Streams
    from minidock.engine.client import Attachment


def are_fit(*, is_interactive: bool, has_terminal: bool) -> bool:
    """Whether stdin is a terminal where ``-it`` needs one; says so if it is not."""
    if is_interactive and has_terminal and not os.isatty(0):
        sys.stderr.write("the input device is not a TTY\n")
        return False
    return True


def is_possible(process: ProcessFlags, *, is_detached: bool) -> bool:
    """Whether the streams that `run` was asked for can be connected; says so if not."""
    if is_detached and process.attach:
        sys.stderr.write("conflicting options: cannot specify both --attach and --detach\n")
        return False
    return is_detached or are_fit(
        is_interactive="stdin" in process.attached(is_detached=False), has_terminal=process.tty
    )


def standard(attached: Collection[str] = ALL_STREAMS) -> Streams:
    """Return the streams of this process, those in ``attached`` only."""
    from minidock.engine.attend import Streams

    sys.stdout.flush()
    numbers = [number if name in attached else None for number, name in enumerate(ALL_STREAMS)]
    return Streams(*numbers)


def detach_keys(text: str) -> bytes:
    """Return the bytes of ``--detach-keys``, of docker's own keys if that is empty. Raises: FlagError."""
    from minidock.core.detach_keys import DETACH_KEYS, parse_detach_keys

    return parse_detach_keys(text or DETACH_KEYS)


def attachment(attached: Collection[str], keys: bytes, *, proxies_signals: bool) -> Attachment:
    """Return how this process is attached to a container."""
    from minidock.engine.client import Attachment

    return Attachment(standard(attached), keys, proxies_signals=proxies_signals)


def told(code: int | None) -> int:
    """Return the exit code of a command that was attached; None (detached with the keys) is a mistake to docker."""
    if code is None:
        sys.stderr.write("read escape sequence\n")
        return 1
    return code


def warn(text: str) -> None:
    """Tell something that the user should know."""
    sys.stderr.write(f"WARNING: {text}\n")


def tell_waiting(what: str) -> None:
    """Tell that another process is waited for."""
    sys.stderr.write(f"{PROGRAM}: waiting for {what}\n")
