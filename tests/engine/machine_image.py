"""A base image made of this machine's own programs, for builds that really run something."""

from __future__ import annotations

import io
import tarfile
import tempfile
from pathlib import Path

from minidock.engine import images, importer
from tests.engine.building import GROUP, MTIME, PASSWD, directory, member, workspace

PROGRAMS = ["sh", "cat", "id", "sleep", "ls", "mkdir", "rm", "touch", "stat", "chown", "chmod", "mknod", "mkfifo"]
PROGRAMS += ["env", "true", "false", "ln", "mv", "printf"]


def machine_tar() -> bytes:
    """Return the tar of a root file system with `PROGRAMS`, and files for steps to change."""
    with tempfile.TemporaryDirectory() as place:
        ws = workspace(Path(place))
        image_id = importer.from_host_image(ws, "host:1", PROGRAMS, [], "/usr/bin:/bin", MTIME)
        diff_id = images.load(ws, image_id).config.diff_ids[0]
        packed = Path(ws.store.layout.blob(diff_id)).read_bytes()
    return _with_files(packed)


def _with_files(packed: bytes) -> bytes:
    extra: list[tuple[tarfile.TarInfo, bytes]] = [
        (directory("tmp", 0o1777), b""),
        (member("etc/passwd"), PASSWD.encode()),
        (member("etc/group"), GROUP.encode()),
        (directory("gone"), b""),
        (member("gone/file"), b"gone"),
        (directory("gone/dir"), b""),
        (member("gone/dir/file"), b"gone"),
        (directory("replaced"), b""),
        (member("replaced/old"), b"old"),
        (directory("replaced/sub"), b""),
        (member("replaced/sub/deep"), b"deep"),
        (directory("turned"), b""),
        (member("turned/inside"), b"inside"),
        (member("turned-back"), b"file"),
        (directory("kept"), b""),
        (member("kept/linked"), b"link"),
        (member("kept/mode"), b"mode"),
        (member("kept/same"), b"same"),
        (directory("home"), b""),
        (directory("home/app", uid=1000, gid=1001), b""),
        (member("home/app/file", uid=1000, gid=1001), b"app"),
    ]
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(packed)) as old, tarfile.open(fileobj=out, mode="w") as new:
        replaced = {info.name for info, _ in extra}
        for info in old:
            if info.name not in replaced:
                new.addfile(info, old.extractfile(info) if info.isreg() else None)
        for info, content in extra:
            info.size = len(content)
            new.addfile(info, io.BytesIO(content))
    return out.getvalue()
