"""What `inspect` says of a container: docker's members, those that a daemonless program can know."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minidock.core.mounts import MountOption
from minidock.core.process import MountType, Recursion
from minidock.core.resources import Resources
from minidock.core.security import EVERYTHING
from minidock.core.summary import ContainerState
from minidock.core.times import ZERO_TIME, format_time
from minidock.core.volume import DRIVER, is_anonymous
from minidock.engine.changes import written_size
from minidock.engine.container_filter import health_of
from minidock.engine.network_inspect import network_settings, port_bindings
from minidock.engine.workspace import Workspace
from minidock.runtime.system_mounts import READ_ONLY, masked
from minidock.store.container_record import ContainerRecord
from minidock.store.containers import Container


def inspect_container(ws: Workspace, name: str, *, has_sizes: bool = False) -> dict[str, Any]:
    """Return the members of a container, in docker's order. Raises: NoSuchContainer."""
    container = ws.store.containers.find(name)
    record = container.record
    members: dict[str, Any] = {
        "Id": record.id,
        "Created": format_time(record.created),
        "Path": record.args[0],
        "Args": list(record.args[1:]),
        "State": _state(container, was_oom_killed=ws.store.containers.was_oom_killed(record.id))
        | _health(ws, container),
        "Image": str(record.image_id),
        "ResolvConfPath": "",
        "HostnamePath": "",
        "HostsPath": "",
        "LogPath": ws.store.containers.path(record.id, "log") if record.has_log else "",
        "Name": f"/{record.name}",
        "RestartCount": container.state.restart_count,
        "Driver": "copy" if record.is_copied else "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": None,
        "HostConfig": _host_config(record),
        "GraphDriver": {
            "Data": {"UpperDir": ws.store.containers.path(record.id, "upper")},
            "Name": "copy" if record.is_copied else "overlay2",
        },
        "Mounts": [_mount(ws, mount) for mount in record.mounts if not _is_tmpfs_option(mount)],
        "Config": _config(record),
        "NetworkSettings": network_settings(container),
    }
    if has_sizes:
        size = written_size(ws, container)
        image_size = sum(ws.store.layers.get(diff_id).size for diff_id in record.diff_ids)
        members |= {"SizeRw": size, "SizeRootFs": size + image_size}
    return members


def _state(container: Container, *, was_oom_killed: bool) -> dict[str, Any]:
    state = container.state
    return {
        "Status": state.status.value,
        "Running": container.is_live,
        "Paused": container.is_paused,
        "Restarting": state.status is ContainerState.RESTARTING,
        "OOMKilled": was_oom_killed,
        "Dead": False,
        "Pid": state.pid if container.has_process else 0,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": _time(state.started_at),
        "FinishedAt": _time(state.finished_at),
    }


def _health(ws: Workspace, container: Container) -> dict[str, Any]:
    status = health_of(ws, container)
    known = ws.store.containers.health(container.id) if status else None
    return {} if known is None else {"Health": {**known.to_json(), "Status": status}}


def _time(moment: datetime | None) -> str:
    return format_time(moment) if moment else ZERO_TIME


def _host_config(record: ContainerRecord) -> dict[str, Any]:
    life = record.lifecycle
    short = [mount for mount in record.mounts if mount.is_short]
    binds = [_bind(mount) for mount in short if mount.type is not MountType.TMPFS and not is_anonymous(mount.volume)]
    tmpfs = {mount.target: mount.mode for mount in short if mount.type is MountType.TMPFS}
    mounts = [_mount_option(mount) for mount in record.mounts if not mount.is_short]
    return {
        "Binds": binds or None,
        "ContainerIDFile": life.cid_file,
        "LogConfig": {"Type": life.log_driver or ("local" if record.has_log else "none"), "Config": {}},
        "NetworkMode": record.networking.name,
        "PortBindings": port_bindings(record.networking),
        "RestartPolicy": {
            "Name": life.restart.mode.value,
            "MaximumRetryCount": life.restart.most,
        },
        "AutoRemove": record.auto_remove,
        **({"Init": True} if life.has_init else {}),
        **({"Annotations": dict(life.annotations)} if life.annotations else {}),
        **({"Mounts": mounts} if mounts else {}),
        **({"Tmpfs": tmpfs} if tmpfs else {}),
        "Dns": list(record.networking.dns),
        "DnsOptions": list(record.networking.dns_options),
        "DnsSearch": list(record.networking.dns_search),
        "ExtraHosts": [f"{name}:{address}" for name, address in record.networking.extra_hosts] or None,
        "Links": [f"/{name}:/{record.name}/{alias}" for name, alias in record.networking.links] or None,
        **_security(record),
        "PublishAllPorts": record.networking.publishes_all,
        "ReadonlyRootfs": record.is_read_only,
        "OomScoreAdj": record.resources.oom_score_adj,
        "ShmSize": record.resources.shm_size,
        "Runtime": record.runtime,
        **_resources(record.resources),
    }


def _security(record: ContainerRecord) -> dict[str, Any]:
    security = record.security
    shared, asked = security.namespaces, security.asked
    devices = [
        {"PathOnHost": device.source, "PathInContainer": device.target, "CgroupPermissions": device.access}
        for device in security.devices
    ]
    return {
        "CapAdd": [_capability(name) for name in asked.cap_add] or None,
        "CapDrop": [_capability(name) for name in asked.cap_drop] or None,
        "CgroupnsMode": shared.cgroup or "private",
        "GroupAdd": list(asked.groups) or None,
        "IpcMode": shared.ipc or "private",
        "PidMode": shared.pid,
        "Privileged": security.is_privileged,
        "SecurityOpt": [word for word in asked.options if word != "systempaths=unconfined"] or None,
        "UTSMode": shared.uts,
        "UsernsMode": shared.user,
        **({"Sysctls": dict(security.sysctls)} if security.sysctls else {}),
        "Devices": devices,
        "DeviceCgroupRules": list(asked.device_rules) or None,
        "MaskedPaths": [] if security.shows_all else [f"/{path}" for path in masked()],
        "ReadonlyPaths": [] if security.shows_all else [f"/{path}" for path in READ_ONLY],
    }


def _capability(name: str) -> str:
    return name if name == EVERYTHING else f"CAP_{name}"


def _resources(resources: Resources) -> dict[str, Any]:
    return {
        "CpuShares": resources.cpu_shares,
        "Memory": resources.memory,
        "NanoCpus": resources.nano_cpus,
        "CgroupParent": "",
        "BlkioWeight": resources.blkio_weight,
        "BlkioWeightDevice": [],
        "BlkioDeviceReadBps": [],
        "BlkioDeviceWriteBps": [],
        "BlkioDeviceReadIOps": [],
        "BlkioDeviceWriteIOps": [],
        "CpuPeriod": resources.cpu_period,
        "CpuQuota": resources.cpu_quota,
        "CpuRealtimePeriod": 0,
        "CpuRealtimeRuntime": 0,
        "CpusetCpus": resources.cpuset_cpus,
        "CpusetMems": resources.cpuset_mems,
        "MemoryReservation": resources.memory_reservation,
        "MemorySwap": resources.whole_memory,
        "MemorySwappiness": resources.memory_swappiness if resources.memory_swappiness >= 0 else None,
        "OomKillDisable": resources.is_oom_kill_disabled,
        "PidsLimit": resources.pids or None,
        "Ulimits": [{"Name": limit.name, "Hard": limit.hard, "Soft": limit.soft} for limit in resources.ulimits],
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
    }


def _bind(mount: MountOption) -> str:
    mode = mount.mode or ("ro" if mount.is_read_only else "")
    return f"{mount.source}:{mount.target}" + (f":{mode}" if mode else "")


def _mount_option(mount: MountOption) -> dict[str, Any]:
    """Return a ``--mount`` as `HostConfig.Mounts` has it."""
    members: dict[str, Any] = {"Type": mount.type.value}
    if mount.source:
        members["Source"] = mount.source
    members["Target"] = mount.target
    if mount.is_read_only:
        members["ReadOnly"] = True
    bind = {"Propagation": mount.propagation} if mount.propagation else {}
    if mount.recursion is not Recursion.ENABLED:
        bind["Recursion"] = mount.recursion.value
    if bind:
        members["BindOptions"] = bind
    if mount.tmpfs:
        members["TmpfsOptions"] = dict(option.partition("=")[::2] for option in mount.tmpfs)
    volume: dict[str, Any] = {} if mount.has_copy else {"NoCopy": True}
    if mount.labels:
        volume["Labels"] = dict(mount.labels)
    if mount.subpath:
        volume["Subpath"] = mount.subpath
    if mount.driver_options:
        volume["DriverConfig"] = {"Options": dict(mount.driver_options)}
    if volume:
        members["VolumeOptions"] = volume
    return members


def _is_tmpfs_option(mount: MountOption) -> bool:
    """Whether a mount was asked for by ``--tmpfs``, which docker lists in its HostConfig only."""
    return mount.is_short and mount.type is MountType.TMPFS


def _mount(ws: Workspace, mount: MountOption) -> dict[str, Any]:
    members: dict[str, Any] = {"Type": mount.type.value}
    if mount.volume:
        members["Name"] = mount.volume
    members["Source"] = ws.store.volumes.data(mount.volume) if mount.volume else mount.source
    members["Destination"] = mount.target
    if mount.volume:
        members["Driver"] = DRIVER
    mode = mount.mode if mount.is_short and mount.type is not MountType.TMPFS else ""
    propagation = mount.propagation or ("rprivate" if mount.is_bind else "")
    return members | {"Mode": mode, "RW": not mount.is_read_only, "Propagation": propagation}


def _config(record: ContainerRecord) -> dict[str, Any]:
    life = record.lifecycle
    entrypoint = record.entrypoint or ()
    return {
        "Hostname": record.hostname,
        "Domainname": record.networking.domain,
        "User": record.user_text,
        "AttachStdin": "stdin" in life.attached,
        "AttachStdout": "stdout" in life.attached,
        "AttachStderr": "stderr" in life.attached,
        "Tty": record.has_terminal,
        "OpenStdin": record.has_stdin,
        "StdinOnce": "stdin" in life.attached,
        **({"ExposedPorts": {port: {} for port in record.networking.exposed}} if record.networking.exposed else {}),
        "Env": list(record.env),
        "Cmd": list(record.args[len(entrypoint) :]) or None,
        "Image": record.image_name,
        "Volumes": {mount.target: {} for mount in record.mounts if is_anonymous(mount.volume)} or None,
        "WorkingDir": record.cwd if record.cwd != "/" else "",
        "Entrypoint": list(entrypoint) or None,
        "Labels": dict(record.labels),
        **({"Healthcheck": life.health.to_json()} if life.health.test else {}),
        "StopSignal": record.stop_signal,
        **({} if life.stop_seconds is None else {"StopTimeout": life.stop_seconds}),
    }
