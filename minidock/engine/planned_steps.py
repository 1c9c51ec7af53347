"""Steps of one stage that are looked up only: what misses is told of, and nothing runs or is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from minidock.core.build_record import MISSING, WOULD_RUN
from minidock.core.cache_key import StepInputs
from minidock.core.config import ContainerConfig, HistoryEntry, ImageConfig
from minidock.core.digest import Digest
from minidock.core.dockerfile.model import Copy, Instruction
from minidock.core.reason import Reason
from minidock.engine.cached_steps import CachedSteps
from minidock.engine.copy_words import is_linked
from minidock.engine.progress import Step
from minidock.engine.stage_state import COMMENT, BuildContext, StageState
from minidock.errors import BlobNotFound
from minidock.store.cache import Record
from minidock.store.layers import Layer


class PlannedSteps(CachedSteps):
    """The steps of one stage as a build would find them.

    After the first that would run the layers below are not known: ``state.was_rebuilt`` says so, and what depends on
    them runs as well. Layers to be made are named after their keys, so that another stage with the same steps finds
    them in ``planned``, the keys of all stages so far. ``missing`` is why the base is not there, if it is not.
    """

    def __init__(
        self,
        build: BuildContext,
        state: StageState,
        names: tuple[str, str, int],
        planned: set[Digest],
        missing: Reason | None = None,
    ) -> None:
        super().__init__(build, state, *names)
        self._planned = planned
        self._missing = missing

    def base(self, shown: str) -> None:
        """Tell of a base that is missing."""
        step = self.start(f"FROM {shown}")
        if self._missing is not None:
            self._fates.runs(step, self._layer_id, MISSING, (self._missing,))

    def accounts(self) -> tuple[str | None, str | None]:
        """Return the accounts of the stage so far, none where its layers are not there."""
        try:
            return (None, None) if self.state.was_rebuilt else super().accounts()
        except BlobNotFound:
            return None, None

    def layer(
        self,
        step: Step,
        inputs: StepInputs,
        entry: HistoryEntry,
        config: ContainerConfig,
        make: Callable[[Step], Layer],
        *,
        is_independent: bool = False,
    ) -> None:
        """Add the layer of the cache, or tell why there is none."""
        self._ordinal += 1
        key = inputs.key()
        inputs = self._told(inputs)
        follows = self.state.was_rebuilt and not is_independent
        record = self._find(inputs, key, entry, follows_rebuilt=follows)
        if record is not None:
            self._add(step, entry, config, record, is_new=False)
        elif key in self._planned and self._build.uses_cache:
            self._fates.cached(step, self._layer_id)  # by then: a stage before this one makes it
            self._place(key, entry, config)
        else:
            self._planned.add(key)
            self._run(step, self._reasons_of(step, inputs, follows_rebuilt=follows), key, entry, config)

    def _run(
        self, step: Step, reasons: tuple[Reason, ...], key: Digest, entry: HistoryEntry, config: ContainerConfig
    ) -> None:
        """Tell why a step would run, and go on as if it had."""
        self._fates.runs(step, self._layer_id, WOULD_RUN, reasons)
        self._place(key, entry, config)
        self._note_rebuilt(step)

    def _place(self, key: Digest, entry: HistoryEntry, config: ContainerConfig) -> None:
        """Put a layer on top of the stage that is not there yet."""
        layer = Digest.sha256(f"the layer of {key}".encode())
        image = self.state.image.with_step(replace(entry, created=self._build.now), layer, config)
        self.state = replace(self.state, image=image, image_id=self._put_image(image))

    def _import(self, inputs: StepInputs, key: Digest, entry: HistoryEntry, *, follows_rebuilt: bool) -> Record | None:
        """Return the record of a result that another machine has left, whose layer a build would fetch."""
        offered = self._offered(key, follows_rebuilt=follows_rebuilt)
        if offered is None:
            return None
        caches, found, diff_id = offered
        return Record(key, self._layer_id, found.created, diff_id=diff_id) if caches.holds(diff_id) else None

    def unknown(self, instruction: Instruction, reason: Reason) -> None:
        """Add the step of an instruction that takes in what is not there yet."""
        step = self.begin(instruction)
        self._ordinal += 1
        follows = self.state.was_rebuilt and not (isinstance(instruction, Copy) and is_linked(instruction))
        parent = self._parent_reason() if follows else None
        reason = self._reasons.of_unknown(self._layer_id, parent, reason)
        key = Digest.sha256(self._layer_id.encode("utf-8", "surrogateescape"))
        entry = HistoryEntry(None, instruction.original, COMMENT)
        self._run(step, (reason,), key, entry, self.state.image.config)

    def _parent_reason(self) -> Reason:
        return super()._parent_reason() if self._missing is None else Reason("base missing")

    def _put_image(self, image: ImageConfig) -> Digest:
        return Digest.sha256(image.to_bytes())

    def _put_record(self, record: Record, inputs: StepInputs) -> None:
        """Nothing is remembered."""

    def _mark_used(self, key: Digest) -> None:
        """Nothing is used."""
