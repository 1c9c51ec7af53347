from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from minidock.engine import attach_socket
from minidock.engine.hub import Hub


class Process:
    """The other ends of the streams of a process, and a hub for them."""

    def __init__(self, *, closes_input: bool = False) -> None:
        self.stdin, stdin = os.pipe()
        stdout, self.stdout = os.pipe()
        self.kept: list[tuple[str, bytes]] = []
        self.ours, theirs = attach_socket.pair()
        self.hub = Hub(
            {stdout: "stdout"},
            stdin=stdin,
            clients=[theirs],
            keep=lambda stream, data: self.kept.append((stream, data)),
            closes_input=closes_input,
        )
        os.set_blocking(self.ours, False)
        os.set_blocking(self.stdin, False)

    def turns(self) -> None:
        for _ in range(10):
            self.hub.turn(timeout=0)

    def say(self, message: bytes) -> None:
        os.write(self.ours, message)
        self.turns()

    def told(self) -> list[bytes]:
        found = []
        while True:
            try:
                message = os.read(self.ours, 1 << 17)
            except BlockingIOError:
                return found
            if not message:
                return found
            found.append(message)


@pytest.fixture
def process() -> Iterator[Process]:
    process = Process()
    yield process
    process.hub.drain()
    process.hub.dismiss(0, 0)
    for fd in (process.stdin, process.stdout, process.ours):
        os.close(fd)


def test_output_goes_to_the_log_and_to_the_caller(process: Process) -> None:
    os.write(process.stdout, b"text")
    process.turns()
    assert process.kept == [("stdout", b"text")]
    assert process.told() == [b"otext"]


def test_input_goes_to_the_process_and_does_not_end_with_the_caller(process: Process) -> None:
    process.say(b"hi")
    process.say(b"iwords")
    process.say(b"c")
    assert os.read(process.stdin, 100) == b"words"
    with pytest.raises(BlockingIOError):
        os.read(process.stdin, 100)


def test_input_ends_with_the_caller_where_that_was_said() -> None:
    process = Process(closes_input=True)
    process.say(b"iwords")
    process.say(b"c")
    assert (os.read(process.stdin, 100), os.read(process.stdin, 100)) == (b"words", b"")
    process.hub.drain()
    process.hub.dismiss(0, 0)
    for fd in (process.stdin, process.stdout, process.ours):
        os.close(fd)


def test_input_that_nobody_reads_waits_and_then_ends(tmp_path: Path) -> None:
    process = Process(closes_input=True)
    data = os.urandom(200_000)
    for start in range(0, len(data), 50_000):
        process.say(b"i" + data[start : start + 50_000])
    process.say(b"c")
    got = b""
    for _ in range(100):
        process.turns()
        try:
            part = os.read(process.stdin, 1 << 20)
        except BlockingIOError:
            continue
        if not part:
            break
        got += part
    assert got == data
    process.hub.drain()
    process.hub.dismiss(0, 0)
    for fd in (process.stdin, process.stdout, process.ours):
        os.close(fd)


def test_a_caller_that_does_not_read_holds_the_output_back(process: Process) -> None:
    os.set_blocking(process.stdout, False)
    written = 0
    for _ in range(200):
        try:
            written += os.write(process.stdout, bytes(60_000))
        except BlockingIOError:
            pass
        process.turns()
    assert written < 4 << 20
    got = 0
    while part := process.told():
        got += sum(len(message) - 1 for message in part)
        process.turns()
    assert got == written


def test_the_last_message_is_the_exit_code(process: Process) -> None:
    os.write(process.stdout, b"bye")
    process.hub.drain()
    process.hub.dismiss(42, 5)
    assert process.told() == [b"obye", b"x42"]


@pytest.mark.parametrize("message", [b"r", b"r x y", b"r 99999 1", b"?", b"i"])
def test_nonsense_from_a_caller_changes_nothing(message: bytes) -> None:
    master, terminal = os.openpty()
    ours, theirs = attach_socket.pair()
    hub = Hub({}, terminal=master, clients=[theirs])
    for sent in (message, b"r41 99"):
        os.write(ours, sent)
        hub.turn(timeout=1)
    assert os.get_terminal_size(terminal) == (99, 41)
    hub.drain()
    hub.dismiss(0, 0)
    os.close(terminal)
    os.close(ours)


def test_callers_come_and_go(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)  # longer than the address of a socket may be
    deep.mkdir()
    hub = Hub({}, listener=attach_socket.listen(str(deep)))
    connection = attach_socket.connect(str(deep))
    hub.turn(timeout=1)
    os.write(connection, attach_socket.STOP)
    hub.turn(timeout=1)
    assert hub.is_stopped
    os.close(connection)
    hub.turn(timeout=1)
    attach_socket.discard(str(deep))
    with pytest.raises(OSError):
        attach_socket.connect(str(deep))
