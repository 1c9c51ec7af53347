"""What pulls show: lines for pipes, pictures for terminals."""

from __future__ import annotations

import io
import re

from minidock.core.transfers import Transfer, TransferNote, TransferProgress, TransferState
from minidock.render.transfers import LiveTransfers, PlainTransfers, QuietTransfers, transfers

EVENTS: list[Transfer] = [
    TransferNote("1: Pulling from app"),
    TransferState("aaa", "Pulling fs layer"),
    TransferState("bbb", "Pulling fs layer"),
    TransferProgress("aaa", "Downloading", 0, 4_000_000),
    TransferProgress("aaa", "Downloading", 1_000_000, 4_000_000),
    TransferProgress("bbb", "Downloading", 500, 0),
    TransferState("bbb", "Pull complete", is_last=True),
    TransferNote("Status: done"),
]


class Screen:
    """The lines that a terminal would show for what is written."""

    def __init__(self) -> None:
        self.lines = [""]
        self.row = 0

    def write(self, text: str) -> int:
        for part in re.findall(r"\x1b\[\d*[ABK]|\r|\n|[^\x1b\r\n]+", text):
            found = re.fullmatch(r"\x1b\[(\d*)([ABK])", part)
            if found is not None and found[2] in "AB":
                self.row += int(found[1]) * (-1 if found[2] == "A" else 1)
                assert 0 <= self.row < len(self.lines)
            elif found is not None:
                self.lines[self.row] = ""
            elif part == "\n":
                self.row += 1
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif part != "\r":
                self.lines[self.row] += part
        return len(text)

    def flush(self) -> None:
        pass


def test_a_pipe_gets_a_line_for_each_change() -> None:
    out = io.StringIO()
    with transfers(out) as show:
        assert isinstance(show, PlainTransfers)
        for event in EVENTS:
            show(event)
    assert out.getvalue() == (
        "1: Pulling from app\naaa: Pulling fs layer\nbbb: Pulling fs layer\nbbb: Pull complete\nStatus: done\n"
    )
    assert isinstance(transfers(out, is_quiet=True), QuietTransfers)


def show_live(events: list[Transfer], width: int) -> list[str]:
    screen, times = Screen(), iter(range(1, 100))
    show = LiveTransfers(screen, clock=lambda: next(times), width=lambda: width)  # type: ignore[arg-type]
    for event in events:
        show(event)
    return screen.lines


def test_a_terminal_keeps_a_line_for_each_layer_with_speed_and_time_left() -> None:
    assert show_live(EVENTS, 100) == [
        "1: Pulling from app",
        f"aaa: Downloading [{'=' * 7}>{' ' * 22}]  1MB/4MB  1MB/s  4s",
        "bbb: Pull complete",
        "Status: done",
        "",
    ]
    assert show_live(EVENTS[:-2], 100)[2] == "bbb: Downloading  500B"


def test_a_narrow_terminal_gets_no_line_that_breaks() -> None:
    assert max(map(len, show_live(EVENTS[1:], 20))) <= 19
