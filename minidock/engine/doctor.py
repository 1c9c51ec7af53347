"""`doctor`: everything that decides what works on this machine, tried and explained.

To add a check, write a function that returns findings beside what it looks at and name it in `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from minidock.core.diagnosis import Diagnosis, Finding, Verdict
from minidock.engine.workspace import Workspace
from minidock.errors import StoreUnwritable
from minidock.runtime import checks, ids
from minidock.runtime.base import Isolation, Storage
from minidock.store.place import place_findings

Check = Callable[[Workspace], Iterable[Finding]]


def diagnose(ws: Workspace, id_mode_reason: str = "") -> Diagnosis:
    """Return what every check has found. Changes nothing.

    ``id_mode_reason`` says why the id mode is what it is (`id_modes.choose`).
    """
    chosen = Finding("id mode", Verdict.OK, f"{ids.id_mode()}: {id_mode_reason}" if id_mode_reason else ids.id_mode())
    return Diagnosis((*(finding for check in CHECKS for finding in check(ws)), chosen))


def _machine(ws: Workspace) -> Iterator[Finding]:
    yield checks.kernel()
    yield checks.system_calls()
    yield checks.user_namespaces()
    yield checks.id_ranges()


def _store(ws: Workspace) -> Iterator[Finding]:
    yield from place_findings(ws.store.layout.root, ws.store.id_mode)


def _containers(ws: Workspace) -> Iterator[Finding]:
    """Try what a container needs, for real."""
    try:
        report = ws.runtime.probe(ws.store.layout.root)
    except StoreUnwritable:
        return  # told already
    reasons = [reason for reason in report.reasons if not reason.startswith("overlay: ")]
    if report.isolation is Isolation.NAMESPACES:
        yield Finding("isolation", Verdict.OK, "namespaces of their own for containers and RUN steps")
    elif report.isolation is Isolation.CHROOT:
        found = "root without CAP_SYS_ADMIN: containers and RUN steps get a changed root directory only"
        consequence = "they see the host's processes and network; no volumes; root file systems are copied"
        remedy = "give this container CAP_SYS_ADMIN (docker run --privileged), or run as a plain user"
        yield Finding("isolation", Verdict.WARNING, found, consequence, remedy)
    else:
        consequence = "no RUN and no `run`; builds of COPY and metadata, import, history and df work"
        found, _, remedy = "; ".join(reasons).partition("; ")
        yield Finding("isolation", Verdict.PROBLEM, found or "not to be had", consequence, remedy)
    if report.storage is Storage.OVERLAY:
        yield Finding("overlayfs", Verdict.OK, "layers are stacked")
    elif report.isolation is Isolation.NAMESPACES:
        told = next((reason for reason in report.reasons if reason.startswith("overlay: ")), "overlay: refused")
        found = told.removeprefix("overlay: ").partition("; ")[0]
        remedy = "put the store on a local ext4, xfs, btrfs or tmpfs: MINIDOCK_ROOT"
        consequence = "root file systems are copied, which is slower"
        if report.fuse:
            consequence = f"{report.fuse} takes its place, which is slower"
        yield Finding("overlayfs", Verdict.WARNING, found, consequence, remedy)


def _rest(ws: Workspace) -> Iterator[Finding]:
    yield checks.fuse()
    yield checks.seccomp()
    yield checks.cgroups()
    yield checks.network()
    yield checks.proc()


CHECKS: tuple[Check, ...] = (_machine, _store, _containers, _rest)
