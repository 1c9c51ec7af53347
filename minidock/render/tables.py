"""Every list that a command prints, as a table, as JSON lines or as bare names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from minidock.core import units
from minidock.core.networks import Network
from minidock.core.summary import ContainerRow, DiskUsage, HistoryRow, ImageRow, UsageKind, VolumeRow
from minidock.render import fields, raw_lists
from minidock.render.console import Console
from minidock.render.fields import Fields
from minidock.render.formats import Format, json_text
from minidock.render.lists import Columns, is_own, print_list, print_names, table_of

IMAGES: Columns = (
    ("REPOSITORY", "Repository"),
    ("TAG", "Tag"),
    ("IMAGE ID", "ID"),
    ("CREATED", "CreatedSince"),
    ("SIZE", "Size"),
)
NETWORKS: Columns = (("NETWORK ID", "ID"), ("NAME", "Name"), ("DRIVER", "Driver"), ("SCOPE", "Scope"))
DIGEST = ("DIGEST", "Digest")
HISTORY: Columns = (
    ("IMAGE", "ID"),
    ("CREATED", "CreatedSince"),
    ("CREATED BY", "CreatedBy"),
    ("SIZE", "Size"),
    ("COMMENT", "Comment"),
)
CONTAINERS: Columns = (
    ("CONTAINER ID", "ID"),
    ("IMAGE", "Image"),
    ("COMMAND", "Command"),
    ("CREATED", "RunningFor"),
    ("STATUS", "Status"),
    ("PORTS", "Ports"),
    ("NAMES", "Names"),
)
VOLUMES: Columns = (("DRIVER", "Driver"), ("VOLUME NAME", "Name"))
USAGE: Columns = (
    ("TYPE", "Type"),
    ("TOTAL", "TotalCount"),
    ("ACTIVE", "Active"),
    ("SIZE", "Size"),
    ("RECLAIMABLE", "Reclaimable"),
)
IMAGE_USAGE: Columns = (
    *IMAGES,
    ("SHARED SIZE", "SharedSize"),
    ("UNIQUE SIZE", "UniqueSize"),
    ("CONTAINERS", "Containers"),
)
CONTAINER_USAGE: Columns = (
    ("CONTAINER ID", "ID"),
    ("IMAGE", "Image"),
    ("COMMAND", "Command"),
    ("LOCAL VOLUMES", "LocalVolumes"),
    ("SIZE", "Size"),
    ("CREATED", "RunningFor"),
    ("STATUS", "Status"),
    ("NAMES", "Names"),
)
VOLUME_USAGE: Columns = (("VOLUME NAME", "Name"), ("LINKS", "Links"), ("SIZE", "Size"))
CACHE_USAGE: Columns = (
    ("CACHE ID", "ID"),
    ("CACHE TYPE", "CacheType"),
    ("SIZE", "Size"),
    ("CREATED", "CreatedSince"),
    ("LAST USED", "LastUsedSince"),
    ("USAGE", "UsageCount"),
    ("SHARED", "Shared"),
)


def print_images(
    console: Console,
    rows: Sequence[ImageRow],
    *,
    shape: Format = Format.TABLE,
    is_cut: bool = True,
    is_quiet: bool = False,
    has_digests: bool = False,
) -> None:
    """Print `images`; ``is_quiet`` leaves the IDs only, one for each tag."""
    if is_quiet and not is_own(shape):
        ids = (fields.image_id_text(row.image_id, is_cut=is_cut) for row in rows)
        print_names(console, ids, shape, "image_id")
        return
    columns = (*IMAGES[:2], DIGEST, *IMAGES[2:]) if has_digests else IMAGES
    raw = raw_lists.IMAGES_WITH_DIGESTS if has_digests else raw_lists.IMAGES
    if shape.is_table and has_digests and not shape.asks_for("Digest"):
        shape = replace(shape, template=f"{shape.template}\t{{{{.Digest}}}}")
    print_list(console, columns, [fields.image_fields(row, console, is_cut=is_cut) for row in rows], shape, raw=raw)


def print_history(
    console: Console,
    rows: Sequence[HistoryRow],
    *,
    shape: Format = Format.TABLE,
    is_cut: bool = True,
    is_human: bool = True,
    is_quiet: bool = False,
) -> None:
    """Print `history`, newest step first as given; without ``is_human`` times are stamps and sizes are bytes."""
    shown = [fields.history_fields(row, console, is_cut=is_cut, is_human=is_human) for row in rows]
    if is_quiet and shape is Format.TABLE:
        print_names(console, (row["ID"] or "" for row in shown))
        return
    columns = HISTORY if is_human else (HISTORY[0], ("CREATED AT", "CreatedSince"), *HISTORY[2:])
    print_list(console, columns, shown, shape)


def print_containers(
    console: Console,
    rows: Sequence[ContainerRow],
    *,
    shape: Format = Format.TABLE,
    is_cut: bool = True,
    is_quiet: bool = False,
    has_sizes: bool = False,
) -> None:
    """Print `ps`; ``is_quiet`` leaves the IDs only."""
    shown = [fields.container_fields(row, console, is_cut=is_cut) for row in rows]
    if is_quiet:
        if shape is not Format.TABLE:
            console.err.write("WARNING: Ignoring custom format, because both --format and --quiet are set.\n")
        print_names(console, (row["ID"] or "" for row in shown), shape, "container_id")
        return
    columns = (*CONTAINERS, ("SIZE", "Size")) if has_sizes else CONTAINERS
    raw = raw_lists.CONTAINERS_WITH_SIZES if has_sizes else raw_lists.CONTAINERS
    print_list(console, columns, shown, shape, [row.labels for row in rows], raw)


def print_volumes(
    console: Console, rows: Sequence[VolumeRow], *, shape: Format = Format.TABLE, is_quiet: bool = False
) -> None:
    """Print `volume ls`; ``is_quiet`` leaves the names only."""
    if is_quiet and not is_own(shape):
        print_names(console, (row.name for row in rows), shape, "name")
        return
    shown = [fields.volume_fields(row) for row in rows]
    print_list(console, VOLUMES, shown, shape, [row.labels for row in rows], raw_lists.VOLUMES)


def print_networks(
    console: Console,
    networks: Sequence[Network],
    *,
    shape: Format = Format.TABLE,
    is_cut: bool = True,
    is_quiet: bool = False,
) -> None:
    """Print `network ls`; ``is_quiet`` leaves the IDs only."""
    rows = [fields.network_fields(network, console, is_cut=is_cut) for network in networks]
    if is_quiet and not is_own(shape):
        print_names(console, (row["ID"] or "" for row in rows), shape, "network_id")
        return
    print_list(console, NETWORKS, rows, shape, [network.labels for network in networks], raw_lists.NETWORKS)


def print_disk_usage(
    console: Console, usage: DiskUsage, *, shape: Format = Format.TABLE, is_verbose: bool = False
) -> None:
    """Print `system df`; as a table with one more line than docker has: every byte on the disk, by kind."""
    if is_verbose and shape is Format.JSON:
        console.out.write(json_text(_usage_details(console, usage, is_cut=False)))  # docker ends it without a newline
    elif is_verbose and shape.template:
        shape = Format("template", raw_lists.USAGE_DETAILS) if shape is Format.RAW else shape
        console.out.write(shape.document(_usage_details(console, usage, is_cut=True)))
    elif is_verbose:
        console.out.write(_details_text(console, usage))
    else:
        rows = [fields.usage_fields(row) for row in usage.summary]
        print_list(console, USAGE, rows, shape, raw=raw_lists.USAGE)
    if shape is Format.TABLE:
        console.out.write(f"\n{on_disk_text(usage)}\n")


DISK: Columns = (("TYPE", "Type"), ("ON DISK", "DiskSize"), ("PRUNE FREES", "DiskReclaimable"), ("PARTS", "Parts"))


def print_disk_terms(console: Console, usage: DiskUsage, prunes: Mapping[str, int], *, shape: Format) -> None:
    """Print `system df --disk`: the terms whose sum is what `du` says, in bytes, and what the prune of each frees."""
    parts = " ".join(f"{name}={size}" for name, size in usage.overhead)
    rows: list[Fields] = [
        {
            "Type": kind,
            "DiskSize": str(size),
            "DiskReclaimable": str(prunes[kind]) if kind in prunes else "",
            "Parts": parts if kind == "overhead" else "",
        }
        for kind, size in usage.on_disk
    ]
    total = sum(size for _, size in usage.on_disk)
    rows.append({"Type": "total", "DiskSize": str(total), "DiskReclaimable": "", "Parts": ""})
    print_list(console, DISK, rows, shape)
    if shape is Format.TABLE and usage.writers:
        console.out.write(f"\n{_writers_text(usage.writers)}\n")


def print_removal(console: Console, size: int, cached: int, *, shape: Format) -> None:
    """Print `system df --if-removed`: what comes back, and what stays because the build cache keeps it."""
    if shape is Format.TABLE:
        console.out.write(f"{removal_text('would free', size, cached, is_exact=True)}\n")
        return
    print_list(
        console, (("FREED", "Freed"), ("CACHED", "Cached")), [{"Freed": str(size), "Cached": str(cached)}], shape
    )


def removal_text(verb: str, size: int, cached: int, *, is_exact: bool = False) -> str:
    """Return what a removal gives back, and what it does not though it may have been expected."""
    text = f"{verb} {units.human_size(size)}" + (f" ({size} bytes)" if is_exact else "")
    if cached:
        text += f"; {units.human_size(cached)} stay as build cache, `minidock builder prune` frees them"
    return text


def _writers_text(count: int) -> str:
    who = "1 command or container" if count == 1 else f"{count} commands and containers"
    return f"{who} may have written meanwhile: each number was true when it was taken, the sum of all was perhaps never"


def on_disk_text(usage: DiskUsage) -> str:
    """Return the bytes that the store takes on the disk and their parts, exactly, so that they can be added up."""
    total = sum(size for _, size in usage.on_disk)
    parts = " + ".join(f"{kind} {size}" for kind, size in usage.on_disk)
    text = f"On disk: {total} bytes ({units.human_size(total, 4)})" + (f" = {parts}" if parts else "")
    return f"{text}\n{_writers_text(usage.writers)}" if usage.writers else text


def _usage_details(console: Console, usage: DiskUsage, *, is_cut: bool) -> dict[str, list[Fields]]:
    """Return the four lists of `system df -v`, each row's fields sorted by name."""
    lists: dict[str, list[Fields]] = {
        "Images": [fields.image_usage_fields(image, console, is_cut=is_cut) for image in usage.images],
        # Here docker shows what a container wrote, without the size of its image.
        "Containers": [
            fields.container_fields(row._replace(size_root=0), console, is_cut=is_cut) for row in usage.containers
        ],
        "Volumes": [fields.volume_fields(row) for row in usage.volumes],
        "BuildCache": [fields.cache_fields(row, console, is_cut=is_cut) for row in usage.cache],
    }
    return {name: [dict(sorted(row.items())) for row in rows] for name, rows in lists.items()}


def _details_text(console: Console, usage: DiskUsage) -> str:
    lists = _usage_details(console, usage, is_cut=True)
    cache_size = sum(row.size for row in usage.summary if row.kind is UsageKind.CACHE)
    sections = (
        ("Images space usage:", IMAGE_USAGE, "Images"),
        ("Containers space usage:", CONTAINER_USAGE, "Containers"),
        ("Local Volumes space usage:", VOLUME_USAGE, "Volumes"),
        (f"Build cache usage: {units.human_size(cache_size, 4)}", CACHE_USAGE, "BuildCache"),
    )
    return "\n".join(f"{title}\n\n{table_of(columns, lists[name])}" for title, columns, name in sections)
