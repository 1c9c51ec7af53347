"""COPY, ADD and WORKDIR: files of a context, a stage or an archive as a layer. What goes where is core's business."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from minidock.core import copying
from minidock.core.cache_key import StepInputs
from minidock.core.config import HistoryEntry
from minidock.core.copying import Attributes, Planned, Selected, Unpacked
from minidock.core.dockerfile.model import Add, Copy
from minidock.core.entries import FILE
from minidock.engine.archives import Archive, open_archive
from minidock.engine.cached_steps import CachedSteps
from minidock.engine.progress import Step
from minidock.engine.run_step import image_user
from minidock.engine.sources import Source, input_files
from minidock.engine.stage_state import COMMENT, BuildContext
from minidock.errors import BuildError, ContextChanged, RuntimeProblem, UnknownAccount
from minidock.store.layers import ContentChanged, Layer

_ATTEMPTS = 3
OpenContent = Callable[[Planned], tuple[int, int | None]]


def copy(build: BuildContext, steps: CachedSteps, instruction: Copy | Add, source: Source) -> None:
    """Add the step of a COPY or ADD. Files that change meanwhile are looked at again, a few times."""
    attributes = attributes_of(build, steps, instruction.chown, instruction.chmod)
    # The context is loaded before the step that needs it begins; what is wrong with it is that step's error.
    selected, problem = _select(source, instruction.sources)
    step = steps.start(instruction.original)
    for _ in range(_ATTEMPTS):
        try:
            if isinstance(problem, ContentChanged):
                raise problem
            with step.failing():
                if problem is not None:
                    raise problem
            _Copy(build, steps, instruction, source, selected, attributes).carry_out(step)
            return
        except ContentChanged as error:
            changed = error
        with step.failing():
            source.refresh(changed.path)
        selected, problem = _select(source, instruction.sources)
    with step.failing():
        raise ContextChanged(changed.path)


def _select(source: Source, patterns: Sequence[str]) -> tuple[tuple[Selected, ...], BuildError | ContentChanged | None]:
    try:
        return source.select(patterns), None
    except (BuildError, ContentChanged) as error:
        return (), error


def attributes_of(build: BuildContext, steps: CachedSteps, chown: str = "", chmod: str = "") -> Attributes:
    """Return what --chown and --chmod (octal) say, names looked up in the accounts of the stage that is built."""
    owner = _owner(build, steps, chown) if chown else None
    epoch = build.source_date_epoch
    created = epoch if epoch is not None else int(build.started_at.timestamp())
    return Attributes(owner, _mode(chmod), created, epoch)


def _mode(chmod: str) -> int | None:
    if not chmod:
        return None
    mode = int(chmod, 8)
    if mode > 0o7777:
        raise BuildError(f"invalid chmod parameter: '{chmod}'. it should be octal string and between 0 and 07777")
    return mode


def _owner(build: BuildContext, steps: CachedSteps, text: str) -> tuple[int, int]:
    name, _, group = text.partition(":")
    if name.isdecimal() and not group:
        text = f"{name}:{name}"
    try:
        user = image_user(build.ws, steps.state.image.diff_ids, steps.tree(), text)
    except UnknownAccount as error:
        build.progress.warn(f"{error}: 0:0 is used, as BuildKit does")
        return 0, 0
    except RuntimeProblem as error:
        raise BuildError(str(error)) from error
    return user.uid, user.gid


@dataclass(frozen=True, slots=True)
class _Copy:
    """One attempt at a COPY or ADD."""

    build: BuildContext
    steps: CachedSteps
    instruction: Copy | Add
    source: Source
    selected: tuple[Selected, ...]
    attributes: Attributes

    def carry_out(self, step: Step) -> None:
        """Add the step. Raises: ContentChanged if a file is not as it was when it was selected."""
        config = self.steps.state.image.config
        text = _text(self.instruction)
        owner = self.attributes.owner
        inputs = StepInputs(
            text,
            self.steps.chain,
            settings=(
                ("directory", config.working_dir),
                ("owner", "" if owner is None else f"{owner[0]}:{owner[1]}"),
                *self.build.settings,
            ),
            files=input_files(self.selected, keeps_owners=self.source.keeps_owners),
        )
        self.steps.layer(step, inputs, HistoryEntry(None, f"{text} # buildkit", COMMENT), config, self._make)

    def _make(self, _: Step) -> Layer:
        archives: list[Archive | None] = []
        try:
            for item in self.selected:
                archives.append(open_archive(self.source, item) if isinstance(self.instruction, Add) else None)
            return self._write(archives)
        finally:
            for archive in archives:
                if archive is not None:
                    archive.close()

    def _write(self, archives: Sequence[Archive | None]) -> Layer:
        sources = [
            item if archive is None else Unpacked(archive.entries)
            for item, archive in zip(self.selected, archives, strict=True)
        ]
        workdir = self.steps.state.image.config.working_dir or "/"
        planned = copying.plan(sources, self.instruction.destination, workdir, self.steps.tree(), self.attributes)

        def open_content(item: Planned) -> tuple[int, int | None]:
            archive = archives[item.origin]
            return archive.open(item) if archive is not None else self.source.open(item.entry, item.source or "")

        return write(self.build, planned, open_content)


def _text(instruction: Copy | Add) -> str:
    """Return the instruction as history has it: variables expanded, --from left out."""
    keyword = "ADD" if isinstance(instruction, Add) else "COPY"
    flags = [("chown", instruction.chown), ("chmod", instruction.chmod)]
    words = [f"--{name}={value}" for name, value in flags if value]
    return " ".join([keyword, *words, *instruction.sources, instruction.destination])


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
