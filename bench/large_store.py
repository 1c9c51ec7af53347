"""Makes a store with a thousand images and five thousand layers in seconds, and measures what reads it.

    python bench/large_store.py /tmp/large            # makes the store if it is not there, and measures
    python bench/large_store.py /tmp/large --images 100

What is printed is processor time, the start of the program included: seconds by the clock depend on who else is at
work.

Each image has the layer of a base and five of its own; for each step there are the two records of the build cache that
a build leaves. The layers are what builds write: tars, indexes, configs, manifests.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from minidock.core.cache_key import StepInputs
from minidock.core.config import ContainerConfig, HistoryEntry, ImageConfig
from minidock.core.descriptor import REF_NAME, Descriptor, Index, Manifest
from minidock.core.digest import Digest
from minidock.core.entries import FILE, Entry
from minidock.engine.platforms import architecture
from minidock.runtime import ids
from minidock.store.cache import Record
from minidock.store.images import describe
from minidock.store.session import Session
from minidock.store.store import Store
from minidock.store.writer import Disk

COMMANDS = (
    ("system", "df"),
    ("system", "df", "-v"),
    ("system", "df", "--disk"),
    ("image", "ls"),
    ("image", "ls", "-a"),
    ("history", "app:500"),
    ("image", "tree", "app:500"),
    ("image", "rm", "--dry-run", "app:500"),
    ("image", "prune", "-a", "--dry-run"),
    ("builder", "prune", "--dry-run"),
    ("builder", "prune", "-a", "--dry-run"),
    ("system", "prune", "-a", "--dry-run"),
    ("system", "df", "--if-removed", "app:500"),
    ("report",),
)


def main() -> int:
    """Make the store if it is missing, measure, print; return an exit code."""
    parser = argparse.ArgumentParser(description="Measures commands on a store with many images.")
    parser.add_argument("root", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    if not given.root.exists():
        started = time.monotonic()
        make(given.root, given.images)
        print(f"made {given.images} images in {time.monotonic() - started:.1f} s")
    for words in COMMANDS:
        seconds = min(_time(given.root, words) for _ in range(given.runs))
        print(f"{' '.join(words):34} {seconds:6.2f} s")
    return 0


def _time(root: Path, words: Sequence[str]) -> float:
    """Return the processor seconds of one command, its start included."""
    command = [sys.executable, "-m", "minidock", "--root", str(root), *words]
    before = _used()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return _used() - before


def _used() -> float:
    """Return the processor seconds that ended children have taken."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class _Fast(Disk):
    """Makes nothing durable: a store that is only measured need not survive a power cut."""

    def sync(self, fd: int) -> None:
        return

    def sync_directory(self, path: str) -> None:
        return


def make(root: Path, count: int) -> None:
    """Make a store with ``count`` images of six layers each, all but the base's layer their own."""
    store = Store(str(root), uid=ids.outside_uid(), id_mode=ids.id_mode(), boot_id="bench", disk=_Fast())
    with store.session() as session:
        maker = _Maker(store, session)
        store_index = Index(tuple(maker.image(number) for number in range(count)))
        session.replace(store.layout.index, store_index.to_bytes())


class _Maker:
    """Makes images as builds would leave them."""

    def __init__(self, store: Store, session: Session) -> None:
        self._store = store
        self._session = session
        self._layers: dict[str, Descriptor] = {}

    def image(self, number: int) -> Descriptor:
        """Make one image; return its entry for index.json."""
        image = ImageConfig(architecture())
        layers: list[Descriptor] = []
        names = ("base", *(f"{number}-{step}" for step in range(5)), f"extra{number}")
        for step, name in enumerate(names):
            created = f"2026-01-{1 + number % 28:02}T00:00:{step:02}Z"
            entry = HistoryEntry(created, f"COPY {name} /{name} # buildkit", "buildkit.dockerfile.v0")
            if name.startswith("extra"):
                image = image.with_step(replace(entry, is_empty_layer=True), None, ContainerConfig(cmd=("run", name)))
                break
            layer = self._layer(name)
            layers.append(layer)
            image = image.with_step(entry, layer.digest, image.config)
            self._record(image, layer, name)
        config = Descriptor("application/vnd.oci.image.config.v1+json", self._put(image.to_bytes()), 0)
        config = replace(config, size=len(image.to_bytes()))
        manifest = Manifest(config, tuple(layers)).to_bytes()
        described = Descriptor("application/vnd.oci.image.manifest.v1+json", self._put(manifest), len(manifest))
        item = describe(described, config.digest, image.created, 5 * 1000)
        return replace(item, annotations={**item.annotations, REF_NAME: f"app:{number}"})

    def _put(self, data: bytes) -> Digest:
        return self._store.blobs.put(self._session, data)

    def _layer(self, name: str) -> Descriptor:
        if name not in self._layers:
            writer = self._store.layers.writer(self._session)
            content = name.encode() * 200
            writer.add(Entry(name, FILE, 0o644, size=len(content), mtime=1_700_000_000), content)
            self._layers[name] = writer.finish(self._store.layers, self._session).blob
        return self._layers[name]

    def _record(self, image: ImageConfig, layer: Descriptor, name: str) -> None:
        """Leave the record of the layer and that of the image of its step."""
        assert image.created is not None
        for kind, diff_id, image_id in (
            ("layer", layer.digest, None),
            ("image", None, self._put(image.to_bytes())),
        ):
            inputs = StepInputs(f"COPY {name}", kind)
            record = Record(inputs.key(), f"{name} {kind}", image.created, diff_id, image_id, 1000, f"COPY {name}")
            self._store.cache.put(self._session, record, inputs)


if __name__ == "__main__":
    sys.exit(main())
