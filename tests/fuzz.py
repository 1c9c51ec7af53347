"""Fuzzing of everything that reads what users write in builds: ``python -m tests.fuzz [INPUTS]``.

Coverage-guided where atheris is installed (``pip install atheris``): then inputs that reach new code join
``tests/core/dockerfile/corpus.txt``. Elsewhere as many random changes of the corpus are tried.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from hashlib import sha1
from pathlib import Path

from minidock.core.build_options import AgentOption, Output, SecretOption
from minidock.core.dockerfile import run_mounts, words
from minidock.core.dockerfile.glob import match
from minidock.core.dockerfile.heredocs import heredocs_of_line
from minidock.core.dockerfile.ignore import IgnoreRules
from minidock.core.dockerfile.problem import InstructionError
from minidock.core.file_mode import ModeChange
from minidock.core.platform import Platform
from minidock.core.reference import Reference
from minidock.errors import MinidockError
from tests.core.dockerfile.test_fuzz import CORPUS, changed, corpus, survives

_COUNT = 200_000
_ENV = {"a": "1", "e": "", "p": "/usr/local/lib:x"}


def ignores(text: str) -> None:
    """Read an ignore file and ask it about paths."""
    rules = IgnoreRules.parse(text)
    for path in ("a", "a/b.txt", "a/b/c/d", "."):
        rules.is_ignored(path)
        rules.may_hold_included(path)
        rules.matches(path)


READERS: tuple[Callable[[str], object], ...] = (
    ignores,
    lambda text: words.expansion(text, _ENV),
    lambda text: words.expand_body(text, _ENV),
    words.split_words,
    lambda text: words.shown(text, _ENV, is_command=True),
    lambda text: run_mounts.parse(text, lambda value: words.expand(value, _ENV)),
    heredocs_of_line,
    Reference.parse,
    Platform.parse,
    ModeChange.parse,
    lambda text: match(text, "a/b.txt"),
    SecretOption.parse,
    AgentOption.parse,
    Output.parse,
)


def one(data: bytes) -> None:
    """Give an input to the parser of Dockerfiles, or, after a byte that chooses, to one of the smaller readers."""
    if not data or data[0] >= len(READERS):
        survives(data)
        return
    try:
        READERS[data[0]](data[1:].decode(errors="replace"))
    except (MinidockError, InstructionError):
        return


def guided(count: int) -> int:
    """Let atheris choose the inputs; keep what reaches new code."""
    with tempfile.TemporaryDirectory() as place:
        for data in corpus():
            (Path(place) / sha1(data).hexdigest()).write_bytes(data)
        words_ = [sys.executable, "-m", "tests.fuzz", "--atheris", place, f"-runs={count}", "-timeout=10"]
        code = subprocess.run([*words_, "-max_len=2000", "-print_final_stats=1"], check=False).returncode
        if code == 0:
            kept = sorted({path.read_bytes() for path in Path(place).iterdir()}, key=lambda data: (len(data), data))
            CORPUS.write_text("".join(base64.b64encode(data).decode() + "\n" for data in kept))
        return code


def main(arguments: list[str]) -> int:
    """Fuzz; the exit code is not 0 if an input made anything but one of our own errors."""
    try:
        import atheris
    except ImportError:
        for data in changed(corpus(), int(arguments[0]) if arguments else _COUNT, seed=int.from_bytes(os.urandom(4))):
            one(data)
        return 0
    if arguments[:1] == ["--atheris"]:
        atheris.instrument_all()
        atheris.Setup([sys.argv[0], *arguments[1:]], one)
        atheris.Fuzz()
    return guided(int(arguments[0]) if arguments else _COUNT)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
