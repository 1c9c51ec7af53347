"""Which programs can start processes here, by the names that users and records have for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidock.errors import InvalidRequest

if TYPE_CHECKING:
    from minidock.runtime.base import Runtime

NATIVE = "native"


def make_runtime(name: str = "") -> Runtime:
    """Return the runtime called ``name``: native (also if empty), that of an OCI runtime, or the path of one.

    Imported when the first process is started: most commands start none. Raises: InvalidRequest in docker's words.
    """
    if name in ("", NATIVE):
        from minidock.runtime.native import NativeRuntime

        return NativeRuntime()
    from minidock.runtime import oci

    if name.startswith("/"):
        return oci.OciRuntime(name)
    found = oci.found()
    if name not in found:
        hint = f"there are: {', '.join((NATIVE, *found))}, and paths of programs like crun"
        raise InvalidRequest(f"unknown or invalid runtime name: {name}", hint=hint)
    return oci.OciRuntime(found[name])


def installed() -> tuple[str, ...]:
    """Return the names of all runtimes of this machine, the usual one first."""
    from minidock.runtime import oci

    return (NATIVE, *oci.found())
