"""Finds out what `minidock info` tells. Changes nothing."""

from __future__ import annotations

import os
import platform

import minidock
from minidock.core.summary import ContainerState
from minidock.core.system_info import SystemInfo
from minidock.engine.image_list import list_images
from minidock.engine.platforms import architecture
from minidock.engine.runtimes import installed
from minidock.engine.workspace import Workspace
from minidock.errors import StoreUnwritable
from minidock.runtime.base import Isolation, RuntimeReport


def info(ws: Workspace, id_mode_reason: str = "") -> SystemInfo:
    """Return the state of the store and of the runtime; ``id_mode_reason`` is what `id_modes.choose` has told."""
    store = ws.store
    containers = store.containers.list()
    report = _report(ws)
    system = os.uname()
    return SystemInfo(
        root=store.layout.root,
        is_store=store.exists,
        id_mode=store.id_mode.value,
        id_mode_reason=id_mode_reason,
        containers=len(containers),
        running=sum(container.is_running for container in containers),
        paused=sum(container.state.status is ContainerState.PAUSED for container in containers),
        images=len({row.image_id for row in list_images(ws)}),
        volumes=len(store.volumes.list()),
        cache_records=len(store.cache.records()),
        runtime=ws.runtime.name,
        runtimes=installed(),
        isolation=report.isolation.value,
        storage=report.storage.value,
        reasons=report.reasons,
        version=minidock.__version__,
        kernel=system.release,
        architecture=architecture(),
        processors=os.cpu_count() or 1,
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        name=system.nodename,
        operating_system=_operating_system(),
    )


def _operating_system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return os.uname().sysname  # a machine that does not say


def _report(ws: Workspace) -> RuntimeReport:
    """Return what works with files where the store is, or where it would be."""
    try:
        return ws.runtime.probe(ws.store.layout.root)
    except StoreUnwritable as error:
        return RuntimeReport(Isolation.UNAVAILABLE, ws.store.id_mode, has_overlay=False, reasons=(str(error),))
