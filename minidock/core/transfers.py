"""What pulling and pushing report: frozen events, given one by one to an observer, from several threads.

``item`` is a layer: the first digits of its digest, as docker shows them.
"""

from __future__ import annotations

from collections.abc import Callable

from minidock.core.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class TransferNote:
    """A line about the whole, such as ``latest: Pulling from library/debian``."""

    text: str


@dataclass(frozen=True, slots=True)
class TransferState:
    """What is done with an item now: ``Pulling fs layer``, ``Pull complete``; no more comes if ``is_last``."""

    item: str
    text: str
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class TransferProgress:
    """How far an item is: ``done`` of ``total`` bytes; ``total`` is 0 where that is not known."""

    item: str
    text: str
    done: int
    total: int


Transfer = TransferNote | TransferState | TransferProgress
TransferObserver = Callable[[Transfer], None]
