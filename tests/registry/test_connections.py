"""The transport, with servers on loopback that answer by the byte."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from minidock.errors import RegistryError, RegistryUnreachable
from minidock.registry.connections import HttpTransport
from minidock.registry.transport import Request, unreachable

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Server:
    """Gives one answer after the other, over as many connections as come; ``heard`` is what was sent to it."""

    def __init__(self, answers: list[bytes]) -> None:
        self.answers = answers
        self.heard: list[bytes] = []
        self.connections = 0
        self.url = ""
        self.is_silent = False


@contextmanager
def serving(*answers: bytes, is_silent: bool = False) -> Iterator[Server]:
    """Serve until the block ends; an answer that is empty closes the connection."""
    server = Server(list(answers))
    listening = socket.create_server(("127.0.0.1", 0))
    server.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    over = threading.Event()

    def talk(connection: socket.socket) -> None:
        with connection:
            while not over.is_set():
                head = _request(connection)
                if not head:
                    return
                server.heard.append(head)
                if is_silent:
                    over.wait(20)
                    return
                answer = server.answers.pop(0)
                try:
                    connection.sendall(answer)
                except OSError:  # whoever asked has heard enough
                    return
                if not answer or b"\r\n\r\n" not in answer or answer.endswith(b"#"):
                    return

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            server.connections += 1
            thread = threading.Thread(target=talk, args=(connection,), daemon=True)
            thread.start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield server
    finally:
        over.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        accepting.join(5)


def _request(connection: socket.socket) -> bytes:
    """Read one request, body and all, however many pieces it comes in; return its head, nothing at the end."""
    with connection.makefile("rb") as file:
        lines = []
        try:
            while (line := file.readline()) not in (b"\r\n", b""):
                lines.append(line)
            fields = dict(line.decode().strip().split(": ", 1) for line in lines[1:])
            file.read(int(fields.get("Content-Length", 0)))
            if fields.get("Transfer-Encoding") == "chunked":
                while (size := int(file.readline(), 16)) or file.readline() != b"\r\n":
                    file.read(size + 2)
        except OSError:
            return b""
    return b"".join(lines) if line else b""


@pytest.fixture
def transport() -> Iterator[HttpTransport]:
    made = HttpTransport({})
    yield made
    made.close()


def whole(transport: HttpTransport, request: Request) -> tuple[int, bytes]:
    response = transport.send(request)
    data = b""
    while chunk := response.read(3):
        assert len(chunk) <= 3
        data += chunk
    response.close()
    return response.status, data


def test_a_connection_serves_several_requests(transport: HttpTransport) -> None:
    with serving(OK, OK, OK) as server:
        found = [whole(transport, Request("GET", f"{server.url}/v2/?a=b")) for _ in range(3)]
    assert found == [(200, b"hello")] * 3
    assert server.connections == 1
    lines = server.heard[0].decode().split("\r\n")
    assert lines[0] == "GET /v2/?a=b HTTP/1.1"
    assert f"Host: {server.url.removeprefix('http://')}" in lines
    assert "Accept-Encoding: identity" in lines


def test_nothing_is_followed_and_nothing_decoded(transport: HttpTransport) -> None:
    moved = (
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx"
    )
    with serving(moved) as server:
        assert whole(transport, Request("GET", server.url)) == (302, b"xx")


def test_no_file_of_other_programs_gives_credentials(
    transport: HttpTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login u password p\ndefault login u password p\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    with serving(OK) as server:
        assert whole(transport, Request("GET", f"{server.url}/v2/")) == (200, b"hello")
    assert b"authorization" not in server.heard[0].lower()


@pytest.mark.parametrize(
    ("request_of", "framed"),
    [
        (lambda url: Request("POST", url), "Content-Length: 0"),
        (lambda url: Request("PUT", url, size=0), "Content-Length: 0"),
        (lambda url: Request("PUT", url, body=lambda: [b"ab", b"c"], size=3), "Content-Length: 3"),
        (lambda url: Request("PATCH", url, body=lambda: [b"ab", b"c"]), "Transfer-Encoding: chunked"),
    ],
)
def test_a_body_is_framed(transport: HttpTransport, request_of: Callable[[str], Request], framed: str) -> None:
    with serving(OK) as server:
        assert whole(transport, request_of(server.url)) == (200, b"hello")
    assert framed in server.heard[0].decode().split("\r\n")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello#", "unexpected EOF"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel#", "unexpected EOF"),
        (b"", "unexpected EOF"),
        (b"nonsense\r\n", "unexpected EOF|illegal"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "conflicting|illegal"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello", "bad Content-Length"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * (1 << 20) + b"\r\n\r\n", "."),
    ],
)
def test_an_answer_that_is_none_is_an_error(transport: HttpTransport, answer: bytes, problem: str) -> None:
    with serving(answer, answer, answer) as server, pytest.raises(RegistryUnreachable, match=problem):
        whole(transport, Request("GET", server.url))


def test_nobody_there_is_told_in_dockers_words(transport: HttpTransport) -> None:
    with pytest.raises(RegistryUnreachable, match=r"dial tcp 127.0.0.1:9: connect: connection refused") as caught:
        transport.send(Request("GET", "http://127.0.0.1:9/"))
    assert not caught.value.may_pass
    with pytest.raises(RegistryUnreachable, match=r"lookup no-such-host.invalid: (no such host|temporary failure)"):
        transport.send(Request("GET", "http://no-such-host.invalid/"))


def test_a_name_that_means_this_machine_is_refused_where_it_must_not(transport: HttpTransport) -> None:
    with serving(OK) as server:
        port = server.url.rpartition(":")[2]
        with pytest.raises(RegistryError, match="localhost is a place of this machine"):
            transport.send(Request("GET", f"http://localhost:{port}/", allows_local=False))
        assert whole(transport, Request("GET", f"http://localhost:{port}/")) == (200, b"hello")


def test_closing_wakes_whoever_waits() -> None:
    transport = HttpTransport({})
    errors: list[Exception] = []

    def ask(url: str) -> None:
        try:
            transport.send(Request("GET", url))
        except RegistryError as error:
            errors.append(error)

    with serving(is_silent=True) as server:
        asking = threading.Thread(target=ask, args=(server.url,))
        asking.start()
        until = time.monotonic() + 5
        while not server.heard and time.monotonic() < until:
            time.sleep(0.01)
        begun = time.monotonic()
        transport.close()
        asking.join(5)
        assert time.monotonic() - begun < 2
    assert len(errors) == 1
    with pytest.raises(RegistryUnreachable, match="cancelled"):
        transport.send(Request("GET", server.url))


@pytest.mark.parametrize("url", ["http://registry.example/v2/", "https://registry.example/v2/"])
def test_a_proxy_that_does_not_answer_is_named(url: str) -> None:
    transport = HttpTransport({"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "someone:secret@127.0.0.1:9"})
    with pytest.raises(RegistryUnreachable) as caught:
        transport.send(Request("GET", url))
    transport.close()
    problem = "proxyconnect tcp: dial tcp 127.0.0.1:9: connect: connection refused"
    assert (str(caught.value), caught.value.may_pass) == (f'Get "{url}": {problem}', False)


@pytest.mark.parametrize(
    ("error", "problem", "may_pass"),
    [
        (OSError(errno.ENETUNREACH, "x"), "dial tcp registry.example: connect: network is unreachable", False),
        (OSError(errno.EHOSTUNREACH, "x"), "dial tcp registry.example: connect: no route to host", False),
        (socket.gaierror(socket.EAI_AGAIN, "x"),
         "dial tcp: lookup registry.example: temporary failure in name resolution", False),
        (socket.gaierror(socket.EAI_NONAME, "x"), "dial tcp: lookup registry.example: no such host", False),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "connection reset by peer", True),
        (TimeoutError(), "timeout: the server does not answer", True),
    ],
)  # fmt: skip
def test_what_will_not_pass_is_told_from_what_may(error: Exception, problem: str, *, may_pass: bool) -> None:
    found = unreachable("GET", "https://registry.example/v2/?secret", error)
    assert isinstance(found, RegistryUnreachable)
    assert (str(found), found.may_pass) == (f'Get "https://registry.example/v2/": {problem}', may_pass)


def test_a_proxy_gets_the_whole_url_and_its_own_credentials() -> None:
    with serving(OK) as proxy:
        transport = HttpTransport({"HTTP_PROXY": proxy.url.replace("//", "//someone:secret@")})
        assert whole(transport, Request("GET", "http://registry.example/v2/", allows_local=False)) == (200, b"hello")
        transport.close()
    lines = proxy.heard[0].decode().split("\r\n")
    assert lines[0] == "GET http://registry.example/v2/ HTTP/1.1"
    assert "Proxy-Authorization: Basic c29tZW9uZTpzZWNyZXQ=" in lines
