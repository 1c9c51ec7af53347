"""Ports as EXPOSE and --expose write them. Source: BuildKit, dockerfile2llb/convert_expose.go."""

from __future__ import annotations

import ipaddress
import re

from minidock.core.quoting import quoted

_NUMBER = re.compile(r"[0-9]{1,6}", re.ASCII)
_HIGHEST = 65535
_PROTOCOLS = frozenset({"tcp", "udp", "sctp"})


class BadPort(ValueError):
    """Text that is not a port, in docker's words."""


def parse_ports(text: str) -> tuple[str, ...]:
    """Return ``port/protocol`` for every port of ``[[ip:]host:]port[-port][/protocol]``.

    Only the container's part counts, what stands before it is merely checked. Raises: BadPort.
    """
    try:
        return _ports(text)
    except BadPort as error:
        raise BadPort(f"invalid port: {quoted(text)}: {error}") from None


def _ports(text: str) -> tuple[str, ...]:
    *before, container = text.split(":")
    host = before.pop() if before else ""
    address = ":".join(before)
    ports, _, protocol = container.partition("/")
    if not ports:
        raise BadPort("no port specified")
    protocol = protocol.lower() or "tcp"
    if protocol not in _PROTOCOLS:
        raise BadPort(f"invalid proto: {protocol}")
    if address and not _is_address(address):
        raise BadPort(f"invalid IP address: {address}")
    first, last = _range(ports, "containerPort")
    if host:
        host_first, host_last = _range(host, "hostPort")
        if last != first and last - first != host_last - host_first:
            raise BadPort(f"invalid ranges specified for container and host Ports: {ports} and {host}")
    return tuple(f"{port}/{protocol}" for port in range(first, last + 1))


def _is_address(text: str) -> bool:
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _range(text: str, name: str) -> tuple[int, int]:
    first, separator, last = text.partition("-")
    last = last if separator else first
    if not (_NUMBER.fullmatch(first) and _NUMBER.fullmatch(last)):
        raise BadPort(f"invalid {name}: {text}")
    if not int(first) <= int(last) <= _HIGHEST:
        raise BadPort(f"invalid {name}: {text}")
    return int(first), int(last)
