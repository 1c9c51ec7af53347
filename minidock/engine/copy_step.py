"""COPY, ADD and WORKDIR: files of a context, a stage or an archive as a layer. What goes where is core's business."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from minidock.core import copying
from minidock.core.cache_key import StepInputs
from minidock.core.config import HistoryEntry
from minidock.core.copying import Attributes, Planned, Unpacked
from minidock.core.dataclass import dataclass
from minidock.core.dockerfile.model import Add, Copy
from minidock.core.dockerfile.transfer import is_sent
from minidock.core.entries import FILE, name_of
from minidock.core.file_mode import ModeChange
from minidock.core.selecting import Selected, Selection, clean, literal_part, not_there
from minidock.core.told import Told
from minidock.core.users import is_numeric_owner, resolve_owner
from minidock.engine.archives import Archive, open_archive
from minidock.engine.cached_steps import CachedSteps
from minidock.engine.copy_parts import Part
from minidock.engine.copy_words import Chosen, Words, history_text, is_linked, told_text, unpacking
from minidock.engine.progress import Step
from minidock.engine.sources import Source, ignores_of
from minidock.engine.stage_state import COMMENT, BuildContext
from minidock.errors import BuildError, ContextChanged
from minidock.store.layer_writer import ContentChanged
from minidock.store.layers import Layer

_ATTEMPTS = 3
_INDEPENDENT = "independent"  # the parent of a --link copy, as its inputs name it
OpenContent = Callable[[Planned], tuple[int, int | None]]


def copy(build: BuildContext, steps: CachedSteps, instruction: Copy | Add, open_local: Callable[[], Source]) -> None:
    """Add the step of a COPY or ADD. Files that change meanwhile are looked at again, a few times.

    ``open_local`` gives what paths are taken from; it is not called if the instruction names none.
    """
    words = Words.of(instruction)
    if not is_numeric_owner(instruction.chown) and instruction.chown and not steps.state.image.diff_ids:
        raise BuildError("invalid user index: -1", hint="an empty image knows no names: give --chown numbers")
    attributes = attributes_of(build, steps, instruction.chown, instruction.chmod)
    if is_linked(instruction) and not is_numeric_owner(instruction.chown):
        raise BuildError(
            "invalid user index: -1", hint="--link knows no files of the stage: give --chown numbers, or drop --link"
        )
    source = open_local() if words.paths else None
    # The context is loaded before the step that needs it begins; what is wrong with it is that step's error.
    chosen, problem = _select(source, words)
    step = steps.begin(instruction)
    remotes = words.remotes(build, attributes, steps.hidden)
    with _closing(remotes.values()):
        for _ in range(_ATTEMPTS):
            try:
                if isinstance(problem, ContentChanged):
                    raise problem
                with step.failing():
                    if problem is not None:
                        raise problem
                    if isinstance(instruction, Add) or not instruction.from_:
                        _require_sent(build, source, words, chosen)
                    parts = words.parts(source, chosen, remotes, attributes)
                told = Told(told_text(instruction), ignores=ignores_of(source))
                _Copy(build, steps, instruction, parts, attributes, told).carry_out(step)
                return
            except ContentChanged as error:
                changed = error
            with step.failing():
                if source is not None:
                    source.refresh(changed.path)
            chosen, problem = _select(source, words)
        with step.failing():
            raise ContextChanged(changed.path)


@contextmanager
def _closing(parts: Iterable[Part]) -> Iterator[None]:
    try:
        yield
    finally:
        for part in parts:
            part.close()


def _select(source: Source | None, words: Words) -> tuple[Chosen, BuildError | ContentChanged | None]:
    if source is None:
        return (), None
    try:
        return source.select(words.paths, words.selection), None
    except (BuildError, ContentChanged) as error:
        return (), error


@dataclass(frozen=True, slots=True)
class _Named:
    """What patterns match in a source."""

    source: Source

    def something(self, pattern: str) -> bool:
        """Tell whether there is anything."""
        try:
            return any(self.source.select((pattern,), Selection()))
        except BuildError:
            return False

    def a_link(self, pattern: str) -> bool:
        """Tell whether a symbolic link is among it: it has another name than what it leads to, or leads nowhere."""
        try:
            (found,) = self.source.select((pattern,), Selection())
        except BuildError:
            return True
        return any(name_of(item.entry.path) != item.name for item in found)


def _require_sent(build: BuildContext, source: Source | None, words: Words, chosen: Chosen) -> None:
    """Raise BuildKit's error of a pattern without a match whose directory nothing else is taken from."""
    if source is None or build.context_words is None or words.selection.keeps_parents:
        return
    for path, items in zip(words.paths, chosen, strict=True):
        directory = literal_part(clean(path))
        if not items and directory and not is_sent(directory, build.context_words, _Named(source)):
            raise not_there(directory)


def attributes_of(build: BuildContext, steps: CachedSteps, chown: str = "", chmod: str = "") -> Attributes:
    """Return what --chown and --chmod say, names looked up in the accounts of the stage that is built."""
    owner = _owner(build, steps, chown) if chown else None
    epoch = build.source_date_epoch
    created = epoch if epoch is not None else int(build.started_at.timestamp())
    return Attributes(owner, ModeChange.parse(chmod) if chmod else None, created, epoch)


def _owner(build: BuildContext, steps: CachedSteps, text: str) -> tuple[int, int]:
    passwd, group = None, None
    if not is_numeric_owner(text):
        passwd, group = steps.accounts()
    owner = resolve_owner(text, passwd or "", group or "")
    for name in owner.unknown:
        build.progress.warn(f"owner {text}: the image knows no {name}; 0 is used, as BuildKit does")
    return owner.uid, owner.gid


@dataclass(frozen=True, slots=True)
class _Copy:
    """One attempt at a COPY or ADD."""

    build: BuildContext
    steps: CachedSteps
    instruction: Copy | Add
    parts: tuple[Part, ...]
    attributes: Attributes
    told: Told

    def carry_out(self, step: Step) -> None:
        """Add the step. Raises: ContentChanged if a file is not as it was when it was selected."""
        config = self.steps.state.image.config
        text = history_text(self.instruction)
        owner = self.attributes.owner
        independent = is_linked(self.instruction)
        with step.failing():
            files = tuple(file for part in self.parts for file in part.inputs())
        inputs = StepInputs(
            text,
            _INDEPENDENT if independent else self.steps.chain,
            settings=(
                ("directory", config.working_dir or "/"),
                ("owner", "" if owner is None else f"{owner[0]}:{owner[1]}"),
                *unpacking(self.instruction),
                *(setting for part in self.parts for setting in part.settings()),
                *self.build.settings,
            ),
            files=files,
            told=self.told,
        )
        entry = HistoryEntry(None, f"{text} # buildkit", COMMENT)
        self.steps.layer(step, inputs, entry, config, self._make, is_independent=independent)

    def _make(self, step: Step) -> Layer:
        taken = [(part, item) for part in self.parts for item in part.take(step)]
        archives: list[Archive | None] = []
        # Where the layer goes: it takes as much room there, and $TMPDIR may be small.
        place = os.path.dirname(self.build.session.temporary())
        try:
            for part, item in taken:
                archives.append(open_archive(part, item, place) if part.unpacks else None)
            return self._write([part for part, _ in taken], [item for _, item in taken], archives)
        finally:
            for archive in archives:
                if archive is not None:
                    archive.close()

    def _write(self, parts: Sequence[Part], items: Sequence[Selected], archives: Sequence[Archive | None]) -> Layer:
        sources = [
            item if archive is None else Unpacked(archive.entries)
            for item, archive in zip(items, archives, strict=True)
        ]
        workdir = self.steps.state.image.config.working_dir or "/"
        tree = None if is_linked(self.instruction) else self.steps.tree()
        dated = frozenset(
            origin
            for origin, (part, archive) in enumerate(zip(parts, archives, strict=True))
            if part.is_of_context and archive is None
        )
        attributes = replace(self.attributes, dated=dated)
        planned = copying.plan(sources, self.instruction.destination, workdir, tree, attributes)

        def open_content(item: Planned) -> tuple[int, int | None]:
            archive = archives[item.origin]
            return archive.open(item) if archive is not None else parts[item.origin].open(item)

        return write(self.build, planned, open_content)


def make_directory(build: BuildContext, steps: CachedSteps, path: str) -> Layer:
    """Return the layer that makes ``path``, owned by the image's user (WORKDIR)."""
    attributes = attributes_of(build, steps, steps.state.image.config.user)
    return write(build, copying.make_directory(path, steps.tree(), attributes), _no_content)


def _no_content(item: Planned) -> tuple[int, int | None]:
    raise AssertionError(f"{item.entry.path} has no content")


def write(build: BuildContext, planned: Sequence[Planned], open_content: OpenContent) -> Layer:
    """Write a layer of planned entries, contents opened one by one. Raises: ContentChanged with the source's path."""
    layers = build.ws.store.layers
    writer = layers.writer(build.session)
    try:
        for item in planned:
            if item.source is None or item.entry.kind != FILE:
                writer.add(item.entry)
                continue
            fd, start = open_content(item)
            try:
                writer.add_file(item.entry, fd, start)
            except ContentChanged as error:
                raise ContentChanged(item.source) from error
            finally:
                os.close(fd)
    except BaseException:
        writer.discard()
        raise
    return writer.finish(layers, build.session)
