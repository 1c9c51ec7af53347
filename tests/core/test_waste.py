"""Waste of layers that are written down here: what real builds do not make, and limits."""

from __future__ import annotations

import pytest

from minidock.core.digest import Digest
from minidock.core.entries import DIRECTORY, FILE, OPAQUE, SYMLINK, WHITEOUT, Entry
from minidock.core.image_steps import ImageStep
from minidock.core.step_lines import StepLines
from minidock.core.waste import Cause, Waste, find_waste, with_advice
from minidock.core.waste_advice import advices
from minidock.core.waste_limit import WasteLimit
from minidock.errors import InvalidUnit


def stored(path: str, content: str, **fields: int) -> Entry:
    return Entry(path, FILE, size=len(content), sha256=content, **fields)


def steps(*instructions: str) -> list[ImageStep]:
    """Return one step for each layer, and one that left none in front of them."""
    made = [ImageStep(text, None, layer, Digest(f"{layer:064x}")) for layer, text in enumerate(instructions)]
    return [ImageStep("ENV A=b"), *made]


def advised(instructions: list[str], layers: list[list[Entry]], base_layers: int = 0) -> Waste:
    waste = find_waste(steps(*instructions), layers, base_layers)
    return with_advice(waste, advices(waste, layers))


def told(waste: Waste) -> list[tuple[str, Cause, str, int, str]]:
    return [(waste.places[p.blamed], p.cause, waste.places[p.victim], p.size, p.advice) for p in waste.parts]


def test_an_image_without_layers_wastes_nothing() -> None:
    waste = find_waste([], [])
    assert (waste.size, waste.wasted, waste.efficiency, waste.blames) == (0, 0, 1.0, ())


def test_steps_stand_where_their_lines_are_or_in_the_history() -> None:
    lines = StepLines("Dockerfile", 3, 5)
    history = [ImageStep("FROM"), ImageStep("A", None, 0), ImageStep("B", lines, 1)]
    assert find_waste(history, [[], []]).places == ("step 2", "Dockerfile:3-5")


def test_an_opaque_directory_deletes_what_was_in_it() -> None:
    layers = [
        [Entry("d", DIRECTORY), stored("d/a", "abc"), stored("d/b", "xyzw")],
        [Entry("d", DIRECTORY), Entry("d", OPAQUE), stored("d/a", "new")],
    ]
    waste = find_waste(steps("RUN one", "RUN two"), layers)
    assert [(part.cause, part.size, [file.hidden_by for file in part.files]) for part in waste.parts] == [
        (Cause.DELETED, 4, ["d"]),
        (Cause.OVERWRITTEN, 3, ["d/a"]),
    ]
    assert (waste.size, waste.wasted, waste.efficiency) == (10, 7, 0.3)


def test_the_step_with_most_waste_comes_first_and_its_largest_file() -> None:
    layers = [
        [stored("a", "a"), stored("b", "bb"), stored("c", "ccc"), stored("d", "dddddddd")],
        [Entry("a", WHITEOUT), Entry("c", WHITEOUT)],
        [Entry("d", WHITEOUT)],
    ]
    waste = find_waste(steps("RUN one", "RUN two", "RUN three"), layers)
    assert [(blame.place, blame.size) for blame in waste.blames] == [("step 4", 8), ("step 3", 4)]
    assert [file.entry.path for file in waste.blames[1].parts[0].files] == ["c", "a"]


@pytest.mark.parametrize(
    ("instructions", "layers", "expected"),
    [
        pytest.param(
            ["COPY a /", "RUN setcap x /a"],
            [[stored("a", "abc")], [stored("a", "abc")._replace(xattrs=(("security.capability", "x"),))]],
            "do it in another stage, from which `COPY --from` takes it as it is",
            id="attributes that no flag sets",
        ),
        pytest.param(
            ["COPY --chmod=600 a b /", "RUN chmod 700 /a"],
            [[stored("a", "abc"), stored("b", "xyz")], [stored("a", "abc", mode=0o700)]],
            "take it out of the COPY of step 2 and give it one with `--chmod=700`",
            id="a mode that the context does not decide",
        ),
        pytest.param(
            ["COPY d /d", "RUN chmod -R g+w /d"],
            [
                [Entry("d", DIRECTORY), stored("d/a", "abc"), stored("d/b", "xyz", mode=0o755)],
                [Entry("d", DIRECTORY), stored("d/a", "abc", mode=0o664), stored("d/b", "xyz", mode=0o775)],
            ],
            "set the mode where the COPY of step 2 takes them from: it keeps modes",
            id="different modes",
        ),
        pytest.param(
            ["COPY d /d", "RUN chown"],
            [[stored("a", "abc"), stored("b", "xyz")], [stored("a", "abc", uid=1), stored("b", "xyz", uid=2)]],
            "",
            id="different owners",
        ),
        pytest.param(
            ["COPY f /new/f", "RUN chmod 755 /new/f; chown 5:5 /new/f"],
            [
                [Entry("new", DIRECTORY, 0o700), stored("new/f", "abc", mode=0o600)],
                [Entry("new", DIRECTORY, 0o700), stored("new/f", "abc", mode=0o755, uid=5, gid=5)],
            ],
            "`COPY --chown=5:5 --chmod=755` (new directories get that owner and that mode too) in step 2 "
            "instead of chown and chmod in step 3",
            id="directories would get them too",
        ),
        pytest.param(
            ["COPY a /", "COPY --chmod=700 a /"],
            [[stored("a", "abc")], [stored("a", "abc", mode=0o700)]],
            "do without the COPY of step 2, unless a step in between needs it",
            id="copied twice",
        ),
        pytest.param(
            ["COPY a b c d /", "RUN rm /a /b /c"],
            [
                [stored("a", "aaa"), stored("b", "bb"), stored("c", "c"), stored("d", "dd")],
                [Entry(path, WHITEOUT) for path in "abc"],
            ],
            "leave /a, /b and 1 more out of the COPY of step 2 (`--exclude`): "
            "steps that need them can have them by `RUN --mount=type=bind`",
            id="many files",
        ),
        pytest.param(
            ["COPY . /", "RUN rm /a"],
            [[stored("a", "abc"), Entry("l", SYMLINK, linkname="a")], [Entry("a", WHITEOUT)]],
            "leave /a out of the COPY of step 2 (`--exclude`): "
            "steps that need it can have it by `RUN --mount=type=bind`",
            id="a link is copied too",
        ),
        pytest.param(["sh -c x", "sh -c y"], [[stored("a", "abc")], [Entry("a", WHITEOUT)]], "", id="commits"),
        pytest.param(["", ""], [[stored("a", "abc")], [Entry("a", WHITEOUT)]], "", id="an image without a history"),
    ],
)
def test_advice_fits_the_case(instructions: list[str], layers: list[list[Entry]], expected: str) -> None:
    assert [part.advice for part in advised(instructions, layers).parts] == [expected]


def test_there_is_no_advice_where_only_another_base_image_would_help() -> None:
    layers = [[stored("a", "abc"), stored("b", "xy")], [Entry("a", WHITEOUT), stored("b", "xy", mode=0o755)]]
    waste = advised(["RUN one", "RUN two"], layers, base_layers=1)
    assert told(waste) == [
        ("step 3", Cause.DELETED, "step 2", 3, ""),
        ("step 3", Cause.MODE, "step 2", 2, ""),
    ]
    assert (waste.base_size, waste.base_wasted, waste.own_wasted, waste.advised) == (5, 3, 2, 0)


@pytest.mark.parametrize(
    ("text", "is_exceeded"),
    [
        ("0", True),
        ("49", True),
        ("50", False),
        ("1k", False),
        ("0%", True),
        ("4.9%", True),
        ("5%", False),
        (" 5 % ", False),
        ("100%", False),
    ],
)
def test_a_limit_is_a_size_or_a_share_and_may_be_reached(text: str, is_exceeded: bool) -> None:
    assert WasteLimit.parse(text).is_exceeded(50, 1000) is is_exceeded


def test_an_empty_image_is_within_every_limit() -> None:
    assert not WasteLimit.parse("0%").is_exceeded(0, 0)
    assert not WasteLimit.parse("0").is_exceeded(0, 0)


@pytest.mark.parametrize("text", ["", "%", "-1%", "101%", "5percent", "x", "-1"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(InvalidUnit):
        WasteLimit.parse(text)
