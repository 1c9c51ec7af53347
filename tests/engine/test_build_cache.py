"""What comes from the cache, what does not, and the reason that is given."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from minidock.engine import images
from minidock.engine.workspace import Workspace
from minidock.runtime.fake import FakeRuntime
from minidock.store.statcache import keeps_ctime
from tests.engine.building import (
    Built,
    content_of,
    directory,
    import_base,
    member,
    root_tar,
    run_build,
    settle,
    workspace,
    write_context,
)

DOCKERFILE = "FROM base:1\nCOPY app /app/\nRUN make\nCMD app\n"
COPY = "{} COPY app /app/"


class Lab:
    """One store and one context, built again and again."""

    def __init__(self, place: Path) -> None:
        self.runtime = FakeRuntime({"make": made, "other": made, "first": made, "second": made})
        self.ws: Workspace = workspace(place / "store", self.runtime)
        import_base(self.ws)
        self.place = place / "context"
        write_context(self.place, {"Dockerfile": DOCKERFILE, "app/a": "aaa", "app/b": "bbb", "app/sub/c": "ccc"})
        settle(self.place)

    def dockerfile(self, text: str) -> None:
        write_context(self.place, {"Dockerfile": text})

    def build(self, **fields: object) -> Built:
        return run_build(self.ws, self.place, **fields)

    @property
    def ran(self) -> int:
        return len(self.runtime.ran)


def made(rootfs: Path) -> None:
    (rootfs / "made").write_text("made")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_a_second_build_takes_everything_from_the_cache_and_gives_the_same_image(lab: Lab) -> None:
    first = lab.build(tags=("app",))
    second = lab.build(tags=("app",))
    assert first.outcomes == [
        "CACHED [1/3] FROM docker.io/library/base:1",
        "DONE [2/3] COPY app /app/",
        "DONE [3/3] RUN make",
    ]
    assert second.outcomes == [line.replace("DONE", "CACHED") for line in first.outcomes]
    assert (second.image_id, second.reasons, lab.ran) == (first.image_id, [], 1)


def test_a_first_build_says_that_it_is_one(lab: Lab) -> None:
    assert lab.build().reasons == ["never built here before", "parent rebuilt"]


def rewrite_with_equal_stat(place: Path) -> None:
    before = (place / "app/a").stat()
    (place / "app/a").write_text("AAA")
    os.utime(place / "app/a", ns=(before.st_atime_ns, before.st_mtime_ns))


def rename(place: Path) -> None:
    (place / "app/a").rename(place / "app/z")


def to_link(place: Path) -> None:
    (place / "app/a").unlink()
    (place / "app/a").symlink_to("b")


def to_directory(place: Path) -> None:
    (place / "app/a").unlink()
    (place / "app/a").mkdir()


def to_hard_link(place: Path) -> None:
    (place / "app/b").write_text("aaa")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (rewrite_with_equal_stat, "1 of 3 files changed: app/a (content)"),
        (lambda place: (place / "app/a").chmod(0o600), "1 of 3 files changed: app/a (mode 644→600)"),
        (lambda place: (place / "app/sub").chmod(0o700), "1 of 4 files changed: app/sub (mode 755→700)"),
        (lambda place: (place / "app/new").write_text("n"), "1 of 4 files changed: app/new (added)"),
        (lambda place: (place / "app/b").unlink(), "1 of 3 files changed: app/b (removed)"),
        (rename, "2 of 4 files changed: app/a (removed), app/z (added)"),
        (to_link, "1 of 3 files changed: app/a (file -> symlink)"),
        (to_directory, "1 of 3 files changed: app/a (file -> dir)"),
    ],
)
def test_every_change_of_a_file_is_a_miss_and_named(lab: Lab, change: Callable[[Path], object], reason: str) -> None:
    os.umask(0o022)
    for path in lab.place.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    lab.build()
    change(lab.place)
    second = lab.build()
    assert second.reasons == [reason, "parent rebuilt"]
    assert lab.ran == 2


def test_many_changes_are_counted_and_three_are_named(lab: Lab) -> None:
    lab.build()
    write_context(lab.place, {f"app/{number}": "x" for number in range(1500)})
    assert lab.build().reasons[0] == (
        "1,500 of 1,503 files changed: app/0 (added), app/1 (added), app/10 (added) and 1,497 more"
    )


def test_a_link_target_and_a_hard_link_count(lab: Lab) -> None:
    (lab.place / "app/link").symlink_to("a")
    lab.build()
    (lab.place / "app/link").unlink()
    (lab.place / "app/link").symlink_to("b")
    assert lab.build().reasons[0] == "1 of 4 files changed: app/link (link target)"
    (lab.place / "app/b").write_text("aaa")
    lab.build()
    (lab.place / "app/b").unlink()
    (lab.place / "app/b").hardlink_to(lab.place / "app/a")
    assert lab.build().reasons[0] == "1 of 4 files changed: app/b (hard link)"


def test_times_and_files_that_are_not_copied_do_not_count(lab: Lab) -> None:
    lab.build()
    settle(lab.place, 1_600_000_000)
    write_context(lab.place, {"other": "not copied"})
    second = lab.build()
    assert (second.reasons, lab.ran) == ([], 1)


def test_a_context_somewhere_else_gives_the_same_steps(lab: Lab, tmp_path: Path) -> None:
    first = lab.build()
    lab.place = lab.place.rename(tmp_path / "elsewhere")
    second = lab.build()
    assert (second.image_id, second.reasons) == (first.image_id, [])


@pytest.mark.parametrize(
    "line", ["LABEL a=1", "EXPOSE 80", "CMD x", "ENTRYPOINT y", "VOLUME /v", "STOPSIGNAL 9", "MAINTAINER me"]
)
def test_what_only_describes_the_image_disturbs_no_later_run(lab: Lab, line: str) -> None:
    before = lab.build()
    lab.dockerfile(f"FROM base:1\nCOPY app /app/\n{line}\nRUN make\nCMD app\n")
    second = lab.build()
    assert (second.reasons, lab.ran) == ([], 1)
    assert second.image_id != before.image_id


@pytest.mark.parametrize(
    ("line", "changed", "reason"),
    [
        ("ENV A=1", "ENV A=2", "environment variable A changed: '1' -> '2'"),
        ("ENV A=1", "ENV B=1", "environment variable A removed: '1'; environment variable B added: '1'"),
        ("ARG A=1", "ARG A=2", "build argument A changed: '1' -> '2'"),
        ("USER 1", "USER 2", "user changed: '1' -> '2'"),
        ('SHELL ["/bin/sh", "-c"]', 'SHELL ["/bin/bash", "-c"]', None),
        ("ENV API_TOKEN=1", "ENV API_TOKEN=2", "environment variable API_TOKEN changed"),
        ("ENV http_proxy=1", "ENV http_proxy=2", "environment variable http_proxy changed: '1' -> '2'"),
    ],
)
def test_what_a_process_sees_counts(lab: Lab, line: str, changed: str, reason: str | None) -> None:
    lab.runtime = FakeRuntime({"make": made, "/bin/bash": made, "/bin/sh": made})
    lab.ws = lab.ws.with_runtime(lab.runtime)
    lab.dockerfile(f"FROM base:1\n{line}\nRUN make\n")
    lab.build()
    lab.dockerfile(f"FROM base:1\n{changed}\nRUN make\n")
    assert lab.build().reasons == [reason or "shell changed: '/bin/sh -c' -> '/bin/bash -c'"]


def test_a_working_directory_counts(lab: Lab) -> None:
    lab.dockerfile("FROM base:1\nWORKDIR /a\nRUN make\n")
    lab.build()
    lab.dockerfile("FROM base:1\nWORKDIR /b\nRUN make\n")
    assert lab.build().reasons == [
        "instruction changed: '/a' -> '/b'",
        "parent rebuilt; working directory changed: '/a' -> '/b'",
    ]


def test_the_root_as_working_directory_is_where_steps_run_anyway(lab: Lab) -> None:
    text = "FROM base:1\n{}COPY app/a /app/\nRUN make\n"
    lab.dockerfile(text.format(""))
    lab.build()
    lab.dockerfile(text.format("WORKDIR /\n"))
    assert [outcome.partition(" ")[0] for outcome in lab.build().outcomes] == ["CACHED"] * 3
    assert lab.ran == 1


def test_addresses_of_added_hosts_do_not_count(lab: Lab) -> None:
    lab.build(hosts=(("db", "10.0.0.1"),))
    assert lab.build(hosts=(("db", "10.0.0.2"),)).reasons == []
    assert lab.build().reasons == ["hosts removed: 'db'"]


def test_names_that_were_chosen_for_caches_do_not_count(lab: Lab) -> None:
    text = "FROM base:1\nRUN --mount=type=cache,target=/c,{} make\n"
    found = []
    for options in ("id=x", "id=y", "id=y,sharing=locked", "sharing=private", "id=/c", "sharing=shared"):
        lab.dockerfile(text.format(options))
        found.append(lab.build().reasons)
    assert found == [["never built here before"], [], [], [], ["mount /c changed: id none -> '/c'"], []]


def test_build_arguments_count_once_they_are_declared(lab: Lab) -> None:
    lab.dockerfile("FROM base:1\nRUN first\nARG V=1\nRUN second\n")
    lab.build()
    assert lab.build(build_args={"V": "1", "OTHER": "x", "HTTP_PROXY": "p"}).reasons == []
    assert lab.build(build_args={"V": "2"}).reasons == ["build argument V changed: '1' -> '2'"]
    assert sorted(spec.args[2] for spec in lab.runtime.ran) == ["first", "second", "second"]


def test_a_proxy_reaches_the_process_without_counting(lab: Lab) -> None:
    lab.dockerfile("FROM base:1\nRUN make\n")
    lab.build(build_args={"https_proxy": "http://p"})
    assert "https_proxy=http://p" in lab.runtime.ran[0].env
    assert lab.build().reasons == []


def test_what_is_said_to_the_builder_is_no_variable_of_a_step(lab: Lab) -> None:
    lab.dockerfile("FROM base:1\nARG BUILDKIT_SBOM_SCAN_STAGE=true V=1\nRUN make\n")
    lab.build()
    env = [entry.partition("=")[0] for entry in lab.runtime.ran[0].env]
    assert ("V" in env, "BUILDKIT_SBOM_SCAN_STAGE" in env) == (True, False)


def test_no_cache_runs_everything_again(lab: Lab) -> None:
    lab.build()
    assert lab.build(uses_cache=False).reasons == ["--no-cache", "--no-cache"]
    assert lab.ran == 2
    assert lab.build().reasons == []


def test_another_parent_image_counts(lab: Lab) -> None:
    lab.build()
    import_base(lab.ws, root_tar([directory("bin"), (member("new"), b"new")]))
    reasons = lab.build().reasons
    assert reasons[1:] == ["parent rebuilt"]
    assert reasons[0].startswith("parent image changed: base:1@")


def test_the_same_base_under_another_name_does_not_count(lab: Lab) -> None:
    lab.build()
    images.tag(lab.ws, "base:1", "same:2")
    lab.dockerfile(DOCKERFILE.replace("base:1", "same:2"))
    assert lab.build().reasons == []


def test_a_stage_that_did_not_change_is_left_alone(lab: Lab) -> None:
    text = "FROM base:1 AS one\nRUN first\nFROM base:1 AS two\nRUN second\nCOPY --from=one /made /from-one\n"
    lab.dockerfile(text)
    first = lab.build()
    lab.dockerfile(text.replace("RUN second", "ENV X=1\nRUN second"))
    second = lab.build()
    assert second.reasons == ["environment variable X added: '1'", "parent rebuilt"]
    assert first.outcomes != second.outcomes
    assert sorted(spec.args[2] for spec in lab.runtime.ran) == ["first", "second", "second"]


def test_copying_the_same_file_from_a_rebuilt_stage_is_a_hit(lab: Lab) -> None:
    text = "FROM base:1 AS one\nENV X=1\nRUN first\nFROM base:1\nCOPY --from=one /made /from-one\n"
    lab.dockerfile(text)
    first = lab.build()
    lab.dockerfile(text.replace("X=1", "X=2"))
    second = lab.build()
    assert second.outcomes[-1] == "CACHED [stage-1 2/2] COPY --from=one /made /from-one"
    assert second.image_id == first.image_id


def test_only_the_stages_that_a_target_needs_are_built(lab: Lab) -> None:
    lab.dockerfile("FROM base:1 AS one\nRUN first\nFROM base:1 AS two\nRUN second\nFROM one\nRUN make\n")
    lab.build(target="ONE")
    assert [spec.args[2] for spec in lab.runtime.ran] == ["first"]
    lab.build()
    assert [spec.args[2] for spec in lab.runtime.ran] == ["first", "make"]


def test_secrets_stand_in_no_record(lab: Lab, tmp_path: Path) -> None:
    lab.dockerfile(
        "FROM base:1\nARG NPM_TOKEN\nENV API_KEY='s3cret two'\nLABEL db.password=x DB_PASSWORD=s3cret\nRUN make\n"
    )
    lab.build(build_args={"NPM_TOKEN": "s3cret"}, labels={"AUTH_TOKEN": "s3cret"})
    held = [path for path in (tmp_path / "store/cache").rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]
    assert held == []


def records(ws: Workspace) -> list[Path]:
    return sorted(Path(ws.store.layout.path("cache", "steps")).iterdir())


@pytest.mark.parametrize("rest", [b"", b"\0" * 300, b"{}", b"garbage\n{}\n", None])
def test_a_torn_record_is_a_miss(lab: Lab, rest: bytes | None) -> None:
    first = lab.build()
    for path in records(lab.ws):
        whole = path.read_bytes()
        path.chmod(0o600)
        path.write_bytes(whole[: len(whole) // 2] if rest is None else rest)
    second = lab.build()
    assert second.reasons == ["built here before, but what the build cache knew of it is gone", "parent rebuilt"]
    assert content_of(lab.ws, second.image_id, "app/a") == content_of(lab.ws, first.image_id, "app/a") == b"aaa"


def test_a_record_of_a_layer_that_vanished_is_a_miss(lab: Lab) -> None:
    first = lab.build()
    diff_id = images.load(lab.ws, first.image_id).config.diff_ids[1]
    for path in (lab.ws.store.layout.blob(diff_id), lab.ws.store.layout.layer(diff_id)):
        os.unlink(path)
    second = lab.build()
    assert second.outcomes[1:] == ["DONE [2/3] COPY app /app/", "DONE [3/3] RUN make"]
    assert content_of(lab.ws, second.image_id, "app/a") == b"aaa"


def test_a_lost_index_of_a_layer_is_made_again_from_its_tar(lab: Lab) -> None:
    first = lab.build()
    for path in Path(lab.ws.store.layout.path("layers")).iterdir():
        path.unlink()
    second = lab.build()
    assert second.image_id == first.image_id or second.outcomes[1].startswith("DONE")
    assert content_of(lab.ws, second.image_id, "app/a") == b"aaa"


WATCHED = """
import sys
place, root = sys.argv[1:]
from minidock.core.id_mode import IdMode
from minidock.engine.build import build
from minidock.engine.preparing import BuildRequest
from minidock.engine.workspace import SystemClock, Workspace
from minidock.store.store import Store
import os
uid = os.geteuid()
store = Store(root, uid=uid, id_mode=IdMode.SINGLE if uid else IdMode.ROOT, boot_id="boot")
seen = []
def note(event, args):
    if event == "open" and isinstance(args[0], str) and not args[2] & os.O_DIRECTORY:
        name = args[0].removeprefix(place + "/")
        seen.extend([] if name.startswith("/") else [name])  # files of the context are opened from its directories
sys.addaudithook(note)
build(Workspace(store, SystemClock()), BuildRequest(place), lambda event: None)
print(sorted(set(seen)))
"""


def test_files_that_did_not_change_are_not_opened_again(tmp_path: Path) -> None:
    if not keeps_ctime(os.stat(tmp_path).st_dev):
        pytest.skip("files are read each time on this file system: it may not note every change in the ctime")
    context = write_context(tmp_path / "context", {"Dockerfile": "FROM scratch\nCOPY . /\n", "a": "a", "b/c": "c"})
    settle(context)

    def opened() -> str:
        command = [sys.executable, "-c", WATCHED, str(context), str(tmp_path / "store")]
        ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return ran.stdout.strip()

    assert opened() == "['.dockerignore', 'Dockerfile', 'Dockerfile.dockerignore', 'a', 'c']"
    wait_until_settled(context)
    opened()
    assert opened() == "['.dockerignore', 'Dockerfile', 'Dockerfile.dockerignore']"
    (context / "a").write_text("A")  # the layer is written anew, and so every file is read for it
    assert opened() == "['.dockerignore', 'Dockerfile', 'Dockerfile.dockerignore', 'a', 'c']"


def wait_until_settled(context: Path) -> None:
    """Wait until no file was touched within the granularity of its file system's clock."""
    import time

    latest = max(path.stat().st_ctime for path in context.rglob("*"))
    time.sleep(max(0.0, latest + 0.15 - time.time()))
