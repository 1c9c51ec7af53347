"""Values of `build`'s options that name secrets, agents and the like.

Source: docker buildx, util/buildflags.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import field

from minidock.core.csv_line import fields_of
from minidock.core.dataclass import dataclass
from minidock.core.packing import GZIP, UNCOMPRESSED, Compression
from minidock.core.platform import Platform
from minidock.core.quoting import quoted
from minidock.core.reference import Reference
from minidock.core.truth import TRUE
from minidock.errors import BuildError, InvalidReference, InvalidRequest

DEFAULT_AGENT = "default"
STDOUT = "-"
_HOST_GATEWAY = "host-gateway"
_ANNOTATION = re.compile(r"(?:([a-z,-]+)(?:\[([A-Za-z0-9_/-]+)\])?:)?(\S+)", re.DOTALL)
_ANNOTATED = ("manifest", "index", "manifest-descriptor", "index-descriptor")


def key_and_value(text: str) -> tuple[str, str | None]:
    """Return the parts of ``KEY[=VALUE]``. Raises: InvalidRequest for an empty key."""
    key, equals, value = text.partition("=")
    if not key:
        raise InvalidRequest(f"invalid key-value pair {quoted(text)}: empty key")
    return key, value if equals else None


def is_attest_disabled(text: str) -> bool:
    """Tell whether an ``--attest`` says that something is not to be made. Raises: InvalidRequest."""
    is_disabled = False
    kind = ""
    for word in fields_of(text) if text else ():
        key, equals, value = word.partition("=")
        if not equals:
            raise InvalidRequest(f"invalid value {word}")
        match key.strip().lower():
            case "type":
                kind = value
            case "disabled":
                is_disabled = value in TRUE
    if not kind:
        raise InvalidRequest("attestation type not specified")
    return is_disabled


@dataclass(frozen=True, slots=True)
class SecretOption:
    """``--secret``: the content of the file ``source``, or the value of the variable ``env``, under the name ``id``."""

    id: str
    source: str = ""
    env: str = ""

    @classmethod
    def parse(cls, text: str) -> SecretOption:
        """Return the value of ``id=ID[,src=FILE|,env=NAME][,type=file|env]``. Raises: InvalidRequest."""
        found: dict[str, str] = {}
        for word in fields_of(text) if text else ():
            key, equals, value = word.partition("=")
            key = key.lower()
            if not equals:
                raise InvalidRequest(f"invalid field '{word}' must be a key=value pair")
            if key == "type" and value not in ("file", "env"):
                raise InvalidRequest(f"unsupported secret type {quoted(value)}")
            if key not in ("id", "source", "src", "env", "type"):
                raise InvalidRequest(f"unexpected key '{key}' in '{word}'")
            found["src" if key == "source" else key] = value
        source, env = found.get("src", ""), found.get("env", "")
        if found.get("type") == "env" and source and not env:
            source, env = "", source
        return cls(found.get("id", ""), source, env)


@dataclass(frozen=True, slots=True)
class AgentOption:
    """``--ssh``: an agent called ``id``: a socket, private keys, or (no ``paths``) the caller's own."""

    id: str = DEFAULT_AGENT
    paths: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> AgentOption:
        """Return the value of ``ID[=SOCKET|KEY[,KEY…]]``."""
        name, _, paths = text.partition("=")
        return cls(name or DEFAULT_AGENT, tuple(path for path in paths.split(",") if path))


@dataclass(frozen=True, slots=True)
class Output:
    """``--output``: what becomes of the result. ``dest`` is a path, ``-`` for stdout, empty where it says none."""

    type: str
    dest: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Output:
        """Return the value of ``DIR``, ``-`` or ``type=TYPE[,dest=PATH][,KEY=VALUE…]``. Raises: InvalidRequest."""
        words = fields_of(text)
        if words == (text,) and ("=" not in text or "/" in text.partition("=")[0]):
            return cls("tar", STDOUT) if text == STDOUT else cls("local", text)
        found: dict[str, str] = {}
        for word in words:
            key, equals, value = word.partition("=")
            if not equals:
                raise InvalidRequest(f"invalid value {word}")
            found[key.strip().lower()] = value
        kind = found.pop("type", "")
        if not kind:
            raise InvalidRequest("type is required for output")
        return cls(kind, found.pop("dest", ""), found)


@dataclass(frozen=True, slots=True)
class CacheOption:
    """``--cache-from`` and ``--cache-to``: where layers for other builds are."""

    type: str
    attributes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> CacheOption:
        """Return the value of ``type=TYPE[,KEY=VALUE…]`` or of the name of an image. Raises: InvalidRequest."""
        words = fields_of(text)
        if len(words) == 1 and "=" not in text:
            return cls("registry", {"ref": words[0]})
        found: dict[str, str] = {}
        for word in words:
            key, equals, value = word.partition("=")
            if not equals:
                raise InvalidRequest(f"invalid value {word}")
            found[key.lower()] = value
        kind = found.pop("type", "")
        if not kind:
            raise InvalidRequest(f"type required for {quoted(text)}")
        return cls(kind, found)

    @classmethod
    def parse_list(cls, text: str) -> tuple[CacheOption, ...]:
        """Return the values of an option: of a list of names each, none of an empty text. Raises: InvalidRequest."""
        if not text:
            return ()
        return tuple(map(cls.parse, fields_of(text))) if "=" not in text else (cls.parse(text),)

    def reference(self, what: str) -> Reference:
        """Return the name of a cache at a registry; ``what`` is importer or exporter. Raises: InvalidRequest."""
        text = self.attributes.get("ref", "")
        if not text:
            raise InvalidRequest(f"registry cache {what} requires ref")
        try:
            return Reference.parse(text)
        except InvalidReference as error:
            raise InvalidRequest(f"invalid ref {quoted(text)} of a registry cache: {error}") from error

    def compression(self) -> Compression:
        """Return how layers are to be packed. Raises: InvalidRequest."""
        usual = GZIP if self.type == "registry" else UNCOMPRESSED
        return Compression.parse(
            self.attributes.get("compression", usual),
            self.attributes.get("compression-level", ""),
            is_forced=self.attributes.get("force-compression", "") in TRUE,
        )


@dataclass(frozen=True, slots=True)
class ContextOption:
    """``--build-context``: what stands for an image or stage of this name, which is familiar, without ``:latest``."""

    name: str
    value: str

    @classmethod
    def parse(cls, text: str) -> ContextOption:
        """Return the value of ``NAME=PATH_OR_URL``. Raises: InvalidRequest."""
        name, equals, value = text.partition("=")
        if not equals:
            raise InvalidRequest(f"invalid context value: {text}, expected key=value")
        try:
            return cls(context_name(name), value)
        except InvalidReference as error:
            raise InvalidRequest(f"invalid context name {name}: {error}") from error


def context_name(image: str) -> str:
    """Return the name that a context for the image or stage ``image`` has. Raises: InvalidReference."""
    return Reference.parse(image).familiar.removesuffix(":latest")


@dataclass(frozen=True, slots=True)
class Annotation:
    """``--annotation``: ``type`` is empty or what is annotated, ``platform`` None for every one."""

    key: str
    value: str
    type: str = ""
    platform: Platform | None = None


def parse_annotations(text: str, host: Platform) -> tuple[Annotation, ...]:
    """Return the values of ``[TYPE[,TYPE…][[PLATFORM]]:]KEY=VALUE``. Raises: InvalidRequest, InvalidPlatform."""
    name, equals, value = text.partition("=")
    match = _ANNOTATION.fullmatch(name)
    if not equals or match is None:
        raise InvalidRequest(f"invalid annotation {quoted(text)}, expected key=value")
    types = match[1].split(",") if match[1] else [""]
    for kind in types:
        if match[1] and kind not in _ANNOTATED:
            raise InvalidRequest(f"unknown annotation type {quoted(kind)}")
    platform = Platform.parse(match[2], host) if match[2] else None
    return tuple(Annotation(match[3], value, kind, platform) for kind in types)


def check_annotations(annotations: Sequence[Annotation], platforms: Sequence[Platform] = ()) -> None:
    """Refuse, before anything is built, what a result cannot have; ``platforms`` are those of an index.

    Raises: BuildError.
    """
    if not platforms and any(item.type.startswith("index") for item in annotations):
        raise BuildError("index annotations not supported for single platform export")
    for item in annotations:
        if platforms and item.platform is not None and item.platform.normalized() not in platforms:
            raise BuildError(f"invalid annotation: no platform {item.platform} found in source")


def annotations_for(annotations: Sequence[Annotation], platform: Platform) -> tuple[dict[str, str], dict[str, str]]:
    """Return the annotations of the manifest of an image for ``platform``, and those of its descriptor."""
    found: dict[str, dict[str, str]] = {"manifest": {}, "manifest-descriptor": {}}
    for item in annotations:
        is_for_it = item.platform is None or item.platform.normalized() == platform.normalized()
        if is_for_it and not item.type.startswith("index"):
            found[item.type or "manifest"][item.key] = item.value
    return found["manifest"], found["manifest-descriptor"]


def index_annotations(annotations: Sequence[Annotation]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the annotations of an index, and those of its descriptor."""
    found: dict[str, dict[str, str]] = {"index": {}, "index-descriptor": {}}
    for item in annotations:
        if item.type in found:
            found[item.type][item.key] = item.value
    return found["index"], found["index-descriptor"]


def parse_hosts(text: str) -> tuple[tuple[str, str], ...]:
    """Return the names and addresses of ``HOST=IP[,IP…]`` or ``HOST:IP``, several with commas between them.

    Raises: InvalidRequest.
    """
    found: list[tuple[str, str]] = []
    for word in text.split(","):
        if found and _is_address(_without_brackets(word)):
            found.append((found[-1][0], _without_brackets(word)))
            continue
        separator = "=" if "=" in word else ":"
        name, _, address = word.partition(separator)
        if not name or not address:
            raise InvalidRequest(f"bad format for add-host: {quoted(word)}")
        bare = _without_brackets(address)
        if bare != _HOST_GATEWAY and not _is_address(bare):
            raise InvalidRequest(f"invalid IP address in add-host: {quoted(address)}")
        # Steps share the network of the machine.
        found.append((name, "127.0.0.1" if bare == _HOST_GATEWAY else bare))
    return tuple(found)


def _without_brackets(address: str) -> str:
    return address[1:-1] if len(address) > 2 and address[0] == "[" and address[-1] == "]" else address


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
