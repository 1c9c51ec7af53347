"""What a RUN may only do if the caller of the build allows it by ``--allow``.

Source: BuildKit, util/entitlements and dockerfile2llb/convert_norundevice.go; docker/buildx, util/buildflags.
"""

from __future__ import annotations

from collections.abc import Collection

from minidock.core.csv_line import fields_of
from minidock.core.dockerfile.model import Run
from minidock.core.quoting import quoted
from minidock.errors import InvalidRequest

SECURITY_INSECURE = "security.insecure"
NETWORK_HOST = "network.host"
DEVICE = "device"
LOCAL_DELETE = "buildx.local.delete"  # of `--output type=local,mode=delete`
INSECURE = "insecure"  # the value of ``RUN --security``
_NO_DEVICES = "device feature is only supported in Dockerfile frontend 1.14.0-labs or later"


def parse_entitlement(text: str) -> str:
    """Return the entitlement that a value of ``--allow`` names, empty for none. Raises: InvalidRequest."""
    name, equals, value = text.partition("=")
    if name == LOCAL_DELETE and equals:
        raise InvalidRequest(f"{LOCAL_DELETE} does not accept a value")
    if name == DEVICE:
        for field in fields_of(value)[1:] if value else ():
            key, has_value, _ = field.partition("=")
            if not has_value:
                raise InvalidRequest(f"invalid device config {quoted(field)}")
            if key != "alias":
                raise InvalidRequest(f"unknown device config key {quoted(key)}")
        return DEVICE
    if text not in (SECURITY_INSECURE, NETWORK_HOST, LOCAL_DELETE, ""):
        raise InvalidRequest(f"unknown entitlement {text}")
    return text


def refusal(instruction: Run, allowed: Collection[str]) -> tuple[str, str] | None:
    """Return why a RUN is refused, and what to do about it; None if it is not."""
    if instruction.devices:
        return _NO_DEVICES, "RUN --device is of that pre-release syntax; `minidock run --device` gives devices"
    if instruction.security == INSECURE and SECURITY_INSECURE not in allowed:
        return f"entitlement {SECURITY_INSECURE} is not allowed", f"`--allow {SECURITY_INSECURE}` allows it"
    return None
