from __future__ import annotations

import pytest

from minidock.core.detach_keys import DetachKeys, parse_detach_keys
from minidock.errors import FlagError


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", b"\x00\x1b\x1c\x1d\x1e\x1f"),
        ("a,B,ctrl-z", b"aB\x1a"),
        ("", b""),
    ],
)
def test_detach_keys_as_docker_writes_them(text: str, keys: bytes) -> None:
    assert parse_detach_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "ctrl-pp", "xctrl-p", "a,,b", "shift-a", "é"])
def test_unknown_detach_keys_are_refused(text: str) -> None:
    with pytest.raises(FlagError, match="invalid detach keys"):
        parse_detach_keys(text)


@pytest.mark.parametrize(
    ("typed", "passed", "is_detached"),
    [
        ([b"words"], b"words", False),
        ([b"a\x10\x11b"], b"a", True),
        ([b"\x10", b"\x11"], b"", True),
        ([b"\x10x\x11"], b"\x10x\x11", False),
        ([b"\x10\x10\x11"], b"\x10", True),
        ([b"\x11\x10"], b"\x11", False),
    ],
)
def test_detach_keys_are_recognised_and_everything_else_passes(
    typed: list[bytes], passed: bytes, is_detached: bool
) -> None:
    keys = DetachKeys(b"\x10\x11")
    results = [keys.feed(part) for part in typed]
    assert (b"".join(part for part, _ in results), results[-1][1]) == (passed, is_detached)


def test_without_detach_keys_every_byte_passes() -> None:
    assert DetachKeys(b"").feed(bytes(range(256))) == (bytes(range(256)), False)
