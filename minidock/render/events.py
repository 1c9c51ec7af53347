"""Events as lines of text or JSON."""

from __future__ import annotations

from minidock.core.happening import Happening
from minidock.core.moments import moment_text
from minidock.render.formats import Format, json_text


def event_text(event: Happening, shape: Format) -> str:
    """Return the line that shows an event."""
    if shape is Format.JSON:
        return json_text(event.to_json())
    if shape.template:
        return shape.document(_fields(event)).removesuffix("\n")
    attributes = ", ".join(f"{name}={value}" for name, value in sorted(event.attributes.items()))
    line = f"{moment_text(event.time, None)} {event.kind} {event.action} {event.actor}"
    return f"{line} ({attributes})" if attributes else line


def _fields(event: Happening) -> dict[str, object]:
    """Return the members of the JSON, and those that templates know by another spelling."""
    members = event.to_json()
    names = (("Status", "status"), ("ID", "id"), ("From", "from"))
    return {
        **members,
        **{name: members.get(spelt, "") for name, spelt in names},
        **{name: members[spelt] for name, spelt in (("Scope", "scope"), ("Time", "time"), ("TimeNano", "timeNano"))},
    }
