"""The mounts of a RUN step: what they add to its inputs, and the directories and files they become."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import field

from minidock.core.cache_key import InputFile
from minidock.core.config import chain_ids
from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest
from minidock.core.dockerfile import run_mounts, words
from minidock.core.dockerfile.model import Run
from minidock.core.dockerfile.problem import InstructionError
from minidock.core.dockerfile.run_mounts import MountType, RunMount, Sharing
from minidock.core.entries import DIRECTORY
from minidock.core.mount_reasons import MOUNT
from minidock.core.process import Mount, MountedFile, Overlay
from minidock.core.process import MountType as Kind
from minidock.core.selecting import Selected, Selection
from minidock.core.told import Ignores, ToldMount
from minidock.engine.selection import write_selected
from minidock.engine.sources import Source, ignores_of, input_files, layer_source
from minidock.engine.ssh_agent import agent_with_keys, lent
from minidock.engine.stage_state import BuildContext
from minidock.errors import BuildError, ExpansionError

_MOST_SECRET_BYTES = 500 * 1024
_AGENTS = "/run/buildkit/ssh_agent."
_WILDCARDS = re.compile(r"([*?\[\\])")


@dataclass(frozen=True, slots=True)
class StepMount:
    """One mount of a step: where it goes (None: a variable), and for a bind what it shows.

    ``diff_ids`` are the layers of the stage or image that a bind or a cache takes its content from, ``source`` the
    context that it takes it from instead.
    """

    mount: RunMount
    target: str | None
    selected: Selected | None = None
    diff_ids: tuple[Digest, ...] | None = None
    source: Source | None = None


@dataclass(slots=True)
class Mounted:
    """What a process gets: mounts, files in memory, variables, and the words that nobody is to read in its output."""

    mounts: list[Mount] = field(default_factory=list)
    files: list[MountedFile] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)


def resolve(build: BuildContext, instruction: Run, variables: Mapping[str, str], workdir: str) -> tuple[StepMount, ...]:
    """Return the mounts of an instruction, what they show looked up. Raises: BuildError."""
    found = []
    for text in instruction.mounts:
        try:
            mount = run_mounts.parse(text, lambda word: words.expand(word, variables, build.escape))
            found.append(_resolved(build, instruction, mount, mount.path(workdir)))
        except (InstructionError, ExpansionError) as error:
            raise BuildError(str(error)) from error
    return tuple(found)


def _resolved(build: BuildContext, instruction: Run, mount: RunMount, target: str | None) -> StepMount:
    if mount.type not in (MountType.BIND, MountType.CACHE):
        return StepMount(mount, target)
    if not mount.from_:
        if mount.type is MountType.CACHE:
            return StepMount(mount, target)
        source = build.open_context()
        return StepMount(mount, target, _selected(source, mount.source), source=source)
    diff_ids = build.layers_of(mount.from_, instruction, target or "")
    if not isinstance(diff_ids, tuple):
        return StepMount(mount, target, _selected(diff_ids, mount.source), source=diff_ids)
    with layer_source(build.ws.store, diff_ids) as layers:
        return StepMount(mount, target, _selected(layers, mount.source), diff_ids)


def _selected(source: Source, path: str) -> Selected:
    """Return what a path names, which is no pattern here. Raises: BuildError if it is missing."""
    return source.select([_WILDCARDS.sub(r"\\\1", path) or "."], Selection())[0][0]


def settings(mounts: Sequence[StepMount]) -> tuple[tuple[str, str], ...]:
    """Return what the mounts add to the settings of a step: never the content of secrets and caches."""
    return tuple((_name(item), _setting(item)) for item in mounts)


def _name(item: StepMount) -> str:
    return f"{MOUNT}{item.target or item.mount.env or item.mount.key}"


def told(mounts: Sequence[StepMount]) -> tuple[ToldMount, ...]:
    """Return where the mounts take their content from, for those who compare."""
    return tuple(
        ToldMount(_name(item), item.mount.from_, item.mount.source, f"{_prefix(item)}{item.selected.entry.path}")
        for item in mounts
        if item.selected is not None
    )


def ignores(mounts: Sequence[StepMount]) -> tuple[Ignores, ...]:
    """Return what the contexts ignore that binds show."""
    found = (item for mount in mounts for item in ignores_of(mount.source, _prefix(mount)))
    return tuple({item.prefix: item for item in found}.values())


def _prefix(item: StepMount) -> str:
    """Return what stands before the paths of a bind's files in the inputs of a step."""
    return f"{item.mount.from_}:/" if item.mount.from_ else ""


def _setting(item: StepMount) -> str:
    mount = item.mount
    parts = [mount.type.value, "ro" if mount.is_read_only else "rw"]
    named = {"id": _counted_id(item), "env": mount.env, "size": mount.size or ""}
    numbers = {"uid": mount.uid, "gid": mount.gid, "mode": None if mount.mode is None else f"{mount.mode:o}"}
    parts += [f"{name}={value}" for name, value in {**named, **numbers}.items() if value not in (None, "")]
    if item.diff_ids is not None and _is_whole_image(item):
        parts.append(f"content={_chain(item.diff_ids)}")
    return " ".join(parts)


def _counted_id(item: StepMount) -> str:
    """Return the id if another one is a reason to run the step again: of caches it is the usual one only.

    Source: BuildKit, solver/llbsolver/ops/exec.go, checkShouldClearCacheOpts.
    """
    mount = item.mount
    if mount.type is MountType.CACHE:
        is_usual = mount.key == item.target and mount.sharing in (None, Sharing.SHARED)
        return mount.key if is_usual else ""
    return mount.key if mount.type is not MountType.BIND else ""


def files(mounts: Sequence[StepMount]) -> tuple[InputFile, ...]:
    """Return the files that binds show, as inputs of a step. Whole images are told by their layers instead."""
    found: list[InputFile] = []
    for item in mounts:
        if item.mount.type is MountType.BIND and item.selected is not None and not _is_whole_image(item):
            taken = input_files([item.selected], keeps_owners=item.diff_ids is not None)
            found += [entry._replace(path=f"{_prefix(item)}{entry.path}") for entry in taken]
    return tuple(found)


def _is_whole_image(item: StepMount) -> bool:
    return item.diff_ids is not None and item.selected is not None and not item.selected.entry.path


def _chain(diff_ids: tuple[Digest, ...]) -> str:
    return str(chain_ids(diff_ids)[-1]) if diff_ids else "scratch"


@contextmanager
def mounted(build: BuildContext, items: Sequence[StepMount], *, has_overlay: bool) -> Iterator[Mounted]:
    """Make what the mounts show, and take it away after the block. Raises: BuildError."""
    made = Mounted()
    with ExitStack() as stack:
        for item in items:
            match item.mount.type:
                case MountType.BIND:
                    made.mounts.append(_bind(build, item, has_overlay=has_overlay))
                case MountType.TMPFS:
                    size = (f"size={item.mount.size}",) if item.mount.size else ()
                    made.mounts.append(Mount("", item.target or "", type=Kind.TMPFS, options=("exec", *size)))
                case MountType.CACHE:
                    made.mounts.append(_cache(build, item, stack))
                case MountType.SECRET:
                    _secret(build, item, made)
                case MountType.SSH:
                    _agent(build, item, made, stack)
        yield made


def _bind(build: BuildContext, item: StepMount, *, has_overlay: bool) -> Mount:
    disk, session, target = build.ws.store.disk, build.session, item.target or ""
    is_read_only = bool(item.mount.is_read_only)
    assert item.selected is not None
    place = session.temporary()
    disk.mkdir(place)
    if item.diff_ids is not None and has_overlay:
        lowers = build.ws.store.snapshots.stack(session, item.diff_ids)
        return _overlay(build, place, lowers, target, item.selected.entry.path, is_read_only=is_read_only)
    path = f"{place}/{os.path.basename(item.selected.entry.path) or 'root'}"
    if item.selected.entry.kind == DIRECTORY:
        disk.mkdir(path)
    if item.diff_ids is None:
        assert item.source is not None
        write_selected(disk, build.ws.store.id_mode, item.source, item.selected, path)
    else:
        with layer_source(build.ws.store, item.diff_ids) as layers:
            write_selected(disk, build.ws.store.id_mode, layers, item.selected, path)
    return Mount(path, target, is_read_only)  # a copy of this step's own: what is written to it goes with it


def _overlay(
    build: BuildContext, place: str, lowers: Sequence[str], target: str, subpath: str, *, is_read_only: bool
) -> Mount:
    for name in ("empty", "source", "upper", "work"):
        build.ws.store.disk.mkdir(f"{place}/{name}", 0o755)
    stacked = Overlay((*lowers, f"{place}/empty"), f"{place}/upper", f"{place}/work")
    return Mount(f"{place}/source", target, is_read_only, subpath=subpath, overlay=stacked)


def _cache(build: BuildContext, item: StepMount, stack: ExitStack) -> Mount:
    mount, store = item.mount, build.ws.store
    content = "" if item.diff_ids is None else f" from {_chain(item.diff_ids)} {mount.source}".rstrip()
    name = f"{build.cache_namespace}/{mount.key}{content}"

    def fill(path: str) -> None:
        if item.diff_ids is not None and item.selected is not None:
            with layer_source(store, item.diff_ids) as layers:
                write_selected(store.disk, store.id_mode, layers, item.selected, path)
            return
        if item.source is not None and item.selected is not None:
            write_selected(store.disk, store.id_mode, item.source, item.selected, path)
            return
        store.disk.chmod(path, 0o755 if mount.mode is None else mount.mode)
        if store.id_mode.has_real_owners and (mount.uid or mount.gid):
            store.disk.chown(path, mount.uid or 0, mount.gid or 0)

    if not build.uses_cache:
        store.cache_mounts.empty(build.session, name)
    use = {
        Sharing.LOCKED: store.cache_mounts.locked,
        Sharing.PRIVATE: store.cache_mounts.private,
    }.get(mount.sharing or Sharing.SHARED, store.cache_mounts.shared)
    path = stack.enter_context(use(build.session, name, build.ws.clock.now(), fill))
    return Mount(path, item.target or "", bool(mount.is_read_only))


def _secret(build: BuildContext, item: StepMount, made: Mounted) -> None:
    mount = item.mount
    content = build.secrets.read(mount.key)
    if content is None:
        if mount.is_required:
            hint = f"give it: --secret id={mount.key},src=FILE or --secret id={mount.key},env=NAME"
            raise BuildError(f"secret {mount.key}: not found", hint=hint)
        return
    if len(content) > _MOST_SECRET_BYTES:
        raise BuildError(f"invalid secret size {len(content)}: at most {_MOST_SECRET_BYTES} bytes are allowed")
    text = content.decode("utf-8", "surrogateescape")
    made.secrets += [line for line in text.splitlines() if line.strip()]
    if mount.env is not None:
        made.env[mount.env or mount.key] = text
    if item.target is not None:
        mode = 0o400 if mount.mode is None else mount.mode
        made.files.append(MountedFile(item.target, content, mode, mount.uid or 0, mount.gid or 0))


def _agent(build: BuildContext, item: StepMount, made: Mounted, stack: ExitStack) -> None:
    mount = item.mount
    agent = build.secrets.agents.get(mount.key)
    if agent is None:
        if mount.is_required:
            raise BuildError(f"unset ssh forward key {mount.key}", hint=f"give it: --ssh {mount.key}=SOCKET_OR_KEY")
        made.env.setdefault("SSH_AUTH_SOCK", item.target or f"{_AGENTS}0")
        return
    place = build.session.temporary()
    build.ws.store.disk.mkdir(place)
    socket = agent.socket or stack.enter_context(agent_with_keys(agent.keys, place))
    mode = 0o600 if mount.mode is None else mount.mode
    path = stack.enter_context(lent(socket, place, mode, (mount.uid or 0, mount.gid or 0)))
    number = sum(entry.target.startswith(_AGENTS) for entry in made.mounts)
    target = item.target or f"{_AGENTS}{number}"
    made.mounts.append(Mount(path, target))
    made.env.setdefault("SSH_AUTH_SOCK", target)
