"""Settings of the kernel that a namespace has for itself. Source: docker/cli, opts/opts.go; runc, validate.go."""

from __future__ import annotations

from collections.abc import Iterable

from minidock.errors import FlagError, InvalidRequest

_OF_IPC = ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
_IPC = frozenset(f"kernel.{name}" for name in _OF_IPC)
_NETWORK, _QUEUES = "net.", "fs.mqueue."


def parse_sysctl(text: str) -> tuple[str, str]:
    """Return name and value of ``NAME=VALUE``. Raises: FlagError in docker's words."""
    name, equals, value = text.partition("=")
    is_path = all(part not in ("", "..") and "/" not in part for part in name.split("."))
    if equals and is_path and (name in _IPC or name.startswith((_NETWORK, _QUEUES))):
        return name, value
    raise FlagError(f"sysctl '{text}' is not allowed")


def check_sysctls(names: Iterable[str], *, shares_network: bool, shares_ipc: bool) -> None:
    """Refuse what would be a setting of the host. Raises: InvalidRequest in the words of docker and runc."""
    for name in names:
        if name.startswith(_NETWORK) and shares_network:
            raise InvalidRequest(
                f"sysctl '{name}' not allowed in host network namespace",
                hint="give the container a network of its own, for example --network bridge",
            )
        if not name.startswith(_NETWORK) and shares_ipc:
            raise InvalidRequest(f'sysctl "{name}" is not allowed in the hosts ipc namespace')
