"""How the relays of one network find each other."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from minidock.runtime.network.peers import PACKET, STREAM, Membership, header, members, parse_header

FIRST, SECOND = b"\x0a\x00\x00\x02", b"\x0a\x00\x00\x03"


def test_members_are_found_by_name_and_reached_by_address(tmp_path: Path) -> None:
    (tmp_path / "network.json").write_text("{}")
    one = Membership(str(tmp_path), "aa", ["web", "shared"], [FIRST])
    two = Membership(str(tmp_path), "bb", ["db", "shared"], [SECOND])
    assert one.addresses_of("db") == [SECOND]
    assert one.addresses_of("shared") == [FIRST, SECOND]
    assert one.addresses_of("nobody") is None
    for suffix, listener in ((STREAM, two.streams), (PACKET, two.packets)):
        connection = one.connect(SECOND, suffix)
        assert connection is not None
        connection.send(header(SECOND, 80))
        with socket.socket(fileno=listener.detach()) as taken, taken.accept()[0] as peer:
            assert parse_header(peer.recv(100)) == (SECOND, 80)
        connection.close()
    assert one.connect(b"\x0a\x00\x00\x09", STREAM) is None
    one.leave()
    two.leave()
    assert os.listdir(tmp_path) == ["network.json"]


def test_what_a_killed_relay_has_left_is_not_seen_and_is_cleaned_away(tmp_path: Path) -> None:
    for name in ("dead", "dead.stream", "dead.packet", ".half"):
        (tmp_path / name).write_bytes(b"")
    directory = os.open(tmp_path, os.O_RDONLY)
    assert members(directory) == []
    os.close(directory)
    one = Membership(str(tmp_path), "aa", [], [FIRST])
    assert sorted(os.listdir(tmp_path)) == ["aa", "aa.packet", "aa.stream"]
    one.leave()


@pytest.mark.parametrize("data", [b"", b"\x04", bytes(19), b"\x05" + bytes(18)])
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no header"):
        parse_header(data)
