"""The flags of COPY and ADD, here-documents, and what they mean for the cache."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tempfile
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import pytest
import zstandard

from minidock.engine import images
from minidock.engine.workspace import Workspace
from minidock.errors import DockerfileError
from tests.engine.building import (
    MTIME,
    Built,
    content_of,
    directory,
    import_base,
    link,
    member,
    root_tar,
    run_build,
    settle,
    shown,
    top_layer,
    tree_of,
    workspace,
    write_context,
)

FILES = {"d/f": "f", "d/sub/g": "g", "top": "t"}


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    found = workspace(tmp_path / "store")
    import_base(found)
    return found


@pytest.fixture
def context(tmp_path: Path) -> Path:
    place = write_context(tmp_path / "context", FILES)
    (place / "d").chmod(0o700)
    (place / "d/sub").chmod(0o750)
    for path in ("d/f", "d/sub/g", "top"):
        (place / path).chmod(0o640)
    settle(place)
    return place


def built(ws: Workspace, context: Path, *lines: str, base: str = "base:1") -> Built:
    (context / "Dockerfile").write_text("\n".join([f"FROM {base}", *lines, ""]))
    return run_build(ws, context)


def layer(ws: Workspace, context: Path, *lines: str, base: str = "base:1") -> dict[str, str]:
    """Return what the last layer of a build holds, the directories of the base left out."""
    found = built(ws, context, *lines, base=base)
    return {path: text for path, text in top_layer(ws, found.image_id).items() if path not in ("", "tmp", "etc", "usr")}


def error_of(ws: Workspace, context: Path, *lines: str) -> str:
    with pytest.raises(DockerfileError) as caught:
        built(ws, context, *lines)
    assert caught.value.first == len(lines) + 1
    return str(caught.value)


# --- owners


@pytest.mark.parametrize(
    ("chown", "owner"),
    [
        ("5", "5:5"),
        ("5:6", "5:6"),
        ("app", "1000:1001"),
        ("app:staff", "1000:50"),
        ("7:staff", "7:50"),
        ("app:7", "1000:7"),
        (":staff", "0:50"),
        ("5:", "5:0"),
        ("root", "0:0"),
        ("nobody", "0:0"),
        ("app:nobody", "1000:1001"),
        ("1000", "1000:1000"),
    ],
)
def test_owners_are_names_or_numbers(ws: Workspace, context: Path, chown: str, owner: str) -> None:
    assert layer(ws, context, f"COPY --chown={chown} top /x/top") == {
        "x": f"dir 755 {owner}",
        "x/top": f"file 640 {owner} 1",
    }


def test_an_unknown_owner_is_told(ws: Workspace, context: Path) -> None:
    found = built(ws, context, "COPY --chown=nobody top /")
    assert "owner nobody: the image knows no nobody; 0 is used, as BuildKit does" in [
        getattr(event, "text", "") for event in found.events
    ]


# --- modes


@pytest.mark.parametrize(
    ("chmod", "expected"),
    [
        (
            "0604",
            {"x": "dir 604", "x/d": "dir 604", "x/d/f": "file 604", "x/d/sub": "dir 604", "x/d/sub/g": "file 604"},
        ),
        (
            "1711",
            {"x": "dir 711", "x/d": "dir 711", "x/d/f": "file 1711", "x/d/sub": "dir 1711", "x/d/sub/g": "file 1711"},
        ),
        (
            "u=rwX,go=rX",
            {"x": "dir 755", "x/d": "dir 755", "x/d/f": "file 644", "x/d/sub": "dir 755", "x/d/sub/g": "file 644"},
        ),
        (
            "go-r",
            {"x": "dir 755", "x/d": "dir 755", "x/d/f": "file 600", "x/d/sub": "dir 710", "x/d/sub/g": "file 600"},
        ),
    ],
)
def test_modes_reach_what_is_copied_and_numbers_the_way_to_it(
    ws: Workspace, context: Path, chmod: str, expected: dict[str, str]
) -> None:
    found = layer(ws, context, f"COPY --chmod={chmod} d /x/d")
    assert {path: " ".join(text.split()[:2]) for path, text in found.items()} == expected


def test_a_new_destination_has_its_own_mode_and_the_time_of_the_source(ws: Workspace, context: Path) -> None:
    found = built(ws, context, "COPY d /new")
    entry = tree_of(ws, found.image_id).get("new")
    assert entry is not None
    assert (shown(entry), entry.mtime) == ("dir 755 0:0", MTIME)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "COPY --chmod=64a top /",
            "invalid chmod parameter: '64a'. it should be octal string and between 0 and 07777",
        ),
        ("ADD --chmod=u+q top /", "invalid chmod parameter: 'u+q': invalid syntax"),
        ("COPY --exclude=[a- d /", "invalid excludepatterns: ['[a-']: syntax error in pattern"),
        ("ADD --checksum=sha256:00 top /", "checksum requires HTTP(S) or Git sources"),
        ("ADD --checksum=sha256:00 http://h/a http://h/b /", "checksum can't be specified for multiple sources"),
        ("COPY --link --chown=app top /", "invalid user index: -1"),
        ("ADD --keep-git-dir=false https://h/r.git?keep-git-dir /", "inconsistent keep-git-dir configuration"),
        ("ADD https://h/r.git?depth=1 /", 'unexpected query "depth"'),
        ("COPY --parents d/none /", 'failed to calculate checksum: "/d/none": not found'),
    ],
)
def test_flags_that_make_no_sense_name_the_line(ws: Workspace, context: Path, line: str, message: str) -> None:
    assert error_of(ws, context, line) == message


# --- parents and exclusions


def test_parents_are_made_like_the_source_s(ws: Workspace, context: Path) -> None:
    assert layer(ws, context, "COPY --parents d/sub/g /x/") == {
        "x": "dir 755 0:0",
        "x/d": "dir 700 0:0",
        "x/d/sub": "dir 750 0:0",
        "x/d/sub/g": "file 640 0:0 1",
    }


def test_parents_that_are_there_take_the_source_s_mode_only(ws: Workspace, context: Path) -> None:
    found = layer(ws, context, "COPY --chown=3 --chmod=711 d/f /d/f", "COPY --parents d/f /")
    assert found == {"d": "dir 700 3:3", "d/f": "file 640 0:0 1"}


def test_excluded_files_neither_come_nor_count(ws: Workspace, context: Path) -> None:
    lines = ["COPY --exclude=sub --exclude=*.log . /x", "LABEL a=b"]
    first = layer(ws, context, lines[0])
    assert sorted(first) == ["x", "x/Dockerfile", "x/d", "x/d/f", "x/d/sub", "x/d/sub/g", "x/top"]
    lines = ["COPY --exclude=f d /x"]
    built(ws, context, *lines)
    (context / "d/f").write_text("other")
    assert built(ws, context, *lines).outcomes[-1] == "CACHED [2/2] COPY --exclude=f d /x"
    (context / "d/sub/g").write_text("other")
    again = built(ws, context, *lines)
    assert (again.outcomes[-1], again.reasons) == (
        "DONE [2/2] COPY --exclude=f d /x",
        ["1 of 1 file changed: d/sub/g (content)"],
    )


# --- links


def test_a_link_layer_says_nothing_of_the_base(ws: Workspace, context: Path) -> None:
    found = built(ws, context, "WORKDIR /lib", "COPY --link top ./sub/", "COPY --link d /tmp")
    image = images.load(ws, found.image_id)
    entries = ws.store.layers.entries(image.config.diff_ids[-2])
    assert {entry.path: shown(entry) for entry in entries} == {
        "lib": "dir 755 0:0",
        "lib/sub": "dir 755 0:0",
        "lib/sub/top": "file 640 0:0 1",
    }
    entries = ws.store.layers.entries(image.config.diff_ids[-1])
    assert sorted(entry.path for entry in entries) == ["tmp", "tmp/f", "tmp/sub", "tmp/sub/g"]
    merged = tree_of(ws, found.image_id)
    assert [shown(merged.get(path)) for path in ("lib", "tmp", "")] == ["dir 755 0:0", "dir 755 0:0", "dir 755 0:0"]  # type: ignore[arg-type]


def test_a_link_layer_stays_when_the_base_changes(ws: Workspace, context: Path) -> None:
    import_base(ws, root_tar([directory("."), directory("opt", 0o700)]), "other:1")
    lines = ["COPY --link d /opt/", "COPY top /"]
    first = built(ws, context, *lines)
    second = built(ws, context, *lines, base="other:1")
    assert second.outcomes[1:] == ["CACHED [2/3] COPY --link d /opt/", "DONE [3/3] COPY top /"]
    layers = [images.load(ws, item.image_id).config.diff_ids for item in (first, second)]
    assert layers[0][1] == layers[1][1]
    assert layers[0][0] != layers[1][0]


def test_a_link_layer_stays_when_a_step_before_it_is_rebuilt(ws: Workspace, context: Path) -> None:
    lines = ["COPY top /", "COPY --link d /opt/", "COPY d /x"]
    built(ws, context, *lines)
    (context / "top").write_text("other")
    again = built(ws, context, *lines)
    assert again.outcomes[1:] == [
        "DONE [2/4] COPY top /",
        "CACHED [3/4] COPY --link d /opt/",
        "DONE [4/4] COPY d /x",
    ]
    assert again.reasons == ["1 of 1 file changed: top (content)", "parent rebuilt"]


def test_with_chmod_a_link_is_a_copy(ws: Workspace, context: Path) -> None:
    found = top_layer(ws, built(ws, context, "COPY --link --chmod=600 top /tmp/").image_id)
    assert found["tmp"] == "dir 1777 0:0"


def test_the_name_of_a_step_shows_values_but_no_secrets(ws: Workspace, context: Path) -> None:
    found = built(ws, context, "ARG what=top", "ARG API_TOKEN=hush", "copy $what /$API_TOKEN", base="scratch")
    assert found.outcomes == ["DONE [1/1] COPY top /****"]


# --- here-documents


def test_here_documents_are_files(ws: Workspace, context: Path) -> None:
    found = built(
        ws,
        context,
        "ARG name=world",
        'COPY --chmod=0755 --chown=5:6 <<run.sh <<-"raw" top /in/',
        "hello $name \\$x",
        "run.sh",
        "\traw $name",
        "\traw",
    )
    assert {path: text for path, text in top_layer(ws, found.image_id).items() if path.startswith("in")} == {
        "in": "dir 755 5:6",
        "in/raw": "file 755 5:6 10",
        "in/run.sh": "file 755 5:6 15",
        "in/top": "file 755 5:6 1",
    }
    assert content_of(ws, found.image_id, "in/run.sh") == b"hello world $x\n"
    assert content_of(ws, found.image_id, "in/raw") == b"raw $name\n"
    history = images.load(ws, found.image_id).config.history[-1].created_by
    assert history == "COPY --chown=5:6 --chmod=0755 top <<run.sh <<raw /in/ # buildkit"


def test_a_here_document_needs_no_context_and_counts_by_its_text(ws: Workspace, context: Path) -> None:
    def text(body: str) -> Built:
        return built(ws, context, "ADD <<f /f", body, "f")

    first = text("one")
    assert [event for event in first.events if "load build context" in getattr(event, "name", "")] == []
    assert text("one").outcomes[-1].startswith("CACHED")
    assert text("two").reasons == ["1 of 1 file changed: <<f (content)"]


@pytest.mark.parametrize("name", ["../f", "a/b", "..", "/etc/passwd"])
def test_a_here_document_has_no_path(ws: Workspace, context: Path, name: str) -> None:
    (context / "Dockerfile").write_text(f"FROM base:1\nCOPY <<{name} /x/\nbody\n{name}\n")
    with pytest.raises(DockerfileError, match=f"invalid name of a here-document: {name}"):
        run_build(ws, context)


# --- archives

PACKERS: list[Callable[[bytes], bytes]] = [
    bytes,
    gzip.compress,
    bz2.compress,
    lzma.compress,
    zstandard.ZstdCompressor().compress,
]


@pytest.mark.parametrize("pack", PACKERS, ids=["plain", "gzip", "bzip2", "xz", "zstd"])
def test_archives_are_unpacked_however_they_are_packed(
    ws: Workspace, context: Path, pack: Callable[[bytes], bytes]
) -> None:
    packed = root_tar([directory("dir", 0o700), (member("dir/f", mode=0o4711, uid=3, gid=4), b"x"), link("l", "dir")])
    (context / "odd.name").write_bytes(pack(packed))
    assert layer(ws, context, "ADD --chmod=600 odd.name /to") == {
        "to": "dir 755 0:0",
        "to/dir": "dir 700 0:0",
        "to/dir/f": "file 4711 3:4 1",
        "to/l": "symlink 777 0:0 -> dir",
    }
    assert layer(ws, context, "ADD --unpack=false odd.name /to/") == {
        "to": "dir 755 0:0",
        "to/odd.name": f"file 644 0:0 {len(pack(packed))}",
    }
    assert sorted(layer(ws, context, "ADD --chown=7 --unpack=true odd.name /to")) == [
        "to",
        "to/dir",
        "to/dir/f",
        "to/l",
    ]


def test_archives_need_no_room_beside_the_store(ws: Workspace, context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(context / "none"))
    (context / "a.tgz").write_bytes(gzip.compress(root_tar([(member("f"), b"x")])))
    assert sorted(layer(ws, context, "ADD a.tgz /")) == ["f"]


@pytest.mark.parametrize("pack", PACKERS[1:], ids=["gzip", "bzip2", "xz", "zstd"])
def test_what_is_packed_but_no_archive_is_a_file(ws: Workspace, context: Path, pack: Callable[[bytes], bytes]) -> None:
    (context / "notes.tar").write_bytes(pack(b"no tar" * 500))
    assert sorted(layer(ws, context, "ADD notes.tar /")) == ["notes.tar"]


@pytest.mark.parametrize("pack", PACKERS, ids=["plain", "gzip", "bzip2", "xz", "zstd"])
def test_an_archive_that_ends_early_is_an_error(ws: Workspace, context: Path, pack: Callable[[bytes], bytes]) -> None:
    noise = b"".join(sha256(b"%d" % number).digest() for number in range(70_000))
    packed = pack(root_tar([(member("f"), noise)]))
    (context / "a.tar").write_bytes(packed[: len(packed) * 2 // 3])
    assert error_of(ws, context, "ADD a.tar /").startswith("failed to unpack a.tar: ")


# --- destinations


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        (["COPY top /lib/x/../y"], "usr/lib/y"),
        (["WORKDIR /tmp", "COPY top ../etc/"], "etc/top"),
        (["COPY top /lib/../y"], "y"),
        (["WORKDIR /tmp", "COPY top ."], "tmp/top"),
        (["COPY top /new/."], "new/top"),
        (["COPY top /tmp"], "tmp/top"),
        (["COPY top d/f /tmp/one"], "tmp/one"),
    ],
)
def test_destinations_are_cleaned_before_links_are_followed(
    ws: Workspace, context: Path, lines: Sequence[str], place: str
) -> None:
    assert place in tree_of(ws, built(ws, context, *lines).image_id)


def test_equal_layers_may_follow_each_other(ws: Workspace, context: Path) -> None:
    found = built(ws, context, "COPY top /x/", "COPY d /y/", "COPY top /x/")
    diff_ids = images.load(ws, found.image_id).config.diff_ids
    with ws.store.session() as session:
        stack = ws.store.snapshots.stack(session, diff_ids)
    assert len(stack) == len(set(stack))
    assert len(stack) == len(set(diff_ids))


def test_the_layers_are_the_same_whoever_makes_them(ws: Workspace, context: Path) -> None:
    packed = root_tar([directory("dir", 0o700), (member("dir/f", mode=0o4711, uid=3, gid=4), b"x"), link("l", "dir")])
    (context / "a.tar").write_bytes(packed)
    (context / "a.tar").chmod(0o644)
    lines = [
        "FROM scratch",
        "COPY --parents --exclude=**/g d/./** /p/",
        "COPY --link --chown=4:5 top /linked/",
        "COPY --chmod=u=rwX,go=rX d /m",
        "ADD --chown=7 a.tar /arc",
        "ADD --unpack=false a.tar /arc/",
        "COPY --chmod=1700 --chown=8:9 <<doc /here/",
        "text",
        "doc",
    ]
    (context / "Dockerfile").write_text("\n".join([*lines, ""]))
    settle(context)
    found = run_build(ws, context, source_date_epoch=MTIME)
    layers = images.load(ws, found.image_id).config.diff_ids
    # Root or not, here or there: it changes only with what the layers are to hold.
    assert (
        sha256(" ".join(map(str, layers)).encode()).hexdigest()
        == "476990a88a6c30b77a0e27eca7a5295911b03924679450a43dda6cef6bed4c49"
    )


@pytest.mark.parametrize(
    ("lines", "is_built"),
    [
        ("COPY d/*.none /n/", False),
        ("COPY d/sub/*/*.none /n/", False),
        ("COPY d/*.none d/f /n/", True),
        ("COPY d/*.none /n/\nCOPY d/sub /m", True),
        ("COPY d/*.none /n/\nCOPY . /m", True),
        ("COPY d/*.none /n/\nFROM base:1\nCOPY d /m", True),  # the other stage is not needed
        ("ARG w=d\nCOPY d/*.none $w /n/", True),
        ("COPY *.none /n/", True),
    ],
)
def test_a_pattern_without_matches_needs_a_directory_that_something_is_taken_from(
    ws: Workspace, tmp_path: Path, lines: str, is_built: bool
) -> None:
    place = write_context(tmp_path / "sent", {**FILES, "Dockerfile": f"FROM base:1\n{lines}\n"})
    if is_built:
        run_build(ws, place)
        return
    with pytest.raises(DockerfileError, match=r"lstat /d(/sub)?: no such file or directory"):
        run_build(ws, place)


def test_a_later_member_of_an_archive_replaces_a_directory(ws: Workspace, tmp_path: Path) -> None:
    packed = root_tar([(member("q/a"), b"1"), (member("q"), b"2")])
    place = write_context(tmp_path / "packed", {"t.tar": packed, "Dockerfile": "FROM base:1\nADD t.tar /n/\n"})
    built = run_build(ws, place)
    assert {path for path in top_layer(ws, built.image_id) if path.startswith("n/")} == {"n/q"}
    assert content_of(ws, built.image_id, "n/q") == b"2"


def test_an_env_wins_over_an_arg_of_the_stage_that_one_is_based_on(ws: Workspace, tmp_path: Path) -> None:
    text = "FROM base:1 AS a\nENV x=env\nARG x=arg y=arg\nLABEL own=$x\nFROM a\nLABEL based=$x$y\n"
    built = run_build(ws, write_context(tmp_path / "based", {"Dockerfile": text}))
    assert images.load(ws, built.image_id).config.config.labels == {"own": "arg", "based": "envarg"}


def test_the_parts_of_an_arg_are_told_one_by_one(ws: Workspace, tmp_path: Path) -> None:
    text = "FROM base:1\nARG x=1 x q\\=2\n"
    built = run_build(ws, write_context(tmp_path / "parts", {"Dockerfile": text}))
    assert images.load(ws, built.image_id).config.history[-1].created_by == "ARG x=1 x q\\=2"
