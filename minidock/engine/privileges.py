"""Privileges of a container, before it is made: can they be given here, and what do they not mean?"""

from __future__ import annotations

from collections.abc import Callable

from minidock.core.devices import ALL_ACCESS
from minidock.core.id_mode import IdMode
from minidock.core.security import ALL_CAPABILITIES, Security
from minidock.errors import RuntimeProblem
from minidock.runtime.base import Isolation, RuntimeReport
from minidock.runtime.syscalls import permitted_capabilities

_NOTHING = Security()
_NO_MODULE = ("unconfined", "disable", "docker-default")


def check(
    security: Security, report: RuntimeReport, warn: Callable[[str], None], privileged: str = "--privileged"
) -> None:
    """Warn, once, of what does not mean what it says; ``privileged`` are the words that make it so.

    Raises: RuntimeProblem for what cannot be given at all.
    """
    if security == _NOTHING:
        return
    if report.isolation is Isolation.CHROOT:
        _refuse(security)
    missing = () if report.id_mode.is_user_namespace else _not_held()
    named = [f"CAP_{name}" for name in security.asked.cap_add if name in missing]
    if named:
        raise RuntimeProblem(
            f"unable to apply caps: operation not permitted: this root does not have {', '.join(named)} itself",
            hint="leave it out of --cap-add",
        )
    phrases = _shortcomings(security, report.id_mode, missing, privileged)
    if phrases:
        warn("; ".join(phrases))


def _not_held() -> tuple[str, ...]:
    held = permitted_capabilities()
    return tuple(name for number, name in enumerate(ALL_CAPABILITIES) if not held >> number & 1)


def _refuse(security: Security) -> None:
    for option, is_asked in (
        ("--device", security.devices),
        ("--sysctl", security.sysctls),
        ("--ipc", security.namespaces.ipc),
        ("--uts", security.namespaces.uts),
    ):
        if is_asked:
            raise RuntimeProblem(f"{option} does not work without namespaces (root without CAP_SYS_ADMIN)")


def _shortcomings(security: Security, id_mode: IdMode, missing: tuple[str, ...], privileged: str) -> list[str]:
    phrases = []
    if security.is_privileged and id_mode.is_user_namespace:
        phrases.append(
            f"{privileged} gives no power over the host: the capabilities are those of a user namespace, "
            "the devices those that you may open"
        )
    elif security.is_privileged and missing:
        phrases.append(f"{privileged} cannot give what this root does not have: {', '.join(missing)}")
    if any(device.access != ALL_ACCESS for device in security.devices):
        phrases.append("what --device grants cannot be restricted: rwm is meant")
    if security.asked.device_rules:
        phrases.append("--device-cgroup-rule has no effect: name the devices with --device")
    if security.asked.groups and id_mode is IdMode.SINGLE:
        phrases.append("--group-add has no effect: there is a single group where there is a single id")
    for module, name in (("apparmor", "AppArmor"), ("label", "SELinux")):
        values = [word.removeprefix(module)[1:] for word in security.asked.options if word.startswith(module)]
        if any(value not in _NO_MODULE for value in values):
            phrases.append(f"--security-opt {module} has no effect: {name} is not asked to confine anything")
    return phrases
