"""Whose files are, where there is one user only: what is taken down; `test_other_users` runs this as a plain user."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from minidock.core.entries import DIRECTORY, Entry, Tree
from minidock.core.id_mode import IdMode
from minidock.core.process import Mount
from minidock.runtime.base import RuntimeReport
from minidock.runtime.native import NativeRuntime
from minidock.store.notes import read_notes
from minidock.store.scan import Owners, scan_upper
from minidock.store.writer import Disk
from tests.runtime.machine import Containers

Run = Callable[..., dict[str, str]]


@pytest.fixture
def owned(layered: Containers, report: RuntimeReport, lower: Path, tmp_path: Path) -> Run:
    """Run a script and return what its layer says: mode and owner by path."""
    if report.id_mode is not IdMode.SINGLE:
        pytest.skip("owners are what they are where there is more than one id")
    if type(layered.runtime) is not NativeRuntime:
        pytest.skip("crun and runc have nobody to ask: owners appear to be set")

    def run(script: str, output: str = "", **fields: object) -> dict[str, str]:
        spec = layered.shell(script, **fields)
        notes = f"{spec.rootfs.upper}.owners"
        spec = replace(spec, rootfs=replace(spec.rootfs, owners=notes))
        code, text = layered.run(spec)
        assert (code, text) == (0, output)
        names = [path.relative_to(lower).as_posix() for path in lower.rglob("*")]
        below = Tree({"": Entry("", DIRECTORY, 0o755), **{name: Entry(name, DIRECTORY, 0o755) for name in names}})
        found = scan_upper(Disk(), spec.rootfs.upper, Owners(IdMode.SINGLE, below, (0, 0), read_notes(notes)))
        return {
            item.entry.path: f"{item.entry.kind} {item.entry.mode:o} {item.entry.uid}:{item.entry.gid}"
            for item in found
            if item.entry.path and item.entry.path not in names
        }

    return run


def test_owners_are_remembered_and_erased(owned: Run) -> None:
    script = (
        "cd /tmp; touch a b c; mkdir d; chown 33:42 a d; chown 7 b; chown :9 b; chown 33:42 c; chown 0:0 c; "
        "chown 5:5 a; chown -h 1:1 a; stat -c %u:%g a"
    )
    assert owned(script, "0:0\n") == {
        "tmp/a": "file 644 1:1",
        "tmp/b": "file 644 7:9",
        "tmp/c": "file 644 0:0",
        "tmp/d": "dir 755 33:42",
    }


def test_a_record_goes_where_the_file_goes(owned: Run) -> None:
    script = "cd /tmp; mkdir d; touch d/f; chown 3:4 d d/f; mv d/f g; ln g h; mv d e; chown 8 h"
    assert owned(script) == {"tmp/e": "dir 755 3:4", "tmp/g": "file 644 8:4", "tmp/h": "hardlink 644 8:4"}


def test_a_link_keeps_its_own_owner_wherever_it_is_moved(owned: Run) -> None:
    script = "cd /tmp; touch t; ln -s t l; ln -s t m; ln -s nowhere n; chown -h 12:13 l n; chown 5:6 m; mv l z"
    assert owned(script) == {
        "tmp/m": "symlink 777 0:0",
        "tmp/n": "symlink 777 12:13",
        "tmp/t": "file 644 5:6",
        "tmp/z": "symlink 777 12:13",
    }


def test_an_inode_that_is_used_again_does_not_inherit(owned: Run) -> None:
    script = "cd /tmp; for i in 1 2 3 4 5; do ln -s t l$i; chown -h 9:9 l$i; rm l$i; ln -s t k$i; done"
    assert set(owned(script).values()) == {"symlink 777 0:0"}


def test_a_change_of_hands_takes_special_rights_away(owned: Run) -> None:
    script = "cd /tmp; touch a b c; chmod 6755 a; chmod 2644 b; chmod 4755 c; chown 1:1 a b; chown 2:2 c; chmod 4755 c"
    assert owned(script) == {
        "tmp/a": "file 755 1:1",
        "tmp/b": "file 2644 1:1",
        "tmp/c": "file 4755 2:2",
    }


def test_devices_and_fifos_are_in_the_layer(owned: Run) -> None:
    script = "cd /tmp; mknod c c 1 3; mknod -m 600 b b 8 1; chown 0:6 b; mkfifo p; chown 4:5 p; mknod w c 0 0 || true"
    output = "mknod: w: Operation not permitted\n"
    found = owned(script, output)
    assert found == {
        "tmp/b": "block 600 0:6",
        "tmp/c": "char 644 0:0",
        "tmp/p": "fifo 644 4:5",
    }


def test_what_is_not_there_cannot_be_given_away(owned: Run) -> None:
    assert owned("chown 1:1 /nothing; echo $?", "chown: cannot access '/nothing': No such file or directory\n1\n") == {}


def test_files_of_the_host_are_left_alone(owned: Run, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume/file").write_text("x")
    mount = Mount(str(tmp_path / "volume"), "/tmp")
    assert owned("chown 9:9 /tmp/file /tmp /dev/null /dev/stdout /proc/self/fd/1", mounts=(mount,)) == {}
    assert os.listxattr(tmp_path / "volume/file") == []


def test_a_link_that_leads_out_leads_nowhere(owned: Run, tmp_path: Path) -> None:
    (tmp_path / "host").write_text("x")
    script = (
        f"cd /tmp; ln -s {tmp_path}/host l; ln -s ../../../../../..{tmp_path}/host m; chown 9:9 l; chown 9:9 m; true"
    )
    found = owned(
        script,
        "chown: cannot dereference 'l': No such file or directory\n"
        "chown: cannot dereference 'm': No such file or directory\n",
    )
    assert set(found.values()) == {"symlink 777 0:0"}
    assert os.listxattr(tmp_path / "host") == []


def test_what_a_container_writes_into_the_records_itself_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "up").mkdir()
    file = tmp_path / "up/file"
    file.write_text("x")
    for value in (b"", b"x", b"1:", b"1:2:3", b"-1:5", b"\xff"):
        os.setxattr(file, "user.minidock.owner", value)
        os.setxattr(file, "user.minidock.device", value)
        tree = Tree({"": Entry("", DIRECTORY, 0o755)})
        found = scan_upper(Disk(), str(tmp_path / "up"), Owners(IdMode.SINGLE, tree))
        assert [(item.entry.kind, item.entry.uid, item.entry.gid) for item in found if item.entry.path] == [
            ("file", 0, 0)
        ]
