"""The page of `minidock report` as text: whole without scripts, closed to what comes from images and to the network."""

from __future__ import annotations

import json
import re
import tomllib
from base64 import b64encode
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path

import pytest

import minidock
from minidock.render.markup import Markup, element, script_json, shown
from minidock.render.report import page
from tests.render.reading import read
from tests.render.reports import EVIL, hostile, small

ROOT = Path(minidock.__file__).parent


def test_hostile_names_files_and_instructions_stay_text() -> None:
    harmless, hurt = read(page(small())), read(page(hostile()))
    assert hurt.elements == harmless.elements  # not one element more, or another one
    assert {name for name, _ in hurt.attributes} == {name for name, _ in harmless.attributes}
    assert hurt.text.count(EVIL) >= 6  # name, instruction, reason, change, file, sentence: each is there to be read
    assert len(hurt.raw["script"]) == 2
    data = json.loads(hurt.raw["script"][0])
    assert data["images"][0]["label"] == EVIL
    assert data["layers"][0]["by"] == EVIL
    assert data["layers"][0]["files"][0][0] == EVIL


def test_the_policy_lets_in_this_script_and_style_and_nothing_else() -> None:
    found = read(page(hostile()))
    policy = next(value for name, value in found.attributes if name == "content" and value and "default-src" in value)

    def digest(content: str) -> str:
        return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"

    assert policy == (
        f"default-src 'none'; style-src {digest(found.raw['style'][0])}; script-src {digest(found.raw['script'][1])}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    names = {name for name, _ in found.attributes}
    assert not names & {"style", "src", "srcset", "action", "formaction"}  # the policy would forbid them
    assert not [name for name in names if name.startswith("on")]


def test_nothing_on_the_page_leads_away_from_it() -> None:
    found = read(page(small()))
    links = [value or "" for name, value in found.attributes if name in ("href", "xlink:href")]
    assert [link for link in links if not link.startswith(("#", "data:image/svg+xml,"))] == []
    assert "http" not in found.raw["script"][1]
    assert re.findall(r"url\(|@import", found.raw["style"][0]) == []
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "fetch("):
        assert forbidden not in found.raw["script"][1]


def test_links_lead_to_what_is_there_and_ids_are_unique() -> None:
    found = read(page(small()))
    ids = [value for name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    links = {value[1:] for name, value in found.attributes if name == "href" and value and value.startswith("#")}
    assert links <= set(ids)


def test_equal_reports_give_equal_pages() -> None:
    assert page(small()) == page(small())
    assert page(small(made="2027-01-01T00:00:00Z")).replace("2027-01-01", "2026-01-03") == page(small())


def test_without_scripts_the_page_says_it_all() -> None:
    text = " ".join(read(page(small())).text.split())
    for part in (
        "app:1",
        "COPY src /app",
        "why: 1 of 2 files changed: src/a (content)",
        "hidden: deleted in step 3",
        "stored again: same content as in step 1",
        "10.2MB (9.3 %) are stored in vain: 9MB hidden by later steps, 1.2MB the same content once more. "
        "minidock image waste app:1 tells what would save them.",
        "shared by 2",
        "4,196",  # the sum of what is on the disk
        "1 command or container may have written meanwhile",
        "The drawing needs JavaScript",
        "something that is not here",
    ):
        assert part in text, part


def test_what_misleads_the_eye_is_spelt_out() -> None:
    assert shown("a\x1b[31m\u202egpj.exe\udcff\ud800\nb\tc é") == "a\\x1b[31m\\u202egpj.exe\\xff\\ud800\nb\tc é"
    page(hostile()).encode()  # with bytes that are not UTF-8


@pytest.mark.parametrize("text", ["</script>", "<!--", "]]>", "a&amp;b", "\u2028", '"', "\\"])
def test_json_in_a_script_cannot_end_it_and_means_the_same(text: str) -> None:
    written = script_json({text: [text, 1, None, True]})
    assert not set(written) & set("<>&\u2028")
    ((key, value),) = json.loads(written).items()
    assert (key, value) == (shown(text), [shown(text), 1, None, True])


def test_only_markup_is_not_escaped() -> None:
    assert element("p", {"title": 'a"b<'}, "<i>", Markup("<b>x</b>")) == '<p title="a&quot;b&lt;">&lt;i&gt;<b>x</b></p>'


def test_every_file_of_the_package_is_installed() -> None:
    with open(ROOT.parent / "pyproject.toml", "rb") as file:
        declared = tomllib.load(file)["tool"]["setuptools"]["package-data"]
    patterns = [f"{package.replace('.', '/')}/{name}" for package, names in declared.items() for name in names]
    found = [
        str(path.relative_to(ROOT.parent))
        for path in ROOT.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    ]
    assert {path for path in found if path.startswith("minidock/render/page/")} == {
        f"minidock/render/page/report.{kind}" for kind in ("css", "html", "js")
    }
    assert [path for path in found if not any(fnmatch(path, pattern) for pattern in patterns)] == []
