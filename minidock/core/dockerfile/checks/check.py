"""Looks a Dockerfile over: every rule on every instruction that is built, or on all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field

from minidock.core.config import ImageConfig
from minidock.core.dataclass import dataclass
from minidock.core.dockerfile.checks import file_rules, stage_rules
from minidock.core.dockerfile.checks.file_rules import FileView
from minidock.core.dockerfile.checks.options import BUILD_ARG, BadOptions, CheckOptions
from minidock.core.dockerfile.checks.rule import Finding, Hit, Rule
from minidock.core.dockerfile.checks.stage_rules import Inputs, Scope
from minidock.core.dockerfile.directives import find_check
from minidock.core.dockerfile.ignore import IgnoreRules
from minidock.core.dockerfile.model import Instruction
from minidock.core.dockerfile.parser import Dockerfile, Node
from minidock.core.dockerfile.stage_plan import Stage, StagePlan
from minidock.core.platform import Platform
from minidock.core.process import DEFAULT_PATH
from minidock.core.quoting import quoted
from minidock.errors import DockerfileError

CHECKED = frozenset({"NoEmptyContinuation"})  # warnings of the parser that a rule repeats
BaseOf = Callable[[str], ImageConfig | None]


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found, by line; ``is_error`` says that the author wants findings to stop the build."""

    findings: tuple[Finding, ...]
    is_error: bool

    def problem(self, dockerfile: Dockerfile) -> DockerfileError | None:
        """Return the error that the findings are, if they are one."""
        if not self.findings or not self.is_error:
            return None
        names = sorted({finding.rule.name for finding in self.findings})
        first = self.findings[0]
        return dockerfile.error(f"lint violation found for rules: {', '.join(names)}", first.first, first.last)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What the author of a Dockerfile is told; ``error`` is what stops a build of it, if something does."""

    dockerfile: Dockerfile
    findings: tuple[Finding, ...]
    error: DockerfileError | None


def options_of(dockerfile: Dockerfile, build_args: Mapping[str, str]) -> CheckOptions:
    """Return the options that a build argument or else the ``check`` directive gives. Raises: DockerfileError."""
    directive = find_check(dockerfile.source)
    text = build_args.get(BUILD_ARG, "" if directive is None else directive.word)
    try:
        return CheckOptions.parse(text)
    except BadOptions as error:
        line = 0 if BUILD_ARG in build_args or directive is None else directive.line
        what = f"build-arg:{BUILD_ARG}" if BUILD_ARG in build_args else "check options"
        raise dockerfile.error(f"failed to parse {what}: {error}", line) from error


def check_file(view: FileView, options: CheckOptions) -> tuple[Finding, ...]:
    """Return what can be found without knowing the stages: also of a file whose stages make no sense."""
    found: list[Finding] = []
    for rule, find in file_rules.FILE_RULES:
        found += _findings(rule, find(view), options)
    return tuple(found)


def check(
    plan: StagePlan,
    instructions: Sequence[Instruction],
    wanted: Iterable[int],
    options: CheckOptions,
    *,
    build_args: Mapping[str, str],
    predefined: Mapping[str, str],
    ignore: IgnoreRules | None,
    base_of: BaseOf,
) -> Checked:
    """Return what is found in the file and in the stages ``wanted`` (in file order, bases included).

    By line, and within one in the order of the rules.

    ``ignore`` is None where there is no ignore file. ``base_of`` returns the config of an image that is at hand.
    """
    view = FileView(plan.dockerfile, instructions, plan.global_args, predefined)
    inputs = Inputs(build_args, plan.global_args, ignore, plan.dockerfile.escape)
    walk = _Walk(plan, options, inputs, base_of, predefined)
    found = [*check_file(view, options)]
    for index in wanted:
        found += walk.stage(plan.stages[index])
    return Checked(tuple(sorted(found, key=lambda finding: finding.first)), options.is_error)


@dataclass(slots=True)
class _Walk:
    plan: StagePlan
    options: CheckOptions
    inputs: Inputs
    base_of: BaseOf
    predefined: Mapping[str, str]
    scopes: dict[int, Scope] = field(default_factory=dict)
    nodes: dict[int, Node] = field(init=False)

    def __post_init__(self) -> None:
        self.nodes = {node.first: node for node in self.plan.dockerfile.nodes}

    def stage(self, stage: Stage) -> Iterator[Finding]:
        """Yield what is found in a stage; those that it is built on have been walked."""
        base = None if stage.is_scratch or isinstance(stage.base, int) else self.base_of(stage.base)
        if base is not None:
            hits = self._base_platform(stage, base, self.nodes[stage.from_line])
            yield from _findings(stage_rules.BASE_PLATFORM, hits, self.options)
        scope = self.scopes[stage.index] = self._first_scope(stage, base)
        for instruction in stage.instructions:
            item = stage_rules.item_of(self.nodes[instruction.first], instruction, scope, self.inputs)
            for rule, find in stage_rules.STAGE_RULES:
                yield from _findings(rule, find(item), self.options)
            stage_rules.move_on(item)

    def _first_scope(self, stage: Stage, base: ImageConfig | None) -> Scope:
        if isinstance(stage.base, int):
            return self.scopes[stage.base].inherited()
        if base is None:
            return Scope({"PATH": DEFAULT_PATH})
        env = {name: value for name, _, value in (entry.partition("=") for entry in base.config.env)}
        return Scope(env, has_shell=bool(base.config.shell))

    def _base_platform(self, stage: Stage, base: ImageConfig, node: Node) -> Iterator[Hit]:
        expected = stage.platform or Platform(
            self.predefined.get("TARGETOS", "linux"),
            self.predefined.get("TARGETARCH", base.architecture),
            self.predefined.get("TARGETVARIANT", ""),
        )
        actual = base.platform.normalized()
        if (expected.os, expected.architecture) != (actual.os, actual.architecture):
            platforms = f"platform {quoted(str(actual))}, expected {quoted(str(expected))} for current build"
            yield Hit(node, f"Base image {stage.base} was pulled with {platforms}")


def _findings(rule: Rule, hits: Iterable[Hit], options: CheckOptions) -> Iterator[Finding]:
    for node, detail, line, found_at in hits:
        chosen = options.with_comments((found_at or node).comments) if rule.is_skippable else options
        if chosen.wants(rule.name, is_experimental=rule.is_experimental):
            yield Finding(rule, detail, line or node.first, line or node.last)
