"""What the lists of all commands have in common: columns, and the forms that they are printed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from minidock.render import cells
from minidock.render.console import Console
from minidock.render.fields import Fields
from minidock.render.formats import Format, json_object

# Each column: the header, and the field below it.
Columns = tuple[tuple[str, str], ...]


def table_of(columns: Columns, rows: Iterable[Fields]) -> str:
    """Return the table that shows ``columns`` of ``rows``."""
    headers = [header for header, _ in columns]
    return cells.table(headers, [[row[field] or "" for _, field in columns] for row in rows])


def print_list(
    console: Console,
    columns: Columns,
    rows: Sequence[Fields],
    shape: Format,
    labels: Sequence[Mapping[str, str]] | None = None,
    raw: str = "raw",
) -> None:
    """Print rows in the form that was asked for; ``raw`` is the template of raw output, ``labels`` those of each row.

    Raises: TemplateError.
    """
    if shape is Format.RAW:
        shape = Format("template", raw)
    if shape is Format.JSON:
        console.out.writelines(f"{json_object(row)}\n" for row in rows)
    elif shape.template:
        console.out.write(shape.rows(rows, {field: header for header, field in columns}, labels))
    else:
        console.out.write(table_of(columns, rows))


def print_names(console: Console, names: Iterable[str], shape: Format = Format.TABLE, raw_name: str = "") -> None:
    """Print what `-q` leaves, one in a line, with its name before it in raw output."""
    before = f"{raw_name}: " if shape is Format.RAW and raw_name else ""
    console.out.writelines(f"{before}{name}\n" for name in names)


def is_own(shape: Format) -> bool:
    """Whether the format is the user's own, which `-q` leaves as it is."""
    return shape is not Format.TABLE and shape is not Format.RAW
