"""Errors as text for stderr: one line and a hint, a usage, or the lines of a Dockerfile that are to blame."""

from __future__ import annotations

from minidock.errors import ArgumentCount, BuildError, DockerfileError, FlagError, MinidockError, StepFailed, UsageError

PROGRAM = "minidock"
_RULE = "-" * 20
_SHORT_RULE = "-" * 6


def error_text(error: MinidockError) -> str:
    """Return what stderr shows for ``error``, ending in a newline."""
    match error:
        case UsageError():
            text = _usage_error_text(error)
        case DockerfileError():
            text = _dockerfile_error_text(error)
        case BuildError():
            text = f"ERROR: failed to build: {error}\n"
        case _:
            text = f"{PROGRAM}: {error}\n"
    return text + (f"hint: {error.hint}\n" if error.hint else "")


def _usage_error_text(error: UsageError) -> str:
    """Return the mistake, the usage line and where to read more; wrong options go without the program's name."""
    prefix = "" if isinstance(error, FlagError) else f"{PROGRAM}: "
    # Docker says "See" where a command takes a range of arguments.
    verb = "See" if isinstance(error, ArgumentCount) and error.least != error.most else "Run"
    usage = f"Usage:  {error.usage}\n\n" if error.usage else ""
    return f"{prefix}{error}\n\n{usage}{verb} '{error.command or PROGRAM} --help' for more information\n"


def _dockerfile_error_text(error: DockerfileError) -> str:
    """Return the tail of the step's output, the lines around the mistake, and the mistake."""
    parts = []
    if isinstance(error, StepFailed):
        tail = "".join(f"{line}\n" for line in error.tail)
        parts.append(f"{_SHORT_RULE}\n > {error.step_name}:\n{tail}{_SHORT_RULE}\n")
    if 1 <= error.first <= len(error.source.split("\n")):
        parts.append(excerpt(error.filename, error.source, error.first, error.last))
    parts.append(f"ERROR: failed to build: failed to solve: {error}\n")
    return "".join(parts)


def excerpt(filename: str, source: str, first: int, last: int) -> str:
    """Return the lines ``first`` to ``last`` of ``source`` with some context, those to blame marked ``>>>``.

    Two lines of context on each side, one if several lines are to blame; a last newline begins one more, empty line.
    """
    lines = source.split("\n")
    last = min(max(first, last), len(lines))
    context = 2 if first == last else 1
    shown = range(max(1, first - context), min(len(lines), last + context) + 1)
    body = "".join(
        f" {number:3d} | {'>>>' if first <= number <= last else '   '} {lines[number - 1]}\n" for number in shown
    )
    return f"{filename}:{first}\n{_RULE}\n{body}{_RULE}\n"
