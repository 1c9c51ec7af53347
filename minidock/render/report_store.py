"""The parts of the report about the whole store: figures, the disk, tables of images and layers, largest files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from minidock.core.report import Report, ReportImage, ReportLayer
from minidock.core.units import human_size
from minidock.render.markup import Markup, element, joined

CUT = 400  # characters of an instruction, where its image has it whole
_MOST_LAYERS = 300
_MOST_FILES = 20

Cell = tuple[str, Markup | str]  # class, content


def table(caption: str, heads: Sequence[tuple[str, str]], rows: Iterable[Sequence[Cell]], name: str = "") -> Markup:
    """Return a table with a caption, headers as (class, text) and rows of cells; the first of a row is its header."""
    head = element("tr", None, *(element("th", _class(style) | {"scope": "col"}, title) for style, title in heads))
    body = []
    for cells in rows:
        (style, first), *rest = cells
        body.append(
            element(
                "tr",
                None,
                element("th", _class(style) | {"scope": "row"}, first),
                *(element("td", _class(style), content) for style, content in rest),
            )
        )
    return element(
        "table",
        _class(name),
        element("caption", None, caption),
        element("thead", None, head),
        element("tbody", None, *body),
    )


def _class(name: str) -> dict[str, str]:
    return {"class": name} if name else {}


def bar(parts: Sequence[tuple[str, int, str]], whole: int, name: str = "bar") -> Markup:
    """Return a bar: parts (class, size, what a pointer is told) side by side, to the scale of ``whole``.

    It says nothing that the text beside it does not.
    """
    drawn, start = [], 0.0
    for style, size, told in parts:
        share = 100 * size / whole if whole else 0.0
        if size:
            place = {"class": style, "x": f"{start:.3f}%", "width": f"{share:.3f}%", "height": "100%"}
            drawn.append(element("rect", place, element("title", None, told)))
        start += share
    return element("svg", {"class": name, "aria-hidden": "true"}, *drawn)


def size_cell(size: int) -> Cell:
    """Return the cell of a size."""
    return ("n", human_size(size))


def figures(report: Report) -> Markup:
    """Return the few numbers on top."""
    apparent, stored = report.apparent_size, report.stored_size
    total = sum(size for _, size in report.on_disk)
    shared = sum(layer.users > 1 for layer in report.layers)
    found = (
        ("Images", f"{len(report.images):,}", ""),
        ("Layers", f"{len(report.layers):,}", f"{shared:,} shared"),
        ("Images add up to", human_size(apparent), "if each had its layers alone"),
        ("Their layers take", human_size(stored), f"{human_size(apparent - stored)} saved by sharing"),
        ("The store on the disk", human_size(total), "with everything else"),
    )
    items = (
        element("div", None, element("dt", None, name), element("dd", None, value, element("small", None, note)))
        for name, value, note in found
    )
    return element("dl", {"class": "figures"}, *items)


_TOLD = {
    "images": "layers, configs and manifests of images",
    "containers": "what they wrote, their logs and records",
    "volumes": "their files",
    "build cache": "layers that only it keeps, records, cache mounts",
    "unpacked layers": "what processes see; made again from the layers when needed",
    "overhead": "",
}


def disk(report: Report) -> Markup:
    """Return the bar and the table whose sum is what `du` says."""
    total = sum(size for _, size in report.on_disk)
    kinds = [(f"k{place}", size, f"{kind}: {human_size(size)}") for place, (kind, size) in enumerate(report.on_disk)]
    rows: list[list[Cell]] = []
    for place, (kind, size) in enumerate(report.on_disk):
        told = _TOLD.get(kind, "")
        if kind == "overhead":
            told = ", ".join(f"{name} {human_size(part)}" for name, part in report.overhead if part)
        swatch = element("span", {"class": f"swatch k{place}", "aria-hidden": "true"})
        rows.append([("", joined((swatch, kind))), size_cell(size), ("n exact", f"{size:,}"), ("soft wide", told)])
    rows.append([("", "sum"), size_cell(total), ("n exact", f"{total:,}"), ("soft wide", "")])
    heads = (("", "What"), ("n", "On disk"), ("n exact", "Bytes"), ("wide", "Holds"))
    command = element("code", None, "du -s -B1")
    caption = joined(("Allocated bytes; the sum is what ", command, " says of the directory"))
    parts = [
        bar(kinds, total, "bar tall"),
        table(caption, heads, rows),
    ]
    if report.writers:
        parts.append(element("p", {"class": "note"}, _writers(report.writers)))
    return joined(parts)


def _writers(count: int) -> str:
    who = "1 command or container" if count == 1 else f"{count} commands and containers"
    return f"{who} may have written meanwhile: each number was true when it was taken, their sum perhaps never."


def tables(report: Report) -> Markup:
    """Return the map as tables: images, and the largest layers."""
    heads = (
        ("", "Image"),
        ("n", "Size"),
        ("n", "Shared"),
        ("n", "Own"),
        ("n wide", "Layers"),
        ("n wide", "Containers"),
    )
    images = table("Images, those that share layers side by side", heads, (_image_row(each) for each in report.images))
    largest = sorted(report.layers, key=lambda layer: (-layer.size, layer.diff_id.hex))
    names = _names(report)
    rows = (_layer_row(layer, names[layer.diff_id.hex]) for layer in largest[:_MOST_LAYERS])
    caption = f"The {_MOST_LAYERS} largest of {len(largest):,} layers" if len(largest) > _MOST_LAYERS else "Layers"
    of_layers = (("", "Instruction"), ("n", "Size"), ("wide", "Layer"), ("", "Images that have it"))
    return joined((images, table(caption, of_layers, rows)))


def _image_row(image: ReportImage) -> list[Cell]:
    named = element("a", {"href": f"#{anchor(image)}"}, image.label) if image.details is not None else image.label
    others = [element("br"), element("small", None, ", ".join(image.names[1:]))] if len(image.names) > 1 else []
    return [
        ("", joined((named, *others))),
        size_cell(image.size),
        size_cell(image.shared_size),
        size_cell(image.unique_size),
        ("n wide", str(len(image.layers))),
        ("n wide", str(image.containers)),
    ]


def _layer_row(layer: ReportLayer, names: Sequence[str]) -> list[Cell]:
    some = ", ".join(names[:5])
    more = layer.users - len(names[:5])
    return [
        ("code", cut(layer.instruction)),
        size_cell(layer.size),
        ("code wide digest", layer.diff_id.short),
        ("", f"{layer.users}: {some}" + (f" and {more:,} more" if more > 0 else "")),
    ]


def _names(report: Report) -> dict[str, list[str]]:
    """Return the images that have each layer, by its hex."""
    found: dict[str, list[str]] = {}
    for image in report.images:
        for place in dict.fromkeys(image.layers):
            found.setdefault(report.layers[place].diff_id.hex, []).append(image.label)
    return found


def largest_files(report: Report) -> Markup:
    """Return the largest files that layers of the images told in detail store, each layer once."""
    pairs = [(file, layer) for layer in report.layers for file in layer.files]
    pairs.sort(key=lambda pair: (-pair[0].size, pair[0].path, pair[1].diff_id.hex))
    names = _names(report)
    rows: list[list[Cell]] = []
    for file, layer in pairs[:_MOST_FILES]:
        users = f"{layer.users} images" if layer.users > 1 else names[layer.diff_id.hex][0]
        rows.append(
            [("code", f"/{file.path}"), size_cell(file.size), ("code wide", cut(layer.instruction)), ("", users)]
        )
    if not rows:
        return element("p", {"class": "note"}, "No files: nothing was looked at in detail.")
    heads = (("", "File"), ("n", "Size"), ("wide", "Stored by"), ("", "In"))
    return table("Of the layers of the images above, each layer once", heads, rows, "files")


def left_out(report: Report) -> Markup:
    """Return what is not on the page, nothing if all is."""
    if not report.left_out:
        return Markup("")
    items = (element("li", None, sentence) for sentence in report.left_out)
    return element("section", None, element("h2", None, "Left out"), element("ul", None, *items))


def anchor(image: ReportImage) -> str:
    """Return the name of the place on the page where an image is told of."""
    return f"image-{image.image_id.short}"


def cut(instruction: str) -> str:
    """Return an instruction, or as much of it as goes into a cell."""
    return instruction if len(instruction) <= CUT else f"{instruction[: CUT - 1]}…"
