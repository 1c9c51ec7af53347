"""RUN with real processes: what they change becomes a layer, exactly, whoever builds and however it is isolated."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from minidock.core.entries import Entry
from minidock.engine import images
from minidock.engine.workspace import SystemClock, Workspace
from minidock.runtime.base import Isolation, Runtime, RuntimeReport, Storage
from minidock.runtime.native import NativeRuntime
from minidock.store.own_files import read_xattrs
from minidock.store.scan import opened
from minidock.store.writer import Disk
from tests.engine.building import (
    MTIME,
    import_base,
    open_store,
    run_build,
    shown,
    top_layer,
    tree_of,
    write_context,
)
from tests.engine.machine_image import machine_tar

LONG = "n" * 200
# One script for everything that a layer can hold; names that are not UTF-8 come from printf.
SCRIPT = f"""
set -e
rm /gone/file
rm -r /gone/dir
rm -r /replaced && mkdir /replaced && echo new >/replaced/new
rm -r /turned && echo file >/turned
rm /turned-back && mkdir /turned-back && echo x >/turned-back/x
echo one >/hard1 && ln /hard1 /hard2 && mkdir /far && ln /hard1 /far/hard3
ln /kept/linked /kept/more
ln -s ../target /sym
echo s >/setuid && chmod 4755 /setuid
echo secret >/unreadable && chmod 000 /unreadable
mkdir /closed && echo in >/closed/file && chmod 000 /closed
mkfifo /fifo
mkdir /sticky && chmod 1777 /sticky
mkdir -p /{LONG}/{LONG} && echo long >/{LONG}/{LONG}/{LONG}
echo raw >"$(printf '/raw-\\377\\376')"
echo moved >/tmp/moved && mv /tmp/moved /moved
chmod 600 /kept/mode
chmod 644 /kept/same
touch /tmp/empty && rm /tmp/empty
touch -d @1500000000 /old
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> RuntimeReport:
    found = NativeRuntime().probe(str(tmp_path_factory.mktemp("probe")))
    if found.isolation is Isolation.UNAVAILABLE:
        pytest.skip(f"no process can be started here: {'; '.join(found.reasons)}")
    return found


@pytest.fixture(scope="module")
def base_image() -> bytes:
    return machine_tar()


class Copying(NativeRuntime):
    """The native runtime where overlayfs cannot be used."""

    def probe(self, directory: str) -> RuntimeReport:
        return replace(super().probe(directory), has_overlay=False)


def lab(root: Path, runtime: Runtime) -> Workspace:
    return Workspace(open_store(root), SystemClock(), lambda: runtime)


@pytest.fixture
def ws(report: RuntimeReport, base_image: bytes, tmp_path: Path) -> Workspace:
    made = lab(tmp_path / "store", NativeRuntime())
    import_base(made, base_image)
    return made


def dockerfile(script: str, *before: str) -> str:
    return "\n".join(["FROM base:1", *before, f"RUN <<'END'\n{script.strip()}\nEND\n"])


def layer_entries(ws: Workspace, built: object) -> list[Entry]:
    diff_id = images.load(ws, built.image_id).config.diff_ids[-1]  # type: ignore[attr-defined]
    return ws.store.layers.entries(diff_id)


def test_everything_that_a_process_changes_is_in_the_layer(ws: Workspace, tmp_path: Path) -> None:
    context = write_context(tmp_path / "context", {"Dockerfile": dockerfile(SCRIPT)})
    built = run_build(ws, context)
    raw = b"raw-\xff\xfe".decode("utf-8", "surrogateescape")
    layer = top_layer(ws, built.image_id)
    assert layer == {
        "": "dir 755 0:0",
        "closed": "dir 0 0:0",
        "closed/file": "file 644 0:0 3",
        "far": "dir 755 0:0",
        "far/hard3": "file 644 0:0 4",
        "fifo": "fifo 644 0:0",
        "gone": "dir 755 0:0",
        "gone/dir": "whiteout 644 0:0",
        "gone/file": "whiteout 644 0:0",
        "hard1": "hardlink 644 0:0 -> far/hard3",
        "hard2": "hardlink 644 0:0 -> far/hard3",
        "kept": "dir 755 0:0",
        "kept/linked": "file 644 0:0 4",
        "kept/mode": "file 600 0:0 4",
        "kept/more": "hardlink 644 0:0 -> kept/linked",
        "moved": "file 644 0:0 6",
        LONG: "dir 755 0:0",
        f"{LONG}/{LONG}": "dir 755 0:0",
        f"{LONG}/{LONG}/{LONG}": "file 644 0:0 5",
        "old": "file 644 0:0 0",
        raw: "file 644 0:0 4",
        "replaced": "dir 755 0:0",
        "replaced/new": "file 644 0:0 4",
        "replaced/old": "whiteout 644 0:0",
        "replaced/sub": "whiteout 644 0:0",
        "setuid": "file 4755 0:0 2",
        "sticky": "dir 1777 0:0",
        "sym": "symlink 777 0:0 -> ../target",
        "tmp": "dir 1777 0:0",
        "turned": "file 644 0:0 5",
        "turned-back": "dir 755 0:0",
        "turned-back/x": "file 644 0:0 2",
        "unreadable": "file 0 0:0 7",
    }
    tree = tree_of(ws, built.image_id)
    assert tree.get("old") is not None and tree.get("old").mtime == 1500000000  # type: ignore[union-attr]
    assert [path for path in ("gone/file", "replaced/old", "replaced/sub/deep", "turned/inside") if path in tree] == []


def test_an_adopted_snapshot_is_what_unpacking_its_layer_gives(ws: Workspace, tmp_path: Path) -> None:
    script = SCRIPT + "chown 1000:1001 /hard1 /sticky\nchown -h 1000:1001 /sym\nmknod /null c 1 3\n"
    context = write_context(tmp_path / "context", {"Dockerfile": dockerfile(script)})
    if ws.runtime.probe(str(tmp_path)).storage is not Storage.OVERLAY:
        pytest.skip("without an overlay nothing is adopted")
    built = run_build(ws, context)
    diff_ids = images.load(ws, built.image_id).config.diff_ids
    with ws.store.session() as session:
        adopted = Path(ws.store.snapshots.stack(session, diff_ids)[0])
        before = described(adopted)
        session.discard(str(adopted.parent))
    with ws.store.session() as session:
        unpacked = Path(ws.store.snapshots.stack(session, diff_ids)[0])
    assert unpacked == adopted
    after = described(unpacked)
    assert before == after


def described(root: Path) -> dict[str, object]:
    """Return every attribute of everything below ``root``, inode numbers as the first path."""
    found: dict[str, object] = {}
    inodes: dict[int, str] = {}
    with opened(Disk(), str(root)) as modes:
        for path in sorted([root, *root.rglob("*")]):
            status = path.lstat()
            name = os.path.relpath(path, root)
            is_whiteout = stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
            found[name] = {
                "kind": stat.S_IFMT(status.st_mode),
                "mode": modes.get("" if name == "." else name, stat.S_IMODE(status.st_mode)),
                "owner": (status.st_uid, status.st_gid),
                # Nobody ever sees the times of whiteouts, and overlayfs makes one inode for all of them.
                "mtime_ns": 0 if is_whiteout else status.st_mtime_ns,
                "link": "" if is_whiteout else inodes.setdefault(status.st_ino, name),
                "device": status.st_rdev,
                "target": os.readlink(path) if path.is_symlink() else "",
                "xattrs": read_xattrs(str(path)),
                "content": path.read_bytes() if stat.S_ISREG(status.st_mode) else b"",
            }
    return found


def test_copied_and_stacked_root_file_systems_give_the_same_layer(
    report: RuntimeReport, base_image: bytes, tmp_path: Path
) -> None:
    if not report.has_overlay:
        pytest.skip("there is no overlay to compare with")
    context = write_context(tmp_path / "context", {"Dockerfile": dockerfile(SCRIPT)})
    runtimes = [NativeRuntime(), Copying()]
    layers = []
    for number, runtime in enumerate(runtimes):
        ws = lab(tmp_path / f"store{number}", runtime)
        import_base(ws, base_image)
        built = run_build(ws, context, source_date_epoch=MTIME)
        layers.append({entry.path: entry for entry in layer_entries(ws, built)})
    stacked, copied = layers
    assert {path: shown(entry) for path, entry in stacked.items()} == {p: shown(e) for p, e in copied.items()}
    assert stacked == copied
