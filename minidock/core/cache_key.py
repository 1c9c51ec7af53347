"""What a step's result depends on, and the key made from it.

The key covers everything that can influence the result and nothing else. Times of files never count; what a label or
a CMD says never disturbs a later RUN, because those stand in the image config and not in a step's inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from minidock.core.canonical import dumps
from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest
from minidock.core.secret_words import digest_of, looks_secret, marked
from minidock.core.told import NOTHING_TOLD, Told
from minidock.errors import PatternError, StoreError

FORMAT_VERSION = 2


class InputFile(NamedTuple):
    """One file that a COPY or ADD takes in: ``content`` is its sha256, or the target of a link.

    ``owner`` is ``uid:gid`` where the source's owner is kept (a stage or image), empty for a build context; ``link``
    the file taken before that this is a further name of; ``xattrs`` a text that tells the extended attributes.
    """

    path: str
    kind: str
    mode: int
    content: str
    owner: str = ""
    link: str = ""
    xattrs: str = ""


@dataclass(frozen=True, slots=True)
class StepInputs:
    """Everything that can influence one step.

    ``instruction`` is the normalised text; ``parent`` the chain ID of the layers below (a step that makes a layer) or
    the image ID of the step before (one that only changes the config). ``settings`` are named texts: user, directory,
    shell, platform, id mode where it matters. ``files`` are sorted.
    """

    instruction: str
    parent: str
    env: tuple[str, ...] = ()
    build_args: tuple[tuple[str, str], ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    files: tuple[InputFile, ...] = ()
    told: Told = NOTHING_TOLD

    def key(self) -> Digest:
        """Return the cache key."""
        return Digest.sha256(dumps([FORMAT_VERSION, *self._members(), str(self.files_digest())]))

    def files_digest(self) -> Digest:
        """Return the digest of the list of files; equal lists have equal ones."""
        return Digest.sha256(self.files_to_bytes())

    def files_to_bytes(self) -> bytes:
        """Return the list of files as canonical JSON."""
        return dumps(self.files)

    def recorded_files(self) -> tuple[InputFile, ...]:
        """Return the files as a record keeps them: marks for secret values in their names and in targets of links."""
        if not self.told.secrets:
            return self.files
        return tuple(
            item._replace(
                path=self._marked(item.path), content=self._marked(item.content), link=self._marked(item.link)
            )
            for item in self.files
        )

    def recorded(self) -> RecordedInputs:
        """Return the inputs as they are once a record of them is read."""
        return RecordedInputs.from_json(self.to_json(), self.recorded_files())

    def _members(self) -> list[Any]:
        return [self.instruction, self.parent, self.env, self.build_args, self.settings]

    def to_json(self) -> dict[str, Any]:
        """Return the inputs as a record keeps them: without files, values that look secret as digests."""
        return {
            "format": FORMAT_VERSION,
            "instruction": self._marked(self.instruction),
            "parent": self.parent,
            "env": [self._pair(*item.partition("=")[::2]) for item in self.env],
            "build_args": [self._pair(*item) for item in self.build_args],
            "settings": [[self._marked(name), self._marked(value)] for name, value in self.settings],
            **self.told.to_json(),
        }

    def _pair(self, name: str, value: str) -> list[str]:
        return [name, digest_of(value) if looks_secret(name) else self._marked(value)]

    def _marked(self, text: str) -> str:
        return marked(text, self.told.secrets)


@dataclass(frozen=True, slots=True)
class RecordedInputs:
    """The inputs of an earlier run of a step, as its record keeps them. ``files`` is None if the list is gone."""

    instruction: str
    parent: str
    env: Mapping[str, str]
    build_args: Mapping[str, str]
    settings: Mapping[str, str]
    files: tuple[InputFile, ...] | None = None
    told: Told = NOTHING_TOLD
    format: int = FORMAT_VERSION

    @property
    def word(self) -> str:
        """The word that the instruction begins with."""
        return self.instruction.partition(" ")[0]

    @classmethod
    def from_json(cls, members: Mapping[str, Any], files: Sequence[Sequence[Any]] | None) -> RecordedInputs:
        """Return the inputs read from a record. Raises: StoreError."""
        try:
            return cls(
                instruction=str(members["instruction"]),
                parent=str(members["parent"]),
                env=dict(members["env"]),
                build_args=dict(members["build_args"]),
                settings=dict(members["settings"]),
                files=None if files is None else tuple(InputFile(*row) for row in files),
                told=Told.from_json(members),
                format=int(members.get("format", FORMAT_VERSION)),
            )
        except (KeyError, TypeError, ValueError, PatternError) as error:
            raise StoreError("malformed cache record") from error
