"""Which checks are wanted: the ``check`` directive, the build argument in its place, and comments above instructions.

Source: BuildKit, frontend/dockerfile/linter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from minidock.core.dataclass import dataclass
from minidock.core.dockerfile.directives import match_directive
from minidock.core.quoting import quoted
from minidock.core.truth import FALSE, TRUE

BUILD_ARG = "BUILDKIT_DOCKERFILE_CHECK"
_ALL = "all"
_MOST_PARTS = 3


class BadOptions(ValueError):
    """Text that is not ``skip=…;error=…;experimental=…``, in BuildKit's words."""


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """``skipped`` and ``experimental`` are names of rules, or ``all`` alone; ``is_error`` makes findings fatal."""

    skipped: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    is_error: bool = False

    @classmethod
    def parse(cls, text: str) -> CheckOptions:
        """Return what a directive or a build argument says. Raises: BadOptions."""
        options = cls()
        for part in text.strip().split(";", _MOST_PARTS - 1) if text.strip() else ():
            name, equals, value = part.partition("=")
            if not equals:
                raise BadOptions(f"invalid check option {quoted(part)}")
            match name.strip():
                case "skip":
                    options = replace(options, skipped=_names(value))
                case "experimental":
                    options = replace(options, experimental=_names(value))
                case "error":
                    options = replace(options, is_error=_truth(value.strip(), part))
                case other:
                    raise BadOptions(f"invalid check option {quoted(other)}")
        return options

    def wants(self, rule: str, *, is_experimental: bool) -> bool:
        """Whether findings of a rule are reported."""
        chosen = self.experimental if is_experimental else self.skipped
        return (rule in chosen or _ALL in chosen) is is_experimental

    def with_comments(self, comments: Iterable[str]) -> CheckOptions:
        """Return the options for an instruction with these comments above; a comment that is wrong counts for nothing.

        Only the first ``check=`` among them is looked at, and it cannot make findings fatal.
        """
        for comment in comments:
            directive = match_directive(comment, 0, marker="")
            if directive is None or directive.name != "check":
                continue
            try:
                more = CheckOptions.parse(directive.word)
            except BadOptions:
                return self
            return replace(
                self, skipped=self.skipped | more.skipped, experimental=self.experimental | more.experimental
            )
        return self


def _names(text: str) -> frozenset[str]:
    """Return the names of a list; ``all`` among others is the name of no rule."""
    names = frozenset(name.strip() for name in text.split(","))
    return names - {_ALL} if len(names) > 1 else names


def _truth(text: str, part: str) -> bool:
    if text in TRUE | FALSE:
        return text in TRUE
    reason = f"strconv.ParseBool: parsing {quoted(text)}: invalid syntax"
    raise BadOptions(f"failed to parse check option {quoted(part)}: {reason}")
