"""Steps of one stage, each from the cache or carried out, and the records that find them again.

A step that makes a layer is remembered under what it depends on; each step's image under the image before it and the
instruction. So a LABEL between two RUNs changes the images behind it, but no RUN is repeated for its sake.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace

from minidock.core.build_record import REBUILT
from minidock.core.cache_key import StepInputs
from minidock.core.cache_manifest import CachedResult
from minidock.core.config import ContainerConfig, HistoryEntry, ImageConfig, chain_ids
from minidock.core.digest import Digest
from minidock.core.dockerfile import words
from minidock.core.dockerfile.model import Instruction, Run
from minidock.core.entries import Tree
from minidock.core.reason import Reason
from minidock.core.secret_words import secret_values, with_stars, without_secrets
from minidock.core.step_lines import StepLines
from minidock.core.times import parse_time
from minidock.engine.cache_import import ImportedCache
from minidock.engine.image_files import ImageFiles
from minidock.engine.progress import Step
from minidock.engine.stage_state import COMMENT, BuildContext, StageState
from minidock.engine.step_fates import StepFates
from minidock.engine.step_reasons import StepReasons
from minidock.errors import NotCached
from minidock.store.cache import Record
from minidock.store.layers import Layer


class CachedSteps:
    """The steps of one stage so far; ``state`` is where they lead."""

    def __init__(self, build: BuildContext, state: StageState, name: str, label: str, total: int) -> None:
        self._build = build
        self._store = build.ws.store
        self._name = name
        self._label = label
        self._total = total
        self._shown = 0
        self._ordinal = 0  # of steps that make a layer: an ENV more does not make later steps strangers
        self._tree: tuple[tuple[Digest, ...], Tree] | None = None
        self._reasons = StepReasons(build)
        self._fates = StepFates(build.fates)
        self.has_run_to_come = False  # this step or a later one starts a process
        self.lines: StepLines | None = None  # of the instruction whose steps are added now
        self.state = state

    def start(self, name: str) -> Step:
        """Report the beginning of a step that counts. Raises: Cancelled."""
        self._build.cancellation.check()
        self._shown += 1
        label = f"{self._label} " if self._label else ""
        return self._build.progress.start(f"[{label}{self._shown}/{self._total}] {name}")

    def begin(self, instruction: Instruction, secret_names: Iterable[str] = ()) -> Step:
        """Report the beginning of an instruction's step; what looks secret, and ``secret_names``, are not shown."""
        variables = {**with_stars(self.state.variables), **dict.fromkeys(secret_names, "****")}
        is_command = isinstance(instruction, Run)
        return self.start(words.shown(instruction.original, variables, self._build.escape, is_command=is_command))

    @property
    def chain(self) -> str:
        """The layers so far, as the inputs of the next layer name them."""
        chain = chain_ids(self.state.image.diff_ids)
        return str(chain[-1]) if chain else "scratch"

    def base(self, shown: str) -> None:
        """Report the step of a FROM."""
        self.start(f"FROM {shown}").cached(self.state.image_id)

    def accounts(self) -> tuple[str | None, str | None]:
        """Return the texts of the passwd and group files of the stage so far, None of one that is not there."""
        return ImageFiles(self._build.ws, self.state.image.diff_ids, self.tree()).accounts

    def tree(self) -> Tree:
        """Return the merged tree of the stage so far."""
        diff_ids = self.state.image.diff_ids
        if self._tree is None or self._tree[0] != diff_ids:
            layers, before = self._store.layers, self._tree
            is_next = before is not None and before[0] == diff_ids[:-1]
            tree = before[1].with_layer(layers.entries(diff_ids[-1])) if before and is_next else layers.tree(diff_ids)
            self._tree = (diff_ids, tree)
        return self._tree[1]

    # --- steps that change the config only

    def metadata(
        self,
        config: ContainerConfig,
        created_by: str,
        pairs: Iterable[tuple[str, str]] = (),
        author: str | None = None,
    ) -> None:
        """Add a step that makes no layer; ``pairs`` are names and values in its text, of which some may be secret."""
        inputs = self._image_inputs("config", created_by, self._build.settings)
        key = inputs.key()
        is_usable = self._build.uses_cache and not self.state.was_rebuilt
        record = self._store.cache.get(key) if is_usable else None
        elsewhere = self._build.imported.get(key) if is_usable and self._build.imported else None
        known = record or elsewhere
        created = known.created if known is not None else self._build.now
        entry = HistoryEntry(created, created_by, COMMENT, author or "", is_empty_layer=True)
        image = self.state.image.with_step(entry, None, config)
        if author is not None:
            image = replace(image, author=author)
        if record is not None:
            self._mark_used(key)
        image_id = self._finish(inputs, record, image, without_secrets(created_by, (*pairs, *self._named_values)))
        self._build.results.append(CachedResult(key, created, image_id=image_id))

    def _image_inputs(self, kind: str, text: str, settings: tuple[tuple[str, str], ...]) -> StepInputs:
        # No record tells the text itself: nothing is explained by it, and there may be secrets in it.
        digest = Digest.sha256(text.encode("utf-8", "surrogateescape"))
        return StepInputs(f"{kind} {digest}", self.state.parent, settings=settings)

    def _finish(self, inputs: StepInputs, record: Record | None, image: ImageConfig, description: str) -> Digest:
        """Store the image of a step, and the record that finds it; make it the stage's."""
        image_id = self._put_image(image)
        if record is None or record.image_id != image_id:
            assert image.created is not None
            fresh = Record(
                inputs.key(),
                f"{self._step_id(self._ordinal)} image",
                image.created,
                image_id=image_id,
                description=description,
            )
            self._put_record(fresh, inputs)
        self.state = replace(self.state, image=image, image_id=image_id, lines=(*self.state.lines, self.lines))
        return image_id

    def _put_image(self, image: ImageConfig) -> Digest:
        return self._store.blobs.put(self._build.session, image.to_bytes())

    def _put_record(self, record: Record, inputs: StepInputs) -> None:
        self._store.cache.put(self._build.session, record, inputs)

    def _mark_used(self, key: Digest) -> None:
        self._store.cache.mark_used(key)

    def _step_id(self, number: int) -> str:
        return f"{self._build.step_scope} {self._name} {number}"

    @property
    def _layer_id(self) -> str:
        # By the number that is shown: an ENV or LABEL put in between does not make another step of those behind it.
        return f"{self._step_id(self._shown)} layer"

    def configure(self, config: ContainerConfig) -> None:
        """Change the config without a step of its own: history says nothing of it (ONBUILD)."""
        image = replace(self.state.image, config=config)
        self.state = replace(self.state, image=image, image_id=self._put_image(image))

    # --- steps that make a layer

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
        """Add a step that makes a layer: the cache's if it has one for these inputs, else what ``make`` returns.

        ``entry`` is its history entry without the time. Of several processes one makes it, the others wait for that.
        What ``is_independent`` of the layers below (COPY --link) comes from the cache though those were rebuilt.
        """
        key = inputs.key()
        inputs = self._told(inputs)
        self._ordinal += 1
        with step.failing(), self._fates.failing(step):
            follows = self.state.was_rebuilt and not is_independent
            record, is_new = self._find(inputs, key, entry, follows_rebuilt=follows), False
            if record is None:
                with self._store.locks.key(key.hex, f"another build of {step.name}"):
                    record = self._find(inputs, key, entry, follows_rebuilt=follows)
                    if record is None:
                        self._tell(step, self._reasons_of(step, inputs, follows_rebuilt=follows))
                        if self.has_run_to_come:  # what follows a step that runs does so, too
                            self._build.ahead.begin(self.state.image.diff_ids)
                        record, is_new = self._carry_out(inputs, entry, step, make), True
            if not is_new:
                self._mark_used(key)
            image_id = self._add(step, entry, config, record, is_new=is_new)
        if is_new:
            step.done(image_id)
        else:
            step.cached(image_id)

    def _told(self, inputs: StepInputs) -> StepInputs:
        """Return the inputs with what their record says beside them, and with what it must not say."""
        told = replace(inputs.told, base=self.state.base, secrets=secret_values(self._named_values))
        return replace(inputs, told=told)

    @property
    def _named_values(self) -> tuple[tuple[str, str], ...]:
        """Variables and arguments, some of which may be secret."""
        state = self.state
        return (*state.variables.items(), *state.args.items(), *self._build.build_args.items())

    def hidden(self, text: str) -> str:
        """Return a text with ``****`` for values that look secret."""
        return without_secrets(text, self._named_values)

    def _add(self, step: Step, entry: HistoryEntry, config: ContainerConfig, record: Record, *, is_new: bool) -> Digest:
        """Put the layer of a record on top of the stage; return the image that gives."""
        assert record.diff_id is not None
        if not is_new:
            self._fates.cached(step, self._layer_id, record.diff_id)
        result = CachedResult(
            record.key, record.created, record.diff_id, size=record.size, description=record.description
        )
        self._build.results.append(result)
        image = self.state.image.with_step(replace(entry, created=record.created), record.diff_id, config)
        found = self._image_inputs("layer", entry.created_by, (("key", str(record.key)),))
        image_id = self._finish(found, self._store.cache.get(found.key()), image, record.description)
        if is_new:
            self._note_rebuilt(step)
        return image_id

    def _note_rebuilt(self, step: Step) -> None:
        if not self.state.was_rebuilt:
            self.state = replace(self.state, first_rebuilt=step.name)

    def _tell(self, step: Step, reasons: tuple[Reason, ...]) -> None:
        """Say why a step runs now. Raises: Cancelled, NotCached if none may run."""
        self._build.cancellation.check()
        line = self._fates.runs(step, self._layer_id, REBUILT, reasons).line
        step.reason(line)
        if self._build.requires_cached:
            raise NotCached(step.name, line)

    def _find(self, inputs: StepInputs, key: Digest, entry: HistoryEntry, *, follows_rebuilt: bool) -> Record | None:
        """Return the record of a key, of this store or another machine's; its layer is here."""
        record = self._look_up(key, follows_rebuilt=follows_rebuilt)
        return record or self._import(inputs, key, entry, follows_rebuilt=follows_rebuilt)

    def _look_up(self, key: Digest, *, follows_rebuilt: bool) -> Record | None:
        """Return the record of a key if its layer is there. A layer that vanished makes a miss, not an error."""
        if not self._build.uses_cache:
            return None
        record = self._store.cache.get(key)
        if record is None or record.diff_id is None or not self._may_use(record.created, follows_rebuilt):
            return None
        self._build.session.pin([record.diff_id])
        if not os.path.exists(self._store.layout.layer(record.diff_id)) or not self._store.blobs.has(record.diff_id):
            return None
        return record

    def _may_use(self, created: str, follows_rebuilt: bool) -> bool:
        # What follows a rebuilt step is rebuilt, unless another build has just done so.
        return not follows_rebuilt or parse_time(created) >= self._build.started_at

    def _offered(self, key: Digest, *, follows_rebuilt: bool) -> tuple[ImportedCache, CachedResult, Digest] | None:
        """Return the layer that another machine has left for a key, and where it can be had; None if there is none."""
        caches = self._build.imported if self._build.uses_cache else None
        found = caches.get(key) if caches else None
        if not (caches and found and found.diff_id and self._may_use(found.created, follows_rebuilt)):
            return None
        return caches, found, found.diff_id

    def _import(self, inputs: StepInputs, key: Digest, entry: HistoryEntry, *, follows_rebuilt: bool) -> Record | None:
        """Return a record, stored now, of a result that another machine has left; None if there is none."""
        offered = self._offered(key, follows_rebuilt=follows_rebuilt)
        if offered is None:
            return None
        caches, found, diff_id = offered
        if not caches.fetch(self._build.session, diff_id):
            return None
        size = self._store.layers.get(diff_id, self._build.session).size
        return self._remember(inputs, entry, found.created, diff_id, size)

    def _remember(self, inputs: StepInputs, entry: HistoryEntry, created: str, diff_id: Digest, size: int) -> Record:
        """Store the record of a layer step, and return it."""
        description = self.hidden(entry.created_by)
        record = Record(inputs.key(), self._layer_id, created, diff_id=diff_id, size=size, description=description)
        self._put_record(record, inputs)
        return record

    def _parent_reason(self) -> Reason:
        """Return why a step is rebuilt that depends on one which is: the first of those."""
        return Reason("parent rebuilt", (self.state.first_rebuilt,))

    def _reasons_of(self, step: Step, inputs: StepInputs, *, follows_rebuilt: bool) -> tuple[Reason, ...]:
        return self._reasons.of(step, self._layer_id, inputs, self._parent_reason() if follows_rebuilt else None)

    def _carry_out(self, inputs: StepInputs, entry: HistoryEntry, step: Step, make: Callable[[Step], Layer]) -> Record:
        layer = make(step)
        self._fates.made(step, layer.diff_id)
        return self._remember(inputs, entry, self._build.now, layer.diff_id, layer.size)
