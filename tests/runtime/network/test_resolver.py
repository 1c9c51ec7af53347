"""Names that the gateway does not know itself."""

from __future__ import annotations

import socket

from minidock.runtime.network.loop import Loop
from minidock.runtime.network.names import failure
from minidock.runtime.network.resolver import Resolver

QUERY = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04host\x00\x00\x01\x00\x01"


def test_without_a_server_that_can_be_reached_a_query_fails_at_once() -> None:
    loop = Loop()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller,
    ):
        receiver.bind(("127.0.0.1", 0))
        caller.settimeout(5)
        caller.sendto(QUERY, receiver.getsockname())
        Resolver(loop, lambda: ["no address", "255.255.255.255"], lambda name: None).serve(receiver)
        assert caller.recv(512) == failure(QUERY)


def test_a_caller_that_is_gone_does_no_harm() -> None:
    loop = Loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
            caller.sendto(QUERY, receiver.getsockname())
        Resolver(loop, list, lambda name: [b"\x7f\x00\x00\x01"]).serve(receiver)
        assert not loop.turn(0)
