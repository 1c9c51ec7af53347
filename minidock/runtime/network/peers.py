"""The containers of a network find each other: files and sockets in the network's directory, no process of its own.

::

    networks/ID/CONTAINER         names and addresses, marshalled; flock held by the container's relay while it lives
                CONTAINER.stream  its socket for connections: first 19 bytes of address (a length, 16 bytes) and port
                CONTAINER.packet  its socket for datagrams, in flows; the first packet of a flow is such a header

A file that nobody holds is rubbish of a relay that was killed; the next container to come cleans it away.
"""

from __future__ import annotations

import _socket
import fcntl
import marshal
import os
import struct

STREAM, PACKET = ".stream", ".packet"
HEADER_SIZE = 19
_BACKLOG = 256


def header(address: bytes, port: int) -> bytes:
    """Return what a relay is told first: where in its container a connection or flow leads."""
    return bytes([len(address)]) + address.ljust(16, b"\0") + struct.pack(">H", port)


def parse_header(data: bytes) -> tuple[bytes, int]:
    """Return address and port. Raises: ValueError."""
    if len(data) != HEADER_SIZE or data[0] not in (4, 16):
        raise ValueError("no header")
    return data[1 : 1 + data[0]], int(struct.unpack_from(">H", data, 17)[0])


class Membership:
    """A container in a network, for as long as its relay lives."""

    def __init__(self, directory: str, container_id: str, names: list[str], addresses: list[bytes]) -> None:
        self.directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._id = container_id
        fcntl.flock(self.directory, fcntl.LOCK_EX)
        try:
            self._clean()
            self.streams = self._listener(STREAM, _socket.SOCK_STREAM)
            self.packets = self._listener(PACKET, _socket.SOCK_SEQPACKET)
            self._held = os.open(f".{container_id}", _NEW, 0o600, dir_fd=self.directory)
            fcntl.flock(self._held, fcntl.LOCK_EX)
            os.write(self._held, marshal.dumps((names, addresses)))
            os.rename(f".{container_id}", container_id, src_dir_fd=self.directory, dst_dir_fd=self.directory)
        finally:
            fcntl.flock(self.directory, fcntl.LOCK_UN)

    def _listener(self, suffix: str, kind: int) -> _socket.socket:
        listener = _socket.socket(_socket.AF_UNIX, kind | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
        os.fchmod(listener.fileno(), 0o600)  # which the file gets, whatever the umask
        listener.bind(f"/proc/self/fd/{self.directory}/{self._id}{suffix}")
        listener.listen(_BACKLOG)
        return listener

    def _clean(self) -> None:
        """Remove what belongs to no living relay."""
        names = os.listdir(self.directory)
        alive = {name for name in names if name.isalnum() and name != self._id and _read(self.directory, name)}
        for name in names:
            if name != "network.json" and name.partition(".")[0] not in alive:
                os.unlink(name, dir_fd=self.directory)

    def leave(self) -> None:
        """Take the container out of the network."""
        for suffix in ("", STREAM, PACKET):
            try:
                os.unlink(f"{self._id}{suffix}", dir_fd=self.directory)
            except FileNotFoundError:
                pass  # the network was removed by force
        self.streams.close()
        self.packets.close()
        os.close(self._held)
        os.close(self.directory)

    def addresses_of(self, name: str) -> list[bytes] | None:
        """Return the addresses of every container that has this name (lower case); None if there is none."""
        found = [addresses for _, names, addresses in members(self.directory) if name in names]
        return [address for addresses in found for address in addresses] if found else None

    def connect(self, address: bytes, suffix: str) -> _socket.socket | None:
        """Return a connection to the relay of the container that has an address; None if there is none."""
        for container_id, _, addresses in members(self.directory):
            if address in addresses:
                kind = _socket.SOCK_STREAM if suffix == STREAM else _socket.SOCK_SEQPACKET
                connection = _socket.socket(_socket.AF_UNIX, kind | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
                connection.connect(f"/proc/self/fd/{self.directory}/{container_id}{suffix}")
                return connection
        return None


_NEW = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW


def members(directory: int) -> list[tuple[str, list[str], list[bytes]]]:
    """Return (container ID, names, addresses) of every container that runs on the network of a directory."""
    found = []
    for name in sorted(os.listdir(directory)):
        entry = _read(directory, name) if name.isalnum() else None
        if entry is not None:
            found.append((name, *entry))
    return found


def _read(directory: int, name: str) -> tuple[list[str], list[bytes]] | None:
    """Return what a file says if a relay holds it."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=directory)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        names, addresses = marshal.loads(os.read(fd, 1 << 16))
        return list(names), list(addresses)
    finally:
        os.close(fd)
    return None
