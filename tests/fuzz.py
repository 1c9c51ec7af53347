"""Fuzzing of everything that reads what users write in builds: ``python -m tests.fuzz [INPUTS]``.

Coverage-guided where atheris is installed (``pip install atheris``): then inputs that reach new code join the corpus
(`tests.fuzz_targets`). Elsewhere as many random changes of the corpus are tried.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import tempfile
from hashlib import sha1
from pathlib import Path

from tests.fuzz_targets import CORPUS, changed, corpus, one

_COUNT = 200_000
_LONGEST = 2_000
_MOST_SECONDS = 20  # for one input, on a machine with other things to do


def guided(count: int) -> int:
    """Let atheris choose the inputs; keep the smallest ones that reach what all of them reach."""
    with tempfile.TemporaryDirectory() as place:
        found, kept = Path(place) / "found", Path(place) / "kept"
        found.mkdir()
        kept.mkdir()
        program = Path(place) / "program"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m tests.fuzz --atheris "$0" "$@"\n')
        program.chmod(0o755)
        for data in corpus():
            (found / sha1(data).hexdigest()).write_bytes(data)
        code = _atheris(program, str(found), f"-runs={count}", "-print_final_stats=1")
        if code == 0:
            code = _atheris(program, "-merge=1", str(kept), str(found))
        if code == 0:
            inputs = sorted((path.read_bytes() for path in kept.iterdir()), key=lambda data: (len(data), data))
            CORPUS.write_text("".join(base64.b64encode(data).decode() + "\n" for data in inputs))
        return code


def _atheris(program: Path, *words: str) -> int:
    """Run atheris, which starts ``program`` for parts of its work."""
    return subprocess.run(
        [str(program), f"-timeout={_MOST_SECONDS}", f"-max_len={_LONGEST}", *words], check=False
    ).returncode


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
        atheris.Setup(arguments[1:], one)
        atheris.Fuzz()
    return guided(int(arguments[0]) if arguments else _COUNT)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
