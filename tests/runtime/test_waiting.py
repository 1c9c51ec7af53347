"""Stubs that are started ahead: processes are the same, and nobody stays who is not needed."""

from __future__ import annotations

import os
import signal

from tests.runtime.contract import NOTHING
from tests.runtime.machine import Containers, children


def test_a_process_is_started_by_the_stub_that_waits(box: Containers) -> None:
    box.runtime.prepare()
    box.runtime.prepare()
    waiting = int(children())
    handle = box.runtime.start(box.shell("exit 5"), NOTHING)
    assert (handle.child, handle.wait()) == (waiting, 5)


def test_its_streams_are_those_of_the_process(box: Containers) -> None:
    box.runtime.prepare()
    assert box.run(box.shell("echo out; echo err >&2; ls /proc/self/fd; exit 3")) == (3, "out\nerr\n0\n1\n2\n3\n")


def test_one_that_is_dismissed_is_gone(box: Containers) -> None:
    box.runtime.prepare()
    box.runtime.dismiss()
    box.runtime.dismiss()
    assert children() == ""


def test_one_that_has_been_killed_is_replaced(box: Containers) -> None:
    box.runtime.prepare()
    waiting = int(children())
    os.kill(waiting, signal.SIGKILL)
    os.waitid(os.P_PID, waiting, os.WEXITED | os.WNOWAIT)
    assert box.run(box.shell("echo here")) == (0, "here\n")


def test_a_fork_starts_its_own(box: Containers) -> None:
    box.runtime.prepare()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = box.runtime.start(box.shell("exit 7"), NOTHING).wait()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    box.runtime.dismiss()
    assert children() == ""
