"""Networks of containers from end to end: the command line, real processes, real traffic; as root and plain user."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.other_users import PLAIN_ID, environment, public_place

PYTHON = Path("/usr/bin/python3").resolve()
LIBRARY = Path("/usr/lib") / PYTHON.name
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not LIBRARY.is_dir(), reason="needs the system's Python for programs in containers"),
]

ECHO = """
import socket, sys, threading
kind = socket.SOCK_STREAM if sys.argv[1] == "tcp" else socket.SOCK_DGRAM
one = socket.socket(socket.AF_INET6, kind)
one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
one.bind(("::", int(sys.argv[2])))
def serve(peer):
    while data := peer.recv(1 << 16):
        peer.sendall(data)
    peer.shutdown(socket.SHUT_WR)
if kind == socket.SOCK_STREAM:
    one.listen(512)
    print("ready", flush=True)
    while True:
        threading.Thread(target=serve, args=(one.accept()[0],), daemon=True).start()
print("ready", flush=True)
while True:
    data, peer = one.recvfrom(1 << 16)
    one.sendto(data, peer)
"""
ASK_TCP = """
import socket, sys
one = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
one.sendall(b"hello"); one.shutdown(socket.SHUT_WR)
print(one.makefile("rb").read().decode())
"""
IPV6_ONLY = """
import socket
ask = socket.getaddrinfo
socket.getaddrinfo = lambda host, port, family=0, *rest, **more: ask(host, port, socket.AF_INET6, *rest, **more)
"""
ASK_UDP = """
import socket, sys
family, kind, protocol, _, address = socket.getaddrinfo(sys.argv[1], int(sys.argv[2]), type=socket.SOCK_DGRAM)[0]
one = socket.socket(family, kind)
one.settimeout(5); one.connect(address); one.send(b"hello " + b"x" * int(sys.argv[3])); print(len(one.recv(1 << 16)))
"""


class Minidock:
    """The command line as some user, with a store of its own and an image with Python."""

    def __init__(self, place: Path, user: int | None) -> None:
        self._user = user
        self.is_root = user is None and os.geteuid() == 0
        self.place = place
        self._environment = environment() | {
            "PATH": "/usr/sbin:/usr/bin:/bin",
            "HOME": str(place),
            "MINIDOCK_ROOT": str(place / "store"),
        }
        self.must("image", "from-host", "-t", "net:1", "sh", "cat", "sleep", "ls", PYTHON.name)

    def popen(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "minidock", *words],
            env=self._environment,
            cwd=self.place,
            user=self._user,
            group=self._user,
            extra_groups=None if self._user is None else [],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        with self.popen(*words) as process:
            out, err = process.communicate(timeout=60)
            return process.returncode, out.strip(), err.strip()

    def must(self, *words: str) -> str:
        code, out, err = self.run(*words)
        assert code == 0, (words, out, err)
        return out

    def python(self, options: list[str], program: str, *args: object) -> str:
        return self.must("run", "--rm", *options, *self.command(program, *args))

    def command(self, program: str, *args: object) -> list[str]:
        mount = ["-v", f"{LIBRARY}:{LIBRARY}:ro", "--stop-signal", "KILL"]
        return [*mount, "net:1", PYTHON.name, "-S", "-c", program, *map(str, args)]

    def serve(self, options: list[str], kind: str, port: int) -> str:
        """Start a container that echoes; return its ID once it listens."""
        container = self.must("run", "-d", *options, *self.command(ECHO, kind, port))
        wait_for(lambda: "ready" in self.run("logs", container)[1])
        return container

    def ports(self, container: str) -> dict[str, tuple[str, int]]:
        found = {}
        for line in self.must("port", container).splitlines():
            target, _, address = line.partition(" -> ")
            host, _, number = address.rpartition(":")
            found[f"{target} {host}"] = (host.strip("[]"), int(number))
        return found

    def relay_of(self, container: str) -> int:
        """Return the PID of the relay of a container: the launcher's child that is not the container."""
        pid = int(json.loads(self.must("inspect", container))[0]["State"]["Pid"])
        stub = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        children = Path(f"/proc/{stub}/task/{stub}/children").read_text().split()
        (relay,) = (int(child) for child in children if int(child) != pid)
        return relay


def wait_for(is_true: Callable[[], object], seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def is_free(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@pytest.fixture(scope="module", params=["root", "plain"])
def minidock(request: pytest.FixtureRequest) -> Iterator[Minidock]:
    is_root = os.geteuid() == 0
    if request.param == "root" and not is_root:
        pytest.skip("this is a plain user")
    with public_place() as place:
        if request.param == "plain" and is_root:
            place.chmod(0o755)
            os.chown(place, PLAIN_ID, PLAIN_ID)
            made = Minidock(place, PLAIN_ID)
        else:
            made = Minidock(place, None)
        yield made
        for container in made.must("ps", "-aq").split():
            made.run("rm", "-f", container)
        made.run("system", "reset", "-f")
        shutil.rmtree(place / "store", ignore_errors=True)


@pytest.fixture
def clean(minidock: Minidock) -> Iterator[Minidock]:
    yield minidock
    for container in minidock.must("ps", "-aq").split():
        minidock.must("rm", "-f", container)
    minidock.must("network", "prune", "-f")


@contextmanager
def serving(family: int, kind: int, address: tuple[str, int], serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Call ``serve`` on the host, again and again; give the number of the port."""
    with socket.socket(family, kind) as server:
        server.bind(address)
        server.settimeout(0.1)
        if kind == socket.SOCK_STREAM:
            server.listen()
        is_over = threading.Event()

        def run() -> None:
            while not is_over.is_set():
                try:
                    serve(server)
                except TimeoutError:
                    continue

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            is_over.set()
            thread.join()


def echo(server: socket.socket) -> None:
    if server.type == socket.SOCK_DGRAM:
        data, peer = server.recvfrom(1 << 16)
        server.sendto(data, peer)
        return
    connection = server.accept()[0]
    with connection:
        while data := connection.recv(1 << 16):
            connection.sendall(data)


def name_server(server: socket.socket) -> None:
    """Answer that every name has the address 10.1.2.3."""
    query, peer = server.recvfrom(4096)
    end = query.index(b"\0", 12) + 5
    is_a = query[end - 4 : end - 2] == b"\0\1"
    answer = b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4\x0a\1\2\3" if is_a else b""
    head = query[:2] + b"\x81\x80\0\1" + struct.pack(">HHH", is_a, 0, 0)
    server.sendto(head + query[12:end] + answer, peer)


def test_host_network_and_none_show_the_devices_they_should(clean: Minidock) -> None:
    devices = sorted(os.listdir("/sys/class/net"))
    assert sorted(clean.must("run", "--rm", "net:1", "ls", "/sys/class/net").split()) == devices
    assert clean.must("run", "--rm", "--network", "none", "net:1", "ls", "/sys/class/net") == "lo"
    assert clean.must("run", "--rm", "--network", "bridge", "net:1", "ls", "/sys/class/net") == "eth0\nlo"


@pytest.mark.parametrize("program", [ASK_TCP, ASK_UDP])
def test_the_host_is_reached_only_where_that_was_asked_for(clean: Minidock, program: str) -> None:
    kind = socket.SOCK_STREAM if program is ASK_TCP else socket.SOCK_DGRAM
    with serving(socket.AF_INET, kind, ("127.0.0.1", 0), echo) as port:
        said = clean.python(["--network", "bridge", "--add-host", "me:host-gateway"], program, "me", port, 10)
        assert said == ("hello" if program is ASK_TCP else "16")
        for name in ("172.17.0.1", "127.0.0.1", socket.gethostbyname(socket.gethostname())):
            code, out, err = clean.run("run", "--rm", "--network", "bridge", *clean.command(program, name, port, 10))
            assert (code, out) == (1, ""), (name, out, err)


def test_names_are_asked_of_the_servers_of_the_host(clean: Minidock) -> None:
    if os.geteuid():
        pytest.skip("only root can be a name server")
    with serving(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.53", 53), name_server):
        options = ["--network", "bridge", "--dns", "127.0.0.54", "--dns", "127.0.0.53"]
        ask = "import socket; print(socket.gethostbyname('somewhere.example'))"
        assert clean.python(options, ask) == "10.1.2.3"


def test_published_ports_answer_on_both_families(clean: Minidock) -> None:
    container = clean.serve(["-p", "7000", "--name", "web"], "tcp", 7000)
    ports = clean.ports(container)
    assert sorted(ports) == ["7000/tcp 0.0.0.0", "7000/tcp [::]"]
    for (_, port), address in zip(ports.values(), ("127.0.0.1", "::1"), strict=True):
        with socket.create_connection((address, port), 5) as one:
            one.sendall(b"hello")
            one.shutdown(socket.SHUT_WR)
            assert one.makefile("rb").read() == b"hello"
    settings = json.loads(clean.must("inspect", "web"))[0]["NetworkSettings"]
    number = str(ports["7000/tcp 0.0.0.0"][1])
    assert settings["Ports"] == {
        "7000/tcp": [{"HostIp": "0.0.0.0", "HostPort": number}, {"HostIp": "::", "HostPort": number}]
    }
    assert settings["Networks"]["bridge"]["IPAddress"].startswith("172.17.0.")
    assert f"0.0.0.0:{number}->7000/tcp, [::]:{number}->7000/tcp" in clean.must("ps")
    clean.must("rm", "-f", "web")
    assert is_free(int(number))


@pytest.mark.parametrize("size", [10, 1000, 40000])
def test_published_datagrams_come_and_go(clean: Minidock, size: int) -> None:
    container = clean.serve(["-p", "[::1]::7001/udp", "-p", "127.0.0.1::7001/udp"], "udp", 7001)
    for address, port in clean.ports(container).values():
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.settimeout(5)
            one.sendto(b"x" * size, (address, port))
            assert one.recv(1 << 16) == b"x" * size


def test_taken_ports_are_refused_in_docker_s_words(clean: Minidock) -> None:
    clean.serve(["-p", "127.0.0.1::7000", "--name", "first"], "tcp", 7000)
    ((_, port),) = clean.ports("first").values()
    code, _, err = clean.run("run", "-d", "--name", "second", "-p", f"{port}:80", "net:1", "sleep", "9")
    assert code == 125
    assert re.search(rf"endpoint second \([0-9a-f]{{64}}\): Bind for 0.0.0.0:{port} failed: port is already alloc", err)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        number = other.getsockname()[1]
        code, _, err = clean.run("run", "--rm", "-p", f"{number}:80", "net:1", "sleep", "9")
        assert (code, f"host port 0.0.0.0:{number}: address already in use" in err) == (125, True)


def test_low_ports_of_a_plain_user_are_refused_with_the_way_out(clean: Minidock) -> None:
    if clean.is_root:
        pytest.skip("root may")
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 81:
        pytest.skip("this machine allows them")
    code, _, err = clean.run("run", "--rm", "-p", "127.0.0.1:81:80", "net:1", "sleep", "9")
    assert code == 125
    assert "net.ipv4.ip_unprivileged_port_start=81" in err


def test_a_big_transfer_arrives_whole_and_ends_one_way_first(clean: Minidock) -> None:
    program = """
import hashlib, socket
one = socket.socket(); one.bind(("", 7002)); one.listen(); print("ready", flush=True)
peer = one.accept()[0]; seen = hashlib.sha256()
while data := peer.recv(1 << 20): seen.update(data)
peer.sendall(seen.hexdigest().encode()); peer.close()
"""
    container = clean.must("run", "-d", "-p", "127.0.0.1::7002", *clean.command(program))
    wait_for(lambda: "ready" in clean.run("logs", container)[1])
    block = os.urandom(1 << 20)
    expected = hashlib.sha256()
    (address,) = clean.ports(container).values()
    with socket.create_connection(address, 20) as one:
        for _ in range(128):
            one.sendall(block)
            expected.update(block)
        one.shutdown(socket.SHUT_WR)
        assert one.makefile("rb").read().decode() == expected.hexdigest()
    assert clean.must("wait", container) == "0"


def test_two_hundred_connections_at_once(clean: Minidock) -> None:
    container = clean.serve(["-p", "127.0.0.1::7000"], "tcp", 7000)
    (address,) = clean.ports(container).values()
    connections = [socket.create_connection(address, 20) for _ in range(200)]
    for number, one in enumerate(connections):
        one.sendall(str(number).encode())
    for number, one in enumerate(connections):
        with one:
            assert one.recv(100) == str(number).encode()
    relay = clean.relay_of(container)
    wait_for(lambda: len(os.listdir(f"/proc/{relay}/fd")) < 40)


def test_a_relay_with_nothing_to_do_takes_no_time(clean: Minidock) -> None:
    container = clean.serve(["-p", "127.0.0.1::7000"], "tcp", 7000)
    (address,) = clean.ports(container).values()
    relay = clean.relay_of(container)

    def ticks() -> int:
        return sum(map(int, Path(f"/proc/{relay}/stat").read_text().rpartition(")")[2].split()[11:13]))

    with socket.create_connection(address, 5) as half_open, socket.create_connection(address, 5) as stuck:
        half_open.shutdown(socket.SHUT_WR)
        stuck.setblocking(False)
        try:
            while True:
                stuck.send(b"x" * 65536)  # echoed, and never read
        except BlockingIOError:
            time.sleep(0.5)
        before = ticks()
        time.sleep(1.5)
        assert ticks() - before <= 2


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_containers_of_a_network_find_each_other_by_name(clean: Minidock, kind: str, version: int) -> None:
    clean.must("network", "create", *(["--ipv6", "--subnet", "fd00:77::/64"] if version == 6 else []), "mine")
    container = clean.serve(["--network", "mine", "--name", "server", "--network-alias", "db", "-h", "box"], kind, 7000)
    program = ASK_TCP if kind == "tcp" else ASK_UDP
    if version == 6:
        program = IPV6_ONLY + program
    for name in ("server", "db", "box", container[:12]):
        assert clean.python(["--network", "mine"], program, name, 7000, 5000) == ("hello" if kind == "tcp" else "5006")
    code, _, err = clean.run("run", "--rm", "--network", "mine", *clean.command(program, "nobody", 7000, 1))
    assert (code, "Error" in err or "error" in err) == (1, True)


def test_networks_do_not_reach_each_other(clean: Minidock) -> None:
    clean.must("network", "create", "one")
    clean.must("network", "create", "two")
    clean.serve(["--network", "one", "--name", "server"], "tcp", 7000)
    address = json.loads(clean.must("inspect", "server"))[0]["NetworkSettings"]["Networks"]["one"]["IPAddress"]
    for target in ("server", address):
        code, out, _ = clean.run("run", "--rm", "--network", "two", *clean.command(ASK_TCP, target, 7000))
        assert (code, out) == (1, "")
    both = ["--network", "two", "--network", "name=one,alias=x"]
    assert clean.python(both, ASK_TCP, "server", 7000) == "hello"


def test_a_container_that_runs_is_connected_and_taken_off(clean: Minidock) -> None:
    for name in ("one", "two"):
        clean.must("network", "create", name)
    clean.serve(["--network", "one", "--name", "server", "-p", "127.0.0.1::7000"], "tcp", 7000)
    address = clean.ports("server")["7000/tcp 127.0.0.1"]
    ask = ["--network", "two"]
    assert clean.run("run", "--rm", *ask, *clean.command(ASK_TCP, "server", 7000, 10))[0] == 1
    clean.must("network", "connect", "--alias", "db", "two", "server")
    for name in ("server", "db"):
        assert clean.python(ask, ASK_TCP, name, 7000, 5000) == "hello"
    assert _echoes(address)
    code, _, err = clean.run("network", "connect", "two", "server")
    assert (code, "endpoint with name server already exists in network two" in err) == (1, True)

    clean.must("network", "disconnect", "one", "server")  # the first one, at whose gateway its name server is
    assert clean.python(ask, ASK_TCP, "server", 7000, 5000) == "hello"
    assert _echoes(address)
    look = "import socket; print(socket.gethostbyname('server'))"
    connected = json.loads(clean.must("inspect", "server"))[0]["NetworkSettings"]["Networks"]
    assert list(connected) == ["two"]
    assert clean.must("exec", "server", PYTHON.name, "-S", "-c", look) == connected["two"]["IPAddress"]
    assert clean.must("exec", "server", "ls", "/sys/class/net").split() == ["eth1", "lo"]

    clean.must("network", "disconnect", "two", "server")
    assert not _echoes(address)
    clean.must("network", "connect", "one", "server")
    assert clean.python(["--network", "one"], ASK_TCP, "server", 7000, 5000) == "hello"
    assert _echoes(address)
    clean.must("restart", "-t", "0", "server")
    wait_for(lambda: clean.run("run", "--rm", "--network", "one", *clean.command(ASK_TCP, "server", 7000, 10))[0] == 0)


def _echoes(address: tuple[str, int]) -> bool:
    """Whether a container echoes through a published port."""
    try:
        with socket.create_connection(address, 20) as one:
            one.sendall(b"hello")
            return one.recv(5) == b"hello"
    except OSError:
        return False


def test_the_network_of_another_container_is_shared(clean: Minidock) -> None:
    clean.serve(["--network", "bridge", "--name", "server"], "tcp", 7000)
    assert clean.python(["--network", "container:server"], ASK_TCP, "127.0.0.1", 7000) == "hello"
    assert clean.must("run", "--rm", "--network", "container:server", "net:1", "cat", "/etc/hosts") == clean.must(
        "exec", "server", "cat", "/etc/hosts"
    )


def test_the_host_s_network_is_shared_through_a_container(clean: Minidock) -> None:
    clean.must("run", "-d", "--name", "first", "net:1", "sleep", "100")
    clean.must("run", "-d", "--name", "second", "--network", "container:first", "net:1", "sleep", "100")
    devices = sorted(os.listdir("/sys/class/net"))
    shown = clean.must("run", "--rm", "--network", "container:second", "net:1", "ls", "/sys/class/net")
    assert sorted(shown.split()) == devices


def test_the_network_of_a_container_of_another_user_is_shared(clean: Minidock) -> None:
    clean.serve(["--network", "bridge", "--name", "server", "-u", "1000"], "tcp", 7000)
    for user in ("0", "1000"):
        options = ["--network", "container:server", "-u", user]
        assert clean.python(options, ASK_TCP, "127.0.0.1", 7000) == "hello"


def test_addresses_and_networks_are_as_asked_for(clean: Minidock) -> None:
    clean.must("network", "create", "--subnet", "10.88.0.0/24", "--gateway", "10.88.0.254", "--label", "a=b", "mine")
    clean.must("run", "-d", "--network", "mine", "--ip", "10.88.0.7", "--name", "web", "net:1", "sleep", "100")
    shown = json.loads(clean.must("network", "inspect", "mine"))[0]
    assert shown["IPAM"]["Config"] == [{"Subnet": "10.88.0.0/24", "Gateway": "10.88.0.254"}]
    assert [(one["Name"], one["IPv4Address"]) for one in shown["Containers"].values()] == [("web", "10.88.0.7/24")]
    assert "10.88.0.7\t" in clean.must("exec", "web", "cat", "/etc/hosts")
    code, _, err = clean.run("network", "rm", "mine")
    assert (code, "has active endpoints" in err) == (1, True)
    code, _, err = clean.run("network", "rm", "nosuch", "bridge")
    assert code == 1
    assert "network nosuch not found" in err
    assert "bridge is a pre-defined network and cannot be removed" in err
    code, _, err = clean.run("run", "--rm", "--network", "nosuch", "net:1", "ls")
    assert (code, "network nosuch not found" in err) == (125, True)


@pytest.mark.parametrize("victim", ["relay", "launcher", "container"])
def test_whoever_is_killed_nothing_is_left(clean: Minidock, victim: str) -> None:
    clean.must("network", "create", "mine")
    container = clean.serve(["--network", "mine", "-p", "127.0.0.1::7000", "--name", "server"], "tcp", 7000)
    ((_, port),) = clean.ports(container).values()
    relay = clean.relay_of(container)
    pid = int(json.loads(clean.must("inspect", container))[0]["State"]["Pid"])
    stub = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    namespaces = {os.readlink(f"/proc/{one}/ns/net") for one in (pid, relay)} - {os.readlink("/proc/self/ns/net")}
    os.kill({"relay": relay, "launcher": stub, "container": pid}[victim], signal.SIGKILL)
    wait_for(lambda: clean.must("ps", "-q") == "")
    wait_for(lambda: is_free(port))
    wait_for(lambda: not namespaces & _namespaces())
    assert not Path(f"/proc/{relay}/exe").exists()
    clean.must("start", "server")  # and it can be had again
    wait_for(lambda: clean.run("logs", container)[1].count("ready") == 2)
    assert clean.python(["--network", "mine"], ASK_TCP, "server", 7000) == "hello"


def _namespaces() -> set[str]:
    found = set()
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                found.add(os.readlink(f"/proc/{name}/ns/net"))
            except OSError:
                continue
    return found
