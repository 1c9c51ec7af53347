"""Lends an ssh agent to a build step: a socket of the step's own, whose traffic is passed on to the agent.

The agent's own socket stays outside: its owner and mode are no business of the step, and the loan ends with the step.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from minidock.errors import BuildError

_CHUNK = 1 << 16
_PATIENCE = 5.0


@contextmanager
def lent(agent: str, directory: str, mode: int, owner: tuple[int, int]) -> Iterator[str]:
    """Listen on a socket in ``directory`` for the agent at the socket ``agent``; give the socket's path."""
    path = f"{directory}/agent"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    place = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        listener.bind(f"/proc/self/fd/{place}/agent")  # the path itself may be longer than an address can be
        with suppress(PermissionError):  # a single id: everybody in the step is this user
            os.chown(path, *owner)
        os.chmod(path, mode)
        listener.listen()
        thread = threading.Thread(target=_serve, args=(listener, agent), daemon=True)
        thread.start()
        yield path
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        listener.close()
        os.close(place)


def _serve(listener: socket.socket, agent: str) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return  # the loan is over
        threading.Thread(target=_relay, args=(client, agent), daemon=True).start()


def _relay(client: socket.socket, agent: str) -> None:
    """Pass bytes on in both directions until one side has no more to say."""
    with client, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as upstream:
        try:
            upstream.connect(agent)
        except OSError:
            return  # for the client this is an agent that hangs up
        back = threading.Thread(target=_pump, args=(upstream, client), daemon=True)
        back.start()
        _pump(client, upstream)
        back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def agent_with_keys(keys: Sequence[str], directory: str) -> Iterator[str]:
    """Run an agent of our own that knows the private ``keys`` (files); give its socket. Raises: BuildError."""
    path = f"{directory}/keys"
    try:
        agent = subprocess.Popen(
            ["ssh-agent", "-D", "-a", path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
    except FileNotFoundError as error:
        hint = "install openssh-client, or give the socket of a running agent: --ssh default=$SSH_AUTH_SOCK"
        raise BuildError("--ssh with a key needs ssh-agent, which is not installed", hint=hint) from error
    try:
        _wait_for(path, agent)
        for key in keys:
            added = subprocess.run(
                ["ssh-add", key],
                env={"SSH_AUTH_SOCK": path, "PATH": os.defpath},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
            if added.returncode:
                raise BuildError(
                    f"failed to add {key} to an ssh agent: {added.stderr.decode(errors='replace').strip()}"
                )
        yield path
    finally:
        agent.terminate()
        agent.wait()


def _wait_for(path: str, agent: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _PATIENCE
    while not os.path.exists(path):
        if agent.poll() is not None or time.monotonic() > until:
            raise BuildError("ssh-agent did not start", hint="its socket's path may be too long: see --root")
        time.sleep(0.01)
