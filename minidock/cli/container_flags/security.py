"""The options of `run` and `create` that say what a container may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from minidock.core.seccomp import parse_profile
from minidock.core.security import ALL_CAPABILITIES, DEFAULT_PROFILE, UNCONFINED, Security, chosen_capabilities
from minidock.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class SecurityFlags:
    """Capabilities, system calls, privileges."""

    cap_add: Annotated[tuple[str, ...], typer.Option("--cap-add", metavar="list", help="Add Linux capabilities")] = ()
    cap_drop: Annotated[
        tuple[str, ...], typer.Option("--cap-drop", metavar="list", help="Drop Linux capabilities")
    ] = ()
    privileged: Annotated[
        bool,
        typer.Option(
            "--privileged", help="Give extended privileges to this container: those that you have, no devices"
        ),
    ] = False
    security_opt: Annotated[
        tuple[str, ...],
        typer.Option("--security-opt", metavar="list", help="Security Options (seccomp=, no-new-privileges)"),
    ] = ()

    def security(self) -> Security:
        """Return the limits that the options ask for. Raises: InvalidRequest."""
        seccomp, no_new_privileges, is_unmasked = DEFAULT_PROFILE, False, False
        for option in self.security_opt:
            name, separator, value = _parts(option)
            match name:
                case "no-new-privileges" if value in ("", "true", "false"):
                    no_new_privileges = value != "false"
                case "seccomp" if separator:
                    seccomp = _profile(value)
                case "systempaths" if value == "unconfined":
                    is_unmasked = True
                case "apparmor" | "label" if separator:
                    pass  # no such module is asked to confine anything here, whatever profile is named
                case _:
                    raise InvalidRequest(f"invalid --security-opt: {option}")
        if self.privileged:
            dropped = chosen_capabilities(["ALL"], self.cap_drop)
            seccomp = UNCONFINED if seccomp == DEFAULT_PROFILE else seccomp
            return Security(dropped if self.cap_drop else tuple(sorted(ALL_CAPABILITIES)), seccomp, is_privileged=True)
        return Security(
            chosen_capabilities(self.cap_add, self.cap_drop), seccomp, no_new_privileges, is_privileged=is_unmasked
        )


def _parts(option: str) -> tuple[str, str, str]:
    """Return name, separator and value; docker takes ``=`` and, as it used to, ``:``."""
    return option.partition("=") if "=" in option else option.partition(":")


def _profile(value: str) -> str:
    """Return the text of a profile, or one of the two names. Raises: InvalidRequest."""
    if value in (UNCONFINED, "builtin", DEFAULT_PROFILE):
        return UNCONFINED if value == UNCONFINED else DEFAULT_PROFILE
    try:
        with open(value, encoding="utf-8") as file:
            text = file.read()
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise InvalidRequest(f"opening seccomp profile ({value}) failed: {reason}") from error
    parse_profile(text, (), "", (0, 0))  # what is wrong with it is said now, not when the container is started
    return text
