"""Reports for the tests of the page: a small one, one made of hostile words, one of very many images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from minidock.core.digest import Digest
from minidock.core.reason import Reason
from minidock.core.report import (
    ImageDetails,
    ImageFile,
    LargeFile,
    Report,
    ReportImage,
    ReportLayer,
    ReportStep,
)
from minidock.core.stored_files import LayerBytes
from minidock.core.summary import UsageKind, UsageRow

EVIL = "</script><img src=x onerror=alert(1)>'\"&amp;<!--"
WHEN = "2026-01-02T03:04:05Z"


def digest(text: str) -> Digest:
    return Digest.sha256(text.encode())


def small(**changed: Any) -> Report:
    """Return a report of three images: a base, one of two layers more on it, one alone."""
    layers = (
        ReportLayer(digest("0"), 90_000_000, 95_000_000, 2, "FROM scratch", (LargeFile("bin/sh", 1_200_000),)),
        ReportLayer(digest("1"), 20_000_000, 21_000_000, 1, "COPY src /app", (LargeFile("app/a", 9_000_000),)),
        ReportLayer(digest("2"), 0, 512, 1, "RUN rm /app/a"),
        ReportLayer(digest("3"), 40_000_000, 41_000_000, 1, "ADD all /"),
    )
    steps = (
        ReportStep("FROM scratch", 90_000_000, 0, WHEN),
        ReportStep("COPY src /app", 20_000_000, 1, WHEN, "Dockerfile:2-3", "rebuilt", _reasons("src/a (content)")),
        ReportStep("RUN rm /app/a", 0, 2, WHEN, "", "cached"),
        ReportStep("ENV A=1", 0, None, WHEN),
    )
    files = (
        ImageFile("app/a", 9_000_000, 1, "hidden", "deleted", 2),
        ImageFile("bin/sh", 1_200_000, 0, "visible"),
        ImageFile("bin/bash", 1_200_000, 1, "duplicate", "", 0),
    )
    told = ImageDetails(steps, 0, WHEN, files, LayerBytes(99_800_000, 9_000_000, 1_200_000))
    base = ImageDetails(steps[:1])
    images = (
        _image("base:1", (0,), 90_000_000, 90_000_000, base),
        _image("app:1", (0, 1, 2), 110_000_000, 90_000_000, told),
        _image("alone:1", (3,), 40_000_000, 0, None),
    )
    report = Report(
        "minidock 1",
        "/store",
        "2026-01-03T00:00:00Z",
        (UsageRow(UsageKind.IMAGES, 3, 0, 150_000_000, 0),),
        (
            ("images", 4096),
            ("containers", 0),
            ("volumes", 0),
            ("build cache", 0),
            ("unpacked layers", 0),
            ("overhead", 100),
        ),
        (("index", 100),),
        1,
        layers,
        images,
        ("something that is not here",),
    )
    return replace(report, **changed)


def _reasons(change: str) -> tuple[Reason, ...]:
    return (Reason(f"1 of 2 files changed: {change}", (change,)), Reason("many", (change, "other")))


def _image(name: str, layers: tuple[int, ...], size: int, shared: int, details: ImageDetails | None) -> ReportImage:
    return ReportImage(digest(name), (name,), WHEN, "linux/amd64", size, shared, size - shared, 0, layers, details)


def hostile() -> Report:
    """Return the small report with `EVIL` for every word that comes from images, and bytes that are not UTF-8."""
    report = small()
    layers = tuple(
        replace(layer, instruction=EVIL, files=tuple(LargeFile(EVIL, file.size) for file in layer.files))
        for layer in report.layers
    )
    return replace(
        report,
        store=f"/store/{EVIL}\udcff",
        program=EVIL,
        layers=layers,
        images=tuple(_hostile_image(image) for image in report.images),
        left_out=(EVIL,),
    )


def _hostile_image(image: ReportImage) -> ReportImage:
    details = image.details
    if details is not None:
        steps = tuple(
            replace(
                step, instruction=EVIL, where=step.where and EVIL, reasons=tuple(map(_hostile_reason, step.reasons))
            )
            for step in details.steps
        )
        details = replace(details, steps=steps, files=tuple(file._replace(path=EVIL) for file in details.files))
    return replace(image, names=(EVIL,), platform=EVIL, details=details)


def _hostile_reason(reason: Reason) -> Reason:
    others = (f"{EVIL}\udcfe\ud800",) * (len(reason.details) - 1)
    return Reason(f"{EVIL} (content)", (EVIL, *others))


def large(images: int = 1000, of_each: int = 5) -> Report:
    """Return a report of many images, each of layers of its own on one of ten bases."""
    layers = [ReportLayer(digest(f"b{base}"), 80_000_000 + base, 1, images // 10, f"base {base}") for base in range(10)]
    made = []
    for number in range(images):
        first = len(layers)
        layers += [
            ReportLayer(digest(f"{number} {place}"), 1000 * (number % 97) + place, 1, 1, f"RUN make part {place}")
            for place in range(of_each)
        ]
        own = tuple(range(first, first + of_each))
        size = sum(layers[place].size for place in own)
        base = number * 10 // images
        made.append(_image(f"team/service-{number:04}:1", (base, *own), 80_000_000 + size, 80_000_000, None))
    return replace(small(), layers=tuple(layers), images=tuple(made))
