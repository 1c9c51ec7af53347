"""Who uses how much: each table is a store described by its facts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from minidock.core.digest import Digest
from minidock.core.summary import ContainerRow, ContainerState, ImageRow, UsageKind, UsageRow, VolumeRow
from minidock.core.usage import CacheFact, ContainerFact, Facts, ImageFact, account
from minidock.render.fields import usage_fields

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SIZES = {"a": 1000, "b": 100, "c": 10, "d": 1}


def digest(name: str) -> Digest:
    return Digest.sha256(name.encode())


def layers(names: str) -> tuple[Digest, ...]:
    return tuple(digest(name) for name in names)


def image(name: str, stack: str) -> ImageFact:
    size = sum(SIZES[layer] for layer in stack)
    return ImageFact(ImageRow(name, "1", "", digest(f"image {name}"), NOW, size), layers(stack))


def container(
    name: str, of: str, stack: str, state: str = "exited", wrote: int = 0, volumes: str = ""
) -> ContainerFact:
    row = ContainerRow(name, of, "sh", NOW, ContainerState(state), size_rw=wrote)
    return ContainerFact(row, digest(f"image {of}"), layers(stack), tuple(volumes.split()))


def step(name: str, made: str = "", reached: str = "", *, is_in_use: bool = False) -> CacheFact:
    return CacheFact(
        name, NOW, diff_id=digest(made) if made else None, reached=layers(made or reached), is_in_use=is_in_use
    )


def facts(*items: ImageFact | ContainerFact | CacheFact | VolumeRow) -> Facts:
    return Facts(
        images=tuple(item for item in items if isinstance(item, ImageFact)),
        containers=tuple(item for item in items if isinstance(item, ContainerFact)),
        cache=tuple(item for item in items if isinstance(item, CacheFact)),
        volumes=tuple(item for item in items if isinstance(item, VolumeRow)),
        layer_sizes={digest(name): size for name, size in SIZES.items()},
    )


BASE, APP, OTHER = image("base", "a"), image("app", "ab"), image("other", "ac")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(facts(), UsageRow(UsageKind.IMAGES, 0, 0, 0, 0), id="nothing"),
        pytest.param(facts(BASE), UsageRow(UsageKind.IMAGES, 1, 0, 1000, 1000), id="one"),
        pytest.param(facts(BASE, APP, OTHER), UsageRow(UsageKind.IMAGES, 3, 0, 1110, 1110), id="shared-layers-once"),
        pytest.param(
            facts(BASE, APP, OTHER, container("x", "app", "ab")),
            UsageRow(UsageKind.IMAGES, 3, 1, 1110, 10),
            id="layers-of-a-used-image-stay",
        ),
        pytest.param(
            facts(APP, OTHER, container("x", "base", "a")),
            UsageRow(UsageKind.IMAGES, 2, 0, 1110, 110),
            id="a-container-of-an-unlisted-image-needs-its-layers",
        ),
        pytest.param(
            facts(APP, OTHER, step("s", "b")),
            UsageRow(UsageKind.IMAGES, 2, 0, 1110, 1010),
            id="what-the-cache-keeps-is-not-freed",
        ),
        pytest.param(
            facts(image("twice", "aa")), UsageRow(UsageKind.IMAGES, 1, 0, 1000, 1000), id="the-same-layer-twice"
        ),
        pytest.param(
            facts(BASE, step("s", "b")), UsageRow(UsageKind.IMAGES, 1, 0, 1000, 1000), id="the-cache-is-not-images"
        ),
    ],
)
def test_images_are_their_distinct_layers(found: Facts, expected: UsageRow) -> None:
    assert account(found).summary[0] == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(facts(BASE), UsageRow(UsageKind.CACHE, 0, 0, 0, 0), id="none"),
        pytest.param(facts(APP, step("s", "b")), UsageRow(UsageKind.CACHE, 1, 0, 0, 0), id="an-image-has-the-layer"),
        pytest.param(facts(BASE, step("s", "b")), UsageRow(UsageKind.CACHE, 1, 0, 100, 100), id="nobody-else-has-it"),
        pytest.param(
            facts(step("s", "b"), step("t", "b"), step("u", "c")),
            UsageRow(UsageKind.CACHE, 3, 0, 110, 110),
            id="a-layer-of-two-records-once",
        ),
        pytest.param(
            facts(step("i", reached="ab"), step("s", "b")),
            UsageRow(UsageKind.CACHE, 3, 0, 1100, 1100),
            id="the-base-that-only-a-step-keeps",
        ),
        pytest.param(
            facts(step("s", "b", is_in_use=True), step("t", "c")),
            UsageRow(UsageKind.CACHE, 2, 1, 110, 10),
            id="a-build-holds-one",
        ),
        pytest.param(
            facts(step("i", reached="ab"), container("x", "step", "ab")),
            UsageRow(UsageKind.CACHE, 3, 0, 1100, 0),
            id="a-container-of-a-step-keeps-it",
        ),
    ],
)
def test_the_cache_is_what_only_records_reach(found: Facts, expected: UsageRow) -> None:
    assert account(found).summary[3] == expected


def test_shared_and_unique_sizes_add_up_to_each_image() -> None:
    usage = account(facts(BASE, APP, OTHER, container("x", "app", "ab"), container("y", "app", "ab")))
    assert [(item.row.repository, item.shared_size, item.unique_size, item.containers) for item in usage.images] == [
        ("base", 1000, 0, 0),
        ("app", 1000, 100, 2),
        ("other", 1000, 10, 0),
    ]


def test_containers_and_volumes() -> None:
    usage = account(
        facts(
            BASE,
            container("run", "base", "a", "running", wrote=5, volumes="one"),
            container("wait", "base", "a", "paused", wrote=7),
            container("end", "base", "a", "exited", wrote=11, volumes="one two"),
            container("new", "base", "a", "created", wrote=13),
            VolumeRow("one", "local", "/one", size=100),
            VolumeRow("two", "local", "/two", size=200),
            VolumeRow("three", "local", "/three", size=400),
        )
    )
    assert usage.summary[1:3] == (
        UsageRow(UsageKind.CONTAINERS, 4, 2, 36, 24),
        UsageRow(UsageKind.VOLUMES, 3, 2, 700, 400),
    )
    assert [(row.name, row.links) for row in usage.volumes] == [("one", 2), ("two", 1), ("three", 0)]


@pytest.mark.parametrize(
    ("state", "reclaimable"), [("exited", 1 + 100), ("running", 0)], ids=["goes-with-it", "a-running-one-stays"]
)
def test_a_layer_that_only_a_container_reaches_is_the_containers(state: str, reclaimable: int) -> None:
    usage = account(facts(BASE, container("x", "gone", "ab", state, wrote=1)))
    assert usage.summary[1] == UsageRow(UsageKind.CONTAINERS, 1, int(state == "running"), 101, reclaimable)
    assert [row.size for row in usage.summary] == [1000, 101, 0, 0]


def test_rows_of_the_cache_that_no_image_shares_add_up() -> None:
    usage = account(facts(APP, step("base", reached="ac"), step("b", "b"), step("d", "d")))
    assert {(row.id, row.size, row.is_shared) for row in usage.cache} == {
        ("base", 0, False),
        ("b", 100, True),
        ("d", 1, False),
        (digest("c").hex, 10, False),
    }
    assert sum(row.size for row in usage.cache if not row.is_shared) == usage.summary[3].size == 11


@pytest.mark.parametrize(
    ("size", "reclaimable", "text"),
    [(0, 0, "0B"), (1000, 999, "999B (99%)"), (1000, 1000, "1kB (100%)"), (1000, 9, "9B (0%)")],
)
def test_percentages_are_rounded_down(size: int, reclaimable: int, text: str) -> None:
    assert usage_fields(UsageRow(UsageKind.IMAGES, 1, 0, size, reclaimable))["Reclaimable"] == text
