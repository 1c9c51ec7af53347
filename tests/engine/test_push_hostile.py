"""Pushes to a registry that lies or leads astray: no credential at a wrong origin, an error of one line, no name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from minidock.core.descriptor import REPO_DIGESTS
from minidock.core.digest import Digest
from minidock.core.reference import Reference
from minidock.engine.push import push
from minidock.engine.workspace import Workspace
from minidock.errors import MinidockError, RegistryUnreachable
from minidock.registry.credentials import CredentialFiles
from minidock.registry.registries import Registries
from minidock.registry.settings import Settings
from minidock.registry.transport import Request
from tests.engine.building import import_base, run_build, workspace, write_context
from tests.registry.memory import HOME, Answer, Memory

NAME = "registry.example/team/app:1"
UPLOADS = "/v2/team/app/blobs/uploads/"
AUTH = {"auths": {"registry.example": {"auth": "dXNlcjpwYXNzd29yZA=="}}}
BASIC = "Basic dXNlcjpwYXNzd29yZA=="
WRONG = str(Digest.sha256(b"wrong"))

Change = Callable[[Request, Answer], Answer]


@dataclass
class Shop:
    """A registry in memory that takes what is pushed; ``changes``, by method and part of the path, turn its answers."""

    changes: dict[tuple[str, str], Change] = field(default_factory=dict)
    scheme: str = "basic"
    realm: str = f"{HOME}/token"
    blobs: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)

    def give(self, request: Request) -> Answer:
        """Answer one request, its body read whole."""
        body = b"".join(request.body()) if request.body else b""
        parts = urlsplit(request.url)
        answer = self._honest(request, body)
        for (method, path), change in self.changes.items():
            if method == request.method and path in parts.path:
                return change(request, answer)
        return answer

    def _honest(self, request: Request, body: bytes) -> Answer:
        parts = urlsplit(request.url)
        if parts.path == "/token":
            return Answer(200, b'{"token": "token"}')
        wanted = BASIC if self.scheme == "basic" else "Bearer token"
        if request.url.startswith(f"{HOME}/") and request.headers.get("Authorization") != wanted:
            challenge = f'{self.scheme} realm="{self.realm}",service="registry"'
            return Answer(401, b"", [("WWW-Authenticate", challenge)])
        path, name = parts.path, parts.path.rpartition("/")[2]
        match request.method:
            case "HEAD":
                return Answer(200 if name in self.blobs else 404)
            case "POST":
                place = f"{UPLOADS}{len(self.uploads)}"
                self.uploads[place] = b""
                return Answer(202, b"", [("Location", place)])
            case "PATCH":
                self.uploads[path] = self.uploads.get(path, b"") + body
                return Answer(202, b"", [("Location", path)])
            case "PUT" if "/manifests/" in path:
                self.manifests[name] = body
                return Answer(201, b"", [("Docker-Content-Digest", str(Digest.sha256(body)))])
        digest = parse_qs(parts.query)["digest"][0]
        self.blobs[digest] = self.uploads.pop(path, b"") + body
        return Answer(201, b"", [("Docker-Content-Digest", digest)])


@dataclass
class Pushing:
    """A store with an image of a large layer, to be pushed to a shop."""

    ws: Workspace
    files: CredentialFiles

    def push(self, shop: Shop) -> Memory:
        memory = Memory(shop.give)
        registries = Registries(Settings(), self.files, lambda text: None, memory, lambda seconds: None)
        try:
            push(self.ws, registries, Reference.parse(NAME), lambda event: None)
        finally:
            registries.close()
            self.memory = memory
        return memory

    def noted(self) -> list[str]:
        found = self.ws.store.images.find(NAME)
        assert found is not None
        return found.annotations.get(REPO_DIGESTS, "").split()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("store")
    ws = workspace(place / "store")
    import_base(ws)
    context = write_context(place / "context", {"Dockerfile": "FROM base:1\nCOPY f /f\n", "f": bytes(6_000_000)})
    run_build(ws, context, tags=(NAME,))
    (place / "config.json").write_text(json.dumps(AUTH))
    return place


@pytest.fixture
def pushing(store: Path) -> Pushing:
    ws = workspace(store / "store")
    for name in os.listdir(store / "store/forms"):
        (store / "store/forms" / name).unlink()  # as if nothing had been pushed before
    with ws.store.session() as session:
        entry = ws.store.images.find(NAME)
        assert entry is not None
        bare = {key: value for key, value in entry.annotations.items() if key != REPO_DIGESTS}
        ws.store.images.add(session, replace(entry, annotations=bare), (NAME,))
    return Pushing(ws, CredentialFiles(str(store / "config.json")))


def check_secrets(memory: Memory, realm: str = f"{HOME}/token") -> None:
    """Nobody but the registry and its realm is told who the user is."""
    for request in memory.requests:
        secret = request.headers.get("Authorization", "")
        if secret.startswith("Basic"):
            assert request.url.startswith((f"{HOME}/", realm)), request.url
        elif secret:
            assert request.url.startswith(f"{HOME}/"), request.url
        assert "password" not in request.url


def located(place: str) -> Change:
    return lambda request, answer: Answer(answer.status, b"", [("Location", place)]) if answer.status == 202 else answer


def status(code: int, body: bytes = b"", *headers: tuple[str, str]) -> Change:
    return lambda request, answer: Answer(code, body, headers) if answer.status != 401 else answer


def told(digest: str) -> Change:
    return lambda request, answer: Answer(answer.status, b"", [("Docker-Content-Digest", digest)])


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_an_honest_registry_gets_everything(pushing: Pushing, scheme: str) -> None:
    shop = Shop(scheme=scheme)
    memory = pushing.push(shop)
    check_secrets(memory)
    (data,) = shop.manifests.values()
    members = json.loads(data)
    assert {item["digest"] for item in (*members["layers"], members["config"])} == set(shop.blobs)
    assert all(str(Digest.sha256(content)) == digest for digest, content in shop.blobs.items())
    assert pushing.noted() == [f"registry.example/team/app@{Digest.sha256(data)}"]
    assert [request.method for request in memory.requests].count("PATCH") == 1  # the large layer


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
@pytest.mark.parametrize(("method", "path"), [("POST", "uploads"), ("PATCH", "uploads")])
@pytest.mark.parametrize(
    "place", ["https://storage.example/up/1?sig=x", "https://registry.example:444/up/1", "https://sub.registry.example/1"]
)  # fmt: skip
def test_uploads_elsewhere_bear_no_credentials(
    pushing: Pushing, scheme: str, method: str, path: str, place: str
) -> None:
    shop = Shop({(method, path): located(place)}, scheme=scheme)
    memory = pushing.push(shop)
    check_secrets(memory)
    sent = [request for request in memory.requests if not request.url.startswith(f"{HOME}/")]
    assert sent and all("Authorization" not in request.headers for request in sent)


BAD_PLACES = [
    ("http://registry.example/up/1", "https does not go on without encryption"),
    ("http://storage.example/up/1", "https does not go on without encryption"),
    ("https://127.0.0.1/up/1", "a place of this machine"),
    ("https://localhost:8080/up/1", "a place of this machine"),
    ("https://[::1]/up/1", "a place of this machine"),
    ("https://2130706433/up/1", "a place of this machine"),
    ("https://169.254.169.254/latest", "a place of this machine"),
    ("https://user:pass@storage.example/up/1", "invalid URL"),
    ("https://storage.example\\@evil.example/1", "invalid URL"),
    ("ftp://storage.example/1", "invalid URL"),
    ("file:///etc/passwd", "invalid URL"),
    ("https://storage.example:0/1", "invalid URL"),
    ("https://stor age.example/1", "invalid URL"),
    ("", "does not say where to upload"),
]


@pytest.mark.parametrize(("method", "path"), [("POST", "uploads"), ("PATCH", "uploads")])
@pytest.mark.parametrize(("place", "problem"), BAD_PLACES)
def test_an_upload_that_leads_astray_is_an_error(
    pushing: Pushing, method: str, path: str, place: str, problem: str
) -> None:
    check_refused(pushing, Shop({(method, path): located(place)}), problem)


def check_refused(pushing: Pushing, shop: Shop, problem: str) -> None:
    with pytest.raises(MinidockError, match=problem) as caught:
        pushing.push(shop)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000
    check_secrets(pushing.memory)
    assert all(request.url.startswith(f"{HOME}/") for request in pushing.memory.requests)
    assert shop.manifests == {} or ("PUT", "manifests") in shop.changes
    assert pushing.noted() == []
    assert os.listdir(pushing.ws.store.layout.path("tmp")) == []


@pytest.mark.parametrize(("place", "problem"), BAD_PLACES[:-1])
def test_a_realm_that_leads_astray_gets_no_credentials(pushing: Pushing, place: str, problem: str) -> None:
    check_refused(pushing, Shop(scheme="bearer", realm=place), problem)


def test_a_realm_elsewhere_gets_the_password_and_uploads_the_token(pushing: Pushing) -> None:
    realm = "https://auth.example/token"
    memory = pushing.push(Shop(scheme="bearer", realm=realm))
    check_secrets(memory, realm)
    asked = [request for request in memory.requests if request.url.startswith(realm)]
    assert asked and all("scope=repository:team/app:pull,push" in request.url for request in asked)


def refusal(code: str, message: str) -> Change:
    return status(400, json.dumps({"errors": [{"code": code, "message": message}]}).encode())


ERROR = b'{"errors": [{"code": "DENIED", "message": "no \\u001b[31mwriting\\nhere"}]}'


@pytest.mark.parametrize(
    ("method", "path", "change", "problem"),
    [
        ("PUT", "uploads", told(WRONG), "stored sha256:.* where sha256:.* was sent"),
        ("PUT", "uploads", told("sha256:short"), "malformed digest"),
        ("PUT", "manifests", told(WRONG), "stored sha256:.* where sha256:.* was sent"),
        ("PUT", "manifests", refusal("MANIFEST_INVALID", "no"), "manifest invalid: no"),
        ("PUT", "manifests", status(404, b'{"errors": [{"code": "MANIFEST_BLOB_UNKNOWN"}]}'), "manifest blob unknown"),
        ("PUT", "manifests", status(307, b"", ("Location", "https://evil.example/")), "307 Temporary Redirect"),
        ("PUT", "uploads", status(307, b"", ("Location", "https://evil.example/")), "307 Temporary Redirect"),
        ("PATCH", "uploads", status(308, b"", ("Location", "https://evil.example/")), "308 Permanent Redirect"),
        ("POST", "uploads", status(302, b"", ("Location", "https://evil.example/")), "302 Found"),
        ("POST", "uploads", status(200), "200 OK"),
        ("POST", "uploads", status(403, ERROR), "^denied: no .\\[31mwriting here$"),
        ("POST", "uploads", status(403), "^denied: requested access to the resource is denied$"),
        ("POST", "uploads", status(500), "500 Internal Server Error"),
        ("POST", "uploads", status(429, b"", ("Retry-After", "1")), "429 Too Many Requests"),
        ("POST", "uploads", status(429, b"", ("Retry-After", "99999")), "429 Too Many Requests"),
        ("POST", "uploads", status(400, b"x" * (2 << 20)), "larger than"),
        ("PATCH", "uploads", status(500), "500 Internal Server Error"),
        ("PATCH", "uploads", status(404), "404 Not Found"),
        ("PATCH", "uploads", status(416), "416"),
        ("PUT", "uploads", refusal("DIGEST_INVALID", "other bytes"), "digest invalid: other bytes"),
        ("HEAD", "blobs", status(500), "500 Internal Server Error"),
        ("HEAD", "blobs", status(302, b"", ("Location", "http://registry.example/")), "without encryption"),
        ("HEAD", "blobs", status(302, b"", ("Location", "https://127.0.0.1/")), "a place of this machine"),
    ],
)  # fmt: skip
def test_what_a_registry_must_not_answer_is_an_error(
    pushing: Pushing, method: str, path: str, change: Change, problem: str
) -> None:
    check_refused(pushing, Shop({(method, path): change}), problem)


def test_who_refuses_for_good_is_not_asked_again_and_again(pushing: Pushing) -> None:
    shop = Shop({("POST", "uploads"): lambda request, answer: Answer(401, b"", [("WWW-Authenticate", "basic")])})
    check_refused(pushing, shop, "unauthorized: authentication required")
    assert len(pushing.memory.requests) < 20


@pytest.mark.parametrize("code", [405, 411, 413, 501])
def test_a_registry_that_must_know_the_size_gets_it(pushing: Pushing, code: int) -> None:
    shop = Shop({("PATCH", "uploads"): status(code)})
    memory = pushing.push(shop)
    assert all(str(Digest.sha256(content)) == digest for digest, content in shop.blobs.items())
    puts = [request for request in memory.requests if request.method == "PUT"]
    assert all(request.size is not None for request in puts)
    assert os.listdir(pushing.ws.store.layout.path("tmp")) == []


@pytest.mark.parametrize("code", [0, 408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize(("method", "path"), [("PATCH", "uploads"), ("POST", "uploads"), ("PUT", "manifests")])
def test_what_fails_twice_and_passes_is_no_failure(pushing: Pushing, method: str, path: str, code: int) -> None:
    failures = [code, code]

    def failing(request: Request, answer: Answer) -> Answer:
        if answer.status == 401 or not failures:
            return answer
        failed = failures.pop()
        if not failed:
            raise RegistryUnreachable("gone")
        return Answer(failed)

    shop = Shop({(method, path): failing})
    pushing.push(shop)
    (data,) = shop.manifests.values()
    for item in (members := json.loads(data))["layers"] + [members["config"]]:
        content = shop.blobs[item["digest"]]
        assert (str(Digest.sha256(content)), len(content)) == (item["digest"], item["size"])


def test_a_mount_that_is_refused_becomes_an_upload(pushing: Pushing) -> None:
    pushing.push(Shop())
    for form in Path(pushing.ws.store.layout.path("forms")).iterdir():
        form.write_text(form.read_text().replace("registry.example/team/app", "registry.example/secret/app"))

    def refusing(request: Request, answer: Answer) -> Answer:
        return Answer(403, ERROR) if "mount=" in request.url and answer.status != 401 else answer

    shop = Shop({("POST", "uploads"): refusing})
    memory = pushing.push(shop)
    mounts = [request.url for request in memory.requests if "mount=" in request.url]
    assert mounts and all("from=secret/app" in url for url in mounts)
    assert len(shop.blobs) == 3
