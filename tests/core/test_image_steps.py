"""The steps of an image: their instructions as written, and their lines as text and back."""

from __future__ import annotations

import pytest

from minidock.core.config import HistoryEntry, ImageConfig
from minidock.core.digest import Digest
from minidock.core.image_steps import ImageStep, image_steps, layer_steps, plain_instruction
from minidock.core.step_lines import StepLines, lines_from_text, lines_to_text

A, B = (Digest(letter * 64) for letter in "ab")
LINES = (StepLines("Dockerfile", 2, 2), None, StepLines("other/Dockerfile", 3, 5))


@pytest.mark.parametrize(
    ("created_by", "expected"),
    [
        ("RUN /bin/sh -c make all # buildkit", "RUN make all"),
        ("RUN |2 A=b C=/bin/x /bin/sh -c make all # buildkit", "RUN make all"),
        ("RUN make all # buildkit", "RUN make all"),
        ("RUN /bin/bash -c make # buildkit", "RUN /bin/bash -c make"),
        ("COPY src /app # buildkit", "COPY src /app"),
        ("/bin/sh -c apt-get update", "RUN apt-get update"),
        ("|1 A=b /bin/sh -c make", "RUN make"),
        ('/bin/sh -c #(nop)  CMD ["bash"]', 'CMD ["bash"]'),
        ("/bin/sh -c #(nop) ADD file:ab in / ", "ADD file:ab in /"),
        ("ENV A=b", "ENV A=b"),
        ("from-host sh", "from-host sh"),
        ("", ""),
    ],
)
def test_instructions_as_they_were_written(created_by: str, expected: str) -> None:
    assert plain_instruction(created_by) == expected


def test_steps_know_their_lines_and_layers() -> None:
    history = (
        HistoryEntry(None, "COPY a /", "", "", is_empty_layer=False),
        HistoryEntry(None, "ENV A=b", "", "", is_empty_layer=True),
        HistoryEntry(None, "COPY b /", "", "", is_empty_layer=False),
    )
    steps = image_steps(ImageConfig("amd64", diff_ids=(A, B), history=history), LINES[:1])
    assert steps == (
        ImageStep("COPY a /", LINES[0], 0, A),
        ImageStep("ENV A=b"),
        ImageStep("COPY b /", None, 1, B),
    )
    assert layer_steps(steps) == (steps[0], steps[2])


def test_an_image_without_history_has_a_step_for_each_layer() -> None:
    steps = image_steps(ImageConfig("amd64", diff_ids=(A, B)), ())
    assert steps == (ImageStep("", None, 0, A), ImageStep("", None, 1, B))


def test_lines_survive_as_text() -> None:
    text = lines_to_text(LINES)
    assert text == '{"files":["Dockerfile","other/Dockerfile"],"steps":[[0,2,2],null,[1,3,5]]}'
    assert lines_from_text(text) == LINES
    assert [str(item) for item in LINES] == ["Dockerfile:2", "None", "other/Dockerfile:3-5"]


def test_no_lines_are_no_text() -> None:
    assert lines_to_text(()) == ""
    assert lines_to_text((None, None)) == ""


@pytest.mark.parametrize(
    "text", ["", "[]", "1", '{"files":[],"steps":[[0,1,1]]}', '{"steps":[]}', '{"files":[],"steps":1}']
)
def test_text_of_others_means_nothing(text: str) -> None:
    assert lines_from_text(text) == ()


def test_names_of_files_need_not_be_text() -> None:
    lines = (StepLines("Docker\udcfffile", 1, 1),)
    assert lines_from_text(lines_to_text(lines)) == lines
