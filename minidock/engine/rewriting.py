"""Layers written anew so that nothing in them is newer than a moment (`rewrite-timestamp`)."""

from __future__ import annotations

import os
from dataclasses import replace

from minidock.core.config import ImageConfig
from minidock.core.digest import Digest
from minidock.core.entries import FILE
from minidock.engine.workspace import Workspace
from minidock.store.session import Session


def rewritten(ws: Workspace, session: Session, config: ImageConfig, latest: int) -> ImageConfig:
    """Return the image with layers in which no file is newer than ``latest``; older layers stay as they are."""
    diff_ids = tuple(_older(ws, session, diff_id, latest) for diff_id in config.diff_ids)
    return replace(config, diff_ids=diff_ids)


def _older(ws: Workspace, session: Session, diff_id: Digest, latest: int) -> Digest:
    entries = ws.store.layers.entries(diff_id, session)
    if all(entry.mtime <= latest for entry in entries):
        return diff_id
    fd = ws.store.blobs.open(ws.store.layers.blob_of(diff_id))
    writer = ws.store.layers.writer(session)
    try:
        for entry in entries:
            entry, start = entry._replace(mtime=min(entry.mtime, latest)), entry.offset
            if entry.kind == FILE:
                writer.add_file(entry, fd, start)
            else:
                writer.add(entry)
    except BaseException:
        writer.discard()
        raise
    finally:
        os.close(fd)
    return writer.finish(ws.store.layers, session).diff_id
