"""The values of ``--format``: a table, JSON as docker prints it, or a template."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from minidock.core.dataclass import dataclass
from minidock.render import cells

HELP = (
    "Format output:\n"
    "'table':            Print output in table format with column headers (default)\n"
    "'table TEMPLATE':   Print output in table format using the given Go template\n"
    "'json':             Print in JSON format\n"
    "'TEMPLATE':         Print output using the given Go template"
)
DOCUMENT_HELP = (
    "Format output:\n"
    "'json':             Print in JSON format\n"
    "'TEMPLATE':         Print output using the given Go template"
)

# What Go's encoder escapes so that its output can stand in HTML and in JavaScript.
_ESCAPES = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})


@dataclass(frozen=True, slots=True)
class Format:
    """How something is printed: as a `TABLE`, as `JSON`, or by a ``template``, of a table's row if ``is_table``."""

    name: str
    template: str = ""
    is_table: bool = False

    TABLE: ClassVar[Format]
    JSON: ClassVar[Format]
    RAW: ClassVar[Format]  # of a list that has no such form, as of a document, it is a template like any other
    JSON_ARRAY: ClassVar[Format]

    @classmethod
    def parse_document(cls, text: str) -> Format:
        """Return the format that ``text`` asks of a command that shows a list of documents: json is the whole list."""
        if text.strip(" ") == "json":
            return cls.JSON_ARRAY
        return cls.parse(text)

    @classmethod
    def parse(cls, text: str) -> Format:
        """Return the format that ``text`` asks for; nothing means a table."""
        wanted = text.strip(" ")
        if wanted in ("", "table"):
            return cls.TABLE
        if wanted in ("json", "{{json .}}"):
            return cls.JSON
        if wanted == "raw":
            return cls.RAW
        if wanted.startswith("table "):
            return cls("template", wanted.removeprefix("table ").strip(" "), is_table=True)
        return cls("template", wanted)

    def asks_for(self, field: str) -> bool:
        """Whether a template names a field."""
        return f".{field}" in self.template

    def rows(
        self,
        rows: Sequence[Mapping[str, Any]],
        headers: Mapping[str, str],
        labels: Sequence[Mapping[str, str]] | None = None,
    ) -> str:
        """Return the text of a list: a line for each row, below the ``headers`` of its fields if it is a table.

        ``labels`` of each row can be asked for by name, `{{.Label "a.b"}}`. Raises: TemplateError.
        """
        from minidock.core.templates.template import Template  # most lists are printed without

        source = self.template.replace("\\t", "\t").replace("\\n", "\n")
        template = Template.parse(source, "can't evaluate field {name}")
        if labels is None:
            lines = [template.fill(row) for row in rows]
        else:
            lines = [template.fill(row, _label_of(own)) for row, own in zip(rows, labels, strict=True)]
        if not self.is_table:
            return "".join(f"{line}\n" for line in lines)
        names = {name: headers.get(name) or _header(name) for name in {*headers, *(rows[0] if rows else ())}}
        methods = {} if labels is None else {"Label": _label_header}
        heads = [template.fill(names, methods, is_header=True)] if names else []
        cells_of = [line.split("\t") for text in (*heads, *lines) for line in text.split("\n")]
        return cells.aligned(cells_of)

    def document(self, members: Any) -> str:
        """Return the line for one document. Raises: TemplateError."""
        from minidock.core.templates.template import Template

        return Template.parse(self.template).fill(members) + "\n"


Format.TABLE = Format("table")
Format.JSON = Format("json")
Format.RAW = Format("raw", "raw")
Format.JSON_ARRAY = Format("json array")


def _header(field: str) -> str:
    """Return the header that docker gives a field: its words in capitals."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", field).upper()


def _label_of(labels: Mapping[str, str]) -> dict[str, Callable[[str], str]]:
    return {"Label": lambda name: labels.get(name, "")}


def _label_header(name: str) -> str:
    """Return the header above a label: the last part of its name."""
    return name.rpartition(".")[2].translate({ord("-"): " ", ord("_"): " "})


def json_text(value: Any) -> str:
    """Return ``value`` as compact JSON with docker's escapes; the order of keys is kept."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="surrogateescape").decode(errors="replace").translate(_ESCAPES)


def json_document(value: Any) -> str:
    """Return ``value`` as `inspect` prints it: four blanks for each level, nothing escaped that need not be."""
    text = json.dumps(value, ensure_ascii=False, indent=4)
    return text.encode(errors="surrogateescape").decode(errors="replace")


def json_object(fields: Mapping[str, Any]) -> str:
    """Return one row as a JSON object with its keys sorted, as docker's lists print it."""
    return json_text(dict(sorted(fields.items())))
