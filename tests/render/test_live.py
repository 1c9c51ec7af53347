"""The progress of a build on a terminal, and as JSON lines."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime

import pytest

from minidock.core.digest import Digest
from minidock.core.events import (
    BuildWarning,
    Event,
    StepCached,
    StepCanceled,
    StepDone,
    StepError,
    StepOutput,
    StepProgress,
    StepReason,
    StepStarted,
    StepStatus,
)
from minidock.render.live import LiveProgress
from minidock.render.progress import Kind, PlainProgress, QuietProgress, progress
from minidock.render.raw_json import RawJsonProgress

ID = Digest.sha256(b"")
STORY: tuple[Event, ...] = (
    StepStarted(1, "[internal] load build definition from Dockerfile"),
    StepStatus(1, "transferring dockerfile: 98B done"),
    StepDone(1, 0.04, None),
    StepStarted(2, "[1/4] FROM docker.io/library/base:1"),
    StepCached(2, ID),
    StepStarted(3, "[2/4] RUN make   all"),
    StepReason(3, "never built here before"),
    *(StepOutput(3, 0.1, f"line {number}") for number in range(9)),
    StepOutput(3, 0.2, "10%\r50%\r\x1b[31m100%\x1b[0m\x07"),
)
END: tuple[Event, ...] = (
    StepDone(3, 1.26, ID),
    BuildWarning("StageNameCasing: Stage name 'X' should be lowercase", 3),
    StepStarted(4, "[3/4] RUN sleep 9"),
    StepCanceled(4),
    StepStarted(5, "[4/4] RUN false"),
    StepError(5, 'process "/bin/sh -c false" did not complete successfully: exit code: 1'),
)


class Terminal(io.StringIO):
    """A terminal that keeps everything that is written to it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setenv("LINES", "20")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    return Terminal()


def plain(text: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n").split("\n")


def test_the_record_that_stays_has_every_step_and_no_output(terminal: Terminal) -> None:
    with LiveProgress(terminal, clock=lambda: 0.0) as observer:
        for event in (*STORY, *END):
            observer(event)
    lines = plain(terminal.getvalue())
    start = len(lines) - lines[::-1].index("[+] Building 0.0s (5/5)") - 1
    assert [line.rstrip() for line in lines[start:]] == [
        "[+] Building 0.0s (5/5)",
        " => [internal] load build definition from Dockerfile             0.0s",
        " => => transferring dockerfile: 98B done",
        " => CACHED [1/4] FROM docker.io/library/base:1                   0.0s",
        " => [2/4] RUN make all                                           1.3s",
        " => => why: never built here before",
        " => CANCELED [3/4] RUN sleep 9                                   0.0s",
        " => ERROR [4/4] RUN false                                        0.0s",
        "",
        " 1 warning found:",
        " - StageNameCasing: Stage name 'X' should be lowercase (line 3)",
        "",
    ]


def test_while_a_step_runs_its_latest_lines_are_shown_as_they_would_look(terminal: Terminal) -> None:
    observer = LiveProgress(terminal, clock=lambda: 0.0)
    with observer:
        for event in STORY:
            observer(event)
        observer._live.refresh()
        drawn = [line.rstrip() for line in plain(terminal.getvalue())]
    assert [line for line in drawn if line.startswith(" => => #")][-6:] == [
        *(f" => => # line {number}" for number in range(4, 9)),
        " => => # 100%",
    ]


def test_layers_that_are_on_their_way_have_bars_until_they_are_there(terminal: Terminal) -> None:
    now = [0.0]
    observer = LiveProgress(terminal, clock=lambda: now[0])
    name = "[internal] load metadata for base:1"
    with observer:
        for second, event in (
            (0.0, StepStarted(1, name)),
            (0.0, StepProgress(1, "aaaa", "Downloading", 1_000_000, 4_000_000)),
            (1.0, StepProgress(1, "aaaa", "Downloading", 2_000_000, 4_000_000)),
            (1.0, StepProgress(1, "bbbb", "Extracting", 0, 10)),
            (1.0, StepStatus(1, "bbbb: Pull complete")),
        ):
            now[0] = second
            observer(event)
        terminal.truncate(0)
        observer._live.refresh()
        drawn = [line.strip("\0").rstrip() for line in plain(terminal.getvalue()) if line.strip("\0").strip()]
        observer(StepStatus(1, "aaaa: Pull complete"))
        observer(StepDone(1, 2.0, None))
    assert drawn[2:4] == [
        " => => bbbb: Pull complete",
        " => => aaaa: Downloading [===============>              ]  2MB/4MB  1…",
    ]
    left = [line.rstrip() for line in plain(terminal.getvalue())][-4:-1]
    assert left == [f" => {name}".ljust(62) + "   2.0s", " => => bbbb: Pull complete", " => => aaaa: Pull complete"]


def test_a_low_terminal_shows_what_runs(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINES", "5")
    observer = LiveProgress(terminal, clock=lambda: 0.0)
    with observer:
        for event in STORY:
            observer(event)
        terminal.truncate(0)
        observer._live.refresh()
        drawn = [line.rstrip() for line in plain(terminal.getvalue()) if line.strip("\0").strip()]
    assert [line.strip("\0") for line in drawn][:4] == [
        "[+] Building 0.0s (2/3)",
        " => [2/4] RUN make all                                           0.0s",
        " => => why: never built here before",
        " => => # 100%",
    ]


def test_steps_side_by_side_share_a_low_terminal(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINES", "11")
    observer = LiveProgress(terminal, clock=lambda: 0.0)
    with observer:
        for number, name in enumerate(("a", "b", "c")):
            observer(StepStarted(number, f"[{name} 2/3] RUN {name}"))
        for line in range(9):
            for number in range(3):
                observer(StepOutput(number, 0.1, f"{number} says {line}"))
        observer(StepDone(1, 0.1, None))
        terminal.truncate(0)
        observer._live.refresh()
        drawn = [line.strip("\0").rstrip() for line in plain(terminal.getvalue()) if line.strip("\0").strip()]
    assert drawn[:10] == [
        "[+] Building 0.0s (1/3)",
        " => [a 2/3] RUN a                                                0.0s",
        " => => # 0 says 6",
        " => => # 0 says 7",
        " => => # 0 says 8",
        " => [b 2/3] RUN b                                                0.1s",
        " => [c 2/3] RUN c                                                0.0s",
        " => => # 2 says 6",
        " => => # 2 says 7",
        " => => # 2 says 8",
    ]


def test_json_lines_are_buildkits() -> None:
    out = io.StringIO()
    observer = RawJsonProgress(out, now=lambda: datetime(2026, 1, 2, tzinfo=UTC))
    for event in (StepStarted(1, "[1/1] RUN x"), StepOutput(1, 0.5, "hi"), StepError(1, "no"), BuildWarning("w", 2)):
        observer(event)
    digest = str(Digest.sha256(b"1 [1/1] RUN x"))
    time = "2026-01-02T00:00:00Z"
    vertex = {"digest": digest, "name": "[1/1] RUN x", "started": time}
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [
        {"vertexes": [vertex]},
        {"logs": [{"vertex": digest, "stream": 1, "data": "aGkK", "timestamp": time}]},
        {"vertexes": [{**vertex, "completed": time, "error": "no"}]},
        {"warnings": [{"level": 1, "short": "dw==", "range": [{"start": {"line": 2}, "end": {"line": 2}}]}]},
    ]


@pytest.mark.parametrize(
    ("kind", "is_terminal", "expected"),
    [
        (Kind.AUTO, True, LiveProgress),
        (Kind.AUTO, False, PlainProgress),
        (Kind.TTY, False, LiveProgress),
        (Kind.PLAIN, True, PlainProgress),
        (Kind.NONE, True, QuietProgress),
        (Kind.RAW_JSON, True, RawJsonProgress),
    ],
)
def test_the_option_and_the_stream_decide(kind: Kind, is_terminal: bool, expected: type) -> None:
    stream = Terminal() if is_terminal else io.StringIO()
    assert isinstance(progress(kind, stream), expected)
