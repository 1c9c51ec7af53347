"""The checks that need the text of a Dockerfile and the values of its global arguments, whatever stage is built.

Every rule is a function from a `FileView` to its hits. Source: BuildKit, frontend/dockerfile: instructions/parse.go and
dockerfile2llb/validations.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from minidock.core.dataclass import dataclass
from minidock.core.dockerfile import words
from minidock.core.dockerfile.checks.rule import Hit, Rule
from minidock.core.dockerfile.model import Arg, From, Instruction
from minidock.core.dockerfile.parser import Dockerfile, Node
from minidock.core.dockerfile.stages import resolve_args
from minidock.core.platform import Platform
from minidock.core.quoting import quoted
from minidock.core.reference import Reference
from minidock.core.suggest import did_you_mean
from minidock.errors import ExpansionError, InvalidPlatform, InvalidReference

_RESERVED = ("context", "scratch")
_AS = 2  # FROM base AS name


@dataclass(frozen=True, slots=True)
class FileView:
    """A Dockerfile, its instructions (one per node), and the arguments that its FROM lines see.

    ``scope`` has all their values for this build, ``predefined`` those of TARGETPLATFORM and its like.
    """

    dockerfile: Dockerfile
    instructions: Sequence[Instruction]
    scope: Mapping[str, str]
    predefined: Mapping[str, str]

    @property
    def host(self) -> Platform:
        """The platform that a build makes images for if nothing else is said."""
        return Platform("linux", self.predefined.get("BUILDARCH", "amd64"), self.predefined.get("BUILDVARIANT", ""))

    @property
    def froms(self) -> Iterator[tuple[Node, From]]:
        """Yield the FROM instructions with their nodes."""
        for node, instruction in zip(self.dockerfile.nodes, self.instructions, strict=True):
            if isinstance(instruction, From):
                yield node, instruction

    @property
    def global_args(self) -> list[Arg]:
        """The ARG instructions before the first FROM."""
        found = []
        for instruction in self.instructions:
            if isinstance(instruction, From):
                break
            if isinstance(instruction, Arg):
                found.append(instruction)
        return found

    @property
    def body(self) -> list[Node]:
        """The nodes from the first FROM on."""
        start = next((index for index, item in enumerate(self.instructions) if isinstance(item, From)), 0)
        return list(self.dockerfile.nodes[start:])

    @property
    def known_args(self) -> list[str]:
        """The names that FROM lines may use: the predefined ones and those that are declared, with a value or not."""
        declared = [name for arg in self.global_args for name, _ in arg.args]
        return list(dict.fromkeys([*declared, *self.predefined, *self.scope]))


def empty_continuation(view: FileView) -> Iterator[Hit]:
    nodes = {node.first: node for node in view.dockerfile.nodes}
    for warning in view.dockerfile.warnings:
        if warning.rule == "NoEmptyContinuation":
            yield Hit(nodes[warning.first], "Empty continuation line", warning.last)


def stage_name_casing(view: FileView) -> Iterator[Hit]:
    for node, _ in view.froms:
        name = _written_name(node)
        if name != name.lower():
            yield Hit(node, f"Stage name '{name}' should be lowercase")


def from_as_casing(view: FileView) -> Iterator[Hit]:
    for node, _ in view.froms:
        if len(node.args) <= _AS:
            continue
        keyword = node.args[1]
        is_odd = node.name not in (node.name.lower(), node.name.upper())  # a rule of its own
        expected = keyword.lower() if node.name == node.name.lower() else keyword.upper()
        if not is_odd and keyword != expected:
            yield Hit(node, f"'{keyword}' and '{node.name}' keywords' casing do not match")


def instruction_casing(view: FileView) -> Iterator[Hit]:
    names = [node.name for node in view.body]
    lower = sum(name == name.lower() for name in names)
    upper = sum(name == name.upper() for name in names)
    is_lower = lower > upper
    majority = "lowercase" if is_lower else "uppercase"
    for node in view.body:
        if node.name != (node.name.lower() if is_lower else node.name.upper()):
            yield Hit(node, f"Command '{node.name}' should match the case of the command majority ({majority})")


def duplicate_stage_name(view: FileView) -> Iterator[Hit]:
    seen = set()
    for node, from_ in view.froms:
        if from_.name and from_.name in seen:
            yield Hit(node, f"Duplicate stage name {quoted(from_.name)}, stage names should be unique")
        seen.add(from_.name)


def reserved_stage_name(view: FileView) -> Iterator[Hit]:
    for node, from_ in view.froms:
        if from_.name in _RESERVED:
            yield Hit(node, f"Stage name should not use the same name as reserved stage {quoted(from_.name)}")


def maintainer(view: FileView) -> Iterator[Hit]:
    for node in view.dockerfile.nodes:
        if node.keyword == "maintainer":
            yield Hit(node, "Maintainer instruction is deprecated in favor of using label")


def undefined_arg_in_from(view: FileView) -> Iterator[Hit]:
    known = dict.fromkeys(view.known_args)
    for node, from_ in view.froms:
        for text in (from_.base, from_.platform):
            for name in sorted(_unmatched(view, text) - known.keys()):
                hint = did_you_mean(name, known, is_case_sensitive=True)
                yield Hit(node, f"FROM argument '{name}' is not declared{hint}")


def redundant_target_platform(view: FileView) -> Iterator[Hit]:
    for node, from_ in view.froms:
        found = _expansion(view, from_.platform)
        if found is None or found.unmatched or found.matched != {"TARGETPLATFORM"}:
            continue
        if found.text == view.scope.get("TARGETPLATFORM"):
            yield Hit(
                node,
                f"Setting platform to predefined {from_.platform} in FROM is redundant as this is the default behavior",
            )


def constant_platform(view: FileView) -> Iterator[Hit]:
    for node, from_ in view.froms:
        found = _expansion(view, from_.platform) if from_.platform else None
        if found is None or found.unmatched or found.matched:
            continue
        try:
            platform = Platform.parse(found.text, view.host)
        except InvalidPlatform:
            continue  # the build says so
        if platform.os not in from_.name and platform.architecture not in from_.name:
            yield Hit(node, f"FROM --platform flag should not use constant value {quoted(found.text)}")


def invalid_default_arg(view: FileView) -> Iterator[Hit]:
    defaults = dict(view.predefined)
    try:
        for arg in view.global_args:
            defaults.update(resolve_args(arg, defaults, {}, {}, view.dockerfile.escape))
        for node, from_ in view.froms:
            text = words.expand(from_.base, defaults, view.dockerfile.escape)
            if not _is_reference(text):
                detail = f"Default value for ARG {from_.base} results in empty or invalid base image name"
                yield Hit(node, detail)
    except ExpansionError:
        return  # the build says so


def definition_description(view: FileView) -> Iterator[Hit]:
    for node, instruction in zip(view.dockerfile.nodes, view.instructions, strict=True):
        match instruction:
            case From(name=name) if name:
                names = [name]
            case Arg(args=args):
                names = [name for name, _ in args]
            case _:
                continue
        if node.comments and node.comments[-1].split(" ")[0] not in names:
            example = names[0] if len(names) == 1 else "<arg_key>"
            yield Hit(node, f"Comment for {node.keyword.upper()} should follow the format: `# {example} <description>`")


FILE_RULES: tuple[tuple[Rule, Callable[[FileView], Iterator[Hit]]], ...] = (
    (
        Rule(
            "NoEmptyContinuation", "Empty continuation lines will become errors in a future release", is_skippable=False
        ),
        empty_continuation,
    ),
    (Rule("MaintainerDeprecated", "Use the label org.opencontainers.image.authors instead of MAINTAINER"), maintainer),
    (Rule("StageNameCasing", "Stage names should be lowercase"), stage_name_casing),
    (Rule("FromAsCasing", "The 'as' keyword should be written as the 'from' keyword is"), from_as_casing),
    (
        Rule(
            "InvalidDefinitionDescription",
            "A comment right above FROM or ARG should describe it: `# NAME what it is for`; else leave a line between",
            is_experimental=True,
        ),
        definition_description,
    ),
    (Rule("DuplicateStageName", "Stage names should be unique", is_skippable=False), duplicate_stage_name),
    (Rule("ReservedStageName", "Reserved words should not name stages", is_skippable=False), reserved_stage_name),
    (
        Rule("ConsistentInstructionCasing", "Instructions should all be written in one case", is_skippable=False),
        instruction_casing,
    ),
    (
        Rule(
            "InvalidDefaultArgInFrom",
            "The defaults of global arguments should make valid image names",
            is_skippable=False,
        ),
        invalid_default_arg,
    ),
    (Rule("UndefinedArgInFrom", "FROM should use declared arguments only"), undefined_arg_in_from),
    (Rule("RedundantTargetPlatform", "FROM has $TARGETPLATFORM as its platform anyway"), redundant_target_platform),
    (Rule("FromPlatformFlagConstDisallowed", "FROM --platform should not be a constant"), constant_platform),
)


def _written_name(node: Node) -> str:
    return node.args[_AS] if len(node.args) == _AS + 1 else ""


def _expansion(view: FileView, text: str) -> words.Expansion | None:
    try:
        return words.expansion(text, view.scope, view.dockerfile.escape)
    except ExpansionError:
        return None  # the build says so


def _unmatched(view: FileView, text: str) -> frozenset[str]:
    found = _expansion(view, text)
    return frozenset() if found is None else found.unmatched


def _is_reference(text: str) -> bool:
    try:
        Reference.parse(text)
    except InvalidReference:
        return False
    return True
