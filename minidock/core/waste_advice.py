"""The change of a Dockerfile that saves wasted bytes, where it is known what will do and leave the image as it is."""

from __future__ import annotations

from collections.abc import Sequence

from minidock.core.entries import DIRECTORY, FILE, HARDLINK, Entry, Tree
from minidock.core.waste import Cause, Part, Waste

# Folders whose content is only there to be fetched faster, or to be fetched again.
_PACKAGE_LISTS = ("var/lib/apt/lists",)
_CACHES = (
    "var/cache/apt",
    "var/cache/apk",
    "var/cache/dnf",
    "var/cache/yum",
    "var/cache/libdnf5",
    "var/cache/pacman/pkg",
    "var/cache/zypp",
    "root/.cache",
    "root/.npm",
    "root/.cargo/registry",
    "root/.m2",
    "root/.gradle",
    "usr/local/cargo/registry",
    "usr/local/share/.cache",
    "go/pkg/mod",
)


def advices(waste: Waste, layers: Sequence[Sequence[Entry]]) -> dict[tuple[int, int, Cause], str]:
    """Return advice by (blamed, victim, cause) for parts whose bytes are no base image's, where some is known."""
    adviser = _Adviser(waste, layers)
    found = {(part.blamed, part.victim, part.cause): adviser.advice(part) for part in waste.parts if not part.is_base}
    return {key: text for key, text in found.items() if text}


class _Adviser:
    def __init__(self, waste: Waste, layers: Sequence[Sequence[Entry]]) -> None:
        self._waste = waste
        self._layers = layers

    def advice(self, part: Part) -> str:
        """Return what saves a part's bytes; nothing if that is not known."""
        match part.cause, self._word(part.blamed), self._word(part.victim):
            case Cause.DELETED, _, "RUN":
                return self._deleted_of_run(part)
            case Cause.DELETED, _, "COPY" | "ADD":
                return self._deleted_of_copy(part)
            case Cause.OVERWRITTEN, blamed, "RUN":
                return self._overwritten_of_run(part, blamed)
            case Cause.OVERWRITTEN, "RUN", "COPY" | "ADD":
                return self._changed_by_run(part)
            case Cause.REWRITTEN, "RUN", victim if victim != "RUN" or part.victim < self._waste.base_layers:
                return f"{_they(part)} {_is(part)} as before but for the time: leave {_them(part)} alone"
            case Cause.REWRITTEN, "COPY" | "ADD" as blamed, _:
                return f"{self._leave_out(part, blamed, part.blamed)}: {_they(part)} {_is(part)} there already"
            case _ if part.victim < self._waste.base_layers:
                return ""  # to leave the files as they are is no change that keeps the image
            case _, "COPY" | "ADD", "COPY" | "ADD" as victim:
                return self._taken_twice(part, victim)
            case Cause.MOVED, "RUN", "COPY" | "ADD" as victim:
                return f"let {victim} in {self._place(part.victim)} put {_them(part)} there at once"
            case _, "RUN", "COPY" | "ADD" as victim:
                return self._other_attributes(part, victim)
            case _, "RUN", "RUN":
                return f"do it in the RUN of {self._place(part.victim)}: one layer stores {_them(part)} once"
        return ""

    def _word(self, layer: int) -> str:
        return self._waste.steps[layer].instruction.split(" ", 1)[0].upper()

    def _place(self, layer: int) -> str:
        return self._waste.places[layer]

    def _deleted_of_run(self, part: Part) -> str:
        place = self._place(part.victim)
        lists = _common_folder(part, _PACKAGE_LISTS)
        if lists:
            return f"end the RUN of {place} with `rm -rf /{lists}/*`: a layer keeps what its own step does not remove"
        cache = _common_folder(part, _CACHES)
        if cache:
            return f"`RUN --mount=type=cache,target=/{cache}` in {place} keeps {_them(part)} out of the image"
        return f"remove {_them(part)} in the RUN of {place}: a layer keeps what its own step does not remove"

    def _deleted_of_copy(self, part: Part) -> str:
        word = self._word(part.victim)
        mount = f"steps that need {_them(part)} can have {_them(part)} by `RUN --mount=type=bind`"
        return f"{self._leave_out(part, word, part.victim)}: {mount}"

    def _overwritten_of_run(self, part: Part, blamed: str) -> str:
        place = self._place(part.victim)
        if blamed == "RUN":
            return f"do it in the RUN of {place}: one layer stores only what is there in the end"
        return f"remove {_them(part)} in the RUN of {place}: {self._place(part.blamed)} brings what stays"

    def _changed_by_run(self, part: Part) -> str:
        word = self._word(part.victim)
        return (
            f"change {_them(part)} before {word} in {self._place(part.victim)}, or in another stage, "
            f"from which `COPY --from` takes the result"
        )

    def _taken_twice(self, part: Part, victim: str) -> str:
        return f"{self._leave_out(part, victim, part.victim)}, unless a step in between needs {_them(part)}"

    def _leave_out(self, part: Part, word: str, layer: int) -> str:
        """Return how a COPY or ADD does not take files in."""
        paths = {file.entry.path for file in part.files}
        if all(_file_of(entry) in paths for entry in self._layers[layer] if _is_stored(entry)):
            return f"do without the {word} of {self._place(layer)}"
        names = ", ".join(f"/{file.entry.path}" for file in part.files[:2])
        more = f" and {len(part.files) - 2:,} more" if len(part.files) > 2 else ""
        return f"leave {names}{more} out of the {word} of {self._place(layer)} (`--exclude`)"

    # --- other modes and owners

    def _other_attributes(self, part: Part, word: str) -> str:
        """Return how files get their mode and owner when they are copied."""
        place, wishes = self._place(part.victim), _Wishes(part)
        if wishes.has_others:
            return f"do it in another stage, from which `COPY --from` takes {_them(part)} as {_they(part)} {_is(part)}"
        flags, commands = wishes.flags, wishes.commands
        fit = self._fit(part, wishes) if flags else None
        if fit is not None:
            remark = f" (new directories get {fit} too)" if fit else ""
            return f"`{word} {flags}`{remark} in {place} instead of {commands} in {self._place(part.blamed)}"
        if part.cause is Cause.MODE and "--chmod" not in self._waste.steps[part.victim].instruction:
            return f"set the mode where the {word} of {place} takes {_them(part)} from: it keeps modes"
        if flags:
            return f"take {_them(part)} out of the {word} of {place} and give {_them(part)} one with `{flags}`"
        return ""

    def _fit(self, part: Part, wishes: _Wishes) -> str | None:
        """Return None if flags of the whole COPY would do more than what was done; else what directories get besides.

        They hold for every file that it takes in, and for every directory that it makes.
        """
        after = {entry.path: entry for entry in self._layers[part.blamed]}
        lower = Tree.fold(self._layers[: part.victim])
        besides: list[str] = []
        for entry in self._layers[part.victim]:
            final = after.get(entry.path, entry)
            if entry.kind == DIRECTORY and not _is_directory(lower, entry.path):
                besides += wishes.missing(final)
            elif entry.kind == FILE and (final.kind != FILE or wishes.missing(final)):
                return None
        if "that mode" in besides and not wishes.can_be_entered:
            return None
        return " and ".join(dict.fromkeys(besides))


class _Wishes:
    """The mode and owner that the files of a part got, where they are the same for all."""

    def __init__(self, part: Part) -> None:
        modes = {file.entry.mode for file in part.files}
        owners = {(file.entry.uid, file.entry.gid) for file in part.files}
        self.mode = modes.pop() if part.cause is not Cause.OWNER and len(modes) == 1 else None
        self.owner = owners.pop() if part.cause is not Cause.MODE and len(owners) == 1 else None
        self._is_whole = (self.mode is not None or part.cause is Cause.OWNER) and (
            self.owner is not None or part.cause is Cause.MODE
        )
        self.has_others = any(file.original is None or file.entry.xattrs != file.original.xattrs for file in part.files)

    @property
    def flags(self) -> str:
        """What COPY is to have, empty if no flag says it for all files."""
        found = [] if self.owner is None else [f"--chown={self.owner[0]}:{self.owner[1]}"]
        found += [] if self.mode is None else [f"--chmod={self.mode:o}"]
        return " ".join(found) if self._is_whole else ""

    @property
    def commands(self) -> str:
        """What did it."""
        found = [] if self.owner is None else ["chown"]
        return " and ".join(found + ([] if self.mode is None else ["chmod"]))

    @property
    def can_be_entered(self) -> bool:
        """Whether a directory with the mode can be used by everybody who may read it."""
        return self.mode is None or not (self.mode >> 2) & 0o111 & ~self.mode

    def missing(self, entry: Entry) -> list[str]:
        """Return what an entry has otherwise."""
        found = [] if self.owner in (None, (entry.uid, entry.gid)) else ["that owner"]
        return found + ([] if self.mode in (None, entry.mode) else ["that mode"])


def _is_directory(tree: Tree, path: str) -> bool:
    entry = tree.get(path)
    return entry is not None and entry.kind == DIRECTORY


def _is_stored(entry: Entry) -> bool:
    return entry.kind != DIRECTORY and not entry.is_deletion


def _file_of(entry: Entry) -> str:
    return entry.linkname if entry.kind == HARDLINK else entry.path


def _common_folder(part: Part, folders: Sequence[str]) -> str:
    """Return that of the folders in which all files of a part are, empty if there is none."""
    for folder in folders:
        if all(file.entry.path.startswith(f"{folder}/") for file in part.files):
            return folder
    return ""


def _them(part: Part) -> str:
    return "it" if len(part.files) == 1 else "them"


def _they(part: Part) -> str:
    return "it" if len(part.files) == 1 else "they"


def _is(part: Part) -> str:
    return "is" if len(part.files) == 1 else "are"
