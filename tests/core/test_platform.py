from __future__ import annotations

from typing import Any

import pytest

from minidock.core.platform import Platform
from minidock.errors import InvalidPlatform
from tests.vectors import params

HOST = Platform("linux", "amd64")


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux", Platform("linux", "amd64")),
        ("arm64", Platform("linux", "arm64")),
        ("LINUX/X86_64", Platform("linux", "amd64")),
        ("linux/arm", Platform("linux", "arm")),
        ("linux/arm/v7", Platform("linux", "arm", "v7")),
        ("linux/arm64/v8", Platform("linux", "arm64", "v8")),
        ("plan10/any", Platform("plan10", "any")),
    ],
)
def test_a_platform_is_parsed(text: str, platform: Platform) -> None:
    assert Platform.parse(text, HOST) == platform


@pytest.mark.parametrize("text", ["", "/", "linux/", "a/b/c/d", "nosuch", "li nux/arm", "linux/*"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidPlatform) as caught:
        Platform.parse(text, HOST)
    assert str(caught.value).startswith(f"failed to parse platform {text}: ")


def test_the_best_image_is_chosen() -> None:
    offered = [Platform.parse(text, HOST) for text in ("linux/386", "linux/amd64", "linux/amd64/v3", "linux/arm64")]
    assert HOST.choose(offered) == Platform("linux", "amd64")
    assert Platform("linux", "amd64", "v4").choose(offered) == Platform("linux", "amd64", "v3")
    assert Platform("linux", "s390x").choose(offered) is None


def of(fields: dict[str, Any]) -> Platform:
    return Platform(
        fields["os"],
        fields["architecture"],
        fields.get("variant", ""),
        fields.get("os.version", ""),
        tuple(fields.get("os.features", ())),
    )


@pytest.mark.parametrize("case", params("platforms", fn="parse"))
def test_vectors_of_parsing(case: dict[str, Any]) -> None:
    if case.get("error_any"):
        with pytest.raises(InvalidPlatform):
            Platform.parse(case["input"], HOST)
        return
    platform = Platform.parse(case["input"], Platform.parse(case["default_platform"], HOST))
    assert platform == of(case["platform"])
    assert (str(platform) if case["format"] == "plain" else platform.with_options()) == case["formatted"]
    assert [other for other in case["also_matches"] if not platform.matches(of(other))] == []


@pytest.mark.parametrize("case", params("platforms", fn="format_all"))
def test_vectors_of_formatting(case: dict[str, Any]) -> None:
    assert of(case["platform"]).with_options() == case["formatted"]


@pytest.mark.parametrize("case", params("platforms", fn=("only", "only_strict")))
def test_vectors_of_choosing(case: dict[str, Any]) -> None:
    wanted = Platform.parse(case["platform"], HOST)

    def accepts(text: str) -> bool:
        offered = Platform.parse(text, HOST)
        return wanted.matches(offered) if case["fn"] == "only_strict" else wanted.choose([offered]) is not None

    assert [text for text in case["accepts"] if not accepts(text)] == []
    assert [text for text in case["rejects"] if accepts(text)] == []


# The cases with fn=only_os and only_os_order choose by operating system alone, which minidock never does.
