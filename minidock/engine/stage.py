"""One stage of a build: its instructions one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from minidock.core import metadata
from minidock.core.cache_key import StepInputs
from minidock.core.config import HistoryEntry
from minidock.core.dockerfile import heredocs
from minidock.core.dockerfile.entitlements import INSECURE
from minidock.core.dockerfile.expansion import expand
from minidock.core.dockerfile.model import (
    Add,
    Arg,
    Command,
    Copy,
    Entrypoint,
    Env,
    From,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Workdir,
)
from minidock.core.dockerfile.stages import NOT_VARIABLES, resolve_each
from minidock.core.dockerfile.workdir import resolve_workdir
from minidock.core.networking import Networking, NetworkKind
from minidock.core.process import MountedFile
from minidock.core.security import Security, unconfined
from minidock.core.step_lines import StepLines
from minidock.core.told import Told
from minidock.engine import run_mounts
from minidock.engine.cached_steps import CachedSteps
from minidock.engine.copy_step import copy, make_directory
from minidock.engine.progress import Step
from minidock.engine.rootfs import can_overlay, keeps_owners
from minidock.engine.run_step import HOSTNAME_ARGUMENT, StepProcess, run
from minidock.engine.stage_state import COMMENT, BuildContext, StageState
from minidock.engine.workspace import Workspace
from minidock.errors import BuildError, DockerfileError, MinidockError, RuntimeProblem, StepFailed
from minidock.store.layers import Layer

_PROXIES = tuple(f"{name}_proxy" for name in ("http", "https", "ftp", "no", "all"))


class StageBuilder:
    """Carries out the instructions of one stage."""

    def __init__(self, build: BuildContext, steps: CachedSteps) -> None:
        self._build = build
        self._steps = steps
        self._has_cmd = False  # a CMD of this stage; one that was inherited goes with a new ENTRYPOINT

    @property
    def state(self) -> StageState:
        """Where the stage stands."""
        return self._steps.state

    def apply(self, instruction: Instruction) -> None:
        """Carry out one instruction. Errors carry its lines, and so do its steps."""
        self._steps.lines = StepLines(self._build.filename, instruction.first, instruction.last)
        try:
            expanded = expand(instruction, dict(self.state.variables), self._build.escape)
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
            case Copy() if instruction.from_:
                copied = self._build.copied_from(instruction, self.state.image.config.working_dir)
                if self._steps.lines is not None:
                    self._steps.lines = replace(self._steps.lines, copied=copied)
                copy(self._build, self._steps, instruction, lambda: self._build.open_from(instruction))
            case Copy() | Add():
                copy(self._build, self._steps, instruction, self._build.open_context)
            case Workdir():
                self._workdir(instruction)
            case Arg():
                self._arg(instruction)
            case Maintainer():
                self._author(instruction)
            case Onbuild():
                config = self.state.image.config
                self._steps.configure(replace(config, on_build=(*config.on_build, instruction.trigger)))
            case From():
                raise AssertionError("a stage does not hold its FROM")
            case _:
                self._metadata(instruction)

    def _metadata(self, instruction: Instruction) -> None:
        config, created_by = metadata.apply(instruction, self.state.image.config)
        if isinstance(instruction, Entrypoint) and not self._has_cmd:
            config = replace(config, cmd=None)
        self._has_cmd = self._has_cmd or config.cmd != self.state.image.config.cmd
        pairs = instruction.pairs if isinstance(instruction, Env | Label) else ()
        self._steps.metadata(config, created_by, pairs)
        if isinstance(instruction, Env):
            self._change(variables={**self.state.variables, **dict(pairs)})

    def _change(self, **fields: Mapping[str, str]) -> None:
        self._steps.state = replace(self.state, **fields)  # type: ignore[arg-type]  # both are maps of text

    def _arg(self, instruction: Arg) -> None:
        build = self._build
        parts = resolve_each(instruction, self.state.variables, build.build_args, build.global_args, build.escape)
        texts = [name if value is None else f"{name}={value}" for name, value in parts]
        found = {name: value for name, value in parts if value is not None}
        self._steps.metadata(self.state.image.config, f"ARG {' '.join(texts)}", found.items())
        args = {**self.state.args, **{name: found.get(name, "") for name, _ in parts}}
        seen = {name: value for name, value in found.items() if name not in NOT_VARIABLES}
        self._change(variables={**self.state.variables, **seen}, args=args)

    def _author(self, instruction: Maintainer) -> None:
        created_by = f"MAINTAINER {instruction.author}"
        self._steps.metadata(self.state.image.config, created_by, author=instruction.author)

    def labels(self, labels: Mapping[str, str]) -> None:
        """Add the labels of the command line."""
        self._steps.lines = None
        config = replace(self.state.image.config, labels={**self.state.image.config.labels, **labels})
        self._steps.configure(config)

    def _workdir(self, instruction: Workdir) -> None:
        before = self.state.image.config
        config = replace(before, working_dir=resolve_workdir(before.working_dir, instruction.path))
        created_by = f"WORKDIR {config.working_dir}"
        if config.working_dir == "/":
            self._steps.metadata(config, created_by)
            return
        inputs = StepInputs(created_by, self._steps.chain, settings=(("user", before.user), *self._build.settings))
        step = self._steps.begin(instruction)

        def make(_: Step) -> Layer:
            return make_directory(self._build, self._steps, config.working_dir)

        self._steps.layer(step, inputs, HistoryEntry(None, created_by, COMMENT), config, make)

    def _run(self, instruction: Run) -> None:
        state, build = self.state, self._build
        words = metadata.in_shell(_command(instruction), state.image.config)
        if not words:
            raise BuildError("arguments are required", hint="RUN [] runs nothing")
        shown = " ".join(f"{name}={value}" for name, value in state.args.items())
        prefix = f"|{len(state.args)} {shown} " if state.args else ""
        entry = HistoryEntry(None, f"RUN {prefix}{' '.join(words)} # buildkit", COMMENT)
        # Proxies reach every RUN; where nothing declares them they are no part of what the result depends on.
        proxies = _proxies(build.build_args)
        extra = {} if build.source_date_epoch is None else {"SOURCE_DATE_EPOCH": str(build.source_date_epoch)}
        env = {**proxies, **state.variables, **extra}
        mounts = run_mounts.resolve(build, instruction, state.variables, state.image.config.working_dir or "/")
        scripts = _scripts(instruction)

        def make(step: Step) -> Layer:
            with run_mounts.mounted(build, mounts, has_overlay=can_overlay(build.ws)) as made:
                process = StepProcess(
                    words,
                    tuple(f"{name}={value}" for name, value in {**env, **made.env}.items()),
                    _networking(_network_of(instruction, build), build.hosts),
                    tuple(made.mounts),
                    (*scripts, *made.files),
                    tuple(made.secrets),
                    unconfined() if instruction.security == INSECURE else Security(),
                )
                finished = run(build, step, state.image, self._steps.tree(), process)
            if finished.layer is None:
                raise StepFailed(
                    " ".join(words),
                    finished.status,
                    step_name=step.name,
                    tail=finished.tail,
                    filename=build.filename,
                    first=instruction.first,
                    last=instruction.last,
                    source=build.source,
                )
            return finished.layer

        step = self._steps.begin(instruction, [item.mount.env for item in mounts if item.mount.env])
        inputs = self._run_inputs(instruction, words, mounts)
        self._steps.layer(step, inputs, entry, state.image.config, make)

    def _run_inputs(
        self, instruction: Run, words: tuple[str, ...], mounts: Sequence[run_mounts.StepMount]
    ) -> StepInputs:
        state = self.state
        arguments = {name: value for name, value in state.variables.items() if name in state.args}
        config = state.image.config
        return StepInputs(
            f"RUN {metadata.words_text(words)}",
            self._steps.chain,
            env=tuple(f"{name}={value}" for name, value in state.variables.items() if name not in arguments),
            build_args=tuple(arguments.items()),
            settings=(
                ("user", config.user),
                ("directory", config.working_dir or "/"),
                ("network", _network_of(instruction, self._build)),
                ("architecture", state.image.architecture),
                ("id mode", _id_mode(self._build.ws)),
                *((("security", INSECURE),) if instruction.security == INSECURE else ()),
                *self._build.settings,
                *((name, value) for name, value in self._build.build_args.items() if name == HOSTNAME_ARGUMENT),
                *((("hosts", hosts),) if (hosts := " ".join(name for name, _ in self._build.hosts)) else ()),
                *((f"script {file.target}", file.content.decode()) for file in _scripts(instruction)),
                *run_mounts.settings(mounts),
            ),
            files=run_mounts.files(mounts),
            told=replace(
                _told(_command(instruction), words), ignores=run_mounts.ignores(mounts), mounts=run_mounts.told(mounts)
            ),
        )


def _proxies(build_args: Mapping[str, str]) -> dict[str, str]:
    """Return the proxies that are given, in both spellings; the value of the lower-case one wins."""
    found: dict[str, str] = {}
    for name in _PROXIES:
        value = build_args.get(name, build_args.get(name.upper()))
        if value is not None:
            found[name.upper()] = found[name] = value
    return found


def _told(command: Command, words: tuple[str, ...]) -> Told:
    """Return a RUN as it was written: the line, and which shell gets it."""
    if not command.is_shell:
        return Told(f"RUN {metadata.words_text(words)}")
    return Told(f"RUN {' '.join(command.args)}", " ".join(words[: len(words) - len(command.args)]))


def _command(instruction: Run) -> Command:
    """Return what the shell gets: the line, with the bodies of its here-documents, or the name of a script."""
    if not instruction.heredocs:
        return instruction.command
    for script in _scripts(instruction):
        return Command((script.target,), is_shell=True)
    return Command((heredocs.shell_argument(instruction.command.args[0], instruction.heredocs),), is_shell=True)


def _scripts(instruction: Run) -> tuple[MountedFile, ...]:
    """Return the here-document of a RUN that names its own interpreter (#!), as a file to be executed."""
    if not instruction.heredocs:
        return ()
    script = heredocs.script_of(instruction.command.args[0], instruction.heredocs)
    if script is None:
        return ()
    return (MountedFile(f"/dev/pipes/{script.name}", script.text.encode("utf-8", "surrogateescape"), 0o755),)


def _id_mode(ws: Workspace) -> str:
    """Return what a RUN can do with owners: its layer without them must not stand in for the one with them."""
    return ws.store.id_mode.value if keeps_owners(ws) else f"{ws.store.id_mode.value}, owners not kept"


def _network_of(instruction: Run, build: BuildContext) -> str:
    own = instruction.network if instruction.network != "default" else ""
    return own or build.network or "default"


def _networking(name: str, hosts: tuple[tuple[str, str], ...]) -> Networking:
    if name == NetworkKind.NONE:
        return Networking(NetworkKind.NONE, NetworkKind.NONE, extra_hosts=hosts)
    return Networking(extra_hosts=hosts)
