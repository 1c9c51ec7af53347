"""One stage of a build: its instructions one after the other, each from the cache or carried out.

A step that makes a layer is remembered under what it depends on; each step's image under the image before it and the
instruction. So a LABEL between two RUNs changes the images behind it, but no RUN is repeated for its sake.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from minidock.core import copying, metadata
from minidock.core.cache_key import StepInputs, explain
from minidock.core.config import ContainerConfig, HistoryEntry, ImageConfig, chain_ids
from minidock.core.copying import Attributes, Planned
from minidock.core.digest import Digest
from minidock.core.dockerfile import heredocs
from minidock.core.dockerfile.expansion import expand
from minidock.core.dockerfile.model import Add, Arg, Command, Copy, Env, From, Instruction, Maintainer, Run, Workdir
from minidock.core.dockerfile.stages import resolve_args
from minidock.core.dockerfile.support import unsupported
from minidock.core.dockerfile.workdir import resolve_workdir
from minidock.core.entries import FILE, Tree
from minidock.core.events import BuildWarning
from minidock.core.process import DEFAULT_PATH
from minidock.core.times import format_time, parse_time
from minidock.engine.archives import Archive, open_archive
from minidock.engine.progress import Progress, Step
from minidock.engine.run_step import image_user, run
from minidock.engine.sources import ContextSource, Source, input_files
from minidock.engine.workspace import Workspace
from minidock.errors import BuildError, ContextChanged, DockerfileError, MinidockError, RuntimeProblem, StepFailed
from minidock.store.cache import Record
from minidock.store.layers import ContentChanged, Layer
from minidock.store.session import Session

COMMENT = "buildkit.dockerfile.v0"
_PROXIES = frozenset(
    name for base in ("http", "https", "ftp", "no", "all") for name in (f"{base}_proxy", f"{base}_proxy".upper())
)
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class BuildContext:
    """What the stages of one build share."""

    ws: Workspace
    session: Session
    progress: Progress
    build_args: Mapping[str, str]
    global_args: Mapping[str, str]
    escape: str
    filename: str
    source: str
    step_scope: str
    started_at: datetime
    source_date_epoch: int | None
    uses_cache: bool
    open_context: Callable[[], ContextSource]
    open_from: Callable[[Copy], Source]

    @property
    def now(self) -> str:
        """The time that a step made now is dated with, RFC 3339."""
        if self.source_date_epoch is not None:
            return format_time(self.started_at)
        return format_time(self.ws.clock.now())


@dataclass(frozen=True, slots=True)
class StageState:
    """Where a stage stands: its image so far, and the variables in force.

    ``variables`` holds ENV and ARG values in order, ``args`` the arguments declared so far with what history shows.
    """

    image: ImageConfig
    image_id: Digest | None
    variables: Mapping[str, str] = field(default_factory=dict)
    args: Mapping[str, str] = field(default_factory=dict)
    was_rebuilt: bool = False


class StageBuilder:
    """Carries out the instructions of one stage."""

    def __init__(self, build: BuildContext, state: StageState, name: str, label: str, total: int) -> None:
        self._build = build
        self._store = build.ws.store
        self._name = name
        self._label = label
        self._total = total
        self._shown = 0
        self._ordinal = 0
        self._tree: tuple[tuple[Digest, ...], Tree] | None = None
        self.state = state

    def count_from(self) -> str:
        """Return the prefix of the step that stands for FROM."""
        self._shown += 1
        return self._prefix()

    def _prefix(self) -> str:
        label = f"{self._label} " if self._label else ""
        return f"[{label}{self._shown}/{self._total}]"

    def apply(self, instruction: Instruction) -> None:
        """Carry out one instruction. Errors carry its lines."""
        self._ordinal += 1
        try:
            expanded = expand(instruction, dict(self.state.variables), self._build.escape)
            missing = unsupported(expanded)
            if missing is not None:
                raise BuildError(f"{missing} is not supported yet")
            self._dispatch(expanded)
        except DockerfileError as error:
            if error.first:
                raise
            raise self._located(error, instruction) from error
        except (BuildError, RuntimeProblem) as error:
            raise self._located(error, instruction) from error

    def _located(self, error: MinidockError, instruction: Instruction) -> DockerfileError:
        return DockerfileError(
            str(error),
            filename=self._build.filename,
            first=instruction.first,
            last=instruction.last,
            source=self._build.source,
            hint=error.hint,
        )

    def _dispatch(self, instruction: Instruction) -> None:
        match instruction:
            case Run():
                self._run(instruction)
            case Copy():
                self._copy(instruction, self._build.open_from(instruction) if instruction.from_ else None)
            case Add():
                self._copy(instruction, None)
            case Workdir():
                self._workdir(instruction)
            case Arg():
                self._arg(instruction)
            case Maintainer():
                self._author(instruction)
            case From():
                raise AssertionError("a stage does not hold its FROM")
            case Env():
                self._metadata(instruction)
                self.state = replace(self.state, variables={**self.state.variables, **dict(instruction.pairs)})
            case _:
                self._metadata(instruction)

    # --- steps that change the config only

    def _metadata(self, instruction: Instruction) -> None:
        config, created_by = metadata.apply(instruction, self.state.image.config)
        self._metadata_step(config, created_by)

    def _metadata_step(self, config: ContainerConfig, created_by: str, author: str | None = None) -> None:
        parent = str(self.state.image_id) if self.state.image_id else "scratch"
        inputs = StepInputs(f"config {created_by}", parent, settings=self._common_settings())
        key = inputs.key()
        record = self._store.cache.get(key) if self._build.uses_cache and not self.state.was_rebuilt else None
        created = record.created if record is not None else self._build.now
        entry = HistoryEntry(created, created_by, COMMENT, author or "", is_empty_layer=True)
        image = self.state.image.with_step(entry, None, config)
        if author is not None:
            image = replace(image, author=author)
        self._finish(key, inputs, record, image, None)

    def _finish(
        self, key: Digest, inputs: StepInputs, record: Record | None, image: ImageConfig, layer_key: Digest | None
    ) -> Digest:
        """Store the image of a step, and the record that finds it; make it the stage's."""
        image_id = self._store.blobs.put(self._build.session, image.to_bytes())
        if record is None or record.image_id != image_id:
            assert image.created is not None
            self._store.cache.put(
                self._build.session,
                Record(
                    key,
                    f"{self._step_id()} image",
                    image.created,
                    image_id=image_id,
                    description=image.history[-1].created_by,
                ),
                inputs,
            )
        elif layer_key is None:
            self._store.cache.mark_used(key)
        self.state = replace(self.state, image=image, image_id=image_id)
        return image_id

    def _common_settings(self) -> tuple[tuple[str, str], ...]:
        epoch = self._build.source_date_epoch
        return (("SOURCE_DATE_EPOCH", str(epoch)),) if epoch is not None else ()

    def _step_id(self) -> str:
        return f"{self._build.step_scope} {self._name} {self._ordinal}"

    def _arg(self, instruction: Arg) -> None:
        build = self._build
        found = resolve_args(instruction, self.state.variables, build.build_args, build.global_args, build.escape)
        names = [name for name, _ in instruction.args]
        texts = [f"{name}={found[name]}" if name in found else name for name in names]
        self._metadata_step(self.state.image.config, f"ARG {' '.join(texts)}")
        self.state = replace(
            self.state,
            variables={**self.state.variables, **found},
            args={**self.state.args, **{name: found.get(name, "") for name in names}},
        )

    def _author(self, instruction: Maintainer) -> None:
        self._metadata_step(self.state.image.config, f"MAINTAINER {instruction.author}", instruction.author)

    def labels(self, labels: Mapping[str, str]) -> None:
        """Add the labels of the command line."""
        self._ordinal += 1
        config = replace(self.state.image.config, labels={**self.state.image.config.labels, **labels})
        texts = " ".join(f"{name}={value}" for name, value in labels.items())
        self._metadata_step(config, f"LABEL {texts}")

    # --- steps that make a layer

    def _layer_step(
        self,
        instruction: Instruction,
        name: str,
        inputs: StepInputs,
        entry: HistoryEntry,
        config: ContainerConfig,
        make: Callable[[Step], Layer],
        step: Step | None = None,
    ) -> None:
        key = inputs.key()
        if step is None:
            step = self._start(name)
        with step.failing():
            record, is_new = self._look_up(key), False
            if record is None:
                with self._store.locks.key(key.hex, f"another minidock that builds {name}"):
                    record = self._look_up(key)
                    if record is None:
                        step.reason(self._reason(inputs))
                        record, is_new = self._carry_out(key, inputs, entry, step, make), True
            assert record.diff_id is not None
            if not is_new:
                self._store.cache.mark_used(key)
            image = self.state.image.with_step(replace(entry, created=record.created), record.diff_id, config)
            image_id = self._layer_image(key, image, entry)
        self.state = replace(self.state, was_rebuilt=self.state.was_rebuilt or is_new)
        if is_new:
            step.done(image_id)
        else:
            step.cached(image_id)

    def _start(self, name: str) -> Step:
        self._shown += 1
        return self._build.progress.start(f"{self._prefix()} {name}")

    def _layer_image(self, key: Digest, image: ImageConfig, entry: HistoryEntry) -> Digest:
        parent = str(self.state.image_id) if self.state.image_id else "scratch"
        inputs = StepInputs(f"layer {entry.created_by}", parent, settings=(("key", str(key)),))
        return self._finish(inputs.key(), inputs, self._store.cache.get(inputs.key()), image, key)

    def _look_up(self, key: Digest) -> Record | None:
        """Return the record of a key if its layer is there. A layer that vanished makes a miss, not an error."""
        if not self._build.uses_cache:
            return None
        record = self._store.cache.get(key)
        if record is None or record.diff_id is None:
            return None
        if self.state.was_rebuilt and parse_time(record.created) < self._build.started_at:
            return None  # what follows a rebuilt step is rebuilt, unless another build has just done so
        self._build.session.pin([record.diff_id])
        if not os.path.exists(self._store.layout.layer(record.diff_id)) or not self._store.blobs.has(record.diff_id):
            return None
        return record

    def _reason(self, inputs: StepInputs) -> str:
        if not self._build.uses_cache:
            return "--no-cache"
        if self.state.was_rebuilt:
            return "parent rebuilt"
        before = self._store.cache.last_inputs(f"{self._step_id()} layer")
        if before is None:
            return "never built here before"
        return "; ".join(explain(before, inputs))

    def _carry_out(
        self, key: Digest, inputs: StepInputs, entry: HistoryEntry, step: Step, make: Callable[[Step], Layer]
    ) -> Record:
        layer = make(step)
        record = Record(
            key,
            f"{self._step_id()} layer",
            self._build.now,
            diff_id=layer.diff_id,
            size=layer.size,
            description=entry.created_by,
        )
        self._store.cache.put(self._build.session, record, inputs)
        return record

    def _parent(self) -> str:
        chain = chain_ids(self.state.image.diff_ids)
        return str(chain[-1]) if chain else "scratch"

    def tree(self) -> Tree:
        """Return the merged tree of the stage so far."""
        diff_ids = self.state.image.diff_ids
        if self._tree is None or self._tree[0] != diff_ids:
            self._tree = (diff_ids, self._store.layers.tree(diff_ids))
        return self._tree[1]

    # --- RUN

    def _run(self, instruction: Run) -> None:
        image = self.state.image
        words = metadata.in_shell(_command(instruction), image.config)
        shown = {name: value for name, value in self.state.args.items() if name not in _PROXIES}
        prefix = f"|{len(shown)} {' '.join(f'{name}={value}' for name, value in shown.items())} " if shown else ""
        entry = HistoryEntry(None, f"RUN {prefix}{' '.join(words)} # buildkit", COMMENT)
        variables = {**self._proxy_args(), **self.state.variables}
        env = tuple(f"{name}={value}" for name, value in variables.items())
        in_key = {name: value for name, value in self.state.variables.items() if name not in _PROXIES}
        arguments = {name: value for name, value in in_key.items() if name in self.state.args}
        inputs = StepInputs(
            f"RUN {metadata.words_text(words)}",
            self._parent(),
            env=tuple(f"{name}={value}" for name, value in in_key.items() if name not in arguments),
            build_args=tuple(arguments.items()),
            settings=(
                ("user", image.config.user),
                ("directory", image.config.working_dir),
                ("network", instruction.network or "default"),
                ("architecture", image.architecture),
                ("id mode", self._store.id_mode.value),
                *self._common_settings(),
            ),
        )
        epoch = self._build.source_date_epoch

        def make(step: Step) -> Layer:
            extra = () if epoch is None else (f"SOURCE_DATE_EPOCH={epoch}",)
            finished = run(
                self._build.ws,
                self._build.session,
                step,
                image,
                words,
                (*env, *extra),
                epoch,
                self._build.progress.warn,
            )
            if finished.layer is None:
                raise StepFailed(
                    " ".join(words),
                    finished.status,
                    step_name=step.name,
                    tail=finished.tail,
                    filename=self._build.filename,
                    first=instruction.first,
                    last=instruction.last,
                    source=self._build.source,
                )
            return finished.layer

        self._layer_step(instruction, instruction.original, inputs, entry, image.config, make)

    def _proxy_args(self) -> dict[str, str]:
        return {name: value for name, value in self._build.build_args.items() if name in _PROXIES}

    # --- COPY, ADD, WORKDIR

    def _attributes(self, chown: str = "", chmod: str = "") -> Attributes:
        owner = None
        if chown:
            owner = self._owner(chown)
        epoch = self._build.source_date_epoch
        created = epoch if epoch is not None else int(self._build.started_at.timestamp())
        return Attributes(owner, int(chmod, 8) if chmod else None, created, epoch)

    def _owner(self, text: str) -> tuple[int, int]:
        name, colon, group = text.partition(":")
        if name.isdigit() and (group.isdigit() or not colon):
            return int(name), int(group or name)
        try:
            user = image_user(self._build.ws, self.state.image.diff_ids, self.tree(), text)
        except RuntimeProblem as error:
            self._build.progress.observe(BuildWarning(f"{error}: 0:0 is used, as BuildKit does"))
            return 0, 0
        return user.uid, user.gid

    def _copy(self, instruction: Copy | Add, source: Source | None) -> None:
        keyword = "ADD" if isinstance(instruction, Add) else "COPY"
        if source is None:
            source = self._build.open_context()
        attributes = self._attributes(instruction.chown, instruction.chmod)
        selected, problem = self._select(source, instruction.sources)
        step = self._start(instruction.original)
        for attempt in range(_ATTEMPTS):
            with step.failing():
                if problem is not None:
                    raise problem
            try:
                self._copy_once(instruction, keyword, source, selected, attributes, step)
                return
            except ContentChanged as error:
                source.refresh(error.path)
                if attempt == _ATTEMPTS - 1:
                    with step.failing():
                        raise ContextChanged(error.path) from error
            selected, problem = self._select(source, instruction.sources)

    def _select(
        self, source: Source, patterns: Sequence[str]
    ) -> tuple[tuple[copying.Selected, ...], BuildError | None]:
        # The context is loaded before the step that needs it begins; what is wrong with it is that step's error.
        try:
            return source.select(patterns), None
        except BuildError as error:
            return (), error

    def _copy_once(
        self,
        instruction: Copy | Add,
        keyword: str,
        source: Source,
        selected: Sequence[copying.Selected],
        attributes: Attributes,
        step: Step,
    ) -> None:
        flags = "".join(f"--{name}={value} " for name, value in _copy_flags(instruction))
        words = " ".join([*instruction.sources, instruction.destination])
        entry = HistoryEntry(None, f"{keyword} {flags}{words} # buildkit", COMMENT)
        config = self.state.image.config
        inputs = StepInputs(
            f"{keyword} {flags}{words}",
            self._parent(),
            settings=(
                ("directory", config.working_dir),
                ("owner", "" if attributes.owner is None else "{}:{}".format(*attributes.owner)),
                *self._common_settings(),
            ),
            files=input_files(selected, keeps_owners=source.keeps_owners),
        )

        def make(_: Step) -> Layer:
            archives = [open_archive(source, item) if keyword == "ADD" else None for item in selected]
            try:
                return self._write_copy(instruction, source, selected, archives, attributes)
            finally:
                for archive in archives:
                    if archive is not None:
                        archive.close()

        self._layer_step(instruction, "", inputs, entry, config, make, step)

    def _write_copy(
        self,
        instruction: Copy | Add,
        source: Source,
        selected: Sequence[copying.Selected],
        archives: Sequence[Archive | None],
        attributes: Attributes,
    ) -> Layer:
        workdir = self.state.image.config.working_dir or "/"
        plain = [item for item, archive in zip(selected, archives, strict=True) if archive is None]
        found = [archive for archive in archives if archive is not None]
        if not found:
            planned = copying.plan(plain, instruction.destination, workdir, self.tree(), attributes)
            return self._write(planned, lambda item: source.open(item.entry, item.source or ""))
        if plain or len(found) > 1:
            raise BuildError("ADD of an archive together with other sources is not supported yet")
        archive = found[0]
        planned = copying.unpack(archive.entries, instruction.destination, workdir, self.tree(), attributes)
        return self._write(planned, archive.open)

    def _write(self, planned: Sequence[Planned], open_content: Callable[[Planned], tuple[int, int | None]]) -> Layer:
        writer = self._store.layers.writer(self._build.session)
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
        return writer.finish(self._store.layers, self._build.session)

    def _workdir(self, instruction: Workdir) -> None:
        config = replace(
            self.state.image.config, working_dir=resolve_workdir(self.state.image.config.working_dir, instruction.path)
        )
        created_by = f"WORKDIR {config.working_dir}"
        if config.working_dir == "/":
            self._metadata_step(config, created_by)
            return
        entry = HistoryEntry(None, created_by, COMMENT)
        attributes = self._attributes(self.state.image.config.user)
        inputs = StepInputs(
            created_by,
            self._parent(),
            settings=(("user", self.state.image.config.user), *self._common_settings()),
        )

        def make(_: Step) -> Layer:
            planned = copying.make_directory(config.working_dir, self.tree(), attributes)
            return self._write(planned, _no_content)

        self._layer_step(instruction, instruction.original, inputs, entry, config, make)


def _command(instruction: Run) -> Command:
    """Return what the shell gets: the line, with the bodies of its here-documents."""
    if not instruction.heredocs:
        return instruction.command
    return Command((heredocs.shell_argument(instruction.command.args[0], instruction.heredocs),), is_shell=True)


def _no_content(item: Planned) -> tuple[int, int | None]:
    raise AssertionError(f"{item.entry.path} has no content")


def _copy_flags(instruction: Copy | Add) -> list[tuple[str, str]]:
    flags = [("chown", instruction.chown), ("chmod", instruction.chmod)]
    if isinstance(instruction, Copy):
        flags.insert(0, ("from", ""))  # never shown
    return [(name, value) for name, value in flags if value]


def scratch(architecture: str) -> ImageConfig:
    """Return the image that `FROM scratch` starts with."""
    config = ContainerConfig(env=(f"PATH={DEFAULT_PATH}",), working_dir="/")
    return ImageConfig(architecture=architecture, config=config)
