"""Where `cp` puts things: docker's rules, which are those of ``cp -a`` but for what a trailing ``/.`` means.

Source: docker's command line reference, "docker container cp"; moby pkg/archive, as seen from outside.
"""

from __future__ import annotations

import posixpath

from minidock.core.dataclass import dataclass
from minidock.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class CopyPath:
    """One side of `cp`: a path in ``container``, or of the host if that is empty; ``-`` is a tar stream."""

    container: str
    path: str

    @classmethod
    def parse(cls, text: str) -> CopyPath:
        """Return the value of ``[CONTAINER:]PATH``; what begins with a slash or a dot is a path of the host."""
        name, colon, path = text.partition(":")
        if text.startswith("/") or not colon or name.startswith("."):
            return cls("", text)
        return cls(name, path)

    @property
    def is_stream(self) -> bool:
        """Whether this is the standard input or output."""
        return not self.container and self.path == "-"


def is_content(path: str) -> bool:
    """Whether a source means what is in a directory, not the directory itself."""
    return path == "." or path.endswith("/.")


def says_directory(path: str) -> bool:
    """Whether a path can only be that of a directory."""
    return is_content(path) or path.endswith("/")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a copy goes: ``name`` in ``directory``, or into ``directory`` itself if ``name`` is empty."""

    directory: str
    name: str


def place_of(
    source: str, *, source_is_directory: bool, target: str, target_exists: bool, target_is_directory: bool
) -> Place:
    """Return where ``source`` goes when ``target``, an absolute path, is asked for.

    Raises: InvalidRequest in docker's words.
    """
    normal = posixpath.normpath(target)
    if target_is_directory:
        is_inside = source_is_directory and is_content(source)
        return Place(normal, "" if is_inside else posixpath.basename(posixpath.normpath(source)))
    if target_exists and source_is_directory:
        raise InvalidRequest("cannot copy directory")
    if says_directory(target) and (target_exists or not source_is_directory):
        raise InvalidRequest("not a directory" if target_exists else "no such directory")
    return Place(posixpath.dirname(normal), posixpath.basename(normal))
