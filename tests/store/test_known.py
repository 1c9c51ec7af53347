"""What documents say is read once, and what cannot be read yet is looked for again."""

from __future__ import annotations

import json
from pathlib import Path

from minidock.core.digest import Digest
from tests.engine.building import workspace

DIFF_ID = f"sha256:{'a' * 64}"
CONFIG = json.dumps({"rootfs": {"diff_ids": [DIFF_ID]}, "history": [{"created_by": "COPY a /"}]}).encode()
MANIFEST = json.dumps({"config": {"digest": str(Digest.sha256(CONFIG))}, "layers": [{"digest": DIFF_ID}]}).encode()


def test_what_was_missing_is_found_when_it_has_come(tmp_path: Path) -> None:
    store = workspace(tmp_path / "store").store
    image_id, manifest = Digest.sha256(CONFIG), Digest.sha256(MANIFEST)
    assert store.known.lineage(image_id) is None
    assert store.known.children(manifest) == ()
    with store.session() as session:
        store.blobs.put(session, CONFIG)
        store.blobs.put(session, MANIFEST)
    found = store.known.lineage(image_id)
    assert found is not None
    assert found.diff_ids == (Digest.parse(DIFF_ID),)
    assert store.known.children(manifest) == (("config", image_id), ("layers", Digest.parse(DIFF_ID)))


def test_a_config_that_makes_no_sense_leads_nowhere(tmp_path: Path) -> None:
    store = workspace(tmp_path / "store").store
    for members in ({"history": [{"created_by": ["x"]}]}, {"rootfs": {"diff_ids": [["x"]]}}, {"history": 5}, []):
        with store.session() as session:
            image_id = store.blobs.put(session, json.dumps(members).encode())
        assert store.known.lineage(image_id) is None


def test_steps_share_the_layers_that_they_have_in_common(tmp_path: Path) -> None:
    store = workspace(tmp_path / "store").store
    more = {"rootfs": {"diff_ids": [DIFF_ID, f"sha256:{'b' * 64}"]}, "history": [{"created_by": "COPY a /"}]}
    with store.session() as session:
        ids = [store.blobs.put(session, data) for data in (CONFIG, json.dumps(more).encode())]
    first, second = (store.known.lineage(image_id) for image_id in ids)
    assert first is not None
    assert second is not None
    assert first.diff_ids[0] is second.diff_ids[0]
    assert first.history[0] is second.history[0]
