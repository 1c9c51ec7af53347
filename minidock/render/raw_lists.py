"""`--format raw`: each row of a list as a block of ``name: value`` lines, and what `-q` leaves of it.

Source: docker/cli, cli/command/formatter and network/formatter.go, as seen from outside.
"""

from __future__ import annotations

IMAGES = (
    "repository: {{.Repository}}\ntag: {{.Tag}}\nimage_id: {{.ID}}\n"
    "created_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n"
)
IMAGES_WITH_DIGESTS = IMAGES.replace("image_id:", "digest: {{.Digest}}\nimage_id:")
CONTAINERS = (
    "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\n"
    "state: {{- pad .State 1 0}}\nstatus: {{- pad .Status 1 0}}\nnames: {{.Names}}\n"
    "labels: {{- pad .Labels 1 0}}\nports: {{- pad .Ports 1 0}}\n"
)
CONTAINERS_WITH_SIZES = CONTAINERS + "size: {{.Size}}\n"
VOLUMES = "name: {{.Name}}\ndriver: {{.Driver}}\n"
NETWORKS = "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n"
USAGE = "type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\nreclaimable: {{.Reclaimable}}\n"
_CACHE = (
    "build_cache_id: {{.ID}}\nparent_id: {{.Parent}}\nbuild_cache_type: {{.CacheType}}\n"
    "description: {{.Description}}\ncreated_at: {{.CreatedAt}}\ncreated_since: {{.CreatedSince}}\n"
    "last_used_at: {{.LastUsedAt}}\nlast_used_since: {{.LastUsedSince}}\nusage_count: {{.UsageCount}}\n"
    "in_use: {{.InUse}}\nshared: {{.Shared}}\n"
)


def _blocks(rows: str, kind: str, block: str) -> str:
    return f"{{{{range .{rows}}}}}type: {kind}\n{block}\n{{{{end -}}}}\n"


USAGE_DETAILS = (  # of `system df -v`, whose one document has all lists
    _blocks("Images", "Image", IMAGES_WITH_DIGESTS)
    + _blocks("Containers", "Container", CONTAINERS_WITH_SIZES)
    + _blocks("Volumes", "Volume", VOLUMES)
    + _blocks("BuildCache", "Build Cache", _CACHE).rstrip("\n")
)
