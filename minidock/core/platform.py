"""Platforms: which kind of machine an image is for, and which images a machine can use.

Grammar: ``os[(version{+feature})][/architecture[/variant]]`` or an architecture alone.
Source: containerd/platforms.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import unquote

from minidock.core.dataclass import dataclass
from minidock.core.quoting import quoted
from minidock.errors import InvalidPlatform

_OS = re.compile(r"([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?")
_COMPONENT = re.compile(r"[A-Za-z0-9_.-]+")
_MINOR = re.compile(r"v([0-9]+)(?:\.([0-9]))?", re.ASCII)
_KNOWN_OS = (
    " aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris windows zos "
)
_KNOWN_ARCHITECTURES = (
    " 386 amd64 amd64p32 arm armbe arm64 arm64be loong64 mips mipsle mips64 mips64le mips64p32 mips64p32le "
    "ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm "
)
_ESCAPES = (("%", "%25"), ("+", "%2B"), ("(", "%28"), (")", "%29"), ("/", "%2F"))


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system and a processor; ``str`` gives ``os/architecture[/variant]``."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str, host: Platform) -> Platform:
        """Return the platform that ``text`` names; what it leaves out is taken from ``host``.

        Raises: InvalidPlatform.
        """
        first, *others = text.split("/")
        system = _OS.fullmatch(first)
        if system is None:
            raise _invalid(text, f"{quoted(first)} is an invalid OS component of {quoted(text)}")
        for component in others:
            if not _COMPONENT.fullmatch(component):
                raise _invalid(text, f"{quoted(component)} is an invalid component of {quoted(text)}")
        if len(others) > 2:
            raise _invalid(text, f"{quoted(text)}: cannot parse platform specifier")
        features = tuple(unquote(feature) for feature in system[3].split("+")[1:]) if system[3] else ()
        named = cls(_normal_os(system[1]), "", "", unquote(system[2] or ""), features)
        if not others:
            return _parse_single(text, named, host)
        architecture, variant = _normal_architecture(others[0], others[1] if len(others) == 2 else "")
        if len(others) == 2 and architecture == "arm64" and not variant:
            variant = "v8"
        if len(others) == 1 and architecture == "arm" and variant == "v7":
            variant = ""
        return replace(named, architecture=architecture, variant=variant)

    def normalized(self) -> Platform:
        """Return the platform in the form in which equal platforms are equal."""
        architecture, variant = _normal_architecture(self.architecture, self.variant)
        features = tuple(sorted(set(self.os_features)))
        return Platform(_normal_os(self.os), architecture, variant, self.os_version, features)

    def matches(self, offered: Platform) -> bool:
        """Tell whether an image for ``offered`` is an image for this platform, not merely one that it can run."""
        wanted, other = self.normalized(), offered.normalized()
        if (wanted.os, wanted.architecture, wanted.variant) != (other.os, other.architecture, other.variant):
            return False
        # Windows containers need the build of the host.
        builds = {version.rpartition(".")[0] for version in (wanted.os_version, other.os_version) if version}
        if wanted.os == "windows" and len(builds) > 1:
            return False
        return set(other.os_features) <= set(wanted.os_features)

    def runnable(self) -> tuple[Platform, ...]:
        """Return the platforms whose images this one can run, itself first, then from better to worse."""
        return tuple(_runnable(self.normalized()))

    def choose(self, offered: Iterable[Platform]) -> Platform | None:
        """Return the best of ``offered`` that this platform can run, ``None`` if it can run none of them."""
        platforms = tuple(offered)
        for wanted in self.runnable():
            for other in platforms:
                if wanted.matches(other):
                    return other
        return None

    def with_options(self) -> str:
        """Return the text with version and features of the operating system."""
        options = _escaped(self.os_version) + "".join(f"+{_escaped(item)}" for item in sorted(self.os_features))
        system = f"{self.os}({options})" if options else self.os
        return "/".join(part for part in (system, self.architecture, self.variant) if part)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def _invalid(text: str, reason: str) -> InvalidPlatform:
    return InvalidPlatform(text, f"{reason}: invalid argument")


def _parse_single(text: str, named: Platform, host: Platform) -> Platform:
    if f" {named.os} " in _KNOWN_OS:
        variant = "" if (host.architecture, host.variant) == ("arm", "v7") else host.variant
        return replace(named, architecture=host.architecture, variant=variant)
    architecture, variant = _normal_architecture(text, "")
    if f" {architecture} " not in _KNOWN_ARCHITECTURES:
        raise _invalid(text, f"{quoted(text)}: unknown operating system or architecture")
    return Platform(host.os, architecture, "" if (architecture, variant) == ("arm", "v7") else variant)


def _normal_os(name: str) -> str:
    name = name.lower()
    return "darwin" if name == "macos" else name


def _normal_architecture(architecture: str, variant: str) -> tuple[str, str]:
    architecture, variant = architecture.lower(), variant.lower()
    match architecture:
        case "i386":
            return "386", ""
        case "x86_64" | "x86-64" | "amd64":
            return "amd64", "" if variant == "v1" else variant
        case "aarch64" | "arm64":
            return "arm64", {"8": "", "v8": "", "v8.0": "", "9": "v9", "9.0": "v9", "v9.0": "v9"}.get(variant, variant)
        case "armhf":
            return "arm", "v7"
        case "armel":
            return "arm", "v6"
        case "arm":
            return "arm", {"": "v7", "7": "v7", "5": "v5", "6": "v6", "8": "v8"}.get(variant, variant)
    return architecture, variant


def _escaped(option: str) -> str:
    for plain, escaped in _ESCAPES:
        option = option.replace(plain, escaped)
    return option


def _runnable(platform: Platform) -> Iterable[Platform]:
    yield platform
    version = _MINOR.fullmatch(platform.variant)
    major = int(version[1]) if version else 0
    match platform.architecture:
        case "amd64":
            for lower in range(major - 1, 0, -1):
                yield replace(platform, variant=f"v{lower}")
            yield replace(platform, architecture="386", variant="")
        case "arm":
            for lower in range(major - 1, 4, -1):
                yield replace(platform, variant=f"v{lower}")
        case "arm64":
            major, minor = (major, int(version[2] or 0)) if version else (8, 0)
            for variant in _lower_arm64(major, minor):
                yield replace(platform, variant=variant)
            yield from _runnable(replace(platform, architecture="arm", variant="v8"))


def _lower_arm64(major: int, minor: int) -> Iterable[str]:
    """Return the variants below ``vMAJOR.MINOR``; v9.0 came out of v8.5, so v9.x can run v8.(x+5), up to the last."""
    if major == 9:
        yield from (f"v9.{lower}" if lower else "v9" for lower in range(minor - 1, -1, -1))
        major, minor = 8, min(minor + 5, 9)
        yield f"v8.{minor}"
    if major == 8:
        yield from (f"v8.{lower}" if lower else "v8" for lower in range(minor - 1, -1, -1))
