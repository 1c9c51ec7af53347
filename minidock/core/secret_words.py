"""Values that look secret, by the names of their variables: never shown, never in a record."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence

_SECRET = re.compile(r"(?i)(^|_)(api_?key|auth|credentials?|key|password|passwd|pword|secret|token)(_|$)")
_MARK = re.compile(r"secret:sha256:[0-9a-f]{64}")
_FEWEST = 6  # characters: what is shorter (true, false, 1234) stands in too many words to be hidden there


def looks_secret(name: str) -> bool:
    """Tell whether the value of a variable of this name is not for everybody's eyes."""
    return _SECRET.search(name) is not None


def digest_of(value: str) -> str:
    """Return what a record keeps instead of a value: enough to see that it has changed."""
    return f"sha256:{hashlib.sha256(value.encode('utf-8', 'surrogateescape')).hexdigest()}"


def secret_values(pairs: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return the values of those pairs whose name looks secret, the longest first."""
    found = {value for name, value in pairs if looks_secret(name) and len(value) >= _FEWEST}
    return tuple(sorted(found, key=lambda value: (-len(value), value)))


def marked(text: str, values: Sequence[str]) -> str:
    """Return a text for a record, with a mark of its digest for each secret value; see `starred`."""
    if not values:
        return text
    return re.sub("|".join(map(re.escape, values)), lambda found: f"secret:{digest_of(found[0])}", text)


def starred(text: str) -> str:
    """Return a text of a record for people: ``****`` for marks."""
    return _MARK.sub("****", text)


def with_stars(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables as they may be shown: ``****`` for those whose name looks secret."""
    return {name: "****" if value and looks_secret(name) else value for name, value in variables.items()}


def without_secrets(text: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Return ``text`` with ``****`` for the values of those of the ``pairs`` whose name looks secret.

    Short ones are found as ``NAME=value`` only.
    """
    known = tuple(pairs)
    text = starred(marked(text, secret_values(known)))  # the long ones first: a short one may be the beginning of one
    for name, value in known:
        if value and looks_secret(name):
            text = text.replace(f"{name}={value}", f"{name}=****")
    return text
