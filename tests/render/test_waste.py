"""The waste of an image as it is printed: plain, with bars on a terminal, as JSON and by a template."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

from minidock.core.base_image import BaseImage
from minidock.core.digest import Digest
from minidock.core.entries import DIRECTORY, FILE, WHITEOUT, Entry
from minidock.core.image_steps import ImageStep
from minidock.core.step_lines import StepLines
from minidock.core.waste import Waste, find_waste, with_advice
from minidock.core.waste_advice import advices
from minidock.render.console import Console
from minidock.render.formats import Format
from minidock.render.waste import excess_text, percent, print_waste

BASE = BaseImage("base:1", f"sha256:{'b' * 64}", 1)


def stored(path: str, size: int, **fields: int) -> Entry:
    return Entry(path, FILE, size=size, sha256=path, **fields)


def step(layer: int, line: int, text: str) -> ImageStep:
    return ImageStep(text, StepLines("Dockerfile", line, line), layer, Digest(f"{layer:064x}"))


STEPS = [
    ImageStep("ADD file:ab in /", None, 0, Digest("0" * 64)),
    step(1, 2, "COPY tool /app/tool"),
    step(2, 3, "RUN make  a lot\x1b of /work files and do not clean up anything at all behind it # buildkit"),
    step(3, 4, "RUN rm -r /work /os; chmod 755 /app/tool"),
]
LAYERS = [
    [stored("os", 1500)],
    [Entry("app", DIRECTORY, 0o755), stored("app/tool", 4000)],
    [Entry("work", DIRECTORY), *(stored(f"work/{number}", 1000 + number) for number in range(12))],
    [
        Entry("app", DIRECTORY, 0o755),
        Entry("work", WHITEOUT),
        Entry("os", WHITEOUT),
        stored("app/tool", 4000, mode=0o755),
    ],
]


def waste_of(layers: list[list[Entry]], base_layers: int) -> Waste:
    waste = find_waste(STEPS[: len(layers)], layers, base_layers)
    return with_advice(waste, advices(waste, layers))


WASTE = waste_of(LAYERS, 1)


class Terminal(io.StringIO):
    encoding = "UTF-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def printed(waste: Waste, base: BaseImage | None, shape: Format = Format.TABLE, out: io.StringIO | None = None) -> str:
    out = out or io.StringIO()
    print_waste(Console(out, io.StringIO(), datetime(2026, 1, 1, tzinfo=UTC)), "app:1", waste, base, shape=shape)
    return out.getvalue()


TABLE = """\
app:1: 21.57kB stored, 4kB of it visible
Wasted: 17.57kB (81.4%): 16.07kB in its own layers, 1.5kB in those of its base image base:1

17.6kB   Dockerfile:4  RUN rm -r /work /os; chmod 755 /app/tool
         12.1kB: deletes 12 files below /work of Dockerfile:3
         -> remove them in the RUN of Dockerfile:3: a layer keeps what its own step does not remove
         4kB: stores /app/tool of Dockerfile:2 again (mode 644→755)
         -> `COPY --chmod=755` in Dockerfile:2 instead of chmod in Dockerfile:4
         1.5kB: deletes /os of the base image
         -> the bytes stay in base:1: only another base image saves them

SIZE      LARGEST FILES   STORED BY      WASTED BY
4kB       /app/tool       Dockerfile:4   Dockerfile:4
1.5kB     /os             step 1         Dockerfile:4
1.01kB    /work/11        Dockerfile:3   Dockerfile:4
1.01kB    /work/10        Dockerfile:3   Dockerfile:4
1.01kB    /work/9         Dockerfile:3   Dockerfile:4
1.01kB    /work/8         Dockerfile:3   Dockerfile:4
1.01kB    /work/7         Dockerfile:3   Dockerfile:4
1.01kB    /work/6         Dockerfile:3   Dockerfile:4
1kB       /work/5         Dockerfile:3   Dockerfile:4
1kB       /work/4         Dockerfile:3   Dockerfile:4
and 4 more of 4.01kB together
"""


def test_each_step_is_told_with_what_it_did_and_what_would_save_it() -> None:
    assert printed(WASTE, BASE) == TABLE


def test_a_terminal_gets_bars() -> None:
    told = printed(WASTE, BASE, out=Terminal())
    assert "\n17.6kB   ▓▓▓▓░░░░░░░░░░░░  Dockerfile:4  RUN rm" in told
    assert "\n▓ stored again  ░ hidden\n" in told
    plain = told.replace("▓▓▓▓░░░░░░░░░░░░  ", "").replace("\n▓ stored again  ░ hidden\n", "")
    assert plain == TABLE


def test_a_file_that_is_written_again_and_two_that_are_moved_are_told_as_such() -> None:
    layers = [[stored("a", 5), stored("b", 4), stored("c", 3)],
              [stored("a", 5), Entry("b", WHITEOUT), Entry("c", WHITEOUT), stored("d", 4)._replace(sha256="b"),
               stored("e", 3)._replace(sha256="c")]]  # fmt: skip
    told = printed(waste_of(layers, 0), None)
    assert "stores /a of step 1 again (the same content)\n" in told
    assert "stores /d and 1 more file of step 1 again (from other paths)\n" in told


def test_an_image_without_waste_is_told_in_two_lines() -> None:
    assert printed(waste_of(LAYERS[:1], 0), None) == "app:1: 1.5kB stored, 1.5kB of it visible\nWasted: 0B (0.0%)\n"
    assert printed(find_waste([], []), None) == "app:1: 0B stored, 0B of it visible\nWasted: 0B (0%)\n"


def test_steps_of_the_base_image_say_so() -> None:
    told = printed(waste_of(LAYERS, 4), BaseImage("base:1", "", 4))
    assert "\n17.6kB   Dockerfile:4 (base image)  RUN rm" in told
    assert "->" not in told


def test_json_has_every_number() -> None:
    found = json.loads(printed(WASTE, BASE, Format.JSON))
    parts = found["steps"][0].pop("parts")
    assert found == {
        "version": 1,
        "image": "app:1",
        "size": 21_566,
        "visible": 4000,
        "wasted": 17_566,
        "own_wasted": 16_066,
        "base_wasted": 1500,
        "advised": 16_066,
        "efficiency": 0.1855,
        "base": {"name": "base:1", "layers": 1, "size": 1500},
        "steps": [
            {
                "layer": 3,
                "place": "Dockerfile:4",
                "instruction": "RUN rm -r /work /os; chmod 755 /app/tool",
                "diff_id": f"sha256:{3:064x}",
                "is_base": False,
                "size": 17_566,
            }
        ],
    }
    assert [(part["cause"], part["of"]["layer"], part["size"], part["is_base"]) for part in parts] == [
        ("deleted", 2, 12_066, False),
        ("mode", 1, 4000, False),
        ("deleted", 0, 1500, True),
    ]
    assert parts[1]["files"] == [{"path": "/app/tool", "size": 4000}]
    assert printed(WASTE, None, Format.parse("{{.wasted}} of {{.size}}")) == "17566 of 21566\n"


def test_shares_are_whole_only_if_they_are() -> None:
    assert [percent(part, 1000) for part in (0, 1, 123, 999, 1000)] == ["0.0%", "0.1%", "12.3%", "99.9%", "100.0%"]
    assert percent(1, 10_000) == "less than 0.1%"
    assert excess_text("app:1", WASTE, "5%") == "app:1 wastes 16.1kB (74.4%) in its own layers, more than 5%"
