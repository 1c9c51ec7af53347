"""Downloads from a registry that misbehaves: the right bytes come, or an error, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from minidock.core.descriptor import Descriptor
from minidock.core.digest import Digest
from minidock.errors import RegistryError, RegistryRefused
from minidock.registry.authorization import Credentials
from minidock.registry.client import Repository
from minidock.registry.exchange import TRIES
from minidock.registry.fetching import fetch
from minidock.registry.transport import Request
from tests.registry.memory import HOME, Answer, Memory, in_turn, ranged, repository

DATA = random.Random(1).randbytes(1000)
BLOB = Descriptor("x", Digest.sha256(DATA), len(DATA))


class Kept:
    """Takes a blob."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data

    @property
    def size(self) -> int:
        return len(self.data)

    def write(self, data: bytes, /) -> None:
        self.data += data

    def restart(self) -> None:
        self.data = b""

    def digest(self) -> Digest:
        return Digest.sha256(self.data)


@pytest.mark.parametrize("cut", [0, 1, 2, 499, 998, 999])
@pytest.mark.parametrize("second", [0, 1, 400])
def test_a_download_that_breaks_goes_on_where_it_stopped(cut: int, second: int) -> None:
    memory, kept = Memory(in_turn([ranged(DATA, cut), ranged(DATA, second), ranged(DATA)])), Kept()
    fetch(repository(memory), BLOB, kept)
    assert kept.data == DATA
    ranges = [request.headers.get("Range", "") for request in memory.requests]
    at = [0, cut, min(cut + second, len(DATA))]
    assert ranges == [f"bytes={start}-" if start else "" for start in at if start < len(DATA)][: len(ranges)]


def test_a_download_may_break_at_every_byte() -> None:
    for cut in range(len(DATA)):
        memory, kept = Memory(in_turn([ranged(DATA, cut), ranged(DATA)])), Kept()
        fetch(repository(memory), BLOB, kept)
        assert kept.data == DATA
        ranges = [request.headers.get("Range") for request in memory.requests]
        assert ranges == [None, f"bytes={cut}-" if cut else None]


@pytest.mark.parametrize("at", range(0, 1000, 7))
def test_a_byte_that_is_wrong_is_found_wherever_it_stands(at: int) -> None:
    wrong = DATA[:at] + bytes([DATA[at] ^ 1]) + DATA[at + 1 :]
    with pytest.raises(RegistryError, match="verification failed"):
        fetch(repository(Memory(ranged(wrong))), BLOB, Kept())


@pytest.mark.parametrize("size", [0, 1, 999])
def test_a_blob_that_ends_early_is_none(size: int) -> None:
    memory = Memory(lambda request: Answer(200, DATA[:size]))
    with pytest.raises(RegistryError, match=f"{size} of 1000 bytes came"):
        fetch(repository(memory), BLOB, Kept())
    assert len(memory.requests) >= TRIES


def test_a_server_that_sends_more_is_cut_off() -> None:
    endless = Answer(200, DATA + b"x" * (10 << 20))
    with pytest.raises(RegistryError, match="more than 1000 bytes"):
        fetch(repository(Memory(lambda request: endless)), BLOB, Kept())
    assert len(endless.body) >= (10 << 20) - 1


@pytest.mark.parametrize(
    "told", ["bytes 0-999/1000", "bytes 501-999/1000", "bytes 500-999/1001", "bytes x-y/z", "", "bytes 500-/1000"]
)
def test_a_part_that_nobody_asked_for_is_refused(told: str) -> None:
    memory = Memory(lambda request: Answer(206, DATA[500:], [("Content-Range", told)]))
    with pytest.raises(RegistryError, match="another part than was asked for"):
        fetch(repository(memory), BLOB, Kept(DATA[:500]))


def test_a_server_without_parts_begins_anew() -> None:
    memory, kept = Memory(lambda request: Answer(200, DATA)), Kept(DATA[:500])
    fetch(repository(memory), BLOB, kept)
    assert (kept.data, len(memory.requests)) == (DATA, 1)


@pytest.mark.parametrize("first", [b"wrong" * 100, b"wrong" * 200])
def test_a_beginning_that_was_wrong_is_thrown_away(first: bytes) -> None:
    kept = Kept(first)
    fetch(repository(Memory(ranged(DATA))), BLOB, kept)
    assert kept.data == DATA


def test_a_part_that_the_server_does_not_know_makes_it_begin_anew() -> None:
    kept = Kept(DATA[:500])
    fetch(repository(Memory(in_turn([Answer(416), ranged(DATA)]))), BLOB, kept)
    assert kept.data == DATA


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    kept, busy = Kept(), Answer(status)
    memory = Memory(in_turn([busy, busy, ranged(DATA)]))
    fetch(repository(memory), BLOB, kept)
    assert (kept.data, len(memory.requests)) == (DATA, 3)


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_what_will_not_pass_is_asked_once(status: int) -> None:
    memory = Memory(lambda request: Answer(status))
    with pytest.raises(RegistryError):
        fetch(repository(memory), BLOB, Kept())
    assert len(memory.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("target", "is_followed", "gets_credentials"),
    [
        (f"{HOME}/elsewhere", True, True),
        ("/elsewhere", True, True),
        ("https://storage.example/blob?sig=x", True, False),
        (f"{HOME}:8443/x", True, False),
        ("https://registry.example.evil/x", True, False),
        ("http://registry.example/x", False, False),
        ("https://127.0.0.1/x", False, False),
        ("https://169.254.169.254/latest", False, False),
        ("https://user@registry.example/x", False, False),
        ("file:///etc/passwd", False, False),
    ],
)
def test_credentials_stay_at_their_origin(
    status: int, target: str, *, is_followed: bool, gets_credentials: bool
) -> None:
    asked = Answer(401, headers=[("WWW-Authenticate", 'Basic realm="x"')])
    moved = Answer(status, headers=[("Location", target)])
    memory = Memory(in_turn([asked, moved, ranged(DATA)]))
    kept = Kept()
    try:
        fetch(repository(memory, Credentials("u", "p")), BLOB, kept)
    except RegistryError:
        assert not is_followed
        assert len(memory.requests) == 2
    else:
        assert is_followed
        assert kept.data == DATA
        assert ("Authorization" in memory.requests[-1].headers) is gets_credentials
    assert "Authorization" not in memory.requests[0].headers
    assert "Authorization" in memory.requests[1].headers


def test_a_refusal_elsewhere_is_not_answered_with_credentials() -> None:
    moved = Answer(307, headers=[("Location", "https://storage.example/blob")])
    asked = Answer(401, headers=[("WWW-Authenticate", 'Basic realm="x"')])
    memory = Memory(in_turn([moved, asked]))
    with pytest.raises(RegistryError):
        fetch(repository(memory, Credentials("u", "p")), BLOB, Kept())
    assert [request.headers.get("Authorization") for request in memory.requests] == [None, None]


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
@pytest.mark.parametrize("moved", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 503])
def test_a_retry_brings_no_credentials_elsewhere(scheme: str, moved: int, status: int) -> None:
    elsewhere, realm = "https://storage.example/blob", f"{HOME}/token"
    challenges = {"basic": 'Basic realm="x"', "bearer": f'Bearer realm="{realm}"'}
    asked = [("WWW-Authenticate", challenges[scheme])]
    stored = in_turn([Answer(status, headers=asked), ranged(DATA)])

    def give(request: Request) -> Answer:
        if request.url == elsewhere:
            return stored(request)
        if request.url.startswith(realm):
            return Answer(200, b'{"token": "abc"}')
        return Answer(moved, headers=[("Location", elsewhere)]) if request.headers else Answer(401, headers=asked)

    memory, kept = Memory(give), Kept()
    if status in (401, 403):
        with pytest.raises(RegistryError):
            fetch(repository(memory, Credentials("u", "p")), BLOB, kept)
    else:
        fetch(repository(memory, Credentials("u", "p")), BLOB, kept)
        assert kept.data == DATA
    sent = [request.headers for request in memory.requests if request.url == elsewhere]
    assert sent == [{}] * (1 if status in (401, 403) else 2)


@pytest.mark.parametrize(
    ("realm", "is_asked"),
    [
        ("https://auth.example/token", True),
        (f"{HOME}/token", True),
        ("http://auth.example/token", False),
        ("https://127.0.0.1/token", False),
        ("https://[::1]/token", False),
        ("https://169.254.169.254/token", False),
        ("//auth.example/token", False),
        ("", False),
    ],
)
def test_a_realm_may_not_lead_to_this_machine_nor_out_of_encryption(realm: str, *, is_asked: bool) -> None:
    asked = Answer(401, headers=[("WWW-Authenticate", f'Bearer realm="{realm}",service="s"')])
    token = Answer(200, b'{"token": "abc"}')
    memory = Memory(in_turn([asked, token, ranged(DATA)]))
    kept = Kept()
    if not is_asked:
        with pytest.raises(RegistryError):
            fetch(repository(memory, Credentials("u", "p")), BLOB, kept)
        assert len(memory.requests) == 1
        return
    fetch(repository(memory, Credentials("u", "p")), BLOB, kept)
    assert kept.data == DATA
    assert [request.headers.get("Authorization", "") for request in memory.requests] == ["", "Basic dTpw", "Bearer abc"]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"token": 7}', b'{"token": "a b"}', b'{"token": "a\\r\\nX: y"}', b'{"a":' * 100_000],
)
def test_an_answer_that_is_no_token_is_refused(body: bytes) -> None:
    asked = Answer(401, headers=[("WWW-Authenticate", 'Bearer realm="https://auth.example/token"')])
    with pytest.raises(RegistryError, match="the answer is no token"):
        fetch(repository(Memory(in_turn([asked, Answer(200, body)]))), BLOB, Kept())


@pytest.mark.parametrize("life", [b"9" * 4000, b"1e999", b"NaN", b"-1", b"null"])
def test_a_token_of_any_life_is_used(life: bytes) -> None:
    asked = Answer(401, headers=[("WWW-Authenticate", 'Bearer realm="https://auth.example/token"')])
    token = Answer(200, b'{"token": "abc", "expires_in": ' + life + b"}")
    kept = Kept()
    fetch(repository(Memory(in_turn([asked, token, ranged(DATA)]))), BLOB, kept)
    assert kept.data == DATA


@pytest.mark.parametrize("is_token", [False, True])
@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"errors": [{"code": "DENIED", "message": "\\u001b[2J\\n\\u202e!"}]}', b'{"errors": 7}']
)
def test_what_a_server_says_of_a_refusal_cannot_harm_the_terminal(body: bytes, *, is_token: bool) -> None:
    asked = Answer(401, headers=[("WWW-Authenticate", 'Bearer realm="https://auth.example/token"')])
    refusal = Answer(403, body)
    with pytest.raises(RegistryError) as caught:
        fetch(repository(Memory(in_turn([asked, refusal] if is_token else [refusal]))), BLOB, Kept())
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("length", ["9" * 5000, str(len(DATA) + 1), "0"])
def test_a_length_that_is_not_the_blobs_is_refused(length: str) -> None:
    with pytest.raises(RegistryError, match="bytes there, not"):
        fetch(repository(Memory(in_turn([Answer(200, DATA, [("Content-Length", length)])]))), BLOB, Kept())


@pytest.mark.parametrize("status", [200, 401, 500])
def test_no_answer_is_read_without_end(status: int) -> None:
    asked = Answer(401, headers=[("WWW-Authenticate", 'Bearer realm="https://auth.example/token"')])
    endless = Answer(status, b" " * (3 << 20))
    with pytest.raises(RegistryError, match="larger than 1048576 bytes"):
        fetch(repository(Memory(in_turn([asked, endless]))), BLOB, Kept())
    assert len(endless.body) == (2 << 20) - 1


@pytest.mark.parametrize("beyond", [-1, 0, 1])
@pytest.mark.parametrize(
    ("limit", "status", "text", "ask"),
    [
        (4 << 20, 200, "{}", lambda here: here.manifest("1")),
        (16 << 20, 200, '{"tags": []}', lambda here: here.tags()),
        (1 << 20, 404, '{"errors": [{"code": "GONE"}]}', lambda here: here.manifest("1")),
        (1 << 20, 401, '{"token": "abc"}', lambda here: here.manifest("1")),
    ],
    ids=["manifest", "tags", "error", "token"],
)  # fmt: skip
def test_what_a_server_says_is_read_up_to_its_limit_and_no_byte_more(
    limit: int, status: int, text: str, ask: Callable[[Repository], object], beyond: int
) -> None:
    told = Answer(status, text.ljust(limit + beyond).encode())
    asked = Answer(401, headers=[("WWW-Authenticate", 'Bearer realm="https://auth.example/token"')])
    answers = [asked, replace(told, status=200), Answer(200, b"{}")] if status == 401 else [told]
    here = repository(Memory(in_turn(answers)))
    if beyond > 0:
        with pytest.raises(RegistryError, match=f"larger than {limit} bytes"):
            ask(here)
    elif status == 404:
        with pytest.raises(RegistryRefused) as caught:
            ask(here)
        assert caught.value.code == "GONE"
    else:
        ask(here)
