from __future__ import annotations

import os
import re
from pathlib import Path

from minidock.store.container_log import STDERR, STDOUT, LogReader, LogWriter, now, open_log
from minidock.store.faults import Fault, FaultyDisk
from minidock.store.writer import Disk


def written(path: Path, *chunks: tuple[str, bytes]) -> None:
    path.touch()
    fd = open_log(str(path))
    for stream, data in chunks:
        LogWriter(Disk(), fd).write(stream, data)
    os.close(fd)


def read(reader: LogReader) -> list[tuple[str, bytes]]:
    return [(stream, data) for _, stream, data in reader.entries()]


def test_bytes_come_back_line_by_line_with_their_stream(tmp_path: Path) -> None:
    path = tmp_path / "log"
    written(path, (STDOUT, b"one\ntwo"), (STDERR, b"\n\xff bad\n"), (STDOUT, b" rest\n\n"))
    assert read(LogReader(str(path))) == [
        (STDOUT, b"one\n"),
        (STDOUT, b"two"),
        (STDERR, b"\n"),
        (STDERR, b"\xff bad\n"),
        (STDOUT, b" rest\n"),
        (STDOUT, b"\n"),
    ]


def test_reader_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "log"
    reader = LogReader(str(path))
    assert read(reader) == []
    written(path, (STDOUT, b"one\n"))
    assert read(reader) == [(STDOUT, b"one\n")]
    assert read(reader) == []
    written(path, (STDOUT, b"two\n"))
    assert read(reader) == [(STDOUT, b"two\n")]


def test_entry_that_was_cut_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "log"
    written(path, (STDOUT, b"one\n"), (STDOUT, b"two\n"))
    path.write_bytes(path.read_bytes()[:-1])
    assert read(LogReader(str(path))) == [(STDOUT, b"one\n")]


def test_full_disk_does_not_stop_a_container(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    fd = open_log(str(path))
    LogWriter(FaultyDisk(1, Fault.NO_SPACE), fd).write(STDOUT, b"lost\n")
    os.close(fd)
    assert path.read_bytes() == b""


def test_time_has_nanoseconds() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", now())
