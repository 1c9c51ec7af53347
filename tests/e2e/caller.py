"""Calls minidock hundreds of times without paying for hundreds of starts: a server forks for each command.

The forked process calls the program's own entry point with the words of a command line, alone in a process group, its
output in files: what users call, but for the seconds in which an interpreter starts.
"""

from __future__ import annotations

import json
import os
import pkgutil
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from tests.other_users import environment


class Called(NamedTuple):
    """How a command ended; the code is negative if a signal ended it."""

    code: int
    out: str
    err: str


class Caller:
    """A server for one user and one store; leave it by `close`. Commands run in ``place``."""

    def __init__(
        self, place: Path, root: Path, become: Callable[[], None] | None, variables: Mapping[str, str]
    ) -> None:
        # Elsewhere than in ``place``, which may be a disk without space; another user writes there.
        self._outputs = tempfile.mkdtemp(prefix="minidock-")
        os.chmod(self._outputs, 0o777)
        self._server = subprocess.Popen(
            [sys.executable, "-c", "from tests.e2e.caller import serve; serve()", self._outputs],
            cwd=place,
            env=environment()
            | {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(place), "MINIDOCK_ROOT": str(root)}
            | dict(variables),
            preexec_fn=become,  # noqa: PLW1509  # whoever runs tests has one thread
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def start(self, *words: str) -> int:
        """Start a command; return its process ID, which is that of its process group too."""
        return int(self._ask({"start": words})["pid"])

    def finish(self, pid: int, seconds: float = 300) -> Called:
        """Wait for the end of a command."""
        answer = self._ask({"finish": pid}, seconds)
        called = Called(answer["code"], answer["out"], answer["err"])
        assert "Traceback" not in called.err, called.err
        assert "internal error" not in called.err, called.err
        return called

    def call(self, *words: str) -> Called:
        """Run a command to its end."""
        return self.finish(self.start(*words))

    def _ask(self, question: Mapping[str, object], seconds: float = 60) -> dict[str, object]:
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write(f"{json.dumps(question)}\n".encode())
        self._server.stdin.flush()
        assert select.select([self._server.stdout], [], [], seconds)[0], f"no answer to {question}"
        answer: dict[str, object] = json.loads(self._server.stdout.readline())
        return answer

    def close(self) -> None:
        """End the server."""
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.close()
        self._server.stdout.close()
        self._server.wait(30)
        shutil.rmtree(self._outputs)


def serve() -> None:
    """Answer one question a line, until there are no more."""
    import minidock

    # What a command would import is here already; nothing of it acts by being imported.
    for module in pkgutil.walk_packages(minidock.__path__, "minidock."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    place = sys.argv[1]
    for line in sys.stdin:
        question = json.loads(line)
        answer = (
            _finish(place, question["finish"]) if "finish" in question else {"pid": _start(question["start"], place)}
        )
        print(json.dumps(answer), flush=True)


def _start(words: list[str], place: str) -> int:
    pid = os.fork()
    if pid:
        os.setpgid(pid, pid)
        return pid
    os.setpgid(0, 0)  # whoever of the two is first
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(_output(place, os.getpid(), name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.closerange(3, 64)
    from minidock.cli.app import entry

    sys.argv = ["minidock", *words]
    code = 70
    try:
        entry()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _finish(place: str, pid: int) -> dict[str, object]:
    _, status = os.waitpid(pid, 0)
    answer: dict[str, object] = {"code": os.waitstatus_to_exitcode(status)}
    for name in ("out", "err"):
        path = Path(_output(place, pid, name))  # it may have been killed before it had any
        answer[name] = path.read_text("utf-8", "surrogateescape") if path.exists() else ""
        path.unlink(missing_ok=True)
    return answer


def _output(place: str, pid: int, name: str) -> str:
    return f"{place}/.{pid}.{name}"
