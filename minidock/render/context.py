"""What a build context holds, and why a path is in it or not."""

from __future__ import annotations

from minidock.core.context_size import Part
from minidock.core.context_why import ContextListing, PathInContext
from minidock.core.units import human_size
from minidock.render import cells
from minidock.render.console import Console
from minidock.render.formats import Format, json_text
from minidock.render.plan import size_text


def print_listing(console: Console, found: ContextListing, *, shape: Format = Format.TABLE, most: int = 0) -> None:
    """Print the parts of a context, ``most`` of them (0: all), and their sum; documents have all of them."""
    if shape is Format.JSON:
        console.out.write(json_text(found.to_json()) + "\n")
        return
    if shape.template:
        console.out.write(shape.document(found.to_json()))
        return
    shown = found.parts[:most] if most else found.parts
    if shown:
        console.out.write(cells.table(("PATH", "FILES", "SIZE"), [_row(part) for part in shown]))
    if len(shown) < len(found.parts):
        console.out.write(f"and {len(found.parts) - len(shown):,} more\n")
    rules = f"after {found.ignore_file}" if found.ignore_file else "no ignore file"
    console.out.write(f"{size_text(found.size)} ({rules})\n")


def _row(part: Part) -> tuple[str, str, str]:
    return f"{part.path}/" if part.is_directory else part.path, f"{part.files:,}", human_size(part.size)


def print_why(console: Console, found: PathInContext, *, shape: Format = Format.TABLE) -> None:
    """Print whether a path is in a context, and every rule that says something of it, the deciding one last."""
    if shape is Format.JSON:
        console.out.write(json_text(found.to_json()) + "\n")
        return
    if shape.template:
        console.out.write(shape.document(found.to_json()))
        return
    console.out.write(f"{found.path}: {_verdict(found)}\n")
    rows = []
    for position, (rule, matched) in enumerate(found.matches, 1):
        what = "it" if matched == found.path else f"{matched}/, where it is,"
        does = f"lets {what} in" if rule.is_exception else f"leaves {what} out"
        decides = " (decides)" if position == len(found.matches) else ""
        rows.append((f"{found.ignore_file}:{rule.line}", rule.text, f"{does}{decides}"))
    if rows:
        console.out.write(cells.table(("LINE", "PATTERN", "WHAT IT DOES"), rows))


def _verdict(found: PathInContext) -> str:
    rules = f"no line of {found.ignore_file} matches" if found.ignore_file else "there is no ignore file"
    why = "" if found.matches else f": {rules}"
    if not found.exists:
        return f"no such file in the context; it would be {'left out' if found.is_ignored else 'in it'}{why}"
    if found.holds_included:
        return "in the context for the sake of what is let in below it, else left out"
    return "left out of the context" if found.is_ignored else f"in the context{why}"
