"""Memory of what comes from outside: every way in takes less than 64 MiB more for a huge layer than for a small one."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from minidock.registry.registries import Registries
from tests.engine.building import member, root_tar
from tests.registry_server import Image, Server, make_image, registry_server, upload
from tests.store.tar_blocks import block, file, pax, record

# A process of its own: what the tests themselves took would count for what they start.
_MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
MOST = 64 << 10  # KiB above what a layer of one file takes
Run = Callable[..., tuple[int, str]]


def empty_members(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield block(b"d%04d/f%08d" % (number // 1000, number))


def reversed_members(count: int) -> Iterator[bytes]:
    for number in range(count, 0, -1):
        yield block(b"%x/f" % (number * 0x9E3779B1 % (1 << 32)))


def long_names() -> Iterator[bytes]:
    for number in range(8000):
        yield record(b"L", b"/".join([b"%010d" % number + b"x" * 240] * 16)) + block(b"f")


def deep_paths() -> Iterator[bytes]:
    for number in range(40_000):
        yield record(b"L", b"%06d" % number + b"/a" * 250) + block(b"f")


def hard_links() -> Iterator[bytes]:
    yield file(b"0", b"x")
    for number in range(1, 100_000):
        yield block(b"%d" % number, b"1", link=b"%d" % (number - 1))


def below_links() -> Iterator[bytes]:
    for number in range(50_000):
        yield block(b"l%d" % number, b"2", link=b"d%d" % number) + block(b"l%d/f" % number)


def attributes(count: int, size: int) -> Iterator[bytes]:
    head = pax(SCHILY__xattr__user__a=b"v" * size)
    for number in range(count):
        yield head + block(b"%d" % number)


def huge_header() -> Iterator[bytes]:
    yield pax(comment=b"x" * ((1 << 20) - 100)) * 15 + block(b"f")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(*words: object) -> tuple[int, str]:
        """Run a command in a store of its own; return the most memory that it took (KiB) and what it complained of."""
        command = [sys.executable, "-m", "minidock", "--root", str(tmp_path / "store"), *map(str, words)]
        done = subprocess.run([sys.executable, "-c", _MEASURE, *command], capture_output=True, text=True, check=True)
        return int(done.stdout.splitlines()[-1]), done.stderr

    return run


def write(path: Path, members: Iterator[bytes]) -> Path:
    with open(path, "wb") as out:
        for data in members:
            out.write(data)
        out.write(bytes(1024))
    return path


def accepted(run: Run, *words: object) -> int:
    peak, complaint = run(*words)
    assert not complaint
    return peak


@pytest.mark.slow
@pytest.mark.parametrize(
    "members",
    [
        lambda: empty_members(400_000),
        lambda: reversed_members(100_000),
        long_names,
        deep_paths,
        hard_links,
        below_links,
        lambda: attributes(100_000, 300),
        lambda: attributes(300, 100_000),
        huge_header,
    ],
    ids=["empty", "scattered", "long", "deep", "hard links", "below links", "attributes", "large", "header"],
)
def test_an_import_of_very_many_members_takes_little_memory(
    run: Run, tmp_path: Path, members: Callable[[], Iterator[bytes]]
) -> None:
    usual = accepted(run, "import", write(tmp_path / "small.tar", empty_members(1)))
    assert accepted(run, "import", write(tmp_path / "huge.tar", members())) < usual + MOST


@pytest.mark.slow
def test_more_members_than_a_layer_may_have_are_refused_in_little_memory(run: Run, tmp_path: Path) -> None:
    usual = accepted(run, "import", write(tmp_path / "small.tar", empty_members(1)))
    peak, complaint = run("import", write(tmp_path / "huge.tar", empty_members(1_800_000)))
    assert complaint == "minidock: the names and attributes of its members take more than 1024 MiB\n"
    assert peak < usual + MOST
    assert len(os.listdir(tmp_path / "store/layers")) == 1


def archive(path: Path, layer: bytes) -> Path:
    config = json.dumps({"os": "linux", "rootfs": {"diff_ids": [f"sha256:{sha256(layer).hexdigest()}"]}}).encode()
    rows = json.dumps([{"Config": "c.json", "RepoTags": [], "Layers": ["layer.tar"]}]).encode()
    members = [(member("c.json"), config), (member("layer.tar"), layer), (member("manifest.json"), rows)]
    path.write_bytes(gzip.compress(root_tar(members), 1))
    return path


@pytest.mark.slow
def test_a_load_of_very_many_members_takes_little_memory(run: Run, tmp_path: Path) -> None:
    small, huge = (b"".join(empty_members(count)) for count in (1, 150_000))
    usual = accepted(run, "load", "-q", "-i", archive(tmp_path / "small.tar", small))
    assert accepted(run, "load", "-q", "-i", archive(tmp_path / "huge.tar", huge)) < usual + MOST
    # The archive itself is no layer: it has as many members as images have blobs.
    write(tmp_path / "odd.tar", empty_members(200_000))
    peak, complaint = run("load", "-q", "-i", tmp_path / "odd.tar")
    assert complaint.startswith("minidock: the names and attributes of its members take more than")
    assert peak < usual + MOST


@pytest.mark.slow
def test_a_pull_of_very_many_members_takes_little_memory(run: Run, tmp_path: Path) -> None:
    with registry_server(tmp_path / "registry") as server:
        peaks = [pulled(run, server, tmp_path, number, count) for number, count in enumerate((1, 150_000))]
    assert peaks[1] < peaks[0] + MOST


def pulled(run: Run, server: Server, place: Path, number: int, count: int) -> int:
    """Pull an image with three layers of very many members, at once."""
    layers = [file(b"%d" % layer) + b"".join(empty_members(count)) for layer in range(3)]
    image: Image = make_image(layers)
    registries: Registries = server.registries(place / f"home{number}")
    upload(registries, f"{server.domain}/many:{number}", image)
    registries.close()
    return accepted(run, "pull", "-q", f"{server.domain}/many:{number}")
