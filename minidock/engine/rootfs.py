"""How a root file system for a process can be had here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from minidock.engine.known_report import recall, remember
from minidock.engine.runtimes import NATIVE
from minidock.engine.workspace import Workspace
from minidock.errors import NoRuntime
from minidock.runtime.base import Isolation, RuntimeReport, Storage


def probe(ws: Workspace) -> RuntimeReport:
    """Return what the runtime can do for this store. Raises: NoRuntime if it can start no process at all."""
    report = ws.report
    if report is None:
        report = ws.report = recall(ws) or _try(ws)
    if report.isolation is Isolation.UNAVAILABLE:
        raise NoRuntime(
            "no process can be run here: " + "; ".join(report.reasons), hint="see `minidock info` for what would help"
        )
    return report


def _try(ws: Workspace) -> RuntimeReport:
    with ws.store.session() as session:  # in tmp itself another process would take the trial's place for rubbish
        report = ws.runtime.probe(session.temporary())
        remember(ws, session, report)
    return report


@contextmanager
def prepared(ws: Workspace) -> Iterator[None]:
    """Have the runtime load what it needs beside what is done inside, which ends in starting a process, or fails."""
    ws.runtime.prepare()
    try:
        yield
    except BaseException:
        ws.runtime.dismiss()
        raise


def can_overlay(ws: Workspace) -> bool:
    """Whether the kernel stacks layers here."""
    return probe(ws).storage is Storage.OVERLAY


def keeps_owners(ws: Workspace) -> bool:
    """Whether the owners that a RUN sets get into its layer.

    With a single id they are taken down by the native runtime alone, and not on the inodes that fuse-overlayfs shows.
    """
    if ws.store.id_mode.has_real_owners:
        return True
    if ws.runtime_name not in ("", NATIVE):
        return False
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):  # then nothing has to be tried, or loaded
        return True
    try:
        return not probe(ws).fuse
    except NoRuntime:
        return True  # nothing is run here, and what the cache has was made in another way


def shortcomings(report: RuntimeReport) -> str | None:
    """Return the one warning that a user is due where processes get less than namespaces and an overlay."""
    if report.isolation is Isolation.CHROOT:
        text = "processes are confined by chroot only, on a copy of their root file system"
    elif not report.has_overlay:
        text = "overlayfs cannot be used here: every process gets a copy of its root file system"
    elif report.fuse:
        text = "overlayfs cannot be used here: fuse-overlayfs takes its place, which is slower"
    else:
        return None
    return "; ".join(report.reasons) or text
