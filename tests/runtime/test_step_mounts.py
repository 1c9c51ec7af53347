"""What only build steps mount: layers in another place, and files that are in memory only."""

from __future__ import annotations

from pathlib import Path

from minidock.core.process import Mount, MountedFile, MountType, Overlay
from tests.runtime.machine import Containers, changes


def stacked(place: Path) -> Overlay:
    """Return two layers, of which the upper one replaces a file."""
    for name, files in (("top", {"both": "top\n"}), ("below", {"both": "below\n", "sub/deep": "deep\n"})):
        for path, content in files.items():
            (place / name / path).parent.mkdir(parents=True, exist_ok=True)
            (place / name / path).write_text(content)
    for name in ("source", "upper", "work"):
        (place / name).mkdir()
    return Overlay((str(place / "top"), str(place / "below")), str(place / "upper"), str(place / "work"))


def test_layers_appear_below_a_directory_and_are_not_written(layered: Containers, tmp_path: Path) -> None:
    mount = Mount(str(tmp_path / "source"), "/from", True, overlay=stacked(tmp_path))
    spec = layered.shell("cat /from/both /from/sub/deep; echo x >/from/new || echo refused", mounts=(mount,))
    code, text = layered.run(spec)
    assert (code, text.splitlines()[:2], text.splitlines()[-1]) == (0, ["top", "deep"], "refused")
    assert changes(spec) == []
    assert list((tmp_path / "source").iterdir()) == []


def test_a_part_of_layers_can_be_written_to_and_is_thrown_away(layered: Containers, tmp_path: Path) -> None:
    overlay = stacked(tmp_path)
    mount = Mount(str(tmp_path / "source"), "/from", subpath="sub", overlay=overlay)
    spec = layered.shell("ls /from; echo x >>/from/deep; cat /from/deep", mounts=(mount,))
    assert layered.run(spec) == (0, "deep\ndeep\nx\n")
    assert changes(spec) == []
    assert (tmp_path / "below/sub/deep").read_text() == "deep\n"
    assert (tmp_path / "upper/sub/deep").read_text() == "deep\nx\n"


def test_a_file_in_memory_is_there_and_leaves_no_trace(isolated: Containers) -> None:
    files = (MountedFile("/run/secrets/token", b"s3cret\n"), MountedFile("/visible/file", b"v\n", mode=0o644))
    spec = isolated.shell(
        "cat /run/secrets/token /visible/file; stat -c '%a %n' /run/secrets/token /visible/file", files=files
    )
    assert isolated.run(spec) == (0, "s3cret\nv\n400 /run/secrets/token\n644 /visible/file\n")
    assert changes(spec) == []


def test_a_file_in_memory_lies_above_a_mount_around_it(isolated: Containers) -> None:
    spec = isolated.shell(
        "cat /run/secrets/token; ls /run",
        files=(MountedFile("/run/secrets/token", b"s3cret\n"),),
        mounts=(Mount("", "/run", type=MountType.TMPFS),),
    )
    assert isolated.run(spec) == (0, "s3cret\nsecrets\n")


def test_a_secret_is_not_shown_where_the_spec_is() -> None:
    assert "s3cret" not in repr(MountedFile("/x", b"s3cret"))
