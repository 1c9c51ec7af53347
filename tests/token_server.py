"""A token server on loopback for `docker-registry`: who may pull or push what, and what it was asked.

`USER` may do everything, by password or by the identity token `IDENTITY`; nobody else may do more than pull what
stands under ``public/``. Source: distribution, docs/spec/auth/{token,jwt,oauth}.md.
"""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.registry_server import PASSWORD, USER, make_certificate

IDENTITY = "stands-for-someone"
ISSUER, SERVICE = "tests", "registry of tests"
_BASIC = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"


@dataclass(frozen=True)
class Asked:
    """A question of a client: how it was put, for which actions in which repositories, and whether it told who asks."""

    method: str
    wanted: Mapping[str, set[str]]
    is_known: bool


@dataclass
class TokenServer:
    """A server that runs; ``stale`` tokens that it gives out next have ended before."""

    place: Path
    realm: str = ""
    stale: int = 0
    asked: list[Asked] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, str]:
        """What a registry has to know about it."""
        bundle = str(self.place / "crt.pem")
        return {"realm": self.realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": bundle}

    def token(self, wanted: Mapping[str, set[str]], *, is_known: bool) -> str:
        """Return a signed token for as much of ``wanted`` as is allowed."""
        access = []
        for name, actions in wanted.items():
            allowed = [action for action in sorted(actions) if is_known or _is_public(name, action)]
            access.append({"type": "repository", "name": name, "actions": allowed})
        self.stale, begun = max(self.stale - 1, 0), int(time.time()) - (7200 if self.stale else 10)
        certificate = "".join((self.place / "crt.pem").read_text().splitlines()[1:-1])
        head = {"typ": "JWT", "alg": "RS256", "x5c": [certificate]}
        times = {"iat": begun, "nbf": begun, "exp": begun + 3600}
        claims = {"iss": ISSUER, "sub": USER, "aud": SERVICE, "jti": str(uuid.uuid4()), "access": access, **times}
        signed = b".".join(_coded(json.dumps(part).encode()) for part in (head, claims))
        words = ["openssl", "dgst", "-sha256", "-sign", str(self.place / "key.pem")]
        signature = subprocess.run(words, input=signed, check=True, capture_output=True, timeout=30).stdout
        return b".".join((signed, _coded(signature))).decode()


def _is_public(name: str, action: str) -> bool:
    return name.startswith("public/") and action == "pull"


def _coded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@contextmanager
def token_server(place: Path) -> Iterator[TokenServer]:
    """Start a token server whose key is in ``place``."""
    place.mkdir(parents=True, exist_ok=True)
    make_certificate(place)
    found = TokenServer(place)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(parse_qs(urlsplit(self.path).query), self.headers.get("Authorization", ""), _BASIC)

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self._answer(form, "".join(form.get("refresh_token", [])), IDENTITY)

        def _answer(self, members: dict[str, list[str]], secret: str, good: str) -> None:
            wanted: dict[str, set[str]] = {}
            for scope in " ".join(members.get("scope", [])).split():
                _, name, actions = scope.split(":")
                wanted.setdefault(name, set()).update(actions.split(","))
            found.asked.append(Asked(self.command, wanted, secret == good))
            is_refused = bool(secret) and secret != good
            refusal = {"errors": [{"code": "UNAUTHORIZED", "message": "who is that?"}]}
            answer = refusal if is_refused else {"token": found.token(wanted, is_known=secret == good)}
            data = json.dumps(answer).encode()
            self.send_response(401 if is_refused else 200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.realm = f"http://127.0.0.1:{server.server_port}/token"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
