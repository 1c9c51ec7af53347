"""Those who build in the tests: users with a store each, and contexts that all of them can read."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from minidock.core.config import ImageConfig
from minidock.core.digest import Digest
from minidock.core.entries import Entry
from minidock.core.id_mode import IdMode
from minidock.store.store import Store
from tests.other_users import environment

EPOCH = 1_700_000_000


@dataclass(frozen=True, slots=True)
class Builder:
    """Somebody who builds: a store, and how minidock is run there."""

    store: Path
    python: str
    become: Callable[[], None] | None
    uid: int
    id_mode: IdMode

    def run(self, *words: str, variables: Mapping[str, str] | None = None, umask: int = 0o022) -> str:
        """Run a command that has to succeed, ``variables`` in its environment; return what it prints."""
        done = subprocess.run(
            [self.python, "-m", "minidock", *words],
            env={**environment(), **_proxies(), "MINIDOCK_ROOT": str(self.store), "SOURCE_DATE_EPOCH": str(EPOCH)}
            | dict(variables or {}),
            preexec_fn=self.become,
            umask=umask,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def build(self, context: Path) -> str:
        """Return the ID of the image."""
        return self.run("build", "-q", str(context)).strip()

    def entries(self, image_id: str) -> dict[str, Entry]:
        """Return what the last layer of an image holds, without places in its tar."""
        store = Store(str(self.store), uid=self.uid, id_mode=self.id_mode, boot_id="")
        config = ImageConfig.from_bytes(store.blobs.read(Digest.parse(image_id)))
        return {entry.path: entry._replace(offset=0) for entry in store.layers.entries(config.diff_ids[-1])}


def written(place: Path, name: str, dockerfile: str) -> Path:
    """Return a context that everybody can read."""
    context = place / name
    context.mkdir(exist_ok=True, parents=True)
    context.chmod(0o755)
    (context / "Dockerfile").write_text(dockerfile)
    (context / "Dockerfile").chmod(0o644)
    return context


def _proxies() -> dict[str, str]:
    """Return what this machine says of proxies, for packages that are fetched."""
    return {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
