"""Ctrl-C, and Ctrl-C again: whoever waits for threads returns when their work is over, and not before."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

_CREW = """
from minidock.engine.crew import Crew
crew = Crew(lambda: None)
def run(): crew.run([work] * 5)
def is_wanted(): crew.check(); return True
"""
_STAGES = """
from minidock.engine.side_by_side import Cancellation, Stages
cancellation = Cancellation()
def run(): Stages(lambda index: work(), cancellation).run(range(5))
def is_wanted(): cancellation.check(); return True
"""
_SLOW = """
from minidock.engine.side_by_side import Cancellation, Stages
class Slow(Cancellation):
    def cancel(self):
        time.sleep(0.2)
        super().cancel()
cancellation = Slow()
def run(): Stages(lambda index: work(), cancellation).run(range(5))
def is_wanted(): cancellation.check(); return True
"""
_PROGRAM = """
import signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)
begun, ended = [], []
def work():
    begun.append(1)
    print("begun", flush=True)
    try:
        while is_wanted():
            time.sleep(0.01)
    finally:
        time.sleep(0.5)  # what a thread does between two looks
        ended.append(1)
{what}
try:
    run()
except KeyboardInterrupt:
    print(len(begun) - len(ended), "run", flush=True)
"""


@pytest.mark.parametrize("what", [_CREW, _STAGES, _SLOW], ids=["a crew", "stages", "stages that are slow to end"])
@pytest.mark.parametrize("more", [0, 1, 5])
def test_nobody_works_on_when_it_is_over(what: str, more: int) -> None:
    words = [sys.executable, "-c", _PROGRAM.format(what=what)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(2):
            process.stdout.readline()
        for _ in range(1 + more):
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        try:
            said, problems = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (said.splitlines()[-1:], problems, process.returncode) == (["0 run"], "", 0)
