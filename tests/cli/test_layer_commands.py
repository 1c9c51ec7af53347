"""`history --lines|--graph`, `image files`, `image diff` and `blame` as typed: output, streams, exit codes."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from minidock.cli.app import main
from tests.cli.test_image_commands import Minidock, minidock, root  # noqa: F401  # fixtures
from tests.engine.building import write_context

DOCKERFILE = """\
FROM scratch
COPY big /data/big
COPY --chmod=600 big /data/big
COPY one \\
     /data/conf
COPY two /data/conf
LABEL a=b
"""


@pytest.fixture
def app(minidock: Minidock, tmp_path: Path) -> str:  # noqa: F811
    """Build the image and return its name."""
    context = tmp_path / "context"
    context.mkdir()
    for name, content in {"Dockerfile": DOCKERFILE, "big": "b" * 5000, "one": "1", "two": "22"}.items():
        (context / name).write_text(content)
        (context / name).chmod(0o644)
    for text in (DOCKERFILE, f"# one more\n{DOCKERFILE}"):
        (context / "Dockerfile").write_text(text)
        assert minidock("build", "-q", "-t", "app:1", str(context)).code == 0
    return "app:1"


def layers(minidock: Minidock, image: str) -> list[str]:  # noqa: F811
    """Return the short digests of the layers, base first."""
    told = minidock("image", "inspect", "--format", '{{join .RootFS.Layers " "}}', image).out
    return [text.removeprefix("sha256:")[:12] for text in told.split()]


def test_history_with_lines(minidock: Minidock, app: str) -> None:  # noqa: F811
    first, second, third, fourth = layers(minidock, app)
    said = minidock("history", "--lines", app)
    assert (said.err, said.code) == ("", 0)
    assert said.out == (
        "LINE             INSTRUCTION                      LAYER          SIZE      HIDDEN    DUPLICATED   LAST BUILD\n"
        "Dockerfile:8     LABEL a=b                                       0B        0B        0B           \n"
        f"Dockerfile:7     COPY two /data/conf              {fourth}   2B        0B        0B           reused\n"
        f"Dockerfile:5-6   COPY one /data/conf              {third}   1B        1B        0B           reused\n"
        f"Dockerfile:4     COPY --chmod=600 big /data/big   {second}   5kB       0B        5kB          reused\n"
        f"Dockerfile:3     COPY big /data/big               {first}   5kB       0B        0B           reused\n"
        "\n"
        "10kB in 4 layers: 5.002kB visible, 1B hidden, 5kB duplicated\n"
    )


def test_history_with_lines_by_format(minidock: Minidock, app: str) -> None:  # noqa: F811
    rows = [json.loads(line) for line in minidock("history", "--lines", "--format", "json", app).out.splitlines()]
    assert [(row["Line"], row["Hidden"], row["Duplicated"], row["LastBuild"], row["Size"]) for row in rows] == [
        ("Dockerfile:8", "0B", "0B", "", "0B"),
        ("Dockerfile:7", "0B", "0B", "reused", "2B"),
        ("Dockerfile:5-6", "1B", "0B", "reused", "1B"),
        ("Dockerfile:4", "0B", "5kB", "reused", "5kB"),
        ("Dockerfile:3", "0B", "0B", "reused", "5kB"),
    ]
    template = "table {{.Line}}\t{{.Duplicated}}\t{{.ID}}"
    said = minidock("history", "--lines", "--human=false", "--format", template, app)
    assert said.out.splitlines()[0].split() == ["LINE", "DUPLICATED", "IMAGE"]
    assert said.out.splitlines()[4].split()[:2] == ["Dockerfile:4", "5000"]


def test_a_history_without_lines_is_dockers(minidock: Minidock, app: str) -> None:  # noqa: F811
    (row, *_) = [json.loads(line) for line in minidock("history", "--format", "json", app).out.splitlines()]
    assert sorted(row) == ["Comment", "CreatedAt", "CreatedBy", "CreatedSince", "ID", "Size"]


class Terminal(io.StringIO):
    """Where a person looks."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_bars_are_for_terminals(
    minidock: Minidock,  # noqa: F811
    app: str,
    root: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    piped = minidock("history", "--graph", "--lines", app).out
    assert piped == minidock("history", "--lines", app).out
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    assert main(["--root", str(root), "history", "--graph", "--lines", app]) == 0
    lines = screen.getvalue().splitlines()
    assert [line.rpartition("  ")[2].strip() for line in lines[:6]] == ["GRAPH", "", "▏", "▏", "▓" * 24, "█" * 24]
    assert lines[-1] == "█ visible  ▓ duplicated  ░ hidden"


def test_files_of_an_image(minidock: Minidock, app: str) -> None:  # noqa: F811
    assert minidock("image", "files", app).out == (
        "TYPE      MODE      OWNER     SIZE      PATH\n"
        "dir       0755      0:0                 /\n"
        "dir       0755      0:0                 /data\n"
        "file      0600      0:0       5kB       /data/big\n"
        "file      0644      0:0       2B        /data/conf\n"
        "\n"
        "4 entries, 5.002kB\n"
    )
    by_size = minidock("image", "files", "--sort", "size", "--format", "{{.Path}} {{.Bytes}}", app).out
    assert by_size.splitlines()[:2] == ["/data/big 5000", "/data/conf 2"]


def test_files_of_a_layer(minidock: Minidock, app: str) -> None:  # noqa: F811
    third = layers(minidock, app)[2]
    shown = [minidock("image", "files", "--layer", layer, app).out for layer in ("3", third)]
    assert shown[0] == shown[1]
    assert shown[0].splitlines()[-3:] == ["file      0644      0:0       1B        /data/conf", "", "3 entries, 1B"]
    said = minidock("image", "files", "--layer", "5", app)
    assert (said.out, said.err, said.code) == (
        "",
        "minidock: app:1: no layer 5\n"
        "hint: it has 4 layers, 1 is the base; `minidock history --lines app:1` shows digests\n",
        1,
    )
    said = minidock("image", "files", "--sort", "name", app)
    assert (said.err, said.code) == ("minidock: --sort=name: it is path or size\n", 1)


def test_deletions_are_shown(minidock: Minidock, tmp_path: Path) -> None:  # noqa: F811
    from tests.engine.building import directory, member, root_tar

    entries = [directory("d"), (member("d/.wh..wh..opq"), b""), (member("d/.wh.gone"), b""), (member("d/n"), b"new")]
    (tmp_path / "layer.tar").write_bytes(root_tar(entries))
    assert minidock("import", str(tmp_path / "layer.tar"), "marks").code == 0
    rows = minidock("image", "files", "--layer", "1", "--format", "{{.Type}} {{.Path}}", "marks").out.splitlines()
    assert rows == ["opaque /d", "dir /d", "whiteout /d/gone", "file /d/n"]


def test_diff_of_images(minidock: Minidock, app: str, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "context/two").write_text("twice")
    (tmp_path / "context/Dockerfile").write_text(
        f"{DOCKERFILE}COPY --chmod=755 one /new\nCOPY --chmod=700 big /data/\n"
    )
    assert minidock("build", "-q", "-t", "app:2", str(tmp_path / "context")).code == 0
    said = minidock("image", "diff", app, "app:2")
    assert (said.err, said.code) == ("", 0)
    assert said.out == (
        "CHANGE    SIZE      PATH         WHAT\n"
        "changed   +0B       /data/big    mode 600→700\n"
        "changed   +3B       /data/conf   content\n"
        "added     +1B       /new         \n"
        "\n"
        "1 added (+1B), 2 changed (+3B); 5.002kB before, 5.006kB after\n"
    )
    members = json.loads(minidock("image", "diff", "--format", "json", "app:2", app).out)
    assert [(item["Change"], item["Path"], item["Differences"]) for item in members["Changes"]] == [
        ("changed", "/data/big", {"mode": "mode 700→600"}),
        ("changed", "/data/conf", {"content": "content"}),
        ("removed", "/new", {}),
    ]
    assert members["Removed"] == {"Count": 1, "Growth": -1}
    assert minidock("image", "diff", app, app).out == "no differences: 5.002kB in both\n"
    assert minidock("image", "diff", "--format", "{{.SizeAfter}}", app, "app:2").out == "5006\n"


def test_blame(minidock: Minidock, app: str) -> None:  # noqa: F811
    first, second, third, fourth = layers(minidock, app)
    assert minidock("blame", app, "data/big").out == (
        "/data/big in app:1: file, 5kB, mode 0600, owner 0:0\n"
        "\n"
        "LINE           INSTRUCTION                      LAYER          WHAT\n"
        f"Dockerfile:3   COPY big /data/big               {first}   added, 5kB\n"
        f"Dockerfile:4   COPY --chmod=600 big /data/big   {second}   "
        "mode 644→600 (the same content, stored again: 5kB)\n"
    )
    assert minidock("image", "blame", app, "/data").out == (
        "/data in app:1: dir, mode 0755, owner 0:0\n"
        "\n"
        "LINE           INSTRUCTION          LAYER          WHAT\n"
        f"Dockerfile:3   COPY big /data/big   {first}   added dir\n"
        "\n"
        "below it:\n"
        "\n"
        "LINE             INSTRUCTION                      LAYER          FILES     SIZE      HIDDEN    DUPLICATED\n"
        f"Dockerfile:3     COPY big /data/big               {first}   1         5kB       0B        0B\n"
        f"Dockerfile:4     COPY --chmod=600 big /data/big   {second}   1         5kB       0B        5kB\n"
        f"Dockerfile:5-6   COPY one /data/conf              {third}   1         1B        1B        0B\n"
        f"Dockerfile:7     COPY two /data/conf              {fourth}   1         2B        0B        0B\n"
    )
    members = json.loads(minidock("blame", "--format", "json", app, "/data/conf").out)
    assert [(item["Line"], item["Deed"], item["What"]) for item in members["Steps"]] == [
        ("Dockerfile:5-6", "added", "added, 1B"),
        ("Dockerfile:7", "content", "overwritten, 2B"),
    ]


def test_blame_goes_on_into_a_stage(minidock: Minidock, tmp_path: Path) -> None:  # noqa: F811
    text = "FROM scratch AS made\nCOPY one /out/one\nFROM scratch\nCOPY --from=made /out /opt/\n"
    write_context(tmp_path / "staged", {"Dockerfile": text, "one": "1"})
    assert minidock("build", "-q", "-t", "staged:1", str(tmp_path / "staged")).code == 0
    (step,) = json.loads(minidock("blame", "--format", "json", "staged:1", "/opt/one").out)["Steps"]
    made, found = step["Layer"], step["From"]
    (first,) = found.pop("Steps")
    assert found.pop("Below") == []  # it is a file
    assert (first["Line"], first["What"], first["From"]) == ("Dockerfile:2", "added, 1B", None)
    assert found == {"Kind": "stage", "Name": "made", "Image": found["Image"], "Path": "/out/one", "Missing": ""}
    (of_directory,) = json.loads(minidock("blame", "--format", "json", "staged:1", "/opt").out)["Steps"]
    assert [(row["Line"], row["Files"], row["Size"]) for row in of_directory["From"]["Below"]] == [
        ("Dockerfile:2", 1, 1)
    ]
    assert minidock("blame", "staged:1", "/opt").out.count("below it:\n") == 2
    head = (
        "/opt/one in staged:1: file, 1B, mode 0644, owner 0:0\n"
        "\n"
        "LINE           INSTRUCTION                   LAYER          WHAT\n"
        f"Dockerfile:4   COPY --from=made /out /opt/   {made.removeprefix('sha256:')[:12]}   added, 1B\n"
        "\n"
    )
    assert minidock("blame", "staged:1", "/opt/one").out == (
        f"{head}Dockerfile:4 took it from /out/one of stage made:\n"
        "\n"
        "LINE           INSTRUCTION         LAYER          WHAT\n"
        f"Dockerfile:2   COPY one /out/one   {first['Layer'].removeprefix('sha256:')[:12]}   added, 1B\n"
    )
    assert minidock("builder", "prune", "-af").code == 0
    assert minidock("blame", "staged:1", "/opt/one").out == (
        f"{head}Dockerfile:4 took it from stage made: its layers are no longer in this store "
        "(a build that makes it again tells more)\n"
    )


def test_blame_of_what_was_never_there(minidock: Minidock, app: str) -> None:  # noqa: F811
    said = minidock("blame", app, "/nothing")
    assert (said.out, said.err, said.code) == (
        "",
        "minidock: /nothing was never in app:1\nhint: `minidock image files app:1` shows what is\n",
        1,
    )


def test_images_from_elsewhere_have_no_lines(minidock: Minidock, app: str, tmp_path: Path) -> None:  # noqa: F811
    archive, other = str(tmp_path / "app.tar"), str(tmp_path / "other")
    assert minidock("save", "-o", archive, app).code == 0
    assert minidock("--root", other, "load", "-i", archive).code == 0
    said = minidock("--root", other, "history", "--lines", "--format", "{{.Line}}|{{.LastBuild}}|{{.Size}}", app)
    assert said.out.splitlines() == ["||0B", "||2B", "||1B", "||5kB", "||5kB"]
