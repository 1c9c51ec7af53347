"""`build --plan`: it says what a build then does, and leaves everything as it is."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path

import pytest

from minidock.core.build_options import CacheOption
from minidock.core.build_plan import BuildPlan
from minidock.core.build_record import CACHED, MISSING, REBUILT, WOULD_RUN, BuildRecord
from minidock.core.context_size import ContextSize
from minidock.engine.plan import plan
from minidock.engine.preparing import BuildRequest
from minidock.engine.prune import prune_cache
from minidock.engine.why import last_build
from minidock.errors import BuildError, DockerfileError
from minidock.runtime.fake import FakeRuntime
from tests.engine.building import directory, import_base, member, root_tar, workspace, write_context
from tests.engine.served import Served, web_server
from tests.engine.test_build_cache import Lab

Told = list[tuple[str, str, list[tuple[str, tuple[str, ...]]]]]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return Lab(tmp_path)


def everything(place: Path) -> dict[str, tuple[object, ...]]:
    """Return all that a look at a directory can tell: names, contents, attributes, times of change."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [place, *place.rglob("*")]:
        status = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        shown = (status.st_mode, status.st_ino, status.st_nlink, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        found[str(path)] = (*shown, content)
    return found


def planned(lab: Lab, **fields: object) -> BuildPlan:
    """Return a plan, having made sure that it changed nothing and ran nothing."""
    before, ran = everything(lab.place.parent), lab.ran
    found = plan(lab.ws, BuildRequest(str(lab.place), **fields))  # type: ignore[arg-type]
    assert everything(lab.place.parent) == before
    assert lab.ran == ran
    return found


def told(build: BuildPlan | BuildRecord) -> Told:
    names = {WOULD_RUN: REBUILT}
    return [
        (step.name, names.get(step.outcome, step.outcome), [(one.text, one.details) for one in step.reasons])
        for step in build.steps
    ]


def agreed(lab: Lab, **fields: object) -> Told:
    """Return what a plan tells, after a build that did exactly that, and another plan that finds all of it cached."""
    found = planned(lab, **fields)
    lab.build(**fields)
    assert told(found) == told(last_build(lab.ws))
    if fields.get("uses_cache", True) and not fields.get("no_cache_stages"):
        assert planned(lab, **fields).is_cached
    return told(found)


def test_of_a_thousand_files_the_plan_names_the_two_that_changed(lab: Lab) -> None:
    write_context(lab.place, {f"app/f{number:03}": f"{number}" for number in range(997)})  # with a, b, sub/c: 1,000
    (lab.place / "app/f007").chmod(0o644)
    first = agreed(lab)
    assert [reasons for _, _, reasons in first] == [
        [("never built here before", ())],
        [("parent rebuilt", ("[2/3] COPY app /app/",))],
    ]
    (lab.place / "app/f003").write_text("X")
    (lab.place / "app/f007").chmod(0o755)
    changed = ("app/f003 (content)", "app/f007 (mode 644→755)")
    found = planned(lab)
    assert found.context == ContextSize(
        1001, sum(path.stat().st_size for path in lab.place.rglob("*") if path.is_file())
    )
    steps = [{key: step[key] for key in ("name", "outcome", "reasons", "diff_id")} for step in found.to_json()["steps"]]
    line = f"2 of 1,000 files changed: {', '.join(changed)}"
    assert steps == [
        {
            "name": "[2/3] COPY app /app/",
            "outcome": "run",
            "reasons": [{"text": line, "details": list(changed)}],
            "diff_id": None,
        },
        {
            "name": "[3/3] RUN make",
            "outcome": "run",
            "reasons": [{"text": "parent rebuilt", "details": ["[2/3] COPY app /app/"]}],
            "diff_id": None,
        },
    ]
    assert agreed(lab) == told(found)


PLAIN = "FROM base:1\nCOPY app /app/\nRUN make\n"
STAGES = """\
FROM base:1 AS first
COPY app/a /a
RUN first
FROM first AS second
RUN second
FROM base:1
COPY --from=second /a /b
RUN make
"""


@pytest.mark.parametrize(
    ("dockerfile", "fields"),
    [
        (PLAIN, {}),
        (PLAIN, {"uses_cache": False}),
        (PLAIN, {"source_date_epoch": 1_700_000_000}),
        (PLAIN, {"labels": {"a": "b"}}),
        (PLAIN, {"tags": ("app",)}),
        ("FROM scratch\nCOPY app /\nCOPY app/a /b\n", {}),
        ("FROM scratch AS one\nCOPY app /\nFROM one\nCOPY app/a /b\n", {}),
        ("FROM scratch\nLABEL a=b\nWORKDIR /a\nWORKDIR b\n", {}),
        ("FROM base:1 AS one\nRUN make\nFROM one\nRUN other\n", {"no_cache_stages": ("one",)}),
        ("FROM base:1\nARG A=1\nENV B=$A\nRUN make\nUSER app\nRUN other\n", {"build_args": {"A": "2"}}),
        ("FROM base:1\nRUN make\nCOPY --chown=app:staff app /app\n", {}),
        ("FROM base:1\nRUN make\nCOPY --link --chmod=755 app /app\nCOPY --link app /other\n", {}),
        ("FROM base:1\nRUN --mount=target=/src --mount=type=cache,target=/c make\n", {}),
        ("FROM base:1\nRUN --mount=type=secret,id=none make\nONBUILD RUN other\nCMD a\n", {}),
        ("FROM base:1\nCOPY <<one <<two /docs/\nhello\none\nyou\ntwo\nRUN make\n", {}),
        ("FROM files\nCOPY --from=files app/a /b\n", {"contexts": {"files": "."}}),
        ("FROM other\nRUN make\n", {"contexts": {"other": "docker-image://base:1"}}),
        ("FROM base:1 AS unused\nRUN other\nFROM base:1 AS wanted\nRUN make\n", {"target": "wanted"}),
    ],
)
def test_a_build_does_what_its_plan_says(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, dockerfile: str, fields: dict[str, object]
) -> None:
    monkeypatch.chdir(lab.place)
    lab.dockerfile(dockerfile)
    agreed(lab, **fields)
    write_context(lab.place, {"app/a": "something else"})
    agreed(lab, **fields)
    lab.dockerfile(f"{dockerfile}RUN other\n" if "scratch" not in dockerfile else f"{dockerfile}COPY app /more\n")
    agreed(lab, **fields)


def test_what_a_stage_to_be_rebuilt_gives_is_not_known_to_the_plan(lab: Lab) -> None:
    lab.dockerfile(STAGES)
    agreed(lab)
    write_context(lab.place, {"app/a": "new"})
    found = planned(lab)
    assert [(name, outcome, [text for text, _ in reasons]) for name, outcome, reasons in told(found)] == [
        ("[first 2/3] COPY app/a /a", REBUILT, ["1 of 1 file changed: app/a (content)"]),
        ("[first 3/3] RUN first", REBUILT, ["parent rebuilt"]),
        ("[second 2/2] RUN second", REBUILT, ["parent rebuilt"]),
        (
            "[stage-2 2/3] COPY --from=second /a /b",
            REBUILT,
            ["stage second rebuilt (cached if that makes the same files)"],
        ),
        ("[stage-2 3/3] RUN make", REBUILT, ["parent rebuilt"]),
    ]
    lab.build()
    assert planned(lab).is_cached


def test_mounts_of_a_stage_to_be_rebuilt_are_not_known_either(lab: Lab) -> None:
    lab.dockerfile("FROM base:1 AS one\nRUN first\nFROM base:1\nRUN --mount=from=one,target=/one make\n")
    agreed(lab)
    assert [step.line for step in planned(lab, no_cache_stages=("one",)).steps] == [
        "--no-cache-filter",
        "stage one rebuilt (cached if that makes the same files)",
    ]
    assert [step.reasons[0].text for step in planned(lab, uses_cache=False).steps] == ["--no-cache"] * 2


def test_what_two_stages_have_in_common_would_run_once(lab: Lab) -> None:
    common = "FROM base:1{}\nCOPY app/a /a\nRUN first\n"
    lab.dockerfile(f"{common.format(' AS one')}RUN second\n{common.format('')}RUN --mount=from=one,target=/o make\n")
    steps = [(step.name, step.outcome, step.line) for step in planned(lab).steps]
    assert steps == [
        ("[one 2/4] COPY app/a /a", WOULD_RUN, "never built here before"),
        ("[one 3/4] RUN first", WOULD_RUN, "parent rebuilt"),
        ("[one 4/4] RUN second", WOULD_RUN, "parent rebuilt"),
        ("[stage-1 2/4] COPY app/a /a", CACHED, ""),
        ("[stage-1 3/4] RUN first", CACHED, ""),
        ("[stage-1 4/4] RUN --mount=from=one,target=/o make", WOULD_RUN, "never built here before"),
    ]
    lab.build()
    assert sorted(step.outcome for step in last_build(lab.ws).steps) == [CACHED] * 2 + [REBUILT] * 4
    assert planned(lab).is_cached


def test_a_linked_copy_comes_from_the_cache_behind_a_step_that_would_run(lab: Lab) -> None:
    lab.dockerfile("FROM base:1\nRUN make\nCOPY --link app /app\nRUN other\n")
    lab.build()
    lab.dockerfile("FROM base:1\nRUN make new\nCOPY --link app /app\nRUN other\n")
    assert [step.outcome for step in planned(lab).steps] == [WOULD_RUN, CACHED, WOULD_RUN]


def test_an_image_that_is_not_here_is_named(lab: Lab) -> None:
    lab.dockerfile(f"FROM absent:3 AS one\nRUN make\nCOPY --link app /app\n{PLAIN}COPY --from=gone /a /b\nRUN other\n")
    assert [(step.name, step.outcome, step.line) for step in planned(lab, target="one").steps] == [
        ("[one 1/3] FROM absent:3", MISSING, "image absent:3 is not in this store"),
        ("[one 2/3] RUN make", WOULD_RUN, "base missing"),
        ("[one 3/3] COPY --link app /app", WOULD_RUN, "never built here before"),
    ]
    assert [(step.name, step.outcome, step.line) for step in planned(lab).steps][2:] == [
        ("[stage-1 4/5] COPY --from=gone /a /b", WOULD_RUN, "parent rebuilt"),
        ("[stage-1 5/5] RUN other", WOULD_RUN, "parent rebuilt"),
    ]
    lab.dockerfile("FROM base:1\nCOPY --from=base:1 /etc/passwd /b\n")
    lab.build()
    lab.dockerfile("FROM base:1\nCOPY --from=gone /a /b\n")
    assert [step.line for step in planned(lab).steps] == ["image gone:latest is not in this store"]


def test_what_stands_on_a_missing_image_is_not_what_stands_on_nothing(lab: Lab) -> None:
    lab.dockerfile("FROM absent AS one\nCOPY app /app\nFROM scratch\nCOPY app /app\nCOPY --from=one /app /more\n")
    assert [(step.name, step.outcome, step.line) for step in planned(lab).steps] == [
        ("[one 1/2] FROM absent", MISSING, "image absent:latest is not in this store"),
        ("[one 2/2] COPY app /app", WOULD_RUN, "base missing"),
        ("[stage-1 1/2] COPY app /app", WOULD_RUN, "never built here before"),
        ("[stage-1 2/2] COPY --from=one /app /more", WOULD_RUN, "parent rebuilt"),
    ]


def test_a_store_that_does_not_exist_stays_so(lab: Lab) -> None:
    lab.ws = workspace(lab.place.parent / "nowhere", lab.runtime)
    lab.dockerfile("FROM scratch\nCOPY app /app\n")
    (step,) = planned(lab).steps
    assert (step.name, step.outcome, step.line) == ("[1/1] COPY app /app", WOULD_RUN, "never built here before")
    lab.dockerfile("FROM scratch\nCMD a\n")
    assert planned(lab).is_cached
    assert not (lab.place.parent / "nowhere").exists()


def test_steps_whose_layers_are_gone_would_run(lab: Lab) -> None:
    lab.build()
    prune_cache(lab.ws, is_all=True)
    agreed(lab)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything; test_other_users.py runs this as another user")
def test_a_context_that_may_not_be_read_as_a_whole_has_a_plan(lab: Lab) -> None:
    write_context(lab.place, {"private/key": "not for everybody"})
    (lab.place / "private").chmod(0)
    try:
        found = plan(lab.ws, BuildRequest(str(lab.place)))
        lab.build()
        again = plan(lab.ws, BuildRequest(str(lab.place)))
    finally:
        (lab.place / "private").chmod(0o700)
    assert (found.context, [step.outcome for step in found.steps]) == (None, [WOULD_RUN, WOULD_RUN])
    assert again.is_cached
    assert again.to_json()["context"] is None


def test_a_tar_from_stdin_is_looked_at_outside_of_the_store(lab: Lab, tmp_path: Path) -> None:
    text = b"FROM base:1\nCOPY app /app\n"
    packed = root_tar([(member("Dockerfile"), text), directory("app"), (member("app/a"), b"12345")])
    before = everything(tmp_path / "store")
    found = plan(lab.ws, BuildRequest("-", stdin=io.BytesIO(packed)))
    assert found.context == ContextSize(2, len(text) + 5)
    assert [step.line for step in found.steps] == ["never built here before"]
    assert everything(tmp_path / "store") == before
    assert os.listdir(tmp_path / "tmp") == []


def test_a_file_at_a_url_is_asked_for_and_not_kept(lab: Lab, tmp_path: Path) -> None:
    with web_server({"/file": Served(b"one", {"ETag": '"1"'})}) as web:
        lab.dockerfile(f"FROM base:1\nADD {web.url}/file /file\n")
        before = everything(tmp_path / "store")
        assert [step.line for step in plan(lab.ws, BuildRequest(str(lab.place))).steps] == ["never built here before"]
        assert everything(tmp_path / "store") == before
        lab.build()
        assert planned(lab).is_cached
        web.files["/file"] = Served(b"two", {"ETag": '"2"'})
        (step,) = plan(lab.ws, BuildRequest(str(lab.place))).steps
        assert step.line == f"1 of 1 file changed: {web.url}/file (content)"
    assert os.listdir(tmp_path / "tmp") == []


def test_what_another_machine_has_left_is_found_and_not_fetched(lab: Lab, tmp_path: Path) -> None:
    folder = str(tmp_path / "cache")
    lab.build(cache_to=(CacheOption("local", {"dest": folder}),))
    source = (CacheOption("local", {"src": folder}),)
    prune_cache(lab.ws, is_all=True)
    assert [step.outcome for step in planned(lab).steps] == [WOULD_RUN, WOULD_RUN]
    assert [step.outcome for step in planned(lab, cache_from=source).steps] == [CACHED, CACHED]
    assert [step.line for step in planned(lab, cache_from=source, uses_cache=False).steps] == ["--no-cache"] * 2
    (lab.place / "app/a").write_text("new")
    assert [step.outcome for step in planned(lab, cache_from=source).steps] == [WOULD_RUN, WOULD_RUN]


def test_mistakes_are_those_of_a_build(lab: Lab) -> None:
    for text, kind in (("FROM\n", DockerfileError), ("FROM base:1\nCOPY none /\n", DockerfileError)):
        lab.dockerfile(text)
        with pytest.raises(kind) as of_plan:
            planned(lab)
        with pytest.raises(kind) as of_build:
            lab.build()
        assert str(of_plan.value) == str(of_build.value)
    with pytest.raises(BuildError, match="not found"):
        plan(lab.ws, BuildRequest(str(lab.place / "none")))


def test_values_that_look_secret_are_in_no_plan(lab: Lab) -> None:
    lab.dockerfile("FROM base:1\nARG API_TOKEN\nRUN make\n")
    lab.build(build_args={"API_TOKEN": "hunter2-first"})
    text = str(planned(lab, build_args={"API_TOKEN": "hunter2-second"}).to_json())
    assert "build argument API_TOKEN changed" in text
    assert "hunter2" not in text


def test_a_plan_needs_no_runtime(lab: Lab) -> None:
    lab.ws = workspace(lab.place.parent / "store", FakeRuntime())
    import_base(lab.ws)
    assert [step.outcome for step in planned(lab).steps] == [WOULD_RUN, WOULD_RUN]
