"""What pulling and pushing show: a line for each change, and on a terminal one line for each layer, kept up to date.

::

    latest: Pulling from library/debian
    0e98e0e2e8a3: Downloading [=======>             ]  18.4MB/49.3MB  11.2MB/s  3s
    7f4d2a9c1b00: Pull complete

Source: docker, `pull` as seen from outside; speed and remaining time are ours.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, TextIO

from minidock.core.transfers import Transfer, TransferNote, TransferProgress, TransferState
from minidock.render.meter import Meter

_PAUSE = 0.1  # seconds between two pictures of one item


class TransferView(Protocol):
    """An observer, ended as a context manager."""

    def __call__(self, event: Transfer, /) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


def transfers(stream: TextIO, *, is_quiet: bool = False) -> TransferView:
    """Return what shows transfers on ``stream``."""
    if is_quiet:
        return QuietTransfers()
    return LiveTransfers(stream) if stream.isatty() else PlainTransfers(stream)


class QuietTransfers:
    """Shows nothing."""

    def __call__(self, event: Transfer, /) -> None:
        """Ignore ``event``."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        pass


class PlainTransfers(QuietTransfers):
    """Writes a line for each change of an item; how far it is stays untold."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def __call__(self, event: Transfer, /) -> None:
        """Write the line of ``event``."""
        match event:
            case TransferNote(text):
                line = text
            case TransferState(item, text):
                line = f"{item}: {text}"
            case TransferProgress():
                return
        with self._lock:
            self._stream.write(f"{line}\n")
            self._stream.flush()


class LiveTransfers(QuietTransfers):
    """Keeps a line for each item on a terminal; notes after the first item stand below them all."""

    def __init__(
        self,
        stream: TextIO,
        clock: Callable[[], float] = time.monotonic,
        width: Callable[[], int] = lambda: shutil.get_terminal_size().columns,
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._width = width
        self._lock = threading.Lock()
        self._rows: dict[str, int] = {}
        self._count = 0  # lines since the first item
        self._drawn: dict[str, float] = {}
        self._meter = Meter()

    def __call__(self, event: Transfer, /) -> None:
        """Draw ``event``."""
        with self._lock:
            match event:
                case TransferNote(text):
                    self._append(text)
                    self._rows.clear()  # what was above stays as it is
                    self._count = 0
                case TransferState(item, text):
                    self._draw(item, f"{item}: {text}")
                case TransferProgress(item, text, done, total):
                    now = self._clock()
                    if now - self._drawn.get(item, 0.0) >= _PAUSE:
                        self._drawn[item] = now
                        self._draw(item, f"{item}: {self._meter.text(item, text, done, total, now)}")

    def _draw(self, item: str, line: str) -> None:
        row = self._rows.get(item)
        if row is None:
            self._rows[item] = self._count
            self._append(line)
            return
        up = self._count - row
        shown = line[: max(self._width() - 1, 1)]
        self._stream.write(f"\x1b[{up}A\r\x1b[2K{shown}\x1b[{up}B\r")
        self._stream.flush()

    def _append(self, line: str) -> None:
        self._stream.write(f"{line[: max(self._width() - 1, 1)] if self._rows else line}\n")
        self._stream.flush()
        self._count += 1
