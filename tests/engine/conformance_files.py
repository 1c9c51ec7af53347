"""Contexts and base images of the conformance cases, made from their descriptions."""

from __future__ import annotations

import base64
import bz2
import gzip
import json
import lzma
import os
import shutil
import socket
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.building import directory, link, member, root_tar

MTIME = 1485449953
_TAR_TYPES = {
    "file": tarfile.REGTYPE,
    "dir": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
    "fifo": tarfile.FIFOTYPE,
}
# Not every busybox has it; what the cases ask of it is `adduser -D NAME`.
_ADDUSER = b"""#!/bin/sh
name=$2
id=$((1000 + $(grep -c ':/home/' /etc/passwd)))
echo "$name:x:$id:$id::/home/$name:/bin/sh" >> /etc/passwd
echo "$name:x:$id:" >> /etc/group
mkdir -p "/home/$name"
chown "$id:$id" "/home/$name"
"""
_PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def base(has_alpine_release: bool) -> bytes:
    """Return the base image that the expectations were made with; its programs only where this machine has busybox."""
    described = json.loads((Path(os.environ["MINIDOCK_CONFORMANCE"]) / "base.json").read_text())
    items: list[Any] = [directory(path, int(mode, 8)) for path, mode in described["directories"].items()]
    files = dict(described["files"])
    if has_alpine_release:
        files["etc/alpine-release"] = {"mode": "0644", "content": "3.0\n"}
    items += [(member(path, mode=int(file["mode"], 8)), file["content"].encode()) for path, file in files.items()]
    busybox = shutil.which("busybox")
    if busybox:
        items.append((member("bin/busybox", mode=0o755), Path(busybox).read_bytes()))
        items += [link(f"bin/{name}", "busybox") for name in described["commands_used"].split() if name != "adduser"]
        items.append((member("bin/adduser", mode=0o755), _ADDUSER))
    for item in items:
        (item[0] if isinstance(item, tuple) else item).mtime = described["mtime"]
    return root_tar(items)


def content(item: dict[str, Any]) -> bytes:
    if "content_b64" in item:
        return base64.b64decode(item["content_b64"])
    return str(item.get("content", "")).encode()


def packed(item: dict[str, Any]) -> bytes:
    archive = []
    for entry in item["entries"]:
        kind = entry.get("type", "file")
        mode = int(entry.get("mode", "0755" if kind == "dir" else "0644"), 8)
        info = member(entry["path"], _TAR_TYPES[kind], mode, linkname=entry.get("target", ""))
        info.uid, info.gid, info.mtime = entry.get("uid", 0), entry.get("gid", 0), entry.get("mtime", MTIME)
        info.pax_headers = {f"SCHILY.xattr.{name}": value for name, value in entry.get("xattrs", {}).items()}
        archive.append((info, content(entry)))
    data = root_tar(archive)
    for packer in filter(None, item.get("compress", "").split("+")):
        data = _PACKERS[packer](data)
    return data


def make_socket(path: Path) -> None:
    """Make a socket's file; its address is short however deep the file lies."""
    here = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


def make_context(place: Path, items: Iterable[dict[str, Any]]) -> None:
    place.mkdir()
    items = list(items)
    for item in items:
        path, kind = place / item["path"], item.get("type", "file")
        path.parent.mkdir(parents=True, exist_ok=True)
        match kind:
            case "file":
                path.write_bytes(content(item))
            case "tar":
                path.write_bytes(packed(item))
            case "dir":
                path.mkdir(exist_ok=True)
            case "symlink":
                path.symlink_to(item["target"])
            case "hardlink":
                path.hardlink_to(place / item["target"])
            case "fifo":
                os.mkfifo(path)
            case "socket":
                make_socket(path)
            case _:
                pytest.skip(f"a context with a {kind}")
    for item in items:
        path, kind = place / item["path"], item.get("type", "file")
        if "uid" in item or "gid" in item:
            if os.geteuid() != 0:
                pytest.skip("only root can give files away")
            os.chown(path, item.get("uid", 0), item.get("gid", 0), follow_symlinks=False)
        if kind not in ("symlink", "hardlink"):
            path.chmod(int(item.get("mode", "0755" if kind == "dir" else "0644"), 8))
    given = {item["path"]: item.get("mtime", MTIME) for item in items}
    for path in sorted(place.rglob("*"), reverse=True):
        seconds = given.get(str(path.relative_to(place)), MTIME)
        os.utime(path, (seconds, seconds), follow_symlinks=False)
