"""The registries as one user's files and variables describe them."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minidock.registry.registries import Registries as Registries  # for those who may not import it from there

Environment = Mapping[str, str]

SETTINGS_FILE = "registries.toml"
SETTINGS_VARIABLE = "MINIDOCK_REGISTRIES"


def open_registries(environment: Environment, warn: Callable[[str], None]) -> Registries:
    """Return the registries of the user with these variables; nothing is asked yet.

    ``warn`` is told of settings that give up safety, when they come to bear. Raises: MinidockError.
    """
    # The HTTP client takes its time to load: who only passes variables on does without it.
    from minidock.registry.credentials import CredentialFiles
    from minidock.registry.registries import Registries
    from minidock.registry.settings import read_settings

    home = environment.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
    config = environment.get("XDG_CONFIG_HOME") or f"{home}/.config"
    runtime = environment.get("XDG_RUNTIME_DIR")
    docker = environment.get("DOCKER_CONFIG") or f"{home}/.docker"
    given = environment.get(SETTINGS_VARIABLE)
    settings = read_settings(
        [given] if given else [f"{config}/minidock/{SETTINGS_FILE}", f"/etc/minidock/{SETTINGS_FILE}"]
    )
    others = [
        environment.get("REGISTRY_AUTH_FILE", ""),
        f"{runtime}/containers/auth.json" if runtime else f"/run/containers/{os.getuid()}/auth.json",
        f"{config}/containers/auth.json",
    ]
    return Registries(
        settings, CredentialFiles(f"{docker}/config.json", [path for path in others if path], environment), warn
    )
