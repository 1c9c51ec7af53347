"""From what was found to the report: which images, in which order, what became of their steps, what is left out."""

from __future__ import annotations

import json

import pytest

from minidock.core.build_record import BuildRecord, StepFate
from minidock.core.config import ContainerConfig, HistoryEntry, ImageConfig
from minidock.core.digest import Digest
from minidock.core.entries import FILE, WHITEOUT, Entry
from minidock.core.reason import Reason
from minidock.core.report import ImageDetails, ImageFile, LargeFile, ReportImage, ReportLayer, ReportStep
from minidock.core.report_facts import Found, FoundFiles, make_report
from minidock.core.report_images import MOST_DETAILED, MOST_IMAGES, FoundImage, choose, in_tree_order
from minidock.core.report_steps import instruction, report_steps
from minidock.core.step_lines import StepLines
from minidock.core.stored_files import LayerBytes, stored_files
from minidock.core.summary import DiskUsage

A, B, C, D, E = (Digest(letter * 64) for letter in "abcde")
SIZES = {A: 1000, B: 20, C: 3, D: 500, E: 0}
USAGE = DiskUsage((), (), (), (), (), (("images", 4096), ("overhead", 100)), (("index", 100),), 2)


def image(name: str, *diff_ids: Digest, created: str = "2026-01-01T00:00:00Z", env: tuple[str, ...] = ()) -> FoundImage:
    history = tuple(HistoryEntry(created, f"RUN /bin/sh -c make {diff_id.hex[0]} # buildkit") for diff_id in diff_ids)
    config = ImageConfig("amd64", created=created, diff_ids=diff_ids, history=history, config=ContainerConfig(env=env))
    return FoundImage(Digest.sha256(name.encode()), (name,), config)


BASE, APP, OTHER, ALONE = image("base:1", A), image("app:1", A, B, C), image("other:1", A, D), image("alone:1", C)


# --- which images


def test_images_that_begin_alike_are_neighbours_and_the_larger_branch_comes_first() -> None:
    again = image("app:2", A, B, E)
    order = in_tree_order([ALONE, APP, BASE, again, OTHER], SIZES)
    assert [each.names[0] for each in order] == ["base:1", "other:1", "app:1", "app:2", "alone:1"]


def test_the_order_does_not_depend_on_that_of_the_store() -> None:
    some = [ALONE, APP, BASE, OTHER]
    assert in_tree_order(some, SIZES) == in_tree_order(some[::-1], SIZES)


def test_an_image_deeper_than_calls_can_be_nested_has_its_place() -> None:
    deep = [Digest.sha256(str(number).encode()) for number in range(3000)]
    order = in_tree_order([image("deep:1", *deep)], dict.fromkeys(deep, 1))
    assert [each.names for each in order] == [("deep:1",)]


def test_named_images_come_with_those_that_share_a_layer_anywhere() -> None:
    choice = choose([ALONE, APP, BASE, OTHER, image("far:1", E)], SIZES, [ALONE.image_id])
    assert {each.names[0] for each in choice.images} == {"alone:1", "app:1"}  # by the layer on top of app:1
    assert choice.detailed == (ALONE,)
    assert choice.left_out == ()


def test_the_newest_are_told_in_detail_and_the_rest_is_said_to_be_left_out() -> None:
    many = [
        image(f"n:{number}", A, created=f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z") for number in range(1100)
    ]
    choice = choose(many, SIZES)
    assert (len(choice.images), len(choice.detailed)) == (MOST_IMAGES, MOST_DETAILED)
    assert choice.detailed[0].names == ("n:1099",)
    assert choice.left_out == (
        "the 100 oldest of 1,100 images",
        "steps and files of 960 older images: `minidock report IMAGE` tells those of the ones it names",
    )


# --- instructions and steps


@pytest.mark.parametrize(
    ("created_by", "expected"),
    [
        ("RUN /bin/sh -c make  all # buildkit", "RUN make  all"),
        ("RUN |2 V=1 W=2 /bin/sh -c make # buildkit", "RUN make"),
        ('/bin/sh -c #(nop)  CMD ["sh"]', 'CMD ["sh"]'),
        ("/bin/sh -c apt-get update", "RUN apt-get update"),
        ("RUN /bin/sh -c a\nb # buildkit", "RUN a\nb"),
        ("COPY a /b # buildkit", "COPY a /b"),
        ("RUN /bin/bash -c x # buildkit", "RUN /bin/bash -c x"),
        ("ENV API_TOKEN=hunter2hunter2", "ENV API_TOKEN=****"),
        ("RUN |1 API_TOKEN=abc /bin/sh -c curl -H abc API_TOKEN=abc", "RUN curl -H abc API_TOKEN=****"),
        ("", ""),
    ],
)
def test_an_instruction_reads_as_its_author_wrote_it(created_by: str, expected: str) -> None:
    assert instruction(created_by) == expected


def test_a_secret_of_the_environment_is_hidden_wherever_it_stands() -> None:
    assert instruction("RUN echo hunter2hunter2", ["DB_PASSWORD=hunter2hunter2"]) == "RUN echo ****"


def test_a_very_long_instruction_is_cut() -> None:
    assert instruction("RUN " + "x" * 5000) == "RUN " + "x" * 1995 + "…"


def test_steps_have_what_became_of_the_layer_they_made_equal_layers_in_order() -> None:
    history = (
        HistoryEntry(created_by="FROM"),
        HistoryEntry(created_by="ENV A=1", is_empty_layer=True),
        HistoryEntry(created_by="WORKDIR /x"),
        HistoryEntry(created_by="WORKDIR /x"),
    )
    config = ImageConfig("amd64", diff_ids=(A, E, E), history=history)
    changes = Reason("25 files changed", tuple(map(str, range(25))))
    fates = (
        StepFate(4, "", "w", "cached", (), E),
        StepFate(5, "", "w", "rebuilt", (changes,), E),
        StepFate(6, "", "x", "rebuilt"),
    )
    steps = report_steps(
        config,
        (None, StepLines("Dockerfile", 2, 4)),
        SIZES,
        {A: 0, E: 1},
        BuildRecord("s", "2026-01-02T00:00:00Z", fates),
    )
    assert steps == (
        ReportStep("FROM", 1000, 0),
        ReportStep("ENV A=1", 0, where="Dockerfile:2-4"),
        ReportStep("WORKDIR /x", 0, 1, outcome="cached"),
        ReportStep(
            "WORKDIR /x",
            0,
            1,
            outcome="rebuilt",
            reasons=(Reason("25 files changed", (*map(str, range(20)), "and 5 more")),),
        ),
    )


def test_an_image_without_history_has_a_step_for_each_layer() -> None:
    config = ImageConfig("amd64", diff_ids=(A, B))
    assert report_steps(config, (), SIZES, {A: 0, B: 1}, None) == (ReportStep("", 1000, 0), ReportStep("", 20, 1))


# --- the whole


def test_the_report_counts_layers_once_and_refers_to_them_by_their_places() -> None:
    found = Found(
        "minidock 1", "/store", "2026-01-03T00:00:00Z", USAGE, (BASE, APP), SIZES, {A: 2048, B: 1536, C: 1024}
    )
    layers = [
        [Entry("big", FILE, size=900, xxh3="1"), Entry("small", FILE, size=100, xxh3="2"), Entry("no", FILE)],
        [Entry("big", WHITEOUT), Entry("more", FILE, size=20, xxh3="3")],
        [Entry("more", FILE, mode=0o600, size=20, xxh3="3")],
    ]
    report = make_report(
        found,
        choose(found.images, SIZES, [APP.image_id]),
        {APP.image_id: FoundFiles.of(stored_files(layers))},
        ("a gap",),
    )
    assert report.layers == (
        ReportLayer(A, 1000, 2048, 2, "RUN make a", (LargeFile("big", 900), LargeFile("small", 100))),
        ReportLayer(B, 20, 1536, 1, "RUN make b", (LargeFile("more", 20),)),
        ReportLayer(C, 3, 1024, 1, "RUN make c", (LargeFile("more", 20),)),
    )
    details = ImageDetails(
        steps=tuple(
            ReportStep(f"RUN make {letter}", size, place, "2026-01-01T00:00:00Z")
            for place, (letter, size) in enumerate((("a", 1000), ("b", 20), ("c", 3)))
        ),
        files=(
            ImageFile("big", 900, 0, "hidden", "deleted", 1),
            ImageFile("small", 100, 0, "visible"),
            ImageFile("more", 20, 1, "visible"),
            ImageFile("more", 20, 2, "duplicate", "", 1),
        ),
        bytes=LayerBytes(120, 900, 20),
    )
    when, platform = "2026-01-01T00:00:00Z", "linux/amd64"
    assert report.images == (
        ReportImage(BASE.image_id, ("base:1",), when, platform, 1000, 1000, 0, 0, (0,)),
        ReportImage(APP.image_id, ("app:1",), when, platform, 1023, 1000, 23, 0, (0, 1, 2), details),
    )
    assert (report.apparent_size, report.stored_size, report.left_out) == (2023, 1023, ("a gap",))
    assert (report.on_disk, report.overhead, report.writers) == (USAGE.on_disk, USAGE.overhead, 2)


def test_the_document_is_json_with_the_same_numbers() -> None:
    found = Found("minidock 1", "/store", "2026-01-03T00:00:00Z", USAGE, (BASE,), SIZES, {A: 2048})
    document = json.loads(json.dumps(make_report(found, choose(found.images, SIZES), {}).to_json()))
    assert document == {
        "version": 1,
        "program": "minidock 1",
        "store": "/store",
        "made": "2026-01-03T00:00:00Z",
        "summary": [],
        "on_disk": {"images": 4096, "overhead": 100},
        "overhead": {"index": 100},
        "writers": 2,
        "layers": [
            {"diff_id": str(A), "size": 1000, "stored_size": 2048, "users": 1, "instruction": "RUN make a", "files": []}
        ],
        "images": [
            {
                "id": str(BASE.image_id),
                "names": ["base:1"],
                "created": "2026-01-01T00:00:00Z",
                "platform": "linux/amd64",
                "size": 1000,
                "shared_size": 0,
                "unique_size": 1000,
                "containers": 0,
                "layers": [0],
                "details": {
                    "built": "",
                    "more_steps": 0,
                    "hidden": None,
                    "duplicate": None,
                    "steps": [
                        {
                            "instruction": "RUN make a",
                            "size": 1000,
                            "layer": 0,
                            "created": "2026-01-01T00:00:00Z",
                            "where": "",
                            "outcome": "",
                            "reasons": [],
                        }
                    ],
                    "files": [],
                },
            }
        ],
        "left_out": [],
    }
