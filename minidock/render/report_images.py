"""The part of the report about single images: steps with size and cache fate, largest files, bytes in vain."""

from __future__ import annotations

from collections.abc import Sequence

from minidock.core.build_record import CACHED, REBUILT
from minidock.core.report import ImageDetails, ImageFile, Report, ReportImage, ReportLayer, ReportStep
from minidock.core.units import human_size
from minidock.render.markup import Markup, element, joined
from minidock.render.report_store import Cell, anchor, bar, size_cell, table


def details(report: Report) -> Markup:
    """Return what can be opened for each image that is told in detail."""
    largest = max((image.size for image in report.images), default=0)
    found = []
    for image in report.images:
        if image.details is not None:
            found.append(_image(image, image.details, report.layers, largest))
    return joined(found) if found else element("p", {"class": "note"}, "There are no images in this store.")


def _image(image: ReportImage, told: ImageDetails, layers: Sequence[ReportLayer], largest: int) -> Markup:
    head = element(
        "summary",
        None,
        element("span", {"class": "name"}, image.label),
        element("span", {"class": "soft id"}, image.image_id.short),
        bar(_sharing(image), largest),
        element("span", {"class": "n"}, human_size(image.size)),
        element("span", {"class": "soft fates"}, _fates(told)),
    )
    widest = max((step.size for step in told.steps), default=0)
    rows = [_step(number, step, layers, widest, told) for number, step in enumerate(told.steps, 1)]
    heads = (("n", "#"), ("", "Instruction"), ("n", "Size"), ("wide", ""), ("wide", "Layer"), ("", "Last build"))
    parts = [
        element("p", {"class": "meta"}, _meta(image, told)),
        table("Steps, the oldest first", heads, rows, "steps"),
    ]
    if told.more_steps:
        parts.append(element("p", {"class": "note"}, f"{told.more_steps:,} more steps follow."))
    if told.files:
        of_files = (("", "File"), ("n", "Size"), ("n", "Step"), ("", "In the image"))
        parts.append(table("Its largest files", of_files, [_file(file) for file in told.files], "files"))
        parts.append(element("p", {"class": "note"}, _waste(image, told)))
    attributes = {"id": anchor(image), "class": "image", "data-image": image.image_id.hex, "data-built": told.built}
    return element("details", attributes, head, *parts)


def _sharing(image: ReportImage) -> tuple[tuple[str, int, str], ...]:
    return (
        ("shared", image.shared_size, f"shared: {human_size(image.shared_size)}"),
        ("own", image.unique_size, f"own: {human_size(image.unique_size)}"),
    )


def _fates(told: ImageDetails) -> str:
    cached = sum(step.outcome == CACHED for step in told.steps)
    rebuilt = sum(step.outcome == REBUILT for step in told.steps)
    return f"last build: {cached} cached, {rebuilt} rebuilt" if told.built else ""


def _meta(image: ReportImage, told: ImageDetails) -> str:
    facts = [
        ", ".join(image.names) or "no name",
        image.platform,
        f"created {_day(image.created)}" if image.created else "",
        "" if told.built else "no record of its build",
        f"{human_size(image.shared_size)} shared with other images, {human_size(image.unique_size)} its own",
        f"{image.containers} containers" if image.containers > 1 else "1 container" if image.containers else "",
    ]
    return " · ".join(fact for fact in facts if fact)


def _day(moment: str) -> str:
    return f"{moment[:10]} {moment[11:16]}"


def _step(number: int, step: ReportStep, layers: Sequence[ReportLayer], widest: int, told: ImageDetails) -> list[Cell]:
    head: Cell = ("n soft", str(number))
    if step.layer is None:
        return [head, ("what", _what(step)), ("n soft", "–"), ("wide", ""), ("wide", ""), _fate(step, told)]
    layer = layers[step.layer]
    style, sharing = ("shared", f"shared by {layer.users}") if layer.users > 1 else ("own", "own")
    drawn = bar(((style, step.size, human_size(step.size)),), widest) if step.size else ""
    owner = joined(
        (element("code", None, layer.diff_id.short), " ", element("span", {"class": f"tag {style}"}, sharing))
    )
    return [head, ("what", _what(step)), size_cell(step.size), ("wide", drawn), ("wide", owner), _fate(step, told)]


def _what(step: ReportStep) -> Markup:
    """Return an instruction, where it stands, and why it was rebuilt."""
    parts = [element("code", None, step.instruction or "—")]
    if step.where:
        parts.append(element("small", {"class": "where"}, step.where))
    for reason in step.reasons:
        parts.append(element("p", {"class": "why"}, "why: ", reason.text))
        if any(detail not in reason.text for detail in reason.details):
            items = element("ul", None, *(element("li", None, detail) for detail in reason.details))
            parts.append(element("details", {"class": "changes"}, element("summary", None, "more"), items))
    return joined(parts)


def _fate(step: ReportStep, told: ImageDetails) -> Cell:
    if step.outcome == CACHED:
        return ("", element("span", {"class": "fate cached"}, "cached"))
    if step.outcome:
        return ("", element("span", {"class": "fate rebuilt"}, step.outcome))
    return ("soft", "base image" if told.built and step.layer is not None else "")


_WAYS = {
    "overwritten": "hidden: overwritten in step",
    "deleted": "hidden: deleted in step",
    "emptied": "hidden: its directory emptied in step",
    "replaced": "hidden: replaced in step",
}


def _file(file: ImageFile) -> list[Cell]:
    other = file.other + 1 if file.other is not None else ""
    if file.fate == "duplicate":
        told = f"stored again: same content as in step {other}"
    else:
        told = f"{_WAYS[file.way]} {other}" if file.way else "visible"
    style = "soft" if file.fate == "visible" else "vain"
    return [("code", f"/{file.path}"), size_cell(file.size), ("n", str(file.step + 1)), (style, told)]


def _waste(image: ReportImage, told: ImageDetails) -> Markup | str:
    if told.bytes is None:
        return ""
    hidden, duplicate = told.bytes.hidden, told.bytes.duplicate
    if not hidden + duplicate:
        return "Every byte that its layers store is visible in the image."
    share = 100 * (hidden + duplicate) / told.bytes.added
    sentence = (
        f"{human_size(hidden + duplicate)} ({share:.1f} %) are stored in vain: "
        f"{human_size(hidden)} hidden by later steps, {human_size(duplicate)} the same content once more. "
    )
    command = element("code", None, f"minidock image waste {image.label}")
    return joined((sentence, command, " tells what would save them."))
