"""The value of ``--mount``: ``KEY[=VALUE],...``, one line of CSV.

Source: docker/cli opts/mount.go, as seen from outside.
"""

from __future__ import annotations

from dataclasses import replace

from minidock.core.csv_line import fields_of
from minidock.core.mounts import MountOption
from minidock.core.process import MountType, Recursion
from minidock.core.truth import FALSE, TRUE
from minidock.core.units import parse_size
from minidock.core.volume import check_driver
from minidock.errors import InvalidRequest, InvalidUnit


def parse_mount(text: str) -> MountOption:
    """Return the value of ``--mount``.

    Raises: InvalidRequest for what docker's client refuses; what its daemon refuses is left to `MountOption.checked`.
    """
    option = MountOption("", "", is_short=False)
    given: set[str] = set()
    for part in fields_of(text.strip()):
        key, equals, value = part.partition("=")
        if key != key.strip():
            raise InvalidRequest(f"invalid option '{key}' in '{part}': option should not have whitespace")
        if equals and value != value.strip() and value.strip():
            raise InvalidRequest(f"invalid value for '{key}' in '{part}': value should not have whitespace")
        key = key.lower()
        option = _with_key(option, key, value if equals else None, part)
        given.add(key.partition("-")[0] if "-" in key else "")
    if not option.target:
        raise InvalidRequest("target is required")
    for family in ("volume", "bind", "tmpfs"):
        if family in given and option.type != family:
            raise InvalidRequest(f"cannot mix '{family}-*' options with mount type '{option.type}'")
    _check_recursion(option)
    return option


def _with_key(option: MountOption, key: str, value: str | None, part: str) -> MountOption:
    """Return ``option`` with one KEY=VALUE of ``--mount``; the value is None if there is no equals sign."""
    if key in ("readonly", "ro"):
        return replace(option, is_read_only=_boolean(key, value))
    if key == "volume-nocopy":
        return replace(option, has_copy=not _boolean(key, value))
    if key == "bind-nonrecursive":
        return replace(option, recursion=Recursion.DISABLED if _boolean(key, value) else option.recursion)
    if value is None:
        raise InvalidRequest(f"invalid field '{part}' must be a key=value pair")
    match key:
        case "type":
            if value.lower() not in list(MountType):
                raise InvalidRequest(f'invalid mount config for type "{value.lower()}": mount type unknown')
            return replace(option, type=MountType(value.lower()))
        case "source" | "src":
            return replace(option, source=value)
        case "target" | "dst" | "destination":
            return replace(option, target=value)
        case "consistency":
            return option
        case "bind-propagation":
            return replace(option, propagation=value.lower())
        case "bind-recursive":
            return replace(option, recursion=_recursion(value))
        case "volume-subpath":
            return replace(option, subpath=value)
        case "volume-label":
            return replace(option, labels={**option.labels, **_pair(value)})
        case "volume-opt":
            return replace(option, driver_options={**option.driver_options, **_pair(value)})
        case "volume-driver":
            check_driver(value)
            return option
        case "tmpfs-size":
            return replace(option, tmpfs=(*option.tmpfs, f"size={_size(key, value)}"))
        case "tmpfs-mode":
            return replace(option, tmpfs=(*option.tmpfs, f"mode={_octal(key, value):o}"))
    raise InvalidRequest(f"unexpected key '{key}' in '{part}'")


def _boolean(key: str, value: str | None) -> bool:
    if value is None or value in TRUE:
        return True
    if value not in FALSE:
        raise InvalidRequest(f"invalid value for {key}: {value}")
    return False


def _recursion(value: str) -> Recursion:
    if value not in list(Recursion):
        choices = '(must be "enabled", "disabled", "writable", or "readonly")'
        raise InvalidRequest(f"invalid value for bind-recursive: {value} {choices}")
    return Recursion(value)


def _check_recursion(option: MountOption) -> None:
    if option.recursion in (Recursion.WRITABLE, Recursion.READONLY) and not option.is_read_only:
        words = "requires 'readonly' to be specified in conjunction"
        raise InvalidRequest(f"option 'bind-recursive={option.recursion}' {words}")
    if option.recursion is Recursion.READONLY and option.propagation != "rprivate":
        words = "requires 'bind-propagation=rprivate' to be specified in conjunction"
        raise InvalidRequest(f"option 'bind-recursive=readonly' {words}")


def _pair(value: str) -> dict[str, str]:
    name, _, content = value.partition("=")
    return {name: content}


def _size(key: str, value: str) -> int:
    try:
        return parse_size(value)
    except InvalidUnit:
        raise InvalidRequest(f"invalid value for {key}: {value}") from None


def _octal(key: str, value: str) -> int:
    if not value or value.strip("01234567"):
        raise InvalidRequest(f"invalid value for {key}: {value}")
    return int(value, 8)
