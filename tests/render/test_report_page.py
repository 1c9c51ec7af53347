"""The page of `minidock report` in a browser: what is drawn, keyboard, colours, narrow windows, paper, no scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from minidock.core.report import Report
from minidock.render.report import page
from tests.render.browser import PROGRAM, Browser
from tests.render.reports import EVIL, hostile, large, small

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed")

Load = Callable[..., Browser]

WIDE, NARROW = (1280, 900), (360, 740)

# Every piece of text that is seen, with the contrast of its colour to what is behind it (WCAG 2.1, 1.4.3).
CONTRASTS = """(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || ['SCRIPT', 'STYLE'].includes(parent.tagName)) continue;
    if (!parent.checkVisibility({visibilityProperty: true})) continue;
    let behind = parent;
    while (behind && rgba(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
    const ground = getComputedStyle(behind || document.body).backgroundColor;
    const [a, b] = [getComputedStyle(parent).color, ground].map(rgba).map(light).sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), walker.currentNode.data.trim().slice(0, 40), parent.className]);
  }
  return found;
})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def load(browser: Browser, tmp_path: Path) -> Iterator[Load]:
    """Return a function that shows a report; afterwards nothing may have been complained of or asked for."""
    path = tmp_path / "report.html"

    def show(report: Report, size: tuple[int, int] = WIDE, scheme: str = "light", media: str = "") -> Browser:
        browser.problems.clear()
        browser.requests.clear()
        path.write_text(page(report), encoding="utf-8")
        browser.show(*size, scheme, media)
        browser.open(path)
        return browser

    yield show
    assert browser.problems == []
    assert set(browser.requests) <= {path.as_uri()}


def focused(browser: Browser) -> str:
    """Return what a screen reader would say of the element that has the keyboard."""
    said: str = browser.ask("document.activeElement.getAttribute('aria-label') || document.activeElement.textContent")
    return said


def blocks(browser: Browser) -> list[list[object]]:
    """Return every block of the map: what it says, its row, how many rows it spans, its height."""
    found: list[list[object]] = browser.ask(
        "[...document.querySelectorAll('[role=gridcell]')].map((cell) => [cell.getAttribute('aria-label'),"
        " cell.parentElement.getAttribute('aria-rowindex'), cell.getAttribute('aria-rowspan'), cell.offsetHeight])"
    )
    return found


def test_a_layer_that_images_share_is_one_block_as_tall_as_they_are_many(load: Load) -> None:
    browser = load(small())
    assert blocks(browser) == [
        ["FROM scratch, 90MB, shared by 2 images", "1", "2", 52],
        ["COPY src /app, 20MB, in one image only", "2", None, 26],
        ["RUN rm /app/a, 0B, in one image only", "2", None, 26],
        ["ADD all /, 40MB, in one image only", "3", None, 26],
    ]


def test_blocks_are_to_scale_or_even(load: Load) -> None:
    browser = load(small())
    widths = "[...document.querySelectorAll('[role=gridcell]')].map((cell) => cell.getBoundingClientRect().width)"
    base, copy, empty, alone = browser.ask(widths)
    assert base / copy == pytest.approx(4.5, rel=0.02)
    assert base / alone == pytest.approx(2.25, rel=0.02)
    assert empty == pytest.approx(5, abs=0.1)
    browser.ask("document.querySelector('input[value=even]').click()")
    assert browser.ask(widths) == pytest.approx([browser.ask(widths)[0]] * 4, rel=0.01)


def test_the_keyboard_goes_everywhere(load: Load) -> None:
    browser = load(small())
    browser.ask("document.querySelector('input[name=width]').focus()")
    browser.press("Tab")
    assert focused(browser) == "FROM scratch, 90MB, shared by 2 images"
    for key, where in (
        ("ArrowRight", "COPY src /app, 20MB, in one image only"),  # though the row of base:1 ends here
        ("ArrowLeft", "FROM scratch, 90MB, shared by 2 images"),
        ("ArrowDown", "ADD all /, 40MB, in one image only"),
        ("ArrowUp", "FROM scratch, 90MB, shared by 2 images"),
        ("ArrowRight", "COPY src /app, 20MB, in one image only"),
        ("End", "RUN rm /app/a, 0B, in one image only"),
        ("ArrowRight", "RUN rm /app/a, 0B, in one image only"),
        ("Home", "FROM scratch, 90MB, shared by 2 images"),
        ("ArrowLeft", "app:1"),
        ("ArrowRight", "FROM scratch, 90MB, shared by 2 images"),
    ):
        browser.press(key)
        assert focused(browser) == where, key
        assert browser.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert float(browser.ask("parseFloat(getComputedStyle(document.activeElement).outlineWidth)")) >= 2
    browser.press("Tab")
    assert not browser.ask("document.activeElement.matches('#grid *')")  # the map is one stop


def test_enter_tells_all_of_a_layer_and_escape_lets_go(load: Load) -> None:
    browser = load(small())
    browser.ask("document.querySelector('[role=gridcell]').focus()")
    browser.press("Enter")
    text = browser.ask("document.getElementById('panel').innerText")
    for part in (
        "FROM scratch",
        "90MB (90,000,000 bytes)",
        "2: sharing saves 90MB",
        f"{small().layers[0].diff_id}",
        "app:1",
        "/bin/sh",
    ):
        assert part in text, part
    assert browser.ask("document.querySelectorAll('[aria-selected=true]').length") == 1
    browser.press("Escape")
    assert "90,000,000" not in browser.ask("document.getElementById('panel').innerText")
    assert browser.ask("document.querySelectorAll('[aria-selected=true]').length") == 0


def test_enter_on_a_name_opens_its_steps(load: Load) -> None:
    browser = load(small())
    assert not browser.ask("document.querySelector('details.image').open")
    browser.ask("document.querySelector('[role=gridcell]').focus()")
    browser.press("ArrowLeft", "Enter")
    assert browser.ask("document.querySelector('details.image').open")
    assert browser.ask("document.querySelector('details.image .name').textContent") == "base:1"


def test_the_filter_leaves_what_fits(load: Load) -> None:
    browser = load(small())
    browser.ask("document.getElementById('filter').focus()")
    browser.press("a", "p", "p")
    assert [label for label, *_ in blocks(browser)] == [
        "FROM scratch, 90MB, shared by 2 images",
        "COPY src /app, 20MB, in one image only",
        "RUN rm /app/a, 0B, in one image only",
    ]
    assert browser.ask("document.getElementById('count').textContent") == "1 of 3 images"
    shown = "[...document.querySelectorAll('details.image')].filter((part) => !part.hidden).length"
    assert browser.ask(shown) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_every_colour_scheme(load: Load, scheme: str) -> None:
    browser = load(small(), scheme=scheme)
    browser.ask("for (const part of document.querySelectorAll('details')) part.open = true")
    browser.ask("document.querySelector('[role=gridcell]').click()")
    found = browser.ask(CONTRASTS)
    assert len(found) > 100
    assert [text for text in found if text[0] < 4.5] == []


def test_the_scheme_is_the_system_s_until_the_button_says_otherwise(load: Load) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    browser = load(small())
    light = browser.ask(ground)
    browser.show(*WIDE, "dark")
    dark = browser.ask(ground)
    assert light != dark
    button = "document.getElementById('theme')"
    seen = []
    for _ in range(3):
        browser.ask(f"{button}.click()")
        seen.append((browser.ask(f"{button}.textContent"), browser.ask(ground)))
    assert seen == [("Dark", dark), ("Light", light), ("Auto", dark)]


def test_a_narrow_window_has_no_sideways_scrolling(load: Load) -> None:
    browser = load(small(), NARROW)
    browser.ask("for (const part of document.querySelectorAll('details')) part.open = true")
    assert browser.ask("document.documentElement.scrollWidth") <= NARROW[0]
    assert len(blocks(browser)) == 4


def test_a_long_name_of_an_image_leaves_room_for_the_names_of_files(load: Load) -> None:
    report = small()
    name = "registry.example.com/team/application-with-a-long-name:1.2.3"
    named = tuple(replace(image, names=(name,)) for image in report.images)
    browser = load(replace(report, images=named), NARROW)
    width = browser.ask("document.querySelector('#files tbody th').getBoundingClientRect().width")
    assert width > NARROW[0] / 3


def test_paper_is_white_and_has_no_buttons(load: Load) -> None:
    browser = load(small(), scheme="dark", media="print")
    assert browser.ask("getComputedStyle(document.body).backgroundColor") == "rgb(253, 253, 252)"
    assert browser.ask("document.getElementById('grid').checkVisibility()")
    assert not browser.ask("document.getElementById('theme').checkVisibility()")
    assert [text for text in browser.ask(CONTRASTS) if text[0] < 4.5] == []


def test_without_scripts_there_are_tables_and_nothing_that_does_not_work(load: Load, browser: Browser) -> None:
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        load(small())
        # What scripts would find is asked of the browser itself.
        root = browser.send("DOM.getDocument")["root"]["nodeId"]

        def sizes(selector: str) -> list[bool]:
            found = []
            for node in browser.send("DOM.querySelectorAll", nodeId=root, selector=selector)["nodeIds"]:
                remote = browser.send("DOM.resolveNode", nodeId=node)["object"]["objectId"]
                function = "function() { return this.checkVisibility() }"
                answer = browser.send(
                    "Runtime.callFunctionOn", objectId=remote, functionDeclaration=function, returnByValue=True
                )
                found.append(answer["result"]["value"])
            return found

        assert sizes(".fallback") == [True]
        assert sizes("#tables table") == [True, True]
        assert sizes("#disk table") == [True]
        assert set(sizes(".live")) == {False}
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)


def test_hostile_words_are_shown_and_do_nothing(load: Load) -> None:
    browser = load(hostile())
    browser.ask("for (const part of document.querySelectorAll('details')) part.open = true")
    browser.ask("document.querySelector('[role=gridcell]').click()")
    assert browser.ask("document.querySelectorAll('img').length") == 0
    assert browser.ask("document.querySelector('#panel h3').textContent") == EVIL
    assert browser.ask("document.querySelector('[role=rowheader] a').textContent") == EVIL
    assert browser.ask("document.querySelector('h1').textContent") == f"/store/{EVIL}\\xff"


def test_a_thousand_images_are_drawn_as_far_as_they_are_asked_for(load: Load) -> None:
    browser = load(large())
    rows = "document.querySelectorAll('[role=row]').length"
    assert browser.ask(rows) == 80
    assert browser.ask("document.querySelectorAll('*').length") < 25_000
    assert browser.ask("document.getElementById('more').textContent") == "200 more of 920 images"
    browser.ask("document.getElementById('more').click()")
    assert browser.ask(rows) == 280
    browser.ask(
        "const field = document.getElementById('filter'); field.value = 'service-0777';"
        " field.dispatchEvent(new Event('input'))"
    )
    assert browser.ask(rows) == 1


def test_an_empty_store_has_a_page_too(load: Load) -> None:
    browser = load(small(layers=(), images=(), left_out=()))
    assert blocks(browser) == []
    assert "There are no images in this store." in browser.ask("document.body.innerText")
    browser.ask("document.getElementById('grid').focus()")
    browser.press("ArrowRight")
