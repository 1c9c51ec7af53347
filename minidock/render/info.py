"""`minidock info` as text and as JSON, with docker's names where docker has the same fact."""

from __future__ import annotations

from minidock.core.system_info import SystemInfo
from minidock.core.units import binary_size
from minidock.render.console import Console
from minidock.render.formats import Format, json_text


def print_info(console: Console, info: SystemInfo, *, shape: Format = Format.TABLE) -> None:
    """Print `info`; what this machine cannot do is told on stderr, with what would help."""
    if shape is Format.JSON:
        console.out.write(json_text(_members(info)) + "\n")
        return
    if shape.template:
        console.out.write(shape.document(_members(info)))
        return
    state = "" if info.is_store else " (nothing there yet)"
    lines = (
        f"Containers: {info.containers}",
        f" Running: {info.running}",
        f" Paused: {info.paused}",
        f" Stopped: {info.stopped}",
        f"Images: {info.images}",
        f"Volumes: {info.volumes}",
        f"Build Cache Records: {info.cache_records}",
        f"Version: {info.version}",
        f"Root Dir: {info.root}{state}",
        f"ID Mode: {info.id_mode}{f' ({info.id_mode_reason})' if info.id_mode_reason else ''}",
        f"Runtimes: {' '.join(info.runtimes)}",
        f"Default Runtime: {info.runtime}",
        f"Isolation: {info.isolation}",
        f"Storage Driver: {info.storage}",
        f"Kernel Version: {info.kernel}",
        f"Operating System: {info.operating_system}",
        f"Architecture: {info.architecture}",
        f"CPUs: {info.processors}",
        f"Total Memory: {binary_size(info.memory)}",
        f"Name: {info.name}",
    )
    console.out.write("".join(f"{line}\n" for line in lines))
    console.out.flush()
    console.err.write("".join(f"WARNING: {reason}\n" for reason in info.reasons))


def _members(info: SystemInfo) -> dict[str, object]:
    return {
        "Containers": info.containers,
        "ContainersRunning": info.running,
        "ContainersPaused": info.paused,
        "ContainersStopped": info.stopped,
        "Images": info.images,
        "Volumes": info.volumes,
        "BuildCacheRecords": info.cache_records,
        "ServerVersion": info.version,
        "DockerRootDir": info.root,
        "IDMode": info.id_mode,
        "IDModeReason": info.id_mode_reason,
        "Runtimes": {name: {} for name in info.runtimes},
        "DefaultRuntime": info.runtime,
        "Isolation": info.isolation,
        "Driver": info.storage,
        "KernelVersion": info.kernel,
        "OperatingSystem": info.operating_system,
        "OSType": "linux",
        "Architecture": info.architecture,
        "NCPU": info.processors,
        "MemTotal": info.memory,
        "Name": info.name,
        "Warnings": list(info.reasons) or None,
    }
