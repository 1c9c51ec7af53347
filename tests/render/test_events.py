"""Events as templates see them."""

from __future__ import annotations

from minidock.core.happening import Happening
from minidock.render.events import event_text
from minidock.render.formats import Format


def test_templates_have_gos_names_and_those_of_the_json() -> None:
    event = Happening("container", "create", "c1", {"image": "app:1"}, 1_500_000_000_000_000_007)
    names = ("Type", "Action", "Actor.ID", "Scope", "Time", "TimeNano", "Status", "ID", "From")
    shape = Format.parse(" ".join(f"{{{{.{name}}}}}" for name in names))
    assert event_text(event, shape) == "container create c1 local 1500000000 1500000000000000007 create c1 app:1"
    volume = Happening("volume", "create", "v1", {}, 1_500_000_000_000_000_007)
    assert event_text(volume, Format.parse("{{.ID}}|{{.From}}|{{.time}}")) == "||1500000000"
