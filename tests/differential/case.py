"""One case of the comparison: a Dockerfile with its context, and how it is built."""

from __future__ import annotations

import os
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.engine.building import MTIME, directory, link, member, root_tar

DIRECTORY_MARK = "/"


@dataclass(frozen=True, slots=True)
class Case:
    """A build: ``files`` by path (one that ends in ``/`` is a directory, one in ``@`` a link), ``modes`` by path.

    ``archives`` are files too: tars of files and links by path. ``base`` stands for the image that `base_tar` makes,
    ``busybox`` for the same with a shell; ``needs`` names the oldest frontend that knows the syntax.
    """

    name: str
    dockerfile: str
    files: Mapping[str, str] = field(default_factory=dict)
    modes: Mapping[str, int] = field(default_factory=dict)
    archives: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    dockerfile_name: str = "Dockerfile"

    @property
    def needs_run(self) -> bool:
        return "busybox" in self.dockerfile

    def write(self, place: Path) -> None:
        """Make the context at ``place``, dated `MTIME`."""
        place.mkdir(parents=True)
        for name, text in {"Dockerfile": self.dockerfile, **self.files}.items():
            path = place / name.rstrip("/@")
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("@"):
                path.symlink_to(text)
            elif name.endswith(DIRECTORY_MARK):
                path.mkdir(exist_ok=True)
            else:
                path.write_text(text)
        for name, members in self.archives.items():
            (place / name).write_bytes(packed(members))
        below = sorted(place.rglob("*"), reverse=True)
        for path in below:
            if not path.is_symlink():
                name = str(path.relative_to(place))
                path.chmod(self.modes.get(name, 0o755 if path.is_dir() else 0o644))
        moment = MTIME * 10**9 + zlib.crc32(self.name.encode()) % 10**9
        for path in [*below, place]:
            os.utime(path, ns=(moment, moment), follow_symlinks=False)


def packed(members: Mapping[str, str]) -> bytes:
    """Return a tar: names that end in ``/`` are directories, in ``@`` links; owners are 5:6."""
    items: list[tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]] = []
    for name, text in members.items():
        if name.endswith("@"):
            items.append(link(name[:-1], text))
        elif name.endswith(DIRECTORY_MARK):
            items.append(directory(name.rstrip("/"), 0o750, uid=5, gid=6))
        else:
            items.append((member(name, mode=0o640, uid=5, gid=6), text.encode()))
    return root_tar(items)


def base_tar(busybox: bytes | None = None) -> bytes:
    """Return the base of the cases: accounts, and all kinds of places that a copy may go to."""
    items: list[tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]] = [
        directory("bin"),
        directory("d", 0o750, uid=1, gid=2),
        (member("d/old", mode=0o600, uid=3, gid=4), b"old"),
        directory("d/sub", 0o700, uid=5, gid=6),
        directory("dev"),
        directory("etc"),
        (member("etc/group"), b"root:x:0:\napp:x:1001:\nstaff:x:50:app\n"),
        (member("etc/passwd"), b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n"),
        (member("f", mode=0o640, uid=7, gid=8), b"file"),
        link("l-abs", "/d"),
        link("l-dangling", "nowhere/deep"),
        link("l-dir", "d"),
        link("l-file", "f"),
        link("l-loop", "l-loop"),
        link("l-out", "../../../d"),
        link("lib", "usr/lib"),
        directory("proc"),
        directory("root", 0o700),
        directory("sys"),
        directory("tmp", 0o1777),
        directory("usr"),
        directory("usr/lib"),
    ]
    if busybox is not None:
        items.append((member("bin/busybox", mode=0o755), busybox))
        items += [link(f"bin/{name}", "busybox") for name in ("sh", "cat", "echo", "env", "id", "ls", "mkdir", "stat")]
        items += [link(f"bin/{name}", "busybox") for name in ("chmod", "chown", "rm", "ln", "test", "touch", "pwd")]
    return root_tar(items)
