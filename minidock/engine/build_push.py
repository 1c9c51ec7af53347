"""``--push``: the image of a build goes to the registries that its names say, once it is in the store."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from minidock.core.descriptor import Descriptor
from minidock.core.packing import Compression
from minidock.core.reference import Reference
from minidock.engine.crew import tell_layers
from minidock.engine.progress import Progress
from minidock.engine.push import push
from minidock.engine.registries import Environment, open_registries
from minidock.engine.workspace import Workspace
from minidock.store.session import Session


def push_result(
    ws: Workspace,
    session: Session,
    names: Sequence[str],
    compression: Compression,
    environment: Environment,
    progress: Progress,
) -> Descriptor:
    """Push an image under its familiar names, of which there is one at least; return its manifest as it is there.

    Raises: RegistryError.
    """
    with closing(open_registries(environment, progress.warn)) as registries:
        for name in names:
            reference = Reference.parse(name)
            with progress.internal(f"pushing {reference}") as step:
                pushed = push(ws, registries, reference, tell_layers(step), compression=compression, session=session)
                step.status(f"pushing manifest for {reference}@{pushed.manifest.digest} done")
    return pushed.manifest
