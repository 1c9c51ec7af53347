"""The fields of every list by docker's names: what JSON lines show, and what tables pick their cells from.

All values are text as a person reads it. Cutting (``is_cut``) holds for JSON too, as in docker.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo

from minidock.core import units
from minidock.core.digest import Digest
from minidock.core.networks import Network
from minidock.core.quoting import quoted
from minidock.core.summary import (
    CacheRow,
    ContainerRow,
    ContainerState,
    HistoryRow,
    ImageRow,
    ImageUsage,
    StepDetails,
    UsageKind,
    UsageRow,
    VolumeRow,
)
from minidock.render import cells
from minidock.render.console import Console

Fields = Mapping[str, str | None]

NONE = "<none>"
MISSING = "<missing>"
UNKNOWN = "N/A"
CREATED_BY_CELLS = 45
COMMAND_CELLS = 20
MOUNT_CELLS = 15
ID_DIGITS = 12

# Builds that set every time to a fixed early one do not mean it: docker shows no age up to here.
_NO_AGE_UNTIL = datetime(2000, 1, 1, tzinfo=UTC)
_NEVER = datetime(1, 1, 1, tzinfo=UTC)


def go_time(moment: datetime, zone: tzinfo | None) -> str:
    """Return ``moment`` as Go prints a time: ``2026-11-23 15:48:52.1 +0000 UTC``."""
    local = moment.astimezone(zone)
    fraction = f".{local.microsecond:06d}".rstrip("0") if local.microsecond else ""
    return f"{local:%Y-%m-%d %H:%M:%S}{fraction} {local:%z %Z}"


def rfc3339(moment: datetime, zone: tzinfo | None) -> str:
    """Return ``moment`` as RFC 3339 in whole seconds, with ``Z`` for UTC."""
    text = moment.astimezone(zone).isoformat(timespec="seconds")
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def image_id_text(image_id: Digest, *, is_cut: bool) -> str:
    """Return the ID of an image as lists show it."""
    return image_id.short if is_cut else str(image_id)


def image_fields(row: ImageRow, console: Console, *, is_cut: bool) -> dict[str, str | None]:
    """Return the fields of one image of `images`."""
    return {
        "Containers": UNKNOWN,
        "CreatedAt": go_time(row.created.replace(microsecond=0), console.zone) if row.created else UNKNOWN,
        "CreatedSince": units.ago(row.created, console.now) if row.created else UNKNOWN,
        "Digest": row.digest or NONE,
        "ID": image_id_text(row.image_id, is_cut=is_cut),
        "Repository": row.repository or NONE,
        "SharedSize": UNKNOWN,
        "Size": units.human_size(row.size),
        "Tag": row.tag or NONE,
        "UniqueSize": UNKNOWN,
        "VirtualSize": units.human_size(row.size, 4),
    }


def image_usage_fields(usage: ImageUsage, console: Console, *, is_cut: bool) -> dict[str, str | None]:
    """Return the fields of one image of `system df -v`."""
    return image_fields(usage.row, console, is_cut=is_cut) | {
        "Containers": str(usage.containers),
        "Digest": usage.row.digest,
        "SharedSize": units.human_size(usage.shared_size, 4),
        "UniqueSize": units.human_size(usage.unique_size, 4),
    }


def history_fields(row: HistoryRow, console: Console, *, is_cut: bool, is_human: bool) -> dict[str, str | None]:
    """Return the fields of one step of `history`; without ``is_human`` times are stamps and sizes are bytes."""
    created_at = rfc3339(row.created, console.zone) if row.created else rfc3339(_NEVER, UTC)
    if not is_human:
        created_since = created_at
    elif row.created is None or row.created <= _NO_AGE_UNTIL:
        created_since = UNKNOWN
    else:
        created_since = units.ago(row.created, console.now)
    created_by = cells.one_line(row.created_by)
    found: dict[str, str | None] = {
        "Comment": cells.one_line(row.comment),
        "CreatedAt": created_at,
        "CreatedBy": cells.cut(created_by, CREATED_BY_CELLS) if is_cut else created_by,
        "CreatedSince": created_since,
        "ID": image_id_text(row.image_id, is_cut=is_cut) if row.image_id else MISSING,
        "Size": _size(row.size, is_human=is_human),
    }
    return found if row.details is None else found | _detail_fields(row.details, is_cut=is_cut, is_human=is_human)


def _detail_fields(details: StepDetails, *, is_cut: bool, is_human: bool) -> dict[str, str | None]:
    instruction = " ".join(cells.one_line(details.instruction).split())
    return {
        "Duplicated": _size(details.duplicated, is_human=is_human),
        "Hidden": _size(details.hidden, is_human=is_human),
        "Instruction": cells.cut(instruction, CREATED_BY_CELLS) if is_cut else instruction,
        "LastBuild": details.last_build,
        "Layer": image_id_text(details.diff_id, is_cut=is_cut) if details.diff_id else "",
        "Line": cells.one_line(details.lines),
    }


def _size(size: int, *, is_human: bool) -> str:
    return units.human_size(size) if is_human else str(size)


def status(row: ContainerRow, now: datetime) -> str:
    """Return what a container is doing and since when, in docker's words."""
    running = f"Up {units.human_duration((now - row.started_at).total_seconds())}" if row.started_at else "Up"
    ended = f"({row.exit_code}) {units.ago(row.finished_at, now)}" if row.finished_at else f"({row.exit_code})"
    match row.state:
        case ContainerState.RUNNING:
            return running + _health(row)
        case ContainerState.PAUSED:
            return f"{running} (Paused)"
        case ContainerState.RESTARTING:
            return f"Restarting {ended}"
        case ContainerState.EXITED:
            return f"Exited {ended}"
        case ContainerState.REMOVING:
            return "Removal In Progress"
        case ContainerState.DEAD | ContainerState.CREATED:
            return row.state.capitalize()


def _health(row: ContainerRow) -> str:
    if not row.health:
        return ""
    return " (health: starting)" if row.health == "starting" else f" ({row.health})"


def container_fields(row: ContainerRow, console: Console, *, is_cut: bool) -> dict[str, str | None]:
    """Return the fields of one container of `ps` and `system df -v`."""
    size = units.human_size(row.size_rw)
    image = row.image.removeprefix("sha256:")[:ID_DIGITS] if row.image.startswith("sha256:") and is_cut else row.image
    return {
        "Command": quoted(cells.cut(row.command, COMMAND_CELLS) if is_cut else row.command),
        "CreatedAt": go_time(row.created.replace(microsecond=0), console.zone),
        "HealthStatus": row.health,
        "ID": row.id[:ID_DIGITS] if is_cut else row.id,
        "Image": image,
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(row.labels.items())),
        "LocalVolumes": str(row.local_volumes),
        "Mounts": ",".join(cells.cut(mount, MOUNT_CELLS) if is_cut else mount for mount in row.mounts),
        "Names": ",".join(row.names),
        "Networks": ",".join(row.networks),
        "Platform": None,
        "Ports": ", ".join(row.ports),
        "RunningFor": units.ago(row.created, console.now),
        "Size": f"{size} (virtual {units.human_size(row.size_root)})" if row.size_root else size,
        "State": row.state.value,
        "Status": status(row, console.now),
    }


def volume_fields(row: VolumeRow) -> dict[str, str | None]:
    """Return the fields of one volume of `volume ls` and `system df -v`."""
    return {
        "Availability": UNKNOWN,
        "Driver": row.driver,
        "Group": UNKNOWN,
        "Labels": ",".join(f"{name}={value}" for name, value in sorted(row.labels.items())),
        "Links": UNKNOWN if row.links is None else str(row.links),
        "Mountpoint": row.mountpoint,
        "Name": row.name,
        "Scope": "local",
        "Size": UNKNOWN if row.size is None else units.human_size(row.size, 4),
        "Status": UNKNOWN,
    }


def network_fields(network: Network, console: Console, *, is_cut: bool) -> dict[str, str | None]:
    """Return the fields of one network of `network ls`."""
    return {
        "CreatedAt": go_time(network.created, console.zone),
        "Driver": network.driver,
        "ID": network.id[:ID_DIGITS] if is_cut else network.id,
        "IPv4": "true",
        "IPv6": str(network.has_ipv6).lower(),
        "Internal": str(network.is_internal).lower(),
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(network.labels.items())),
        "Name": network.name,
        "Scope": "local",
    }


def cache_fields(row: CacheRow, console: Console, *, is_cut: bool) -> dict[str, str | None]:
    """Return the fields of one record of the build cache; the ID of one in use ends in a star."""
    return {
        "CacheType": row.kind,
        "CreatedAt": go_time(row.created, console.zone),
        "CreatedSince": units.ago(row.created, console.now),
        "Description": "",
        "ID": (row.id[:ID_DIGITS] if is_cut else row.id) + ("*" if row.is_in_use else ""),
        "InUse": str(row.is_in_use).lower(),
        "LastUsedAt": go_time(row.last_used, console.zone) if row.last_used else "",
        "LastUsedSince": units.ago(row.last_used, console.now) if row.last_used else "",
        "Parent": "",
        "Shared": str(row.is_shared).lower(),
        "Size": units.human_size(row.size),
        "UsageCount": str(row.usage_count),
    }


def usage_fields(row: UsageRow) -> dict[str, str | None]:
    """Return the fields of one line of `system df`; the build cache never shows a percentage."""
    reclaimable = units.human_size(row.reclaimable, 4)
    if row.size > 0 and row.kind is not UsageKind.CACHE:
        reclaimable += f" ({units.percent(row.reclaimable, row.size)}%)"
    return {
        "Active": str(row.active),
        "Reclaimable": reclaimable,
        "Size": units.human_size(row.size, 4),
        "TotalCount": str(row.total),
        "Type": row.kind.value,
    }
