from __future__ import annotations

import os
import subprocess
import sys

import pytest

from minidock.runtime import interpreter


def test_a_sealed_copy_runs_and_cannot_be_changed() -> None:
    copy = interpreter.sealed_copy(os.path.realpath(sys.executable))
    try:
        command = [sys.executable, "-I", "-S", "-c", "print(6 * 7)"]
        ran = subprocess.run(
            command, executable=f"/proc/self/fd/{copy}", pass_fds=[copy], capture_output=True, text=True, check=True
        )
        assert ran.stdout == "42\n"
        with pytest.raises(PermissionError):
            os.pwrite(copy, b"#!", 0)
    finally:
        os.close(copy)
