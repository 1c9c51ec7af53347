"""COPY, ADD and WORKDIR: files of a context, a stage or an archive as a layer. What goes where is core's business."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from minidock.core import copying
from minidock.core.cache_key import StepInputs
from minidock.core.config import HistoryEntry
from minidock.core.copying import Attributes, Planned, Unpacked
from minidock.core.dockerfile.model import Add, Copy
from minidock.core.entries import FILE
from minidock.core.file_mode import ModeChange
from minidock.core.git_reference import GitReference, parse_git_reference
from minidock.core.selecting import Selected, Selection, exclusion
from minidock.core.users import names_nobody, resolve_owner
from minidock.engine.archives import Archive, open_archive
from minidock.engine.cached_steps import CachedSteps
from minidock.engine.copy_parts import HeredocPart, LocalPart, Part
from minidock.engine.git_part import GitPart
from minidock.engine.image_user import account_files
from minidock.engine.progress import Step
from minidock.engine.sources import Source
from minidock.engine.stage_state import COMMENT, BuildContext
from minidock.engine.url_part import UrlPart
from minidock.errors import BuildError, ContextChanged, PatternError
from minidock.store.layers import ContentChanged, Layer

_ATTEMPTS = 3
_INDEPENDENT = "independent"  # the parent of a --link copy, as its inputs name it
OpenContent = Callable[[Planned], tuple[int, int | None]]
Chosen = tuple[tuple[Selected, ...], ...]


def copy(build: BuildContext, steps: CachedSteps, instruction: Copy | Add, open_local: Callable[[], Source]) -> None:
    """Add the step of a COPY or ADD. Files that change meanwhile are looked at again, a few times.

    ``open_local`` gives what paths are taken from; it is not called if the instruction names none.
    """
    words = _Words.of(instruction)
    attributes = attributes_of(build, steps, instruction.chown, instruction.chmod)
    if _is_linked(instruction) and not names_nobody(instruction.chown):
        raise BuildError(
            "invalid user index: -1", hint="--link knows no files of the stage: give --chown numbers, or drop --link"
        )
    source = open_local() if words.paths else None
    # The context is loaded before the step that needs it begins; what is wrong with it is that step's error.
    chosen, problem = _select(source, words)
    step = steps.start(instruction.original)
    remotes = words.remotes(build, attributes)
    with _closing(remotes.values()):
        for _ in range(_ATTEMPTS):
            try:
                if isinstance(problem, ContentChanged):
                    raise problem
                with step.failing():
                    if problem is not None:
                        raise problem
                    parts = words.parts(source, chosen, remotes, attributes)
                _Copy(build, steps, instruction, parts, attributes).carry_out(step)
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


def _select(source: Source | None, words: _Words) -> tuple[Chosen, BuildError | ContentChanged | None]:
    if source is None:
        return (), None
    try:
        return source.select(words.paths, words.selection), None
    except (BuildError, ContentChanged) as error:
        return (), error


@dataclass(frozen=True, slots=True)
class _Words:
    """The sources of an instruction in order: paths, and (for ADD) URLs and git references."""

    instruction: Copy | Add
    selection: Selection
    sources: tuple[str | GitReference, ...]

    @classmethod
    def of(cls, instruction: Copy | Add) -> _Words:
        """Return the words told apart. Raises: BuildError, PatternError."""
        try:
            excludes = exclusion(instruction.excludes)
        except PatternError as error:
            raise BuildError(f"invalid excludepatterns: {list(instruction.excludes)}: {error}") from error
        if isinstance(instruction, Copy):
            return cls(instruction, Selection(instruction.parents, excludes), instruction.sources)
        sources = tuple(_remote(source, instruction) for source in instruction.sources)
        if instruction.checksum:
            if len(sources) != 1:
                raise BuildError("checksum can't be specified for multiple sources")
            if isinstance(sources[0], str) and not _is_url(sources[0]):
                raise BuildError("checksum requires HTTP(S) or Git sources")
        return cls(instruction, Selection(False, excludes), sources)

    @property
    def paths(self) -> tuple[str, ...]:
        """The sources that are paths."""
        return tuple(source for source in self.sources if isinstance(source, str) and not self._is_url(source))

    def _is_url(self, source: str) -> bool:
        return isinstance(self.instruction, Add) and _is_url(source)

    def remotes(self, build: BuildContext, attributes: Attributes) -> dict[int, Part]:
        """Return the parts that are fetched, by their positions."""
        found: dict[int, Part] = {}
        for position, source in enumerate(self.sources):
            if isinstance(self.instruction, Copy):
                break
            checksum = self.instruction.checksum
            if isinstance(source, GitReference):
                found[position] = GitPart(build, source, checksum, attributes.created_at)
            elif _is_url(source):
                found[position] = UrlPart(build, source, checksum, unpacks=bool(self.instruction.unpack))
        return found

    def parts(
        self, source: Source | None, chosen: Chosen, remotes: Mapping[int, Part], attributes: Attributes
    ) -> tuple[Part, ...]:
        """Return everything that the instruction copies, in order: the here-documents come last."""
        unpacks = isinstance(self.instruction, Add) and self.instruction.unpack is not False
        waiting = iter(chosen)
        found: list[Part] = []
        for position in range(len(self.sources)):
            if position in remotes:
                found.append(remotes[position])
            else:
                assert source is not None
                found.append(LocalPart(source, next(waiting), unpacks=unpacks))
        if self.instruction.heredocs:
            found.append(HeredocPart(self.instruction.heredocs, attributes.created_at))
        return tuple(found)


def _remote(source: str, instruction: Add) -> str | GitReference:
    reference = parse_git_reference(source)
    if reference is None or reference.is_like_path:
        return source
    flag = instruction.keep_git_dir
    if flag is not None and reference.keep_git_dir is not None and flag != reference.keep_git_dir:
        raise BuildError("inconsistent keep-git-dir configuration")
    if instruction.checksum and reference.checksum and instruction.checksum != reference.checksum:
        raise BuildError(f'checksum mismatch "{instruction.checksum}" != "{reference.checksum}"')
    return replace(
        reference,
        keep_git_dir=bool(flag if reference.keep_git_dir is None else reference.keep_git_dir),
        checksum=instruction.checksum or reference.checksum,
    )


def _is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _is_linked(instruction: Copy | Add) -> bool:
    """Tell whether the layer is to be independent; with --chmod BuildKit copies as without --link."""
    return instruction.link and not instruction.chmod


def attributes_of(build: BuildContext, steps: CachedSteps, chown: str = "", chmod: str = "") -> Attributes:
    """Return what --chown and --chmod say, names looked up in the accounts of the stage that is built."""
    owner = _owner(build, steps, chown) if chown else None
    epoch = build.source_date_epoch
    created = epoch if epoch is not None else int(build.started_at.timestamp())
    return Attributes(owner, ModeChange.parse(chmod) if chmod else None, created, epoch)


def _owner(build: BuildContext, steps: CachedSteps, text: str) -> tuple[int, int]:
    passwd, group = "", ""
    if not names_nobody(text):
        passwd, group = account_files(build.ws, steps.state.image.diff_ids, steps.tree())
    owner = resolve_owner(text, passwd, group)
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

    def carry_out(self, step: Step) -> None:
        """Add the step. Raises: ContentChanged if a file is not as it was when it was selected."""
        config = self.steps.state.image.config
        text = _text(self.instruction)
        owner = self.attributes.owner
        is_linked = _is_linked(self.instruction)
        with step.failing():
            files = tuple(file for part in self.parts for file in part.inputs())
        inputs = StepInputs(
            text,
            _INDEPENDENT if is_linked else self.steps.chain,
            settings=(
                ("directory", config.working_dir),
                ("owner", "" if owner is None else f"{owner[0]}:{owner[1]}"),
                *_unpacking(self.instruction),
                *(setting for part in self.parts for setting in part.settings()),
                *self.build.settings,
            ),
            files=files,
        )
        entry = HistoryEntry(None, f"{text} # buildkit", COMMENT)
        self.steps.layer(step, inputs, entry, config, self._make, is_independent=is_linked)

    def _make(self, step: Step) -> Layer:
        taken = [(part, item) for part in self.parts for item in part.take(step)]
        archives: list[Archive | None] = []
        try:
            for part, item in taken:
                archives.append(open_archive(part, item) if part.unpacks else None)
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
        tree = None if _is_linked(self.instruction) else self.steps.tree()
        planned = copying.plan(sources, self.instruction.destination, workdir, tree, self.attributes)

        def open_content(item: Planned) -> tuple[int, int | None]:
            archive = archives[item.origin]
            return archive.open(item) if archive is not None else parts[item.origin].open(item)

        return write(self.build, planned, open_content)


def _unpacking(instruction: Copy | Add) -> tuple[tuple[str, str], ...]:
    is_told = isinstance(instruction, Add) and instruction.unpack is not None
    return (("unpack", str(instruction.unpack).lower()),) if is_told and isinstance(instruction, Add) else ()


def _text(instruction: Copy | Add) -> str:
    """Return the instruction as history has it: variables expanded, --from, --link and --exclude left out."""
    words = ["ADD" if isinstance(instruction, Add) else "COPY"]
    if isinstance(instruction, Copy) and instruction.parents:
        words.append("--parents")
    flags = [("chown", instruction.chown), ("chmod", instruction.chmod)]
    words += [f"--{name}={value}" for name, value in flags if value]
    documents = [f"<<{heredoc.name}" for heredoc in instruction.heredocs]
    return " ".join([*words, *instruction.sources, *documents, instruction.destination])


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
