"""Published ports: grammar, docker's words, what lists show."""

from __future__ import annotations

import pytest

from minidock.core.published import Mapped, Published, parse_expose, parse_publish, shown
from minidock.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", (Published(80),)),
        ("8080:80", (Published(80, "tcp", "", 8080, 8080),)),
        ("8080:80/UDP", (Published(80, "udp", "", 8080, 8080),)),
        ("127.0.0.1:8080:80", (Published(80, "tcp", "127.0.0.1", 8080, 8080),)),
        ("127.0.0.1::80", (Published(80, "tcp", "127.0.0.1"),)),
        ("[::1]:8080:80", (Published(80, "tcp", "::1", 8080, 8080),)),
        ("8000-8001:80-81", (Published(80, "tcp", "", 8000, 8000), Published(81, "tcp", "", 8001, 8001))),
        ("8000-8010:80", (Published(80, "tcp", "", 8000, 8010),)),
        ("80-81/udp", (Published(80, "udp"), Published(81, "udp"))),
        ("published=8080,target=80,protocol=udp", (Published(80, "udp", "", 8080, 8080),)),
    ],
)
def test_publish_is_read_as_docker_reads_it(text: str, expected: tuple[Published, ...]) -> None:
    assert parse_publish(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("abc", "invalid containerPort: abc"),
        ("0", "invalid containerPort: 0"),
        ("8080:70000", "invalid containerPort: 70000"),
        ("x:80", "invalid hostPort: x"),
        ("1.2.3:80:80", "invalid IP address: 1.2.3"),
        ("80/foo", "invalid proto: foo"),
        ("8000-8001:80-82", "invalid ranges specified for container and host Ports: 80-82 and 8000-8001"),
        ("8080:", "no port specified: 8080:<empty>"),
    ],
)
def test_mistakes_are_told_in_docker_s_words(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_publish(text)
    assert str(caught.value) == message


def test_exposed_ports_may_be_ranges() -> None:
    assert parse_expose("80-82/udp") == ("80/udp", "81/udp", "82/udp")


def test_lists_join_neighbours_as_docker_does() -> None:
    mapped = [
        Mapped(80, "tcp", "0.0.0.0", 8080),
        Mapped(80, "tcp", "::", 8080),
        Mapped(9000, "udp", "127.0.0.1", 9000),
        Mapped(9001, "udp", "127.0.0.1", 9001),
    ]
    assert ", ".join(shown(("80/tcp", "443/tcp"), mapped)) == (
        "443/tcp, 127.0.0.1:9000-9001->9000-9001/udp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"
    )
