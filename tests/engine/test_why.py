"""What builds leave for `minidock why`, and builds that must come from the cache."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from minidock.core.build_record import CACHED, FAILED, REBUILT, BuildRecord
from minidock.engine.prune import prune_cache
from minidock.engine.why import last_build
from minidock.errors import DockerfileError, MinidockError, NoSuchBuild
from tests.engine.building import write_context
from tests.engine.test_build_cache import Lab

FILES = {f"app/f{number:03}": f"{number}" for number in range(1000)}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def told(build: BuildRecord) -> list[tuple[str, str, list[tuple[str, tuple[str, ...]]]]]:
    return [(step.name, step.outcome, [(one.text, one.details) for one in step.reasons]) for step in build.steps]


def test_of_a_thousand_files_the_two_that_changed_are_named(lab: Lab) -> None:
    write_context(lab.place, FILES)
    (lab.place / "app/f007").chmod(0o644)
    lab.build(tags=("app",))
    (lab.place / "app/f003").write_text("X")
    (lab.place / "app/f007").chmod(0o755)
    changed = ("app/f003 (content)", "app/f007 (mode 644→755)")
    line = f"2 of 1,003 files changed: {', '.join(changed)}"
    assert lab.build(tags=("app",)).reasons == [line, "parent rebuilt"]
    assert told(last_build(lab.ws)) == [
        ("[2/3] COPY app /app/", REBUILT, [(line, changed)]),
        ("[3/3] RUN make", REBUILT, [("parent rebuilt", ("[2/3] COPY app /app/",))]),
    ]


def test_a_build_that_ran_nothing_is_the_last_one_too(lab: Lab) -> None:
    first = lab.build(tags=("app",))
    lab.build(tags=("app",))
    build = last_build(lab.ws)
    assert [(name, outcome) for name, outcome, _ in told(build)] == [
        ("[2/3] COPY app /app/", CACHED),
        ("[3/3] RUN make", CACHED),
    ]
    assert (build.image_id, build.names) == (first.image_id, ("app:latest",))
    assert all(step.diff_id is not None for step in build.steps)


def test_every_changed_file_is_kept_where_the_line_names_three(lab: Lab) -> None:
    lab.build()
    write_context(lab.place, {f"app/{number}": "" for number in range(5)})
    lab.build()
    ((text, details),) = told(last_build(lab.ws, "COPY"))[0][2]
    assert text == "5 of 8 files changed: app/0 (added), app/1 (added), app/2 (added) and 2 more"
    assert details == tuple(f"app/{number} (added)" for number in range(5))


def test_images_and_steps_are_found_by_their_names(lab: Lab) -> None:
    first = lab.build(tags=("app",))
    lab.dockerfile("FROM base:1 AS other\nRUN other\n")
    lab.build(tags=("second",), target="other")
    assert last_build(lab.ws, "app").image_id == first.image_id
    assert last_build(lab.ws, str(first.image_id)).names == ("app:latest",)
    assert [step.name for step in last_build(lab.ws, "RUN other").steps] == ["[other 2/2] RUN other"]
    number = last_build(lab.ws).steps[0].number
    assert [step.name for step in last_build(lab.ws, f"#{number}").steps] == ["[other 2/2] RUN other"]
    with pytest.raises(NoSuchBuild, match="nothing: neither an image"):
        last_build(lab.ws, "nothing")


def test_earlier_images_of_a_dockerfile_keep_their_last_builds(lab: Lab) -> None:
    made = []
    for number in range(8):
        (lab.place / "app/a").write_text(f"{number}")
        made.append(lab.build(tags=(f"app:{number}",)))
    assert [build.image_id for build in lab.ws.store.builds.latest()] == [one.image_id for one in reversed(made[2:])]
    lab.dockerfile("FROM base:1\nCOPY nowhere /\n")
    with pytest.raises(MinidockError):
        lab.build(tags=("app:7",))
    assert last_build(lab.ws).image_id is None
    assert [last_build(lab.ws, f"app:{number}").image_id for number in range(3, 8)] == [
        one.image_id for one in made[3:]
    ]
    with pytest.raises(NoSuchBuild):
        last_build(lab.ws, "app:1")


def test_an_image_that_is_built_again_has_one_build(lab: Lab) -> None:
    first = lab.build(tags=("app",))
    (lab.place / "app/new").write_text("x")
    lab.build(tags=("other",))
    (lab.place / "app/new").unlink()
    lab.build(tags=("app",))
    assert [outcome for _, outcome, _ in told(last_build(lab.ws, "app"))] == [CACHED, CACHED]
    assert len([build for build in lab.ws.store.builds.latest() if build.image_id == first.image_id]) == 1
    assert len(lab.ws.store.builds.latest()) == 2


def test_a_failed_build_tells_how_far_it_came(lab: Lab) -> None:
    lab.dockerfile("FROM base:1\nCOPY app /app/\nRUN fails\n")
    with pytest.raises(MinidockError):
        lab.build()
    build = last_build(lab.ws)
    assert build.image_id is None
    assert [(step.name, step.outcome, step.diff_id is None) for step in build.steps] == [
        ("[2/3] COPY app /app/", REBUILT, False),
        ("[3/3] RUN fails", FAILED, True),
    ]


def test_nothing_is_known_of_a_store_without_builds(lab: Lab) -> None:
    with pytest.raises(NoSuchBuild, match="no build is recorded"):
        last_build(lab.ws)


def test_a_cached_build_can_be_required(lab: Lab) -> None:
    with pytest.raises(
        DockerfileError, match=r"\[2/3\] COPY app /app/ is not in the build cache: never built here before"
    ):
        lab.build(requires_cached=True)
    assert lab.ran == 0
    first = lab.build()
    assert lab.build(requires_cached=True).image_id == first.image_id
    (lab.place / "app/a").write_text("new")
    with pytest.raises(DockerfileError, match=r"1 of 3 files changed: app/a \(content\)"):
        lab.build(requires_cached=True)
    assert lab.ran == 1


def test_the_reason_names_the_option_that_is_to_blame(lab: Lab) -> None:
    lab.dockerfile("FROM base:1 AS one\nRUN make\n")
    lab.build()
    assert lab.build(uses_cache=False).reasons == ["--no-cache"]
    assert lab.build(no_cache_stages=("one",)).reasons == ["--no-cache-filter"]


def test_pruning_the_build_cache_forgets_the_builds(lab: Lab) -> None:
    lab.build()
    prune_cache(lab.ws, is_all=True)
    assert lab.ws.store.builds.latest() == ()


def test_values_that_look_secret_are_not_in_a_record(lab: Lab) -> None:
    lab.dockerfile("FROM base:1\nARG API_TOKEN\nRUN make\n")
    lab.build(build_args={"API_TOKEN": "hunter2-first"})
    lab.build(build_args={"API_TOKEN": "hunter2-second"})
    texts = [Path(path).read_text() for path in lab.ws.store.builds.paths()]
    assert ["API_TOKEN" in text for text in texts] == [False, True]
    assert not any("hunter2" in text for text in texts)


def test_nothing_in_the_build_cache_holds_a_value_that_looks_secret(lab: Lab) -> None:
    lab.dockerfile(
        "FROM base:1\nARG API_TOKEN\nENV URL=https://$API_TOKEN@host\nCOPY app /$API_TOKEN\n"
        "RUN --mount=type=tmpfs,target=/$API_TOKEN make\nWORKDIR /$API_TOKEN\n"
    )
    told = []
    for value in ("hunter2-first", "hunter2-second"):
        built = lab.build(build_args={"API_TOKEN": value})
        told += [*built.reasons, *built.outcomes]
    assert "instruction changed: a secret value" in told
    assert "hunter2" not in " ".join(told)
    assert kept_in(lab, "steps", "recent", "inputs", "builds", "stat") == []


def test_a_file_named_by_a_secret_value_is_no_exception(lab: Lab) -> None:
    lab.dockerfile("FROM base:1\nARG API_TOKEN\nCOPY $API_TOKEN $API_TOKEN.d /x/\nCOPY <<EOF /h\nh $API_TOKEN\nEOF\n")
    told = []
    for content in ("1", "2"):
        write_context(lab.place, {"hunter2-first": content, "hunter2-first.d/f": "d"})
        (lab.place / "hunter2-first.d/l").unlink(missing_ok=True)
        (lab.place / "hunter2-first.d/l").symlink_to(f"hunter2-first/{content}")
        told += lab.build(build_args={"API_TOKEN": "hunter2-first"}).reasons
    assert told[-2:] == [
        "2 of 3 files changed: **** (content), ****.d/l (link target)",
        "parent rebuilt",
    ]
    # What is known about the files of a context has their names: they are those of the context.
    assert kept_in(lab, "steps", "recent", "inputs", "builds") == []


def kept_in(lab: Lab, *directories: str) -> list[str]:
    """Return the names of the parts of the build cache in which the value stands, packed or not."""
    found = []
    for path in (path for name in directories for path in Path(lab.ws.store.layout.path("cache", name)).rglob("*")):
        data = path.read_bytes()
        data += zlib.decompress(data) if path.parent.name == "inputs" else b""
        found += [path.parent.name] if b"hunter2" in data else []
    return found


def test_an_unreadable_record_is_as_if_it_were_not_there(lab: Lab) -> None:
    lab.build()
    (path,) = lab.ws.store.builds.paths()
    for content in ("", "{", '{"version": 2}', '{"version": 1}', "[]"):
        Path(path).write_text(content)
        assert lab.ws.store.builds.latest() == ()
    lab.build()
    assert len(lab.ws.store.builds.latest()) == 1


def test_what_changed_behind_a_rebuilt_step_is_told_too(lab: Lab) -> None:
    def reasons(*lines: str) -> list[str]:
        (lab.place / "Dockerfile").write_text("\n".join(["FROM base:1", *lines, ""]))
        return lab.build().reasons

    here = 'RUN ["make", "{}"]'
    assert reasons("COPY app /app/", "COPY app /b", here.format("one"))[1:] == ["parent rebuilt", "parent rebuilt"]
    (lab.place / "app/new").write_text("")
    assert reasons("COPY app /app/", "COPY app /c", here.format("two")) == [
        "1 of 4 files changed: app/new (added)",
        "parent rebuilt; instruction changed: '/b' -> '/c'; 1 of 4 files changed: app/new (added)",
        """parent rebuilt; instruction changed: '"one"]' -> '"two"]'""",
    ]
    (lab.place / "app/new").write_text("x")
    assert reasons("COPY app /app/", "COPY app /d", "COPY app /c", here.format("two"))[2:] == ["parent rebuilt"] * 2
