"""Pulls from a registry that lies: an error of one line, no image, no byte in the store that is not what it says."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from minidock.core import mediatype
from minidock.core.descriptor import REF_NAME
from minidock.core.digest import Digest
from minidock.core.reference import Reference
from minidock.core.transfers import Transfer, TransferNote, TransferState
from minidock.engine.pull import pull, pull_all
from minidock.engine.workspace import Workspace, open_workspace
from minidock.errors import BlobCorrupt, MinidockError
from minidock.registry.credentials import CredentialFiles
from minidock.registry.registries import Registries
from minidock.registry.settings import Settings
from minidock.registry.transport import Request
from tests.registry.memory import HOME, Answer, Memory
from tests.registry_server import tar_of

TAR = tar_of({"f": b"content" * 50})
LAYER = gzip.compress(TAR, mtime=0)
OTHER = gzip.compress(tar_of({"g": b"other"}), mtime=0)


def digest_of(data: bytes) -> str:
    return f"sha256:{sha256(data).hexdigest()}"


def described(data: bytes, kind: str, **changes: Any) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data), **changes}


@dataclass
class Lies:
    """What the registry has, as a test wants it: documents before they are packed, what is sent instead of blobs."""

    config: dict[str, Any] = field(
        default_factory=lambda: {
            "os": "linux",
            "architecture": "amd64",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(TAR)]},
        }
    )
    config_changes: dict[str, Any] = field(default_factory=dict)
    layer_changes: dict[str, Any] = field(default_factory=dict)
    manifest_changes: dict[str, Any] = field(default_factory=dict)
    pack: Callable[[dict[str, Any]], bytes] = lambda members: json.dumps(members).encode()
    sent: dict[str, bytes] = field(default_factory=dict)  # instead of what a digest names
    headers: dict[str, str] = field(default_factory=dict)  # of the manifest
    layer: bytes = LAYER
    layers: int = 1
    kind: str = mediatype.MANIFEST
    index: Callable[[dict[str, Any]], bytes] | None = None

    def give(self, request: Request) -> Answer:
        """Answer one request."""
        config = json.dumps(self.config).encode()
        members = {
            "schemaVersion": 2,
            "mediaType": mediatype.MANIFEST,
            "config": described(config, mediatype.CONFIG, **self.config_changes),
            "layers": [described(self.layer, mediatype.LAYER_GZIP, **self.layer_changes)] * self.layers,
            **self.manifest_changes,
        }
        manifest = self.pack(members)
        blobs = {digest_of(data): data for data in (config, self.layer, manifest)}
        path = request.url.removeprefix(f"{HOME}/v2/")
        name = path.rpartition("/")[2]
        if "/manifests/" in path:
            document, kind = manifest, self.kind
            if self.index is not None and name != digest_of(manifest):
                document, kind = self.index(described(manifest, mediatype.MANIFEST)), mediatype.INDEX
            headers = {"Content-Type": kind, "Docker-Content-Digest": digest_of(document), **self.headers}
            return Answer(200, self.sent.get(name, document), list(headers.items()))
        if "/blobs/" in path and name in blobs:
            return Answer(200, self.sent.get(name, blobs[name]))
        return Answer(404)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return open_workspace(str(tmp_path / "store"))


def registries_of(memory: Memory, tmp_path: Path) -> Registries:
    return Registries(Settings(), CredentialFiles(str(tmp_path / "none")), lambda text: None, memory)


def check_store(ws: Workspace) -> None:
    """Every blob of the store is what its name says, and nothing has a name."""
    if not ws.store.exists:
        return
    assert ws.store.images.list() == ()
    directory = ws.store.layout.path("blobs", "sha256")
    for name in os.listdir(directory):
        assert sha256(Path(directory, name).read_bytes()).hexdigest() == name
    assert os.listdir(ws.store.layout.path("tmp")) == []


def test_an_honest_registry_is_believed(ws: Workspace, tmp_path: Path) -> None:
    done = pull(
        ws, registries_of(Memory(Lies().give), tmp_path), Reference.parse("registry.example/a:1"), lambda e: None
    )
    assert ws.store.images.find("registry.example/a:1") is not None
    assert ws.store.blobs.has(done.image_id)
    index = Lies(index=lambda item: json.dumps({"schemaVersion": 2, "manifests": [item]}).encode())
    pull(ws, registries_of(Memory(index.give), tmp_path), Reference.parse("registry.example/a:2"), lambda e: None)


def doubled(members: dict[str, Any]) -> bytes:
    return json.dumps(members).encode().replace(b'"schemaVersion"', b'"config": {}, "schemaVersion"', 1)


def index_of(*items: dict[str, Any], **members: Any) -> Callable[[dict[str, Any]], bytes]:
    listed = list(items)
    return lambda item: json.dumps({"schemaVersion": 2, "manifests": listed or [item], **members}).encode()


def changed(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[dict[str, Any]], bytes]:
    return lambda item: json.dumps({"manifests": [{**item, **change(item)}]}).encode()


CONFIG = json.dumps(Lies().config).encode()
FOREIGN = {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "urls": ["https://127.0.0.1/x"]}


@pytest.mark.parametrize(
    ("lies", "problem"),
    [
        (Lies(headers={"Docker-Content-Digest": digest_of(b"")}), "manifest verification failed"),
        (Lies(headers={"Docker-Content-Digest": "sha256:../../x"}), "malformed digest"),
        (Lies(kind=mediatype.DOCKER_MANIFEST), "it says to be"),
        (Lies(kind=mediatype.INDEX), "it says to be"),
        (Lies(kind="application/vnd.docker.distribution.manifest.v1+prettyjws"), "schema 1 support has been removed"),
        (Lies(manifest_changes={"schemaVersion": 1}), "schema 1 support has been removed"),
        (Lies(manifest_changes={"mediaType": "text/html"}), "it says to be"),
        (Lies(manifest_changes={"mediaType": "text/html"}, kind="text/html"), "unexpected media type"),
        (Lies(manifest_changes={"manifests": []}), "index|manifest"),
        (Lies(manifest_changes={"Layers": []}), "could be taken for 'layers'"),
        (Lies(manifest_changes={"layers": {"a": 1}}), "layers is not a list"),
        (Lies(manifest_changes={"layers": [7]}), "malformed descriptor"),
        (Lies(manifest_changes={"config": 7}), "malformed descriptor"),
        (Lies(manifest_changes={"annotations": [1]}), "annotations is not a map"),
        (Lies(pack=doubled), "is there twice"),
        (Lies(pack=lambda members: b"<html>"), "not JSON"),
        (Lies(pack=lambda members: b"[]"), "not an object"),
        (Lies(pack=lambda members: b'{"a":' * 100_000), "not JSON"),
        (Lies(pack=lambda members: json.dumps(members).encode() + b" " * (4 << 20)), "the manifest is larger than"),
        (Lies(config_changes={"size": 1}), "more than 1 bytes"),
        (Lies(config_changes={"size": 5000}), "of 5000 bytes came"),
        (Lies(config_changes={"size": -1}), "malformed descriptor"),
        (Lies(config_changes={"size": 5 << 20}), "at most"),
        (Lies(config_changes={"digest": "sha256:" + "A" * 64}), "malformed descriptor|digest"),
        (Lies(config_changes={"digest": "sha512:" + "a" * 128}), "digest"),
        (Lies(config_changes={"digest": "../../../etc/passwd"}), "digest"),
        (Lies(config_changes={"mediaType": "application/vnd.cncf.helm.config.v1+json"}), "this is no image"),
        (Lies(sent={digest_of(CONFIG): CONFIG.replace(b"linux", b"minix")}), "verification failed"),
        (Lies(sent={digest_of(CONFIG): CONFIG + b" "}), "more than"),
        (Lies(config={"rootfs": 7}), "."),
        (Lies(config={}), "."),
        (Lies(config={**Lies().config, "rootfs": {"type": "layers", "diff_ids": ["x"]}}), "."),
        (Lies(layers=2), "2 layers in the manifest, but 1 in the config"),
        (Lies(layers=0), "0 layers in the manifest, but 1 in the config"),
        (Lies(layer_changes={"size": len(LAYER) - 1}), "more than"),
        (Lies(layer_changes={"size": len(LAYER) + 1}), "bytes came"),
        (Lies(layer_changes={"size": 0}), "more than 0 bytes"),
        (Lies(layer_changes={"mediaType": "text/plain"}), "a layer of the kind 'text/plain' is not supported"),
        (Lies(layer_changes=FOREIGN), "is not supported"),
        (Lies(layer_changes={"digest": digest_of(b"nowhere")}), "is not in the registry, though the manifest names it"),
        (Lies(sent={digest_of(LAYER): OTHER}), "."),
        (Lies(sent={digest_of(LAYER): LAYER[:-1] + b"x"}), "verification failed"),
        (Lies(layer=OTHER), "digest|sha256"),
        (Lies(layer=TAR[:-1024]), "."),
        (Lies(layer=LAYER[:-20]), "damaged"),
        (Lies(layer=b"no tar at all"), "."),
        (Lies(layer=b""), "."),
        (Lies(index=index_of({"mediaType": "x", "digest": "x", "size": 1})), "malformed descriptor|digest"),
        (Lies(index=index_of(layers=[])), "could be the manifest|index"),
        (Lies(index=index_of(config={})), "could be the manifest|index"),
        (Lies(index=changed(lambda item: {"size": item["size"] - 1})), "larger than"),
        (Lies(index=changed(lambda item: {"size": item["size"] + 1})), "bytes came"),
        (
            Lies(index=changed(lambda item: {"platform": {"os": "plan9"}})),
            "no matching manifest for linux/.* in the manifest list entries",
        ),
        (Lies(index=changed(lambda item: {"mediaType": mediatype.INDEX})), "."),
    ],
)  # fmt: skip
def test_a_lie_is_an_error_and_leaves_nothing(ws: Workspace, tmp_path: Path, lies: Lies, problem: str) -> None:
    memory = Memory(lies.give)
    registries = registries_of(memory, tmp_path)
    registries.pause = lambda seconds: None
    with pytest.raises(MinidockError, match=problem) as caught:
        pull(ws, registries, Reference.parse("registry.example/a:1"), lambda event: None)
    assert "\n" not in str(caught.value)
    assert all(request.url.startswith(f"{HOME}/v2/") for request in memory.requests)
    check_store(ws)


@pytest.mark.parametrize("at", range(0, len(LAYER), 3))
def test_no_byte_of_a_layer_can_be_another(ws: Workspace, tmp_path: Path, at: int) -> None:
    wrong = LAYER[:at] + bytes([LAYER[at] ^ 0x55]) + LAYER[at + 1 :]
    memory = Memory(Lies(sent={digest_of(LAYER): wrong}).give)
    with pytest.raises(MinidockError, match="verification failed"):
        pull(ws, registries_of(memory, tmp_path), Reference.parse("registry.example/a:1"), lambda event: None)
    check_store(ws)


@pytest.mark.parametrize("is_there", [False, True], ids=["new blob", "known blob"])
@pytest.mark.parametrize("layers", [1, 2])
def test_a_layer_that_is_here_does_not_stand_for_another(
    ws: Workspace, tmp_path: Path, layers: int, *, is_there: bool
) -> None:
    """The manifest names one layer and the config another, and the store has what the config names."""
    kept = Lies()
    pull(ws, registries_of(Memory(kept.give), tmp_path), Reference.parse("registry.example/kept:1"), lambda e: None)
    other = digest_of(tar_of({"g": b"other"}))
    rootfs = {"type": "layers", "diff_ids": [other]}
    if is_there:
        known = Lies(config={**kept.config, "rootfs": rootfs}, layer=OTHER)
        pull(ws, registries_of(Memory(known.give), tmp_path), Reference.parse("registry.example/b:1"), lambda e: None)
    wrong = [digest_of(TAR), other][:layers]
    lie = Lies(config={**kept.config, "rootfs": {"type": "layers", "diff_ids": wrong}}, layer=OTHER, layers=layers)
    names = [item.annotations[REF_NAME] for item in ws.store.images.list()]
    with pytest.raises(BlobCorrupt):
        pull(ws, registries_of(Memory(lie.give), tmp_path), Reference.parse("registry.example/a:1"), lambda e: None)
    assert [item.annotations[REF_NAME] for item in ws.store.images.list()] == names


def test_a_digest_gets_its_own_manifest_or_none(ws: Workspace, tmp_path: Path) -> None:
    wanted = Digest.sha256(b"another")
    with pytest.raises(MinidockError, match="manifest verification failed"):
        pull(
            ws,
            registries_of(Memory(Lies().give), tmp_path),
            Reference.parse(f"registry.example/a@{wanted}"),
            lambda e: None,
        )
    check_store(ws)


@pytest.mark.parametrize(
    ("body", "link", "problem"),
    [
        (b"{}", "", "malformed"),
        (b'{"tags": 7}', "", "malformed"),
        (b"[" * 100_000, "", "malformed"),
        (b'{"tags": ["../x"]}', "", "which is no tag"),
        (b'{"tags": ["-x"]}', "", "which is no tag"),
        (b'{"tags": []}', '<https://elsewhere.example/next>; rel="next"', "goes on at https://elsewhere.example"),
        (b'{"tags": []}', '<http://registry.example/next>; rel="next"', "goes on at http://registry.example"),
        (b'{"tags": ["' + b"a" * (17 << 20) + b'"]}', "", "larger than"),
    ],
)
def test_a_list_of_tags_is_checked(ws: Workspace, tmp_path: Path, body: bytes, link: str, problem: str) -> None:
    memory = Memory(lambda request: Answer(200, body, [("Link", link)]))
    with pytest.raises(MinidockError, match=problem):
        pull_all(ws, registries_of(memory, tmp_path), Reference.parse("registry.example/a"), lambda event: None)
    assert len(memory.requests) == 1


def test_a_list_of_tags_that_leads_back_to_itself_ends(ws: Workspace, tmp_path: Path) -> None:
    memory = Memory(lambda request: Answer(200, b'{"tags": []}', [("Link", '</v2/a/tags/list>; rel="next"')]))
    assert pull_all(ws, registries_of(memory, tmp_path), Reference.parse("registry.example/a"), lambda e: None) == ()
    assert len(memory.requests) <= 2


@pytest.mark.parametrize("code", [429, 503])
def test_a_registry_that_wants_patience_gets_it_and_the_user_knows(ws: Workspace, tmp_path: Path, code: int) -> None:
    """The first answer for the manifest and the first for the layer ask for a pause."""
    lies, pauses, told = Lies(), list[float](), list[Transfer]()
    busy = {"/manifests/", digest_of(LAYER)}

    def give(request: Request) -> Answer:
        for part in [part for part in busy if part in request.url]:
            busy.remove(part)
            return Answer(code, headers=[("Retry-After", "7")])
        return lies.give(request)

    registries = registries_of(Memory(give), tmp_path)
    registries.pause = pauses.append
    pull(ws, registries, Reference.parse("registry.example/a:1"), told.append)
    assert pauses == [7, 7]
    layer = digest_of(LAYER).removeprefix("sha256:")[:12]
    waits = [event for event in told if "Retrying" in str(event)]
    assert waits == [TransferNote("Retrying in 7 seconds"), TransferState(layer, "Retrying in 7 seconds")]
