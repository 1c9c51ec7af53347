"""What every `inspect` command prints: documents, each as it is found, in the wanted format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minidock.errors import MinidockError
from minidock.render.formats import Format


def show_documents(names: Sequence[str], look: Callable[[str], dict[str, Any]], shape: Format) -> int:
    """Print what ``look`` finds as one array, or a line for each as JSON or by a template; then the errors."""
    from minidock.cli.each import tell
    from minidock.render.formats import json_document, json_text

    found, errors = [], []
    for name in names:
        try:
            found.append(look(name))
        except MinidockError as error:
            errors.append(error)
    if shape is Format.JSON_ARRAY:
        print(json_text(found))
    elif shape is Format.JSON:
        for members in found:
            print(json_text(members))
    elif shape.template:
        for members in found:
            print(shape.document(members), end="")
    else:
        print(json_document(found))
    return tell(errors)
