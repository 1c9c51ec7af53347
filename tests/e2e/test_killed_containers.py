"""kill -9 of whoever has to do with a container: nothing of it stays in the machine, and states are right.

For root, for a plain user with a single id, and for one with ranges of ids.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.other_users import PLAIN_ID, become_plain, environment, public_place, python_for_everybody, ranged_user

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users, and see what is left of them"),
]

PATIENCE = 60.0
OWN_NETWORK = ("--network", "mine")
HOST_PROCESSES = ("--pid", "host")


class Boxes:
    """minidock as some user, with a store of its own, an image ``base:1`` and a network ``mine``."""

    def __init__(self, python: str, place: Path, become: Callable[[], None]) -> None:
        self._python, self._become = python, become
        self.root = place / "store"
        self._environment = environment() | {"HOME": str(place), "MINIDOCK_ROOT": str(self.root)}
        self.must("image", "from-host", "-t", "base:1", "sh", "sleep", "true", "touch")
        self.must("network", "create", "mine")

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [self._python, "-m", "minidock", *words],
            env=self._environment,
            cwd="/",
            preexec_fn=self._become,  # noqa: PLW1509  # there are no threads
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def must(self, *words: str) -> str:
        with self.start(*words) as process:
            out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, (words, out, err)
        return out.decode().strip()

    def state(self) -> tuple[str, int, int]:
        """Return status, exit code and PID of the container ``box``."""
        (found,) = json.loads(self.must("inspect", "box"))
        state = found["State"]
        return state["Status"], state["ExitCode"], state["Pid"]


@pytest.fixture(scope="module", params=["root", "single", "range"])
def boxes(request: pytest.FixtureRequest) -> Iterator[Boxes]:
    with public_place() as place, ExitStack() as stack:
        become: Callable[[], None] = int  # root stays root
        if request.param == "single":
            become = become_plain
            os.chown(place, PLAIN_ID, PLAIN_ID)
        if request.param == "range":
            user = stack.enter_context(ranged_user())
            become = user.become
            os.chown(place, user.uid, user.gid)
        made = Boxes(python_for_everybody(), place, become)
        assert f"ID Mode: {request.param} " in made.must("info")
        yield made


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < until, "it does not happen"
        time.sleep(0.05)


def chain(pid: int, length: int) -> list[int]:
    """Return a process, its parent, and so on."""
    found = [pid]
    while len(found) < length:
        found.append(int(Path(f"/proc/{found[-1]}/stat").read_text().rpartition(")")[2].split()[1]))
    return found


def started(pid: int) -> str:
    """Return when a process was started, in ticks: with its PID that is nobody else; empty if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def family(pid: int) -> dict[int, str]:
    """Return a process and all below it with their times, the network's relay among them."""
    children: dict[int, list[int]] = {}
    for one in map(int, filter(str.isdecimal, os.listdir("/proc"))):
        try:
            children.setdefault(chain(one, 2)[1], []).append(one)
        except OSError:
            continue
    found, left = {}, [pid]
    while left:
        found[left[0]] = started(left[0])
        left += children.get(left.pop(0), [])
    return found


def called(word: str) -> list[int]:
    """Return the processes whose command line has ``word`` in it."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes()
        except OSError:
            continue
        if word.encode() in words and int(name) != os.getpid():
            found.append(int(name))
    return found


@pytest.mark.parametrize(
    ("options", "victim"),
    [
        (OWN_NETWORK, "process"),
        (OWN_NETWORK, "launcher"),
        (OWN_NETWORK, "monitor"),
        (HOST_PROCESSES, "process"),
        (HOST_PROCESSES, "inner guard"),
        (HOST_PROCESSES, "outer guard"),
        (HOST_PROCESSES, "monitor"),
        (OWN_NETWORK, "caller"),
        (HOST_PROCESSES, "caller"),
    ],
)
def test_whoever_is_killed_nothing_stays(boxes: Boxes, options: tuple[str, ...], victim: str) -> None:
    mark = f"1000.{os.getpid()}"
    script = f"touch /data/made; sleep {mark} & sleep {mark}"
    words = ("run", "--name", "box", "-v", "vol:/data", *options, "base:1", "sh", "-c", script)
    if victim == "caller":
        with boxes.start(*words) as caller:
            wait_for(lambda: len(called(f"sleep\0{mark}")) == 2)
            pid = boxes.state()[2]
            concerned = family(caller.pid)
            caller.kill()
            caller.communicate(timeout=PATIENCE)
    else:
        boxes.must(words[0], "-d", *words[1:])
        wait_for(lambda: len(called(f"sleep\0{mark}")) == 2)
        pid = boxes.state()[2]
        links = ["process", "launcher", "monitor"]
        if options == HOST_PROCESSES:
            links = ["process", "inner guard", "outer guard", "monitor"]
        line = chain(pid, len(links))
        concerned = family(line[-1])
        os.kill(line[links.index(victim)], signal.SIGKILL)
    assert len(concerned) >= 4
    wait_for(lambda: not called(mark))
    wait_for(lambda: boxes.state()[0] == "exited")
    assert boxes.state() == ("exited", 137, 0)

    boxes.must("run", "--rm", "base:1", "true")  # a command that writes: what the dead ones left goes
    wait_for(lambda: not called(str(boxes.root)))
    assert [one for one, moment in concerned.items() if started(one) == moment] == []
    assert str(boxes.root) not in Path("/proc/self/mountinfo").read_text()
    container = boxes.must("inspect", "-f", "{{.Id}}", "box")
    assert not [path for path in Path("/sys/fs/cgroup").glob("**/*") if container in path.name]
    boxes.must("start", "box")  # and it can be had again
    boxes.must("rm", "-f", "box")
    boxes.must("volume", "rm", "vol")
    assert os.listdir(boxes.root / "containers") == []
    assert not called(mark)
