"""Rules about volumes: their names, the options of the one driver that there is, filters of lists."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from minidock.core.dataclass import dataclass
from minidock.core.filters import has_label, truth
from minidock.core.quoting import quoted
from minidock.errors import InvalidRequest

DRIVER = "local"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_NAME_CHARACTERS = "[a-zA-Z0-9][a-zA-Z0-9_.-]"
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")
LIST_FILTERS, PRUNE_FILTERS = ("dangling", "driver", "label", "name"), ("all", "label", "label!")
_OPTIONS = ("type", "device", "o", "size")


def check_volume_name(name: str) -> str:
    """Return ``name`` if a volume can have it. Raises: InvalidRequest."""
    if len(name) == 1:
        reason = "volume name is too short, names should be at least two alphanumeric characters"
        raise InvalidRequest(f"create {name}: {reason}")
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only "{_NAME_CHARACTERS}" '
            "are allowed. If you intended to pass a host directory, use absolute path"
        )
    return name


def is_anonymous(volume: str) -> bool:
    """Whether this is a name such as volumes without a name of their own get."""
    return _ANONYMOUS.fullmatch(volume) is not None


def check_driver(name: str, prefix: str = "") -> None:
    """Check the name of a volume driver. Raises: InvalidRequest unless it is the only one there is."""
    if name not in ("", DRIVER):
        raise InvalidRequest(f'{prefix}error looking up volume plugin {name}: plugin "{name}" not found')


def check_driver_options(name: str, options: Mapping[str, str]) -> None:
    """Check what `volume create -o` says. Raises: InvalidRequest.

    Kept are ``type=tmpfs`` (each container gets one of its own) and a bind (``type=none``, ``o=bind``).
    """
    for option in options:
        if option not in _OPTIONS:
            raise InvalidRequest(f"create {name}: invalid option: {quoted(option)}")
    if not options:
        return
    if "size" in options:
        raise InvalidRequest(f"create {name}: quota size requested but no quota support")
    for option in ("device", "type"):
        if not options.get(option):
            raise InvalidRequest(f'create {name}: missing required option: "{option}"')
    if options["type"] == "tmpfs":
        return
    if "bind" not in _words(options) and "rbind" not in _words(options):
        raise InvalidRequest(
            f"create {name}: file systems of type {options['type']} are not mounted by minidock, only tmpfs and bind",
            hint="mount it on the host, and use its directory with -v",
        )
    if not options["device"].startswith("/"):
        raise InvalidRequest(f"create {name}: the device of a bind must be an absolute path: {options['device']}")


def _words(options: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(word for word in options.get("o", "").split(",") if word)


@dataclass(frozen=True, slots=True)
class Backing:
    """What the content of a volume with driver options is: a directory of the host (``source``), or a tmpfs."""

    source: str
    tmpfs: tuple[str, ...]
    is_read_only: bool

    @classmethod
    def of(cls, options: Mapping[str, str]) -> Backing | None:
        """Return it, or None for a volume that is a directory of the store."""
        if not options:
            return None
        words = _words(options)
        if options["type"] == "tmpfs":
            return cls("", words, "ro" in words)
        return cls(options["device"], (), "ro" in words)


@dataclass(frozen=True, slots=True)
class VolumeFilter:
    """Which volumes `volume ls -f` and `volume prune --filter` are about; empty parts mean all.

    ``labels`` (``NAME`` or ``NAME=VALUE``) must all be there, none of ``without`` may be.
    """

    is_dangling: bool | None = None
    names: tuple[str, ...] = ()
    drivers: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    is_all: bool | None = None

    @classmethod
    def of(cls, conditions: Sequence[tuple[str, str]], known: Sequence[str]) -> VolumeFilter:
        """Return the filter that (key, value) pairs describe; ``known`` are the keys. Raises: InvalidRequest."""
        values: dict[str, list[str]] = {}
        for key, value in conditions:
            if key not in known:
                raise InvalidRequest(f"Invalid filter '{key}'")
            values.setdefault(key, []).append(value)
        return cls(
            _boolean("dangling", values),
            tuple(values.get("name", ())),
            tuple(values.get("driver", ())),
            tuple(values.get("label", ())),
            tuple(values.get("label!", ())),
            _boolean("all", values),
        )

    def fits(self, name: str, labels: Mapping[str, str], *, is_used: bool) -> bool:
        """Whether a volume is one of those."""
        if self.is_dangling is not None and self.is_dangling == is_used:
            return False
        if self.names and not any(part in name for part in self.names):
            return False
        if self.drivers and DRIVER not in self.drivers:
            return False
        return all(has_label(labels, wanted) for wanted in self.labels) and not any(
            has_label(labels, unwanted) for unwanted in self.without
        )


def _boolean(key: str, values: Mapping[str, list[str]]) -> bool | None:
    given = values.get(key)
    if not given:
        return None
    found = truth(given[0].lower())
    if len(given) > 1 or found is None:
        raise InvalidRequest(f"Invalid filter '{key}=[{' '.join(given)}]'")
    return found
