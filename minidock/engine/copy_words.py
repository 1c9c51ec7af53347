"""The words of a COPY or ADD: which are paths, URLs and git references, and how the instruction is written down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from minidock.core.copying import Attributes
from minidock.core.dataclass import dataclass
from minidock.core.dockerfile.model import Add, Copy
from minidock.core.git_reference import GitReference, parse_git_reference
from minidock.core.selecting import Selected, Selection, exclusion
from minidock.engine.copy_parts import HeredocPart, LocalPart, Part
from minidock.engine.git_part import GitPart
from minidock.engine.sources import Source
from minidock.engine.stage_state import BuildContext
from minidock.engine.url_part import UrlPart
from minidock.errors import BuildError, PatternError

Chosen = tuple[tuple[Selected, ...], ...]  # what each path names


@dataclass(frozen=True, slots=True)
class Words:
    """The sources of an instruction in order: paths, and (for ADD) URLs and git references."""

    instruction: Copy | Add
    selection: Selection
    sources: tuple[str | GitReference, ...]

    @classmethod
    def of(cls, instruction: Copy | Add) -> Words:
        """Return the words told apart. Raises: BuildError, PatternError."""
        try:
            excludes = exclusion(instruction.excludes)
        except PatternError as error:
            raise BuildError(f"invalid excludepatterns: {list(instruction.excludes)}: {error}") from error
        if isinstance(instruction, Copy):
            selection = Selection(instruction.parents, excludes, is_whole=bool(instruction.from_))
            return cls(instruction, selection, instruction.sources)
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

    def remotes(self, build: BuildContext, attributes: Attributes, hidden: Callable[[str], str]) -> dict[int, Part]:
        """Return the parts that are fetched, by their positions; ``hidden`` makes of a URL what may be shown."""
        found: dict[int, Part] = {}
        for position, source in enumerate(self.sources):
            if isinstance(self.instruction, Copy):
                break
            checksum = self.instruction.checksum
            if isinstance(source, GitReference):
                found[position] = GitPart(build, source, self.selection, attributes.created_at)
            elif _is_url(source):
                found[position] = UrlPart(
                    build, source, hidden(source), checksum, unpacks=bool(self.instruction.unpack)
                )
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


def is_linked(instruction: Copy | Add) -> bool:
    """Tell whether the layer is to be independent; with --chmod BuildKit copies as without --link."""
    return instruction.link and not instruction.chmod


def unpacking(instruction: Copy | Add) -> tuple[tuple[str, str], ...]:
    is_told = isinstance(instruction, Add) and instruction.unpack is not None
    return (("unpack", str(instruction.unpack).lower()),) if is_told and isinstance(instruction, Add) else ()


def history_text(instruction: Copy | Add) -> str:
    """Return the instruction as history has it: variables expanded, --from, --link and --exclude left out."""
    parents = isinstance(instruction, Copy) and instruction.parents
    flags = [("parents", parents or None), ("chown", instruction.chown), ("chmod", instruction.chmod)]
    return _text(instruction, flags)


def told_text(instruction: Copy | Add) -> str:
    """Return the instruction with all of its flags, variables expanded."""
    flags: list[tuple[str, str | bool | None]]
    if isinstance(instruction, Copy):
        flags = [("from", instruction.from_), ("parents", instruction.parents or None)]
    else:
        keeps, unpacks = instruction.keep_git_dir, instruction.unpack
        flags = [("checksum", instruction.checksum), ("keep-git-dir", keeps), ("unpack", unpacks)]
    flags += [("link", instruction.link or None), ("chown", instruction.chown), ("chmod", instruction.chmod)]
    return _text(instruction, [*flags, *(("exclude", pattern) for pattern in instruction.excludes)])


def _text(instruction: Copy | Add, flags: Iterable[tuple[str, str | bool | None]]) -> str:
    """Return the instruction with those flags that are given: not empty and not None."""
    words = ["ADD" if isinstance(instruction, Add) else "COPY"]
    for name, value in flags:
        if value is True:
            words.append(f"--{name}")
        elif value is False:
            words.append(f"--{name}=false")
        elif value:
            words.append(f"--{name}={value}")
    documents = [f"<<{heredoc.name}" for heredoc in instruction.heredocs]
    return " ".join([*words, *instruction.sources, *documents, instruction.destination])
