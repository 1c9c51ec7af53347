"""Commands that take several names go on after a mistake, and tell all of them at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from minidock.errors import MinidockError
from minidock.render.errors import error_text


def for_each(names: Iterable[str], act: Callable[[str], None]) -> int:
    """Call ``act`` with every name; return the exit code, that of the last error if there was one."""
    errors = []
    for name in names:
        try:
            act(name)
        except MinidockError as error:
            errors.append(error)
    return tell(errors)


def tell(errors: Iterable[MinidockError]) -> int:
    """Print errors after everything else; return the exit code."""
    code = 0
    sys.stdout.flush()
    for error in errors:
        sys.stderr.write(error_text(error))
        code = error.exit_code
    return code
