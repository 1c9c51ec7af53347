"""What became of the steps of one build and why: what `minidock why` shows again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest
from minidock.core.reason import Reason
from minidock.errors import InvalidDigest, StoreError

VERSION = 1
CACHED = "cached"
REBUILT = "rebuilt"
FAILED = "failed"
CANCELED = "canceled"  # another step failed meanwhile
WOULD_RUN = "run"
MISSING = "missing"


@dataclass(frozen=True, slots=True)
class StepFate:
    """One step: ``id`` is its place in the Dockerfile, ``name`` what the progress calls it (no secrets in it).

    ``outcome`` is `CACHED` or `REBUILT`, of a step that came to no end `FAILED` or `CANCELED`; in a plan `CACHED`,
    `WOULD_RUN`, or `MISSING` for a base that is not there.
    ``diff_id`` is the layer, None if the step failed or is only planned. ``number`` is the order in which steps
    appeared.
    """

    number: int
    id: str
    name: str
    outcome: str
    reasons: tuple[Reason, ...] = ()
    diff_id: Digest | None = None

    @property
    def is_cached(self) -> bool:
        """Whether an earlier build made the result."""
        return self.outcome == CACHED

    @property
    def line(self) -> str:
        """Every reason in one line."""
        return "; ".join(reason.text for reason in self.reasons)

    def to_json(self) -> dict[str, Any]:
        """Return the step as a document has it."""
        return {
            "step": self.number,
            "id": self.id,
            "name": self.name,
            "outcome": self.outcome,
            "reasons": [{"text": reason.text, "details": list(reason.details)} for reason in self.reasons],
            "diff_id": self.diff_id and str(self.diff_id),
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> StepFate:
        """Return a step of a document. Raises: KeyError, TypeError, InvalidDigest."""
        diff_id = members["diff_id"]
        return cls(
            int(members["step"]),
            str(members["id"]),
            str(members["name"]),
            str(members["outcome"]),
            tuple(Reason(str(item["text"]), tuple(map(str, item["details"]))) for item in members["reasons"]),
            None if diff_id is None else Digest.parse(diff_id),
        )


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """The last build of one target of one Dockerfile, steps by number.

    ``image_id`` is None if it failed, ``ended`` is RFC 3339.
    """

    scope: str
    ended: str
    steps: tuple[StepFate, ...]
    image_id: Digest | None = None
    names: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the document that is stored and shown."""
        return {
            "version": VERSION,
            "scope": self.scope,
            "ended": self.ended,
            "image_id": self.image_id and str(self.image_id),
            "names": list(self.names),
            "steps": [step.to_json() for step in self.steps],
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> BuildRecord:
        """Return a record that was read. Raises: StoreError."""
        try:
            if members["version"] != VERSION:
                raise StoreError("a build record of another version")
            image_id = members["image_id"]
            return cls(
                str(members["scope"]),
                str(members["ended"]),
                tuple(StepFate.from_json(step) for step in members["steps"]),
                None if image_id is None else Digest.parse(image_id),
                tuple(map(str, members["names"])),
            )
        except (KeyError, TypeError, ValueError, InvalidDigest) as error:
            raise StoreError("malformed build record") from error
