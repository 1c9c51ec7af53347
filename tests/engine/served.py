"""What tests fetch from: a web server and git repositories, on loopback only."""

from __future__ import annotations

import http.server
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any


@dataclass
class Served:
    """The file at a path: its content and headers, and which requests came (method and If-None-Match)."""

    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    cut: int | None = None  # bytes after which the connection ends


class WebServer:
    """Files in memory at ``url``; ``requests`` are those that came, ``METHOD path`` and the ETag that was known."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.requests: list[str] = []
        self.sent: list[dict[str, str]] = []
        self.url = ""


@contextmanager
def web_server(files: dict[str, Served] | None = None) -> Iterator[WebServer]:
    """Serve files until the block ends."""
    web = WebServer()
    web.files = files if files is not None else {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers.get("If-None-Match", "")
            web.requests.append(f"{self.command} {self.path} {known}".strip())
            web.sent.append(dict(self.headers))
            file = web.files.get(self.path.partition("?")[0])
            if file is None:
                self.send_error(404)
                return
            is_known = known and known in (
                file.headers.get("ETag", ""),
                file.headers.get("ETag", "").removeprefix("W/"),
            )
            self.send_response(304 if is_known else file.status)
            for name, value in file.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0" if is_known else str(len(file.content)))
            self.end_headers()
            if self.command == "GET" and not is_known:
                self.wfile.write(file.content[: file.cut])

        do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with _serving(Handler) as url:
        web.url = url
        yield web


@contextmanager
def git_server(root: Path, authorization: str = "") -> Iterator[str]:
    """Serve the bare files of repositories below ``root``, as any web server can; yield the URL.

    With ``authorization`` only to those who send it.
    """

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if authorization and self.headers.get("Authorization") != authorization:
                self.send_error(403)
            else:
                super().do_GET()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with _serving(partial(Quiet, directory=str(root))) as url:
        yield url


@contextmanager
def _serving(handler: Any) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


_PLAIN = ["env", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null"]


def make_repository(place: Path, commands: Sequence[str]) -> Path:
    """Carry out shell commands in the new directory ``place``; return the repository that they make."""
    place.mkdir(parents=True, exist_ok=True)
    settings = "-c init.defaultBranch=master -c protocol.file.allow=always"
    script = "\n".join(["set -e", f'git() {{ command git {settings} "$@"; }}', *commands])
    subprocess.run([*_PLAIN, "sh", "-c", script], cwd=place, check=True, capture_output=True)
    subprocess.run([*_PLAIN, "git", "update-server-info"], cwd=place, check=True, capture_output=True)
    return place / ".git"


def commit_of(repository: Path, ref: str) -> str:
    """Return the commit that a ref of a repository names."""
    asked = [*_PLAIN, "git", "-C", str(repository), "rev-parse", f"{ref}^{{commit}}"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
