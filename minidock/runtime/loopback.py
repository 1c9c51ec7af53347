"""Switches on the one device that every network namespace is born with. Runs in the stub."""

from __future__ import annotations

import _socket
import fcntl
import struct

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def rise() -> None:
    """Raise ``lo`` in the network namespace of this process."""
    connection = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    answer = fcntl.ioctl(connection.fileno(), _SIOCGIFFLAGS, struct.pack("16sh22x", b"lo", 0))
    flags = struct.unpack("16sh22x", answer)[1] | _IFF_UP
    fcntl.ioctl(connection.fileno(), _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags))
    connection.close()
