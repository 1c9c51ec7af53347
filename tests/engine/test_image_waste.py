"""`image waste` of real builds: names and numbers; the advice saves what it says and leaves the image as it is.

`test_other_users` runs this file as a plain user too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from minidock.core.base_image import BaseImage
from minidock.core.descriptor import Descriptor
from minidock.core.digest import Digest
from minidock.core.entries import DIRECTORY, FILE
from minidock.core.waste import Waste
from minidock.engine import images
from minidock.engine.image_list import config_digest
from minidock.engine.image_waste import image_waste
from minidock.engine.workspace import Workspace
from minidock.runtime.base import Isolation
from minidock.runtime.native import NativeRuntime
from tests.engine.building import import_base, run_build, tree_of, workspace, write_context
from tests.engine.machine_image import machine_tar

MB = 1_000_000
TOOL = Random(1).randbytes(20 * MB)
BLOB = Random(2).randbytes(300_000)
OTHER = Random(3).randbytes(200_000)
UPDATE = "mkdir -p /var/lib/apt/lists; cat /blob >/var/lib/apt/lists/x"


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    place, runtime = tmp_path_factory.mktemp("waste"), NativeRuntime()
    report = runtime.probe(str(place))
    if report.isolation is Isolation.UNAVAILABLE:
        pytest.skip(f"no process can be started here: {'; '.join(report.reasons)}")
    ws = workspace(place / "store", runtime)
    import_base(ws, machine_tar(), "machine")
    yield ws


@dataclass
class Case:
    """A Dockerfile, what it wastes (blamed, cause, victim, size, advice), and one that follows the advice.

    The latter finds files of its context with other ``modes``.
    """

    lines: str
    expected: list[tuple[str, str, str, int, str]]
    better: str = ""
    modes: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=lambda: {"tool": TOOL, "blob": BLOB, "other": OTHER})


def found(waste: Waste) -> list[tuple[str, str, str, int, str]]:
    places = waste.places
    return [(places[p.blamed], p.cause.value, places[p.victim], p.size, p.advice) for p in waste.parts if p.size]


CASES = {
    "removed in a later step": Case(
        "COPY blob /blob\nRUN mkdir /work; cat /blob /blob >/work/made\nRUN rm -r /work",
        [
            ("Dockerfile:4", "deleted", "Dockerfile:3", 600_000,
             "remove it in the RUN of Dockerfile:3: a layer keeps what its own step does not remove"),
        ],
        "COPY blob /blob\nRUN mkdir /work; cat /blob /blob >/work/made; rm -r /work",
    ),
    "chmod of a large file": Case(
        "COPY tool /app/tool\nRUN chmod 755 /app/tool",
        [
            ("Dockerfile:3", "mode", "Dockerfile:2", 20 * MB,
             "`COPY --chmod=755` in Dockerfile:2 instead of chmod in Dockerfile:3"),
        ],
        "COPY --chmod=755 tool /app/tool\nRUN true",
    ),
    "chown of all that was copied": Case(
        "COPY tree /app\nRUN chown -R 5:6 /app",
        [
            ("Dockerfile:3", "owner", "Dockerfile:2", 500_000,
             "`COPY --chown=5:6` in Dockerfile:2 instead of chown in Dockerfile:3"),
        ],
        "COPY --chown=5:6 tree /app\nRUN true",
        files={"tree/a": BLOB, "tree/b": OTHER, "tree/c/empty": b""},
    ),
    "chown of one file in a new directory": Case(
        "WORKDIR /app\nCOPY blob /app/blob\nRUN chown 5:6 /app/blob",
        [
            ("Dockerfile:4", "owner", "Dockerfile:3", 300_000,
             "`COPY --chown=5:6` in Dockerfile:3 instead of chown in Dockerfile:4"),
        ],
        "WORKDIR /app\nCOPY --chown=5:6 blob /app/blob",
    ),
    "chmod and chown": Case(
        "WORKDIR /app\nADD blob /app/blob\nRUN chown 5:6 /app/blob; chmod 500 /app/blob",
        [
            ("Dockerfile:4", "attributes", "Dockerfile:3", 300_000,
             "`ADD --chown=5:6 --chmod=500` in Dockerfile:3 instead of chown and chmod in Dockerfile:4"),
        ],
        "WORKDIR /app\nADD --chown=5:6 --chmod=500 blob /app/blob",
    ),
    "chmod of some that were copied": Case(
        "COPY tree /app\nRUN chmod 755 /app/a",
        [
            ("Dockerfile:3", "mode", "Dockerfile:2", 300_000,
             "set the mode where the COPY of Dockerfile:2 takes it from: it keeps modes"),
        ],
        "COPY tree /app\nRUN true",
        {"tree/a": 0o755},
        files={"tree/a": BLOB, "tree/b": OTHER},
    ),
    "chown of some that were copied": Case(
        "WORKDIR /app\nCOPY blob other /app/\nRUN chown 5:6 /app/blob",
        [
            ("Dockerfile:4", "owner", "Dockerfile:3", 300_000,
             "take it out of the COPY of Dockerfile:3 and give it one with `--chown=5:6`"),
        ],
        "WORKDIR /app\nCOPY other /app/\nCOPY --chown=5:6 blob /app/",
    ),
    "chmod to what a directory cannot have": Case(
        "COPY blob /new/dir/blob\nRUN chmod 600 /new/dir/blob",
        [
            ("Dockerfile:3", "mode", "Dockerfile:2", 300_000,
             "set the mode where the COPY of Dockerfile:2 takes it from: it keeps modes"),
        ],
        "COPY blob /new/dir/blob\nRUN true",
        {"blob": 0o600},
    ),
    "chmod of what a step made": Case(
        "COPY blob /blob\nRUN cat /blob >/made\nRUN chmod 755 /made",
        [
            ("Dockerfile:4", "mode", "Dockerfile:3", 300_000,
             "do it in the RUN of Dockerfile:3: one layer stores it once"),
        ],
        "COPY blob /blob\nRUN cat /blob >/made; chmod 755 /made",
    ),
    "overwritten COPY": Case(
        "COPY blob /data\nCOPY other /data",
        [
            ("Dockerfile:3", "overwritten", "Dockerfile:2", 300_000,
             "do without the COPY of Dockerfile:2, unless a step in between needs it"),
        ],
        "COPY other /data",
    ),
    "changed by a step": Case(
        "COPY blob /data\nRUN printf more >>/data",
        [
            ("Dockerfile:3", "overwritten", "Dockerfile:2", 300_000,
             "change it before COPY in Dockerfile:2, or in another stage, from which `COPY --from` takes the result"),
        ],
        "COPY --from=changed /data /data\nRUN true\n",
    ),
    "copied again": Case(
        "COPY tree/a /app/a\nCOPY tree /app",
        [
            ("Dockerfile:3", "rewritten", "Dockerfile:2", 300_000,
             "leave /app/a out of the COPY of Dockerfile:3 (`--exclude`): it is there already"),
        ],
        "COPY tree/a /app/a\nCOPY --exclude=a tree /app",
        files={"tree/a": BLOB, "tree/b": OTHER},
    ),
    "moved": Case(
        "COPY blob /a\nRUN mv /a /b",
        [("Dockerfile:3", "moved", "Dockerfile:2", 300_000, "let COPY in Dockerfile:2 put it there at once")],
        "COPY blob /b\nRUN true",
    ),
    "touched": Case(
        "COPY blob /a\nRUN touch -t 200102030405 /a",
        [("Dockerfile:3", "rewritten", "Dockerfile:2", 300_000, "it is as before but for the time: leave it alone")],
        "COPY blob /a\nRUN true",
    ),
    "copied to be unpacked": Case(
        "COPY blob /tmp/blob\nRUN cat /tmp/blob /tmp/blob >/made; rm /tmp/blob",
        [
            ("Dockerfile:3", "deleted", "Dockerfile:2", 300_000,
             "do without the COPY of Dockerfile:2: steps that need it can have it by `RUN --mount=type=bind`"),
        ],
        "RUN --mount=type=bind,source=blob,target=/tmp/blob cat /tmp/blob /tmp/blob >/made",
    ),
    "some of what was copied": Case(
        "COPY tree /app\nRUN rm /app/a",
        [
            ("Dockerfile:3", "deleted", "Dockerfile:2", 300_000,
             "leave /app/a out of the COPY of Dockerfile:2 (`--exclude`): "
             "steps that need it can have it by `RUN --mount=type=bind`"),
        ],
        "COPY --exclude=a tree /app\nRUN true",
        files={"tree/a": BLOB, "tree/b": OTHER},
    ),
    "package lists": Case(
        f"COPY blob /blob\nRUN {UPDATE}\nRUN rm -rf /var/lib/apt/lists/*",
        [
            ("Dockerfile:4", "deleted", "Dockerfile:3", 300_000,
             "end the RUN of Dockerfile:3 with `rm -rf /var/lib/apt/lists/*`: "
             "a layer keeps what its own step does not remove"),
        ],
        f"COPY blob /blob\nRUN {UPDATE}; rm -rf /var/lib/apt/lists/*",
    ),
    "a cache": Case(
        "COPY blob /blob\nRUN mkdir -p /root/.cache; cat /blob >/root/.cache/x\nRUN rm -rf /root/.cache/x",
        [
            ("Dockerfile:4", "deleted", "Dockerfile:3", 300_000,
             "`RUN --mount=type=cache,target=/root/.cache` in Dockerfile:3 keeps it out of the image"),
        ],
        "COPY blob /blob\nRUN --mount=type=cache,target=/root/.cache cat /blob >/root/.cache/x\nRUN true",
    ),
    "changed by two steps": Case(
        "COPY blob /blob\nRUN cat /blob >/made\nRUN printf more >>/made",
        [
            ("Dockerfile:4", "overwritten", "Dockerfile:3", 300_000,
             "do it in the RUN of Dockerfile:3: one layer stores only what is there in the end"),
        ],
        "COPY blob /blob\nRUN cat /blob >/made; printf more >>/made",
    ),
    "made and then copied": Case(
        "RUN --mount=type=bind,source=blob,target=/blob cat /blob /blob >/made\nCOPY other /made",
        [
            ("Dockerfile:3", "overwritten", "Dockerfile:2", 600_000,
             "remove it in the RUN of Dockerfile:2: Dockerfile:3 brings what stays"),
        ],
        "RUN --mount=type=bind,source=blob,target=/blob cat /blob /blob >/made; rm /made\nCOPY other /made",
    ),
    "hard links": Case(
        "RUN --mount=type=bind,source=blob,target=/blob cat /blob >/one; ln /one /two; ln /one /three\n"
        "RUN rm /one\nRUN rm /two /three",
        [
            ("Dockerfile:4", "deleted", "Dockerfile:2", 300_000,
             "remove it in the RUN of Dockerfile:2: a layer keeps what its own step does not remove"),
        ],
        "RUN --mount=type=bind,source=blob,target=/blob cat /blob >/one; rm /one",
    ),
    "a directory replaced by a file": Case(
        "COPY tree /app\nRUN rm -r /app; printf file >/app",
        [
            ("Dockerfile:3", "overwritten", "Dockerfile:2", 500_000,
             "change them before COPY in Dockerfile:2, or in another stage, from which `COPY --from` takes the result"),
        ],
        "RUN printf file >/app",
        files={"tree/a": BLOB, "tree/b": OTHER},
    ),
    "an opaque directory": Case(
        "COPY tree /app\nRUN rm -r /app; mkdir /app; printf new >/app/new",
        [
            ("Dockerfile:3", "deleted", "Dockerfile:2", 500_000,
             "do without the COPY of Dockerfile:2: steps that need them can have them by `RUN --mount=type=bind`"),
        ],
        "RUN mkdir /app; printf new >/app/new",
        files={"tree/a": BLOB, "tree/b": OTHER},
    ),
    "every byte once": Case(
        "COPY blob /a\nRUN chmod 755 /a\nRUN chmod 700 /a\nRUN rm /a",
        [
            ("Dockerfile:3", "mode", "Dockerfile:2", 300_000,
             "`COPY --chmod=755` in Dockerfile:2 instead of chmod in Dockerfile:3"),
            ("Dockerfile:4", "mode", "Dockerfile:2", 300_000,
             "`COPY --chmod=700` in Dockerfile:2 instead of chmod in Dockerfile:4"),
            ("Dockerfile:5", "deleted", "Dockerfile:2", 300_000,
             "do without the COPY of Dockerfile:2: steps that need it can have it by `RUN --mount=type=bind`"),
        ],
        "RUN true",
    ),
    "of other stages": Case(
        "COPY blob /a\nRUN chmod 755 /a; cat /a /a >/b\nRUN rm /a\nFROM machine\nCOPY --from=0 /b /b",
        [],
    ),
}  # fmt: skip

EMPTY: Mapping[str, int] = {}
CHANGED = "FROM machine AS changed\nCOPY blob /data\nRUN printf more >>/data\n"


def built(
    ws: Workspace, place: Path, text: str, files: Mapping[str, bytes], modes: Mapping[str, int] = EMPTY
) -> Digest:
    context = write_context(place, {**files, "Dockerfile": text})
    for name, mode in modes.items():
        (place / name).chmod(mode)
    return run_build(ws, context).image_id


def size_of(ws: Workspace, image_id: Digest) -> int:
    return sum(images.layer_sizes(ws, images.load(ws, image_id).config))


def seen(ws: Workspace, image_id: Digest) -> list[tuple[object, ...]]:
    """Return what an image shows, times left out."""
    entries = [entry for entry in tree_of(ws, image_id).entries() if entry.path]
    return [(entry.path, entry.kind, entry.mode, entry.uid, entry.gid, entry.sha256) for entry in entries]


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_waste_is_told_and_the_advice_saves_it(ws: Workspace, case: Case, tmp_path: Path) -> None:
    is_mounted = "--mount" in case.lines + case.better
    if is_mounted and ws.runtime.probe(ws.store.layout.root).isolation is Isolation.CHROOT:
        pytest.skip("nothing can be mounted")
    image_id = built(ws, tmp_path / "first", f"FROM machine\n{case.lines}\n", case.files)
    waste, base = image_waste(ws, str(image_id))
    assert found(waste) == case.expected
    assert (waste.size, base and (base.name, base.layers)) == (size_of(ws, image_id), ("machine", 1))
    visible = {(entry.linkname or entry.path, entry.offset, entry.sha256): entry.size
               for entry in tree_of(ws, image_id).entries() if entry.kind == FILE}  # fmt: skip
    assert waste.size - waste.wasted == sum(visible.values())
    assert (waste.own_wasted, waste.base_wasted) == (waste.wasted, 0)
    assert bool(case.better) is bool(case.expected)
    if not case.better:
        return
    stages = CHANGED if "changed" in case.better else ""
    better = built(ws, tmp_path / "better", f"{stages}FROM machine\n{case.better}\n", case.files, case.modes)
    assert size_of(ws, image_id) - size_of(ws, better) == waste.advised == waste.wasted
    assert image_waste(ws, str(better))[0].wasted == 0
    after = seen(ws, better)
    emptied = [row for row in seen(ws, image_id) if row[1] == DIRECTORY and row not in after]
    assert after == [row for row in seen(ws, image_id) if row not in emptied]


def test_what_base_images_waste_is_told_apart(ws: Workspace, tmp_path: Path) -> None:
    files = {"blob": BLOB, "other": OTHER}
    lines = "FROM machine\nCOPY blob /a\nCOPY other /b\nRUN chmod 755 /a\n"
    base_id = built(ws, tmp_path / "base", lines, files)
    images.tag(ws, str(base_id), "based:1")
    image_id = built(ws, tmp_path / "app", "FROM based:1\nRUN rm /b\nRUN chmod 700 /a\n", {})
    waste, base = image_waste(ws, str(image_id))
    assert base == BaseImage("based:1", str(base_id), 4)
    assert found(waste) == [
        ("Dockerfile:4", "mode", "Dockerfile:2", 300_000, ""),
        ("Dockerfile:3", "mode", "Dockerfile:2", 300_000, ""),
        ("Dockerfile:2", "deleted", "Dockerfile:3", 200_000, ""),
    ]
    assert (waste.base_wasted, waste.own_wasted, waste.advised) == (500_000, 300_000, 0)
    assert waste.base_size == size_of(ws, base_id)


def test_an_image_that_tells_no_base_begins_with_the_largest_that_is_there(ws: Workspace, tmp_path: Path) -> None:
    base_id = built(ws, tmp_path / "base", "FROM machine\nCOPY blob /a\n", {"blob": BLOB})
    images.tag(ws, str(base_id), "begin:1")
    image_id = built(ws, tmp_path / "app", "FROM begin:1\nRUN rm /a\n", {})
    step = images.find(ws, "begin:1").image_id
    assert image_waste(ws, str(step))[1] == BaseImage("machine", str(images.find(ws, "machine").image_id), 1)

    def is_it(item: Descriptor) -> bool:
        return config_digest(item) == image_id

    with ws.store.session() as session:  # all that index.json tells of it goes; it is still an image of the build cache
        ws.store.images.remove(session, is_it)
    waste, base = image_waste(ws, str(image_id))
    assert (base, waste.base_wasted) == (BaseImage("begin:1", str(base_id), 2), 300_000)


def test_an_image_from_nothing_has_no_base(ws: Workspace, tmp_path: Path) -> None:
    first = built(ws, tmp_path / "dev", "FROM scratch\nCOPY blob /a\n", {"blob": BLOB})
    images.tag(ws, str(first), "dev:1")
    files = {"blob": BLOB, "other": OTHER}
    image_id = built(ws, tmp_path / "app", "FROM scratch\nCOPY blob /a\nCOPY other /a\n", files)
    waste, base = image_waste(ws, str(image_id))
    assert (base, waste.base_wasted, waste.own_wasted) == (BaseImage("scratch", "", 0), 0, 300_000)
