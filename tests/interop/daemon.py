"""A docker daemon of a test's own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop.programs import program
from tests.other_users import public_place

_PATIENCE = 60.0


@contextmanager
def dockerd() -> Iterator[Callable[..., str]]:
    """Start a daemon in a place of its own that changes no network; yield docker for it."""
    with public_place() as place:  # names of sockets are short
        yield from _running(place / "docker")


def _running(place: Path) -> Iterator[Callable[..., str]]:
    program("dockerd")
    docker = program("docker", "--host", f"unix://{place}/socket")
    place.mkdir()
    words = ["--data-root", f"{place}/data", "--exec-root", f"{place}/exec", "--pidfile", f"{place}/pid"]
    words += ["--host", f"unix://{place}/socket", "--iptables=false", "--ip6tables=false", "--bridge=none"]
    with open(place / "log", "wb") as log:
        daemon = subprocess.Popen(["dockerd", *words], stdout=log, stderr=log)
    try:
        until = time.monotonic() + _PATIENCE
        while b"API listen on" not in (place / "log").read_bytes():
            if daemon.poll() is not None or time.monotonic() > until:
                pytest.skip(f"dockerd does not start here: {(place / 'log').read_text()[-300:]}")
            time.sleep(0.1)
        yield docker
    finally:
        daemon.terminate()
        daemon.wait(_PATIENCE)
        subprocess.run(["umount", "--quiet", f"{place}/data"], check=False)  # which it leaves mounted on itself
