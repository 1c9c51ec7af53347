"""The page of `minidock report`: one HTML file that asks for nothing else, and reads without JavaScript too."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from typing import Any

from minidock.core.report import Report
from minidock.render import report_images, report_store
from minidock.render.markup import script_json, text

_PLACE = re.compile(r"\{\{(\w+)\}\}")


def page(report: Report) -> str:
    """Return the page; equal reports give equal pages."""
    style, script = _part("report.css"), _part("report.js")
    return _filled(
        _part("report.html"),
        {
            "policy": _policy(style, script),
            "title": text(f"minidock report: {report.store}"),
            "style": style,
            "script": script,
            "data": script_json(map_json(report)),
            "store": text(report.store),
            "made": text(report.made),
            "made_short": text(_minute(report.made)),
            "program": text(report.program),
            "figures": report_store.figures(report),
            "disk": report_store.disk(report),
            "tables": report_store.tables(report),
            "images": report_images.details(report),
            "files": report_store.largest_files(report),
            "left_out": report_store.left_out(report),
        },
    )


def _part(name: str) -> str:
    return (files("minidock.render") / "page" / name).read_text(encoding="utf-8")


def _filled(template: str, parts: Mapping[str, str]) -> str:
    """Return the template with its places filled; what is put in is not looked at again."""
    return _PLACE.sub(lambda place: parts[place[1]], template)


def _policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy: this style and this script, by their digests, and nothing from anywhere."""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(content: str) -> str:
    return f"sha256-{b64encode(sha256(content.encode()).digest()).decode()}"


def _minute(moment: str) -> str:
    return f"{moment[:10]} {moment[11:16]} UTC"


def map_json(report: Report) -> dict[str, Any]:
    """Return what the map is drawn from: layers, and images that refer to them by their places."""
    return {
        "layers": [
            {
                "id": str(layer.diff_id),
                "size": layer.size,
                "stored": layer.stored_size,
                "users": layer.users,
                "by": layer.instruction[: report_store.CUT],
                "files": [[file.path, file.size] for file in layer.files],
            }
            for layer in report.layers
        ],
        "images": [
            {
                "label": image.label,
                "names": list(image.names),
                "id": image.image_id.hex,
                "size": image.size,
                "own": image.unique_size,
                "layers": list(image.layers),
                "told": image.details is not None,
            }
            for image in report.images
        ],
    }
