"""What is noted of the steps of a stage while they go on, for `minidock why`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from minidock.core.build_record import CACHED, CANCELED, FAILED, StepFate
from minidock.core.digest import Digest
from minidock.core.reason import Reason
from minidock.engine.progress import Step
from minidock.engine.side_by_side import Cancelled
from minidock.errors import MinidockError


class StepFates:
    """The steps of one stage in ``fates``, which all stages of a build share."""

    def __init__(self, fates: list[StepFate]) -> None:
        self._fates = fates

    def cached(self, step: Step, layer_id: str, diff_id: Digest | None = None) -> None:
        """Note that an earlier step made the layer; None if it is one that is made only later."""
        self._fates.append(StepFate(step.number, layer_id, step.name, CACHED, diff_id=diff_id))

    def runs(self, step: Step, layer_id: str, outcome: str, reasons: tuple[Reason, ...]) -> StepFate:
        """Note, and return, why a step runs or would."""
        fate = StepFate(step.number, layer_id, step.name, outcome, reasons)
        self._fates.append(fate)
        return fate

    def made(self, step: Step, diff_id: Digest) -> None:
        """Add the layer to what was noted of a step that ran."""
        self._change(step, diff_id=diff_id)

    @contextmanager
    def failing(self, step: Step) -> Iterator[None]:
        """Note that a step that runs came to no end if the block raises an error."""
        try:
            yield
        except Cancelled:
            self._change(step, outcome=CANCELED)
            raise
        except MinidockError:
            self._change(step, outcome=FAILED)
            raise

    def _change(self, step: Step, **fields: object) -> None:
        for place, fate in enumerate(self._fates):
            if fate.number == step.number:
                self._fates[place] = replace(fate, **fields)  # type: ignore[arg-type]  # fields of a fate
                return
