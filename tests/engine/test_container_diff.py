"""`diff` with sizes and as a patch, of real containers; `test_other_users` runs this file as other users too."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minidock.core.container_changes import Change
from minidock.core.file_patch import FilePatch
from minidock.engine import changes
from minidock.engine.attend import Streams
from minidock.engine.client import Attachment
from minidock.engine.container_patch import patches
from minidock.engine.container_removal import remove
from minidock.engine.containers import kill
from minidock.engine.export_container import export_container
from minidock.engine.handover import run_detached
from minidock.engine.run import create
from minidock.engine.run_request import RunRequest
from minidock.engine.supervise import run_attached
from minidock.engine.workspace import Workspace
from minidock.errors import NoSuchContainer
from minidock.render.patch import patch_lines
from minidock.runtime.base import Isolation
from minidock.runtime.native import NativeRuntime
from tests.engine.building import directory, import_base, link, member, root_tar, workspace
from tests.engine.machine_image import machine_tar

QUIET = Attachment(Streams(None, None, None))
TEN = "".join(f"{number}\n" for number in range(1, 11)).encode()
BIG = b"x" * (5 << 20)
FILES = [
    (member("data/ten"), TEN),
    (member("data/mode"), b"mode\n"),
    (member("data/owner"), b"owner\n"),
    (member("data/both"), b"both\n"),
    (member("data/back"), b"back\n"),
    (member("data/time"), b"time\n"),
    (member("data/binary"), b"\0" * 100_000),
    (member("data/big"), BIG),
    (member("data/gone"), b"no newline"),
    (member("data/turned"), b"turned\n"),
    (member("data/one"), b"linked\n"),
    member("data/two", tarfile.LNKTYPE, linkname="data/one"),
]
TREE = [directory("data"), *FILES, link("data/link", "one"), directory("old"), (member("old/file"), b"old\n")]

SCRIPT = """cd /data
echo 11 >>ten
chmod 755 mode
chown 1000:1001 owner
echo more >>both; chmod 600 both; chown 1000:1001 both
chmod 600 back; chmod 644 back
touch -d @1000000000 time
printf x >>binary
echo more >>big
rm gone turned two
mkdir turned; echo in >turned/in
rm link; ln -s ten link
ln ten eleven
rm -r /old
printf 'a\\nb' >new; chmod 755 new
mkdir -m 700 shut; printf secret >shut/secret; chmod 0 shut/secret
mkfifo pipe
"""

NO_NEWLINE = "\\ No newline at end of file"
PATCH = f"""# data/big: too large to be compared by lines, 5,242,880 -> 5,242,885 bytes
diff --git a/data/big b/data/big
Binary files a/data/big and b/data/big differ
# data/binary: no text, 100,000 -> 100,001 bytes
diff --git a/data/binary b/data/binary
Binary files a/data/binary and b/data/binary differ
# data/both: owner 0:0 -> 1000:1001
diff --git a/data/both b/data/both
old mode 100644
new mode 100600
--- a/data/both
+++ b/data/both
@@ -1 +1,2 @@
 both
+more
# data/eleven: hard link to data/ten
diff --git a/data/eleven b/data/eleven
new file mode 100644
--- /dev/null
+++ b/data/eleven
@@ -0,0 +1,11 @@
+1
+2
+3
+4
+5
+6
+7
+8
+9
+10
+11
diff --git a/data/gone b/data/gone
deleted file mode 100644
--- a/data/gone
+++ /dev/null
@@ -1 +0,0 @@
-no newline
{NO_NEWLINE}
diff --git a/data/link b/data/link
--- a/data/link
+++ b/data/link
@@ -1 +1 @@
-one
{NO_NEWLINE}
+ten
{NO_NEWLINE}
diff --git a/data/mode b/data/mode
old mode 100644
new mode 100755
diff --git a/data/new b/data/new
new file mode 100755
--- /dev/null
+++ b/data/new
@@ -0,0 +1,2 @@
+a
+b
{NO_NEWLINE}
# data/owner: owner 0:0 -> 1000:1001
# data/pipe: pipe added, mode 644, owner 0:0
# data/shut: directory added, mode 700, owner 0:0
diff --git a/data/shut/secret b/data/shut/secret
new file mode 100000
--- /dev/null
+++ b/data/shut/secret
@@ -0,0 +1 @@
+secret
{NO_NEWLINE}
diff --git a/data/ten b/data/ten
--- a/data/ten
+++ b/data/ten
@@ -8,3 +8,4 @@
 8
 9
 10
+11
# data/time: nothing but its time changed, 2023-11-14T22:13:20Z -> 2001-09-09T01:46:40Z
diff --git a/data/turned b/data/turned
deleted file mode 100644
--- a/data/turned
+++ /dev/null
@@ -1 +0,0 @@
-turned
# data/turned: directory added, mode 755, owner 0:0
diff --git a/data/turned/in b/data/turned/in
new file mode 100644
--- /dev/null
+++ b/data/turned/in
@@ -0,0 +1 @@
+in
diff --git a/data/two b/data/two
deleted file mode 100644
--- a/data/two
+++ /dev/null
@@ -1 +0,0 @@
-linked
# old: directory deleted
diff --git a/old/file b/old/file
deleted file mode 100644
--- a/old/file
+++ /dev/null
@@ -1 +0,0 @@
-old
"""


@pytest.fixture(scope="module")
def image() -> bytes:
    """Return the tar of a root file system with programs and `TREE`."""
    packed, more = machine_tar(), root_tar(TREE)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as new:
        for part in (packed, more):
            with tarfile.open(fileobj=io.BytesIO(part)) as old:
                for info in old:
                    new.addfile(info, old.extractfile(info) if info.isreg() else None)
    return out.getvalue()


@pytest.fixture
def ws(tmp_path: Path, image: bytes) -> Workspace:
    runtime = NativeRuntime()
    report = runtime.probe(str(tmp_path))
    if report.isolation is Isolation.UNAVAILABLE:
        pytest.skip(f"no process can be started here: {'; '.join(report.reasons)}")
    ws = workspace(tmp_path / "store", runtime)
    import_base(ws, image, "machine")
    return ws


def ran(ws: Workspace, script: str) -> None:
    created = create(ws, RunRequest("machine", ("sh", "-ec", script), name="box"), lambda text: None)
    assert run_attached(ws, created, QUIET) == 0


@pytest.fixture(params=["stopped", "running"])
def box(request: pytest.FixtureRequest, ws: Workspace) -> Iterator[str]:
    """A container that has changed files and ended, or goes on."""
    if request.param == "stopped":
        ran(ws, SCRIPT)
        yield "box"
        return
    words = ("sh", "-ec", f"{SCRIPT}mkdir /done; exec sleep 1000")
    created = create(ws, RunRequest("machine", words, name="box"), lambda text: None)
    run_detached(ws, created)
    until = time.monotonic() + 20
    while not os.path.lexists(ws.store.containers.path(created.record.id, "upper", "done")):
        assert time.monotonic() < until
        time.sleep(0.01)
    yield "box"
    kill(ws, "box")


def is_copied(ws: Workspace) -> bool:
    return ws.store.containers.find("box").record.is_copied


def told(change: Change) -> tuple[str, str, int, int, int]:
    return (change.kind, change.path, change.size, change.image_size, change.copied_size)


SIZES = [
    ("C", "/data", 0, 0, 0),
    ("=", "/data/back", 5, 5, 5),
    ("C", "/data/big", len(BIG) + 5, len(BIG), len(BIG)),
    ("C", "/data/binary", 100_001, 100_000, 100_000),
    ("C", "/data/both", 10, 5, 5),
    ("A", "/data/eleven", 0, 0, 0),
    ("D", "/data/gone", 0, 10, 0),
    ("C", "/data/link", 0, 0, 0),
    ("C", "/data/mode", 5, 5, 5),
    ("A", "/data/new", 3, 0, 0),
    ("C", "/data/owner", 6, 6, 6),
    ("A", "/data/pipe", 0, 0, 0),
    ("A", "/data/shut", 0, 0, 0),
    ("A", "/data/shut/secret", 6, 0, 0),
    ("C", "/data/ten", 24, 21, 21),
    ("C", "/data/time", 5, 5, 5),
    ("C", "/data/turned", 0, 7, 0),
    ("A", "/data/turned/in", 3, 0, 0),
    ("D", "/data/two", 0, 7, 0),
    ("D", "/old", 0, 4, 0),
]


def test_every_byte_that_a_container_holds_is_told(ws: Workspace, box: str) -> None:
    found = changes.sizes(ws, box)
    expected = [row for row in SIZES if not (is_copied(ws) and row[0] == "=")]
    assert [told(change) for change in found.changes if change.path != "/done"] == expected
    assert found.size == changes.written_size(ws, ws.store.containers.find(box))
    assert found.size == sum(row[2] for row in expected)
    kept_by_another_name = len("linked\n")
    assert found.hidden_size == sum(row[3] for row in expected) - kept_by_another_name
    assert found.copied_size == sum(row[4] for row in expected)
    assert bool(found.whole_copy_size) is is_copied(ws)


def test_the_list_is_that_of_the_sizes(ws: Workspace, box: str) -> None:
    sized = [(change.kind, change.path) for change in changes.sizes(ws, box).changes if change.kind != "="]
    assert [(change.kind, change.path) for change in changes.changes(ws, box)] == sized


def lines_of(ws: Workspace, box: str) -> list[str]:
    lines: list[str] = []
    patches(ws, box, lambda patch: lines.extend(patch_lines(patch)))
    return lines


def test_a_patch_tells_contents_modes_owners_and_links(ws: Workspace, box: str) -> None:
    done = ["# done: directory added, mode 755, owner 0:0"] if ws.store.containers.find(box).has_process else []
    told = lines_of(ws, box)
    assert [line for line in told if line in done] == done
    assert "".join(f"{line}\n" for line in told if line not in done) == PATCH


SMALL = """cd /data
echo 11 >>ten; chmod 755 ten mode; chown 1000:1001 owner mode ten
rm -r gone turned /old link; mkdir turned; echo in >turned/in; ln -s ten link; ln -s in turned/link
printf 'a\\nb' >new; chmod 755 new; chown 5:5 new; ln new more; mkfifo pipe; mkdir -m 700 empty; touch -d @1 time
printf x >'odd "name" ä\\here	tab'
rm one; mkdir one; echo x >one/two; rm both; ln -s ten both
"""


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_makes_of_the_image_what_the_container_is(ws: Workspace, tmp_path: Path) -> None:
    ran(ws, "true")
    before = exported(ws, tmp_path / "before")
    remove(ws, "box")
    ran(ws, SMALL)
    after = exported(ws, tmp_path / "after")
    assert before != after
    lines = "".join(f"{line}\n" for line in lines_of(ws, "box")).encode("utf-8", "surrogateescape")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CEILING_DIRECTORIES": str(tmp_path)}
    subprocess.run(["git", "apply", "-"], input=lines, cwd=tmp_path / "before", check=True, env=environment)
    assert seen(tmp_path / "before") == after


def exported(ws: Workspace, place: Path) -> dict[str, str]:
    """Unpack the files of the container and return what is `seen` of them."""
    out = io.BytesIO()
    export_container(ws, "box", out.write)
    place.mkdir()
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        tar.extraction_filter = lambda member, _: member  # everything as it is, whatever Python's default
        tar.extractall(place)
    return seen(place)


def seen(place: Path) -> dict[str, str]:
    """Return what git knows of files: target of a link, whether it is executable, content."""
    found = {}
    for path in sorted(place.rglob("*")):
        name = str(path.relative_to(place))
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        elif path.is_file():
            found[name] = f"{path.stat().st_mode & 0o100:o} {path.read_bytes()!r}"
    return found


def test_the_program_of_a_container_cannot_lead_a_reader_out_of_it(ws: Workspace, tmp_path: Path) -> None:
    ran(ws, "mkdir /data/made; echo mine >/data/made/file")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/file").write_text("theirs")
    upper = Path(ws.store.containers.path(ws.store.containers.find("box").id, "upper"))
    told: list[str] = []

    def show(patch: FilePatch) -> None:
        told.extend(patch_lines(patch))
        if patch.path == "data/made":  # the next is the file in it
            (upper / "data/made").rename(upper / "data/other")
            (upper / "data/made").symlink_to(tmp_path / "secret")

    patches(ws, "box", show)
    assert told[-1] == "# data/made/file: /data/made/file has been replaced while it was read"
    assert not any("theirs" in line for line in told)


def test_a_container_that_changed_nothing_has_nothing_to_show(ws: Workspace) -> None:
    ran(ws, "true")
    found = changes.sizes(ws, "box")
    assert (found.changes, found.size, found.hidden_size) == ((), 0, 0)
    assert lines_of(ws, "box") == []
    for look in (changes.sizes, lines_of):
        with pytest.raises(NoSuchContainer):
            look(ws, "nosuch")
