"""How layers are packed on their way out of the store, and what is known of forms that were packed before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from minidock.core import mediatype
from minidock.core.dataclass import dataclass
from minidock.core.descriptor import Descriptor
from minidock.core.digest import Digest
from minidock.core.quoting import quoted
from minidock.errors import InvalidRequest

UNCOMPRESSED, GZIP, ZSTD = "uncompressed", "gzip", "zstd"
KINDS = {UNCOMPRESSED: mediatype.LAYER, GZIP: mediatype.LAYER_GZIP, ZSTD: mediatype.LAYER_ZSTD}
_LARGEST_LEVEL = {UNCOMPRESSED: 0, GZIP: 9, ZSTD: 19}
_MOST_REPOSITORIES = 16


@dataclass(frozen=True, slots=True)
class Compression:
    """How layers are to be packed; ``level`` is None for the one that is fast.

    With ``is_forced`` layers that came packed from elsewhere are packed anew.
    """

    kind: str = GZIP
    level: int | None = None
    is_forced: bool = False

    @classmethod
    def parse(cls, kind: str, level: str = "", *, is_forced: bool = False) -> Compression:
        """Return the compression that options name. Raises: InvalidRequest."""
        if kind not in KINDS:
            raise InvalidRequest(f"unsupported layer compression type {quoted(kind)}: it is {', '.join(KINDS)}")
        if level and not (level.isascii() and level.isdecimal() and len(level) < 4):
            raise InvalidRequest(f"invalid compression level {quoted(level)}: it is a number")
        return cls(kind, min(int(level), _LARGEST_LEVEL[kind]) if level else None, is_forced)

    @property
    def media_type(self) -> str:
        """The media type of layers that are packed so."""
        return KINDS[self.kind]

    @property
    def label(self) -> str:
        """What forms that were made so are known by; the same words give the same bytes as long as packers do."""
        return self.kind if self.level is None else f"{self.kind}-{self.level}"


USUAL = Compression()


@dataclass(frozen=True, slots=True)
class Form:
    """A layer as it is packed elsewhere: its descriptor, and repositories (``registry/path``) that have it, last first.

    ``made`` is the `Compression.label` of one that was packed here, empty for one that came from elsewhere.
    """

    blob: Descriptor
    made: str = ""
    repositories: tuple[str, ...] = ()


def remembered(known: Sequence[Form], form: Form) -> tuple[Form, ...]:
    """Return the forms of a layer with another one, or with more repositories of one that is known.

    Of forms that were made alike only the last is kept: those before are of another version of the packer.
    """
    same = [item for item in known if item.blob.digest == form.blob.digest]
    others = [item for item in known if item not in same and not (form.made and item.made == form.made)]
    places = dict.fromkeys([*form.repositories, *(place for item in same for place in item.repositories)])
    made = "" if any(not item.made for item in same) else form.made
    return (*others, replace(form, made=made, repositories=tuple(places)[:_MOST_REPOSITORIES]))


def preferred(known: Iterable[Form], wanted: Compression) -> tuple[Form, ...]:
    """Return the forms that a layer may be pushed in, best first: as it came from elsewhere, then as it was packed."""
    foreign = [] if wanted.is_forced else [form for form in known if not form.made]
    return (*reversed(foreign), *(form for form in known if form.made == wanted.label))


def mountable(form: Form, domain: str, path: str) -> tuple[str, ...]:
    """Return the paths of other repositories of a registry that have a form."""
    places = [place.partition("/") for place in form.repositories]
    return tuple(other for host, _, other in places if host == domain and other != path)


def as_layer(blob: Descriptor) -> Descriptor:
    """Return a descriptor as an OCI manifest has it: digest, size and kind, nothing else."""
    return Descriptor(mediatype.AS_OCI.get(blob.media_type, blob.media_type), blob.digest, blob.size)


def kept_as_it_is(layer: Descriptor, diff_id: Digest, known: Iterable[Form]) -> bool:
    """Tell whether a layer of a stored manifest is pushed as that says: it came so from elsewhere."""
    if layer.media_type not in mediatype.UNCOMPRESSED_LAYERS:
        return True
    return any(not form.made and form.blob.digest == diff_id for form in known)
