"""What the record of a step tells beside the inputs of its key, so that a change has a name that its author knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, NamedTuple

from minidock.core.dataclass import dataclass
from minidock.core.dockerfile.ignore import IgnoreRules
from minidock.core.secret_words import marked


class Ignores(NamedTuple):
    """The ignore rules of a context from which files are taken; ``prefix`` stands before their paths in the inputs."""

    prefix: str
    rules: IgnoreRules


class ToldMount(NamedTuple):
    """Where a mount takes its content from: ``setting`` names it in the inputs, ``files`` begins the paths there."""

    setting: str
    from_: str
    source: str
    files: str


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of a step; no part of its key.

    ``text`` is the instruction as its author knows it, without the words of its ``shell``; ``base`` the name and ID of
    the image that its stage began with; ``secrets`` are values that no record may hold.
    """

    text: str = ""
    shell: str = ""
    base: str = ""
    ignores: tuple[Ignores, ...] = ()
    mounts: tuple[ToldMount, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the members of a record, with marks for secret values."""
        return {
            "text": self._marked(self.text),
            "shell": self.shell,
            "base": self.base,
            "ignores": [
                [self._marked(prefix), rules.filename, [[rule.line, self._marked(rule.text)] for rule in rules.rules]]
                for prefix, rules in self.ignores
            ],
            "mounts": [[self._marked(text) for text in mount] for mount in self.mounts],
        }

    def _marked(self, text: str) -> str:
        return marked(text, self.secrets)

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Told:
        """Return what a record tells; older ones tell less. Raises: TypeError, ValueError, PatternError."""
        return cls(
            text=str(members.get("text", "")),
            shell=str(members.get("shell", "")),
            base=str(members.get("base", "")),
            ignores=tuple(
                Ignores(str(prefix), IgnoreRules.from_lines(lines, str(filename)))
                for prefix, filename, lines in members.get("ignores", ())
            ),
            mounts=tuple(ToldMount(*map(str, row)) for row in members.get("mounts", ())),
        )


NOTHING_TOLD = Told()
