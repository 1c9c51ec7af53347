"""Where everything in a store is.

::

    ROOT/                    mode 0700
      oci-layout index.json  the store is an OCI image layout
      minidock.json          version of the store, its owner's uid, its id mode
      blobs/sha256/HEX       layer tars, configs, manifests; mode 0444, never changed
      layers/HEX             entry index of the layer with that diff_id: derived
      forms/HEX              how that layer is packed elsewhere, and which registries have it so: derived
      snapshots/HEX/         fs/ (an unpacked layer) and record.json: derived, a cache of the blob
      probe.json             what the runtime could do when it was tried last: derived
      cache/steps/HEX        one record per cache key
      cache/recent/HEX       the last keys of one step of one Dockerfile
      cache/inputs/HEX       lists of inputs, content-addressed, shared by equal lists
      cache/stat/HEX         what is known about the files of one context, or about the file at one URL
      cache/builds/HEX       why the steps of the last build of one target were rebuilt or not
      cache/builds/HEX-HEX   the same of an earlier one, of the image with that ID
      cache/mounts/HEX/      a cache mount of build steps: record.json lock data/
      containers/ID/         config.json state.json upper/ work/ log lock …
      volumes/NAME/_data
      networks/ID/           network.json, and the sockets of the relays of containers on it
      locks/                 gate gc index key/HEX lease/SESSION  (flocks: the kernel frees them)
      tmp/SESSION/           what one process is writing; abandoned when lease/SESSION is not locked
      tmp/partial/HEX        a download that was broken off, named by the digest to come
      trash/                 what is being removed
      events events.1        what has happened lately, one JSON object a line
      reserve                a block or two that a removal frees first when the disk is full

Lock order: key locks, then the lease, then gate and gc; nobody waits for a key while holding gc.
"""

from __future__ import annotations

from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest

VERSION = 1
PARTIAL = "partial"  # in tmp, beside the directories of sessions
DIRECTORIES = (
    "blobs",
    "blobs/sha256",
    "layers",
    "forms",
    "snapshots",
    "cache",
    "cache/steps",
    "cache/recent",
    "cache/inputs",
    "cache/stat",
    "cache/builds",
    "cache/mounts",
    "containers",
    "volumes",
    "networks",
    "locks",
    "locks/key",
    "locks/lease",
    "tmp",
    "trash",
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths under the store's ``root`` (absolute)."""

    root: str

    def path(self, *parts: str) -> str:
        """Return the path of ``parts`` below the root."""
        return "/".join((self.root, *parts))

    @property
    def index(self) -> str:
        """The OCI index: which names there are."""
        return self.path("index.json")

    @property
    def oci_layout(self) -> str:
        """The file that marks an OCI image layout."""
        return self.path("oci-layout")

    @property
    def identity(self) -> str:
        """Version, owner and id mode of the store."""
        return self.path("minidock.json")

    def blob(self, digest: Digest) -> str:
        """Return the path of a blob."""
        return self.path("blobs", "sha256", digest.hex)

    def layer(self, diff_id: Digest) -> str:
        """Return the path of a layer's entry index."""
        return self.path("layers", diff_id.hex)

    def forms(self, diff_id: Digest) -> str:
        """Return the path of what is known of a layer's packed forms."""
        return self.path("forms", diff_id.hex)

    def snapshot(self, key: Digest) -> str:
        """Return the directory of an unpacked layer (key: diff_id or chain_id)."""
        return self.path("snapshots", key.hex)
