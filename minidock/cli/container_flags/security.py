"""The options of `run` and `create` that say what a container may do."""

import json
from typing import Annotated, Self

import typer

from minidock.core.dataclass import dataclass
from minidock.core.devices import Device, parse_device_rule
from minidock.core.namespaces import Namespaces
from minidock.core.security import (
    ALL_CAPABILITIES,
    DEFAULT_PROFILE,
    UNCONFINED,
    Asked,
    Security,
    chosen_capabilities,
    normal_capabilities,
)
from minidock.core.sysctls import parse_sysctl
from minidock.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class SecurityFlags:
    """Capabilities, system calls, privileges, devices, namespaces."""

    cap_add: Annotated[tuple[str, ...], typer.Option("--cap-add", metavar="list", help="Add Linux capabilities")] = ()
    cap_drop: Annotated[
        tuple[str, ...], typer.Option("--cap-drop", metavar="list", help="Drop Linux capabilities")
    ] = ()
    cgroupns: Annotated[
        str, typer.Option("--cgroupns", help="Cgroup namespace to use (host|private)", show_default=False)
    ] = ""
    devices: Annotated[
        tuple[Device, ...],
        typer.Option("--device", metavar="list", parser=Device.parse, help="Add a host device to the container"),
    ] = ()
    device_rules: Annotated[
        tuple[str, ...],
        typer.Option(
            "--device-cgroup-rule",
            metavar="list",
            parser=parse_device_rule,
            help="Add a rule to the cgroup allowed devices list (no effect)",
        ),
    ] = ()
    group_add: Annotated[
        tuple[str, ...], typer.Option("--group-add", metavar="list", help="Add additional groups to join")
    ] = ()
    ipc: Annotated[str, typer.Option("--ipc", help="IPC mode to use (none|private|shareable|host)")] = ""
    isolation: Annotated[str, typer.Option("--isolation", help="Container isolation technology (default)")] = ""
    pid: Annotated[str, typer.Option("--pid", help="PID namespace to use (host)")] = ""
    privileged: Annotated[
        bool,
        typer.Option(
            "--privileged", help="Give extended privileges to this container: those that you have, and your devices"
        ),
    ] = False
    security_opt: Annotated[
        tuple[str, ...],
        typer.Option(
            "--security-opt",
            metavar="list",
            help="Security Options (seccomp=FILE|unconfined, no-new-privileges, systempaths=unconfined)",
        ),
    ] = ()
    sysctls: Annotated[
        tuple[tuple[str, str], ...],
        typer.Option("--sysctl", metavar="map", parser=parse_sysctl, help="Sysctl options"),
    ] = ()
    userns: Annotated[str, typer.Option("--userns", help="User namespace to use (host: no effect)")] = ""
    uts: Annotated[str, typer.Option("--uts", help="UTS namespace to use (host)")] = ""

    def security(self) -> Security:
        """Return the limits that the options ask for. Raises: InvalidRequest."""
        if self.isolation not in ("", "default"):
            raise InvalidRequest(f"Invalid isolation: \"{self.isolation}\" - linux only supports 'default'")
        added = normal_capabilities("CapAdd", self.cap_add)
        dropped = normal_capabilities("CapDrop", self.cap_drop)
        options = _Options.read(self.security_opt)
        seccomp, capabilities = options.seccomp, chosen_capabilities(added, dropped)
        if self.privileged:
            capabilities = tuple(sorted(set(ALL_CAPABILITIES) - set(dropped)))
            seccomp = UNCONFINED if seccomp == DEFAULT_PROFILE else seccomp
        return Security(
            capabilities=capabilities,
            seccomp=seccomp,
            no_new_privileges=options.no_new_privileges,
            is_privileged=self.privileged,
            is_unmasked=options.is_unmasked,
            devices=tuple({device.target: device for device in self.devices}.values()),
            sysctls=tuple(dict(self.sysctls).items()),
            namespaces=Namespaces.parse(
                ipc=self.ipc, pid=self.pid, uts=self.uts, user=self.userns, cgroup=self.cgroupns
            ),
            asked=Asked(added, dropped, self.group_add, options.words, self.device_rules),
        )


@dataclass(frozen=True, slots=True)
class _Options:
    """What the words of ``--security-opt`` come to."""

    seccomp: str
    no_new_privileges: bool
    is_unmasked: bool
    words: tuple[str, ...]

    @classmethod
    def read(cls, options: tuple[str, ...]) -> Self:
        """Return the meaning of the options, later ones first. Raises: InvalidRequest in docker's words."""
        seccomp, no_new_privileges, is_unmasked, words = DEFAULT_PROFILE, False, False, []
        for option in options:
            name, separator, value = _parts(option)
            word = option
            match name:
                case "no-new-privileges" if not separator or value in ("true", "false"):
                    no_new_privileges = value != "false"
                case "seccomp" if value:
                    seccomp = _profile(value)
                    word = f"seccomp={value if seccomp in (UNCONFINED, DEFAULT_PROFILE) else seccomp}"
                case "systempaths" if value == "unconfined":
                    is_unmasked = True
                case "apparmor" | "label" if value:
                    pass  # no such module is asked to confine anything here, whatever profile is named
                case _ if not value:
                    raise InvalidRequest(f'Invalid --security-opt: "{option}"')
                case _:
                    raise InvalidRequest(f'invalid --security-opt: "{option}"')
            words.append(word)
        return cls(seccomp, no_new_privileges, is_unmasked, tuple(words))


def _parts(option: str) -> tuple[str, str, str]:
    """Return name, separator and value; docker takes ``=`` and, as it used to, ``:``."""
    return option.partition("=") if "=" in option else option.partition(":")


def _profile(value: str) -> str:
    """Return the text of a profile, or one of the two names. Raises: InvalidRequest."""
    if value in (UNCONFINED, "builtin"):
        return UNCONFINED if value == UNCONFINED else DEFAULT_PROFILE
    from minidock.core.seccomp import parse_profile

    try:
        with open(value, encoding="utf-8") as file:
            text = file.read()
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise InvalidRequest(f"opening seccomp profile ({value}) failed: open {value}: {reason}") from error
    try:
        compact = json.dumps(json.loads(text), separators=(",", ":"))
    except ValueError as error:
        raise InvalidRequest(f"compacting json for seccomp profile ({value}) failed: {error}") from error
    parse_profile(compact, (), "", (0, 0))  # what is wrong with it is said now, not when the container is started
    return compact
