"""A Debian root file system in which this machine's package registries can be reached, made with mmdebstrap.

Nothing here names a registry: where packages come from is what apt and pip of this machine are configured with.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_APT_OPTIONS = ("Check-Valid-Until", "Check-Date", "Retries", "http", "https")
_PIP_OPTIONS = frozenset({"index-url", "extra-index-url", "trusted-host", "proxy"})
_SOURCES = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")


class NoRootFileSystem(Exception):
    """It could not be made; the text says why, in one line."""


def make_root_file_system(target: Path, work: Path) -> None:
    """Write the tar of a small Debian with ca-certificates to ``target``; ``work`` is for what goes into it.

    Raises: NoRootFileSystem.
    """
    if shutil.which("mmdebstrap") is None:
        raise NoRootFileSystem("mmdebstrap is not installed")
    done = subprocess.run(_command(target, work), capture_output=True, text=True, check=False, timeout=900)
    if done.returncode:
        target.unlink(missing_ok=True)
        lines = done.stderr.splitlines()
        reasons = [line for line in lines if line.startswith("E: ")] or lines[-1:]
        raise NoRootFileSystem(f"mmdebstrap: {'; '.join(reasons) or f'exit code {done.returncode}'}")


def _command(target: Path, work: Path) -> list[str]:
    release = _release()
    is_debian = release.get("ID") == "debian"
    hooks = []
    for name, text in (
        ("etc/pip.conf", _pip_configuration()),
        (_BUNDLE.strip("/"), _authorities()),
    ):
        if text:
            source = work / Path(name).name
            source.write_text(text)
            hooks.append(f"--customize-hook=upload {source} /{name}")
    return [
        "mmdebstrap",
        "--variant=minbase",
        "--include=ca-certificates",
        *(f"--aptopt={line}" for line in _apt_options()),  # they stay in the root file system
        *hooks,
        release["VERSION_CODENAME"] if is_debian else "stable",
        str(target),
        *([source for source in _SOURCES if _is_filled(source)][:1] if is_debian else []),
    ]


def _release() -> dict[str, str]:
    pairs = (line.partition("=")[::2] for line in Path("/etc/os-release").read_text().splitlines())
    return {name: value.strip('"') for name, value in pairs}


def _is_filled(path: str) -> bool:
    try:
        return re.search(r"(?m)^(deb |URIs:)", Path(path).read_text()) is not None
    except FileNotFoundError:
        return False


def _apt_options() -> list[str]:
    names = [f"Acquire::{name}" for name in _APT_OPTIONS]
    command = ["apt-config", "dump", "--no-empty", "--format", '%F "%v";%n', *names]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()


def _pip_configuration() -> str:
    """Return what pip here says of registries on the network, as the text of a pip.conf."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    found = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60).stdout
    values: dict[str, str] = {}
    for scope, option, value in re.findall(r"(?m)^(\S+)\.([a-z-]+)='(.*)'$", found):
        words = [word for word in value.split() if "/" not in word or word.startswith(("http://", "https://"))]
        if option in _PIP_OPTIONS and words and (option not in values or scope == ":env:"):
            values[option] = " ".join(words)
    lines = [f"{option} = {value}" for option, value in sorted(values.items())]
    return "\n".join(["[global]", "timeout = 180", f"cert = {_BUNDLE}", *lines, ""])


def _authorities() -> str:
    """Return the certificates that this machine trusts: it may reach its registries through a proxy of its own."""
    path = Path(os.environ.get("SSL_CERT_FILE") or _BUNDLE)
    return path.read_text() if path.is_file() else ""
