"""Containers as a user meets them: at a terminal, in the background, killed, started again, checked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minidock.engine.workspace import open_workspace
from minidock.runtime.base import Isolation
from minidock.runtime.native import NativeRuntime
from tests.engine.building import import_base
from tests.engine.machine_image import machine_tar
from tests.engine.terminal_user import TerminalUser

PROJECT = Path(__file__).parents[2]
ENDURANCE = "while :; do sleep 0.05; done"


class Machine:
    """A store with the image ``base:1``, and the commands of minidock on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {"PATH": "/usr/bin:/bin", "MINIDOCK_ROOT": str(root), "PYTHONPATH": ":".join(sys.path)}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "minidock", *words]

    def call(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.command(*words), env=self.environment, input=stdin, capture_output=True, timeout=60, check=False
        )

    def run(self, *words: str, stdin: bytes = b"") -> str:
        """Return what a command that must succeed prints."""
        done = self.call(*words, stdin=stdin)
        assert done.returncode == 0, done
        return done.stdout.decode()

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command(*words), env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def at_terminal(self, *words: str, size: tuple[int, int] = (24, 80)) -> TerminalUser:
        return TerminalUser(self.command(*words), self.environment, size)

    def inspect(self, name: str) -> dict[str, Any]:
        (found,) = json.loads(self.run("inspect", name))
        assert isinstance(found, dict)
        return found

    def state(self, name: str) -> dict[str, Any]:
        state = self.inspect(name)["State"]
        assert isinstance(state, dict)
        return state

    def waits_for(self, what: Callable[[], bool], seconds: float = 20) -> None:
        until = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < until, "it does not happen"
            time.sleep(0.05)

    def waits_until_logs(self, name: str, text: str) -> None:
        self.waits_for(lambda: text in self.run("logs", name))

    def monitor(self, name: str) -> int:
        """Return the PID of the monitor of a container: the parent of the parent of its first process."""
        return parent_of(parent_of(int(self.state(name)["Pid"])))

    def processes(self) -> list[int]:
        """Return the processes that name this store, or a descriptor of it."""
        found = []
        for name in os.listdir("/proc"):
            if name.isdecimal() and int(name) != os.getpid():
                try:
                    words = Path(f"/proc/{name}/cmdline").read_bytes()
                except OSError:
                    continue
                if str(self.root).encode() in words:
                    found.append(int(name))
        return found

    def events(self, *words: str) -> list[str]:
        lines = self.run(
            "events", "--filter", "type=container", "--since", "1h", "--until", "0s", "--format", "json", *words
        ).splitlines()
        return [json.loads(line)["Action"] for line in lines]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture(scope="module")
def archive() -> bytes:
    return machine_tar()


@pytest.fixture
def machine(tmp_path: Path, archive: bytes) -> Iterator[Machine]:
    root = tmp_path / "store"
    if NativeRuntime().probe(str(tmp_path)).isolation is not Isolation.NAMESPACES:
        pytest.skip("no process can be started here")
    import_base(open_workspace(str(root)), archive)
    machine = Machine(root)
    yield machine
    machine.call("rm", "-f", *machine.run("ps", "-aq").split())
    machine.waits_for(lambda: not machine.processes())
    assert str(root) not in Path("/proc/self/mountinfo").read_text()


def test_a_container_at_a_terminal_is_left_and_entered_again(machine: Machine) -> None:
    user = machine.at_terminal("run", "-it", "--name", "box", "base:1", "sh", size=(33, 101))
    user.types("echo first-$((40 + 2))\n")
    user.sees("first-42")
    user.types("\x10\x11")
    assert user.ends() == 0
    assert machine.state("box")["Status"] == "running"

    user = machine.at_terminal("attach", "--detach-keys", "ctrl-x,y", "box")
    user.types("echo again-$((40 + 3))\n")
    user.sees("again-43")
    user.types("\x18y")
    assert user.ends() == 1
    assert user.shown.endswith(b"read escape sequence\r\n")

    user = machine.at_terminal("attach", "box")
    user.types("exit 7\n")
    assert user.ends() == 7
    assert "first-42" in machine.run("logs", "box")
    assert machine.events() == ["create", "attach", "start", "detach", "attach", "detach", "attach", "die"]


def test_the_container_learns_the_size_of_the_window(machine: Machine) -> None:
    script = "trap 'echo size-changed' WINCH; echo ready; while :; do sleep 0.05; done"
    user = machine.at_terminal("run", "-it", "--rm", "base:1", "sh", "-c", script)
    user.sees("ready")
    user.resize(41, 99)
    os.kill(user.pid, signal.SIGWINCH)
    user.sees("size-changed")
    user.types("\x03")
    assert user.ends() == 130
    assert machine.run("ps", "-aq") == ""


def test_several_callers_see_the_same(machine: Machine) -> None:
    machine.run("run", "-d", "-i", "--name", "box", "base:1", "cat")
    callers = [machine.start("attach", "box") for _ in range(2)]
    machine.waits_for(lambda: machine.events("--filter", "event=attach") == ["attach", "attach"])
    time.sleep(0.3)  # an event is written just before the first byte can be seen
    for number, caller in enumerate(callers):
        assert caller.stdin is not None
        caller.stdin.write(b"from %d\n" % number)
        caller.stdin.flush()
    for caller in callers:
        assert caller.stdout is not None
        assert sorted(caller.stdout.readline() for _ in callers) == [b"from 0\n", b"from 1\n"]
    machine.run("kill", "box")
    assert [caller.wait(20) for caller in callers] == [137, 137]
    for caller in callers:
        caller.communicate()


def test_attaching_needs_a_container_that_runs(machine: Machine) -> None:
    machine.run("create", "--name", "box", "base:1", "true")
    done = machine.call("attach", "box")
    assert (done.returncode, done.stderr) == (
        1,
        b"minidock: You cannot attach to a stopped container, start it first\n",
    )


def test_a_container_is_made_started_and_started_again(machine: Machine, tmp_path: Path) -> None:
    made = machine.run(
        "create",
        "--cidfile",
        str(tmp_path / "cid"),
        "--name",
        "box",
        "-i",
        "base:1",
        "sh",
        "-c",
        "cat >> /notes; cat /notes",
    )
    assert (tmp_path / "cid").read_text() == made.strip()
    assert machine.run("start", "-ai", "box", stdin=b"one\n") == "one\n"
    assert machine.run("start", "-ai", "box", stdin=b"two\n") == "one\ntwo\n"
    assert machine.run("logs", "box") == "one\none\ntwo\n"
    assert machine.run("wait", "box") == "0\n"


def test_a_file_for_the_id_must_not_exist(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "cid").write_text("")
    done = machine.call("run", "--cidfile", str(tmp_path / "cid"), "base:1", "true")
    assert done.returncode == 125
    assert b"container ID file found, make sure the other container isn't running or delete" in done.stderr
    assert machine.run("ps", "-aq") == ""


def test_what_was_made_to_be_removed_waits_for_its_first_start(machine: Machine) -> None:
    machine.run("create", "--rm", "--name", "box", "base:1", "true")
    machine.run("run", "base:1", "true")
    machine.run("start", "-a", "box")
    assert machine.run("ps", "-a", "-q", "--filter", "name=box") == ""


def test_a_container_is_started_again_until_it_has_failed_often_enough(machine: Machine) -> None:
    machine.run("run", "-d", "--name", "box", "--restart", "on-failure:2", "base:1", "sh", "-c", "echo run; exit 3")
    assert machine.run("wait", "box") == "3\n"
    assert machine.run("logs", "box") == "run\n" * 3
    found = machine.inspect("box")
    assert (found["RestartCount"], found["State"]["Status"], found["State"]["ExitCode"]) == (2, "exited", 3)
    assert machine.events("--filter", "event=die", "--filter", "event=start") == ["start", "die"] * 3


@pytest.mark.parametrize("command", ["stop", "kill", "rm -f"])
def test_whoever_ends_a_container_is_not_contradicted(machine: Machine, command: str) -> None:
    machine.run("run", "-d", "--name", "box", "--restart", "always", "base:1", "sh", "-c", "exit 1")
    machine.waits_for(lambda: int(machine.inspect("box")["RestartCount"]) >= 2)
    done = machine.call(*command.split(), "box")
    if command == "kill" and done.returncode:  # it was just between two runs
        assert b"is not running" in done.stderr
        machine.run("stop", "box")
    machine.waits_for(lambda: not machine.processes())
    assert machine.run("ps", "-q") == ""


def test_a_container_that_is_started_again_can_be_restarted_by_hand(machine: Machine) -> None:
    script = f"echo up; trap 'exit 0' TERM; {ENDURANCE}"
    machine.run("run", "-d", "--name", "box", "--restart", "unless-stopped", "base:1", "sh", "-c", script)
    machine.waits_until_logs("box", "up\n")
    machine.run("restart", "box")
    machine.waits_until_logs("box", "up\nup\n")
    assert machine.events() == ["create", "start", "kill", "die", "stop", "start", "restart"]


def test_restart_and_rm_exclude_each_other(machine: Machine) -> None:
    done = machine.call("run", "--rm", "--restart", "always", "base:1", "true")
    assert done.returncode == 125
    assert done.stderr.startswith(b"minidock: conflicting options: cannot specify both --restart and --rm\n")


def test_a_killed_monitor_takes_the_container_along_and_the_next_command_tidies_up(machine: Machine) -> None:
    machine.run("run", "-d", "--name", "box", "--restart", "always", "base:1", "sleep", "1000")
    first = int(machine.state("box")["Pid"])
    os.kill(machine.monitor("box"), signal.SIGKILL)
    machine.waits_for(lambda: not machine.state("box")["Running"])
    assert machine.state("box")["ExitCode"] == 137
    machine.run("run", "base:1", "true")
    assert not os.path.exists(f"/proc/{first}") or parent_of(first) == 1
    directory = machine.root / "containers" / machine.inspect("box")["Id"]
    assert not (directory / "attach").exists()
    written = json.loads((directory / "state.json").read_text())
    assert (written["status"], written["exit_code"], bool(written["finished_at"])) == ("exited", 137, True)
    machine.run("start", "box")
    assert machine.state("box")["Running"]


def test_the_death_of_the_process_is_an_end_like_any_other(machine: Machine) -> None:
    machine.run("run", "-d", "--name", "box", "base:1", "sleep", "1000")
    os.kill(int(machine.state("box")["Pid"]), signal.SIGKILL)
    assert machine.run("wait", "box") == "137\n"
    assert machine.state("box")["Status"] == "exited"


def test_a_container_outlives_its_caller_at_a_terminal(machine: Machine) -> None:
    user = machine.at_terminal("run", "-it", "--name", "box", "base:1", "sh")
    user.types("echo here-$((1 + 1))\n")
    user.sees("here-2")
    os.kill(user.pid, signal.SIGKILL)
    user.ends()
    assert machine.state("box")["Status"] == "running"


def test_a_caller_that_is_killed_takes_along_what_runs_in_it(machine: Machine) -> None:
    caller = machine.start("run", "--name", "box", "base:1", "sh", "-c", "echo up; sleep 1000")
    assert caller.stdout is not None
    assert caller.stdout.readline() == b"up\n"
    caller.kill()
    caller.communicate()
    machine.waits_for(lambda: not machine.state("box")["Running"])
    assert machine.state("box")["ExitCode"] == 137


def test_an_init_reaps_orphans_and_passes_signals_on(machine: Machine) -> None:
    script = f"trap 'echo asked; exit 9' TERM; (sleep 0.1 &); sleep 0.4; ls -d /proc/[0-9]*; echo up; {ENDURANCE}"
    machine.run("run", "-d", "--init", "--name", "box", "base:1", "sh", "-c", script)
    machine.waits_until_logs("box", "up")
    assert "/proc/1\n/proc/2\n" in machine.run("logs", "box")
    pid = int(machine.state("box")["Pid"])
    for name in ("exe", "mem"):  # nobody inside can look into it
        assert machine.call("exec", "box", "cat", f"/proc/1/{name}").returncode != 0
    machine.run("stop", "box")
    assert machine.state("box")["ExitCode"] == 9
    assert machine.run("logs", "box").endswith("asked\n")
    assert not os.path.exists(f"/proc/{pid}")


def test_a_container_with_an_init_is_entered_and_seen_like_any_other(machine: Machine) -> None:
    health = ("--health-cmd", "cat /ok", "--health-interval", "300ms")
    machine.run("run", "-d", "--init", "--network", "bridge", *health, "--name", "box", "base:1", "sh", "-c", ENDURANCE)
    machine.run("exec", "box", "sh", "-c", "echo content > /ok")
    machine.waits_for(lambda: machine.state("box")["Health"]["Status"] == "healthy")
    assert b"content" in machine.call("cp", "box:/ok", "-").stdout
    assert machine.run("diff", "box") == "A /ok\n"
    pid = str(machine.state("box")["Pid"])
    programs = {line.split(None, 1)[0]: line for line in machine.run("top", "box", "-eo", "pid,args").splitlines()[1:]}
    assert pid in programs
    assert any(ENDURANCE in line for line in programs.values())
    assert int(machine.run("stats", "--no-stream", "--format", "{{.PIDs}}", "box")) >= 2
    machine.run("pause", "box")
    assert machine.state("box")["Status"] == "paused"
    machine.run("unpause", "box")
    hosts = machine.run("exec", "box", "cat", "/etc/hosts")
    assert machine.run("run", "--rm", "--network", "container:box", "base:1", "cat", "/etc/hosts") == hosts


def test_an_init_leaves_the_terminal_to_the_program(machine: Machine) -> None:
    user = machine.at_terminal(
        "run", "-it", "--init", "--rm", "base:1", "sh", "-c", "trap 'exit 4' INT; echo up; sleep 9"
    )
    user.sees("up")
    user.types("\x03")
    assert user.ends() == 4


def test_health_is_looked_after(machine: Machine) -> None:
    options = ["--health-cmd", "cat /ok", "--health-interval", "300ms", "--health-retries", "2"]
    machine.run("run", "-d", "--name", "box", *options, "base:1", "sleep", "1000")
    assert machine.state("box")["Health"]["Status"] == "starting"
    machine.waits_for(lambda: machine.state("box")["Health"]["Status"] == "unhealthy")
    assert "(unhealthy)" in machine.run("ps")
    last = machine.state("box")["Health"]["Log"][-1]
    assert (last["ExitCode"], "No such file" in last["Output"]) == (1, True)
    machine.run("exec", "box", "touch", "/ok")
    machine.waits_for(lambda: machine.state("box")["Health"]["Status"] == "healthy")
    assert len(machine.state("box")["Health"]["Log"]) <= 5
    assert machine.state("box")["Health"]["FailingStreak"] == 0
    assert machine.run("ps", "-q", "--filter", "health=healthy") != ""
    assert machine.events("--filter", "event=health_status") == ["health_status: unhealthy", "health_status: healthy"]


def test_a_check_that_takes_too_long_has_failed(machine: Machine) -> None:
    options = ["--health-cmd", "echo waiting; sleep 99", "--health-interval", "100ms", "--health-timeout", "500ms"]
    machine.run("run", "-d", "--name", "box", *options, "--health-retries", "1", "base:1", "sleep", "1000")
    machine.waits_for(lambda: machine.state("box")["Health"]["Status"] == "unhealthy")
    result = machine.state("box")["Health"]["Log"][0]
    assert (result["ExitCode"], result["Output"]) == (-1, "Health check exceeded timeout (0.5s): waiting\n")


def test_a_process_of_exec_goes_on_without_its_caller(machine: Machine) -> None:
    machine.run("run", "-d", "--name", "box", "base:1", "sleep", "1000")
    machine.run("exec", "-d", "box", "sh", "-c", "echo done > /file")
    machine.waits_for(lambda: machine.call("exec", "box", "cat", "/file").stdout == b"done\n")
    user = machine.at_terminal("exec", "-it", "box", "sh")
    user.types("echo at-$((5 + 5)); sleep 0.5; touch /later\n")
    user.sees("at-10")
    user.types("\x10\x11")
    assert user.ends() == 1
    machine.waits_for(lambda: machine.call("exec", "box", "ls", "/later").returncode == 0)


def test_exec_ends_with_the_container(machine: Machine) -> None:
    machine.run("run", "-d", "--name", "box", "base:1", "sleep", "1000")
    machine.run("exec", "-d", "box", "sleep", "1000")
    machine.run("kill", "box")
    machine.waits_for(lambda: not machine.processes())


def test_a_container_with_another_name_is_the_same(machine: Machine) -> None:
    machine.run("run", "-d", "--name", "box", "base:1", "sleep", "1000")
    machine.run("create", "--name", "other", "base:1", "true")
    done = machine.call("rename", "box", "other")
    assert done.returncode == 1
    assert b'The container name "/other" is already in use by container' in done.stderr
    machine.run("rename", "box", "new-name")
    assert machine.state("new-name")["Running"]
    machine.run("rm", "-f", "new-name")
    assert machine.run("ps", "-q") == ""


def test_large_input_and_output_pass_through_a_terminal_less_monitor(machine: Machine) -> None:
    data = os.urandom(3 << 20)
    options = ["run", "-i", "--rm", "--health-cmd", "true", "base:1", "cat"]  # a check needs a monitor of its own
    done = machine.call(*options, stdin=data)
    assert (done.returncode, done.stdout == data) == (0, True)
