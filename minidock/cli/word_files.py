"""Files of environment variables and labels: ``--env-file``, ``--label-file``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from minidock.errors import InvalidRequest


def env_words(paths: Iterable[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables that files set; ``NAME`` alone takes its value from ``environment``, if it has one there.

    Raises: InvalidRequest.
    """
    words = []
    for word in _words(paths):
        name, equals, _ = word.partition("=")
        if equals:
            words.append(word)
        elif name in environment:
            words.append(f"{name}={environment[name]}")
    return tuple(words)


def label_words(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the labels that files set; a name without a value sets none. Raises: InvalidRequest."""
    return tuple(word for word in _words(paths) if "=" in word)


def _words(paths: Iterable[str]) -> Iterable[str]:
    """Yield the lines of files but comments and empty ones, without the blanks before the name."""
    for path in paths:
        for number, raw in enumerate(_lines(path), 1):
            try:
                line = raw.decode().lstrip()
            except UnicodeDecodeError as error:
                raise _invalid(path, f"invalid utf8 bytes at line {number}: {list(raw)}") from error
            if not line or line.startswith("#"):
                continue
            name = line.partition("=")[0]
            if not name:
                raise _invalid(path, f"no variable name on line '{line}'")
            if any(character.isspace() for character in name):
                raise _invalid(path, f"variable '{name}' contains whitespaces")
            yield line


def _invalid(path: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"invalid env file ({path}): {reason}")  # docker says so of files of labels too


def _lines(path: str) -> list[bytes]:
    try:
        with open(path, "rb") as file:
            text = file.read().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise InvalidRequest(f"open {path}: {(error.strerror or '').lower()}") from error
    return [line.removesuffix(b"\r") for line in text.split(b"\n")]
