"""Names of images.

Grammar::

    reference  = name [":" tag] ["@" digest]
    name       = [domain "/"] component {"/" component}
    domain     = host [":" port]       host = dotted names, "localhost" or an IPv6 address in brackets
    component  = lower-case letters and digits, separated by ".", "_", "__" or dashes
    tag        = a letter, digit or "_", then up to 127 of these, "." and "-"
    digest     = algorithm ":" hexadecimal digits

A familiar name leaves out what is usual: ``ubuntu`` is ``docker.io/library/ubuntu:latest``.
Source: distribution/reference.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest
from minidock.errors import InvalidDigest, InvalidReference

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"
_LONGEST_NAME = 255

_HOST = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_HOST}(?:\.{_HOST})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"

DOMAIN = re.compile(_DOMAIN)
NAME = re.compile(rf"(?:({_DOMAIN})/)?({_PATH})")
REFERENCE = re.compile(rf"((?:{_DOMAIN}/)?{_PATH})(?::({_TAG}))?(?:@({_DIGEST}))?")
TAG = re.compile(_TAG)
IDENTIFIER = re.compile(r"[a-f0-9]{64}")


class Parts(NamedTuple):
    """The parts of a reference exactly as written; empty where absent."""

    domain: str
    path: str
    tag: str
    digest: str


@dataclass(frozen=True, slots=True)
class Reference:
    """The full name of an image; ``str`` gives all of it, `familiar` what people read."""

    domain: str
    path: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Return the reference that ``text`` stands for; without tag and digest the tag is ``latest``.

        Raises: InvalidReference, in docker's words.
        """
        if IDENTIFIER.fullmatch(text):
            reason = f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
            raise InvalidReference(text, reason)
        domain, remote = _split_domain(text)
        repository = remote.partition("@")[0].partition(":")[0]
        if repository != repository.lower():
            reason = f"invalid reference format: repository name ({repository}) must be lowercase"
            raise InvalidReference(text, reason)
        parts = _split(f"{domain}/{remote}", text)
        try:
            digest = Digest.parse(parts.digest) if parts.digest else None
        except InvalidDigest as error:
            raise InvalidReference(text, _digest_problem(parts.digest)) from error
        tag = parts.tag or (None if digest else DEFAULT_TAG)
        return cls(parts.domain, parts.path, tag, digest)

    @property
    def name(self) -> str:
        """The full name without tag and digest."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The short name without tag and digest."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        short = self.path.removeprefix(_OFFICIAL)
        return self.path if "/" in short else short

    @property
    def familiar(self) -> str:
        """The short name with tag and digest, such as ``ubuntu:latest``."""
        return self.familiar_name + self._suffix()

    def without_digest_tag(self) -> Reference:
        """Return the reference without its tag if it has a digest, which says more."""
        return Reference(self.domain, self.path, None, self.digest) if self.digest else self

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return self.name + self._suffix()


def parse_exact(text: str) -> Parts:
    """Return the parts of a reference without adding what a familiar name leaves out. Raises: InvalidReference."""
    if not text:
        raise InvalidReference(text, "repository name must have at least one component")
    if REFERENCE.fullmatch(text) is None and REFERENCE.fullmatch(text.lower()):
        raise InvalidReference(text, "repository name must be lowercase")
    parts = _split(text, text)
    if parts.digest:
        try:
            Digest.parse(parts.digest)
        except InvalidDigest as error:
            raise InvalidReference(text, _digest_problem(parts.digest)) from error
    return parts


def _split(full: str, text: str) -> Parts:
    found = REFERENCE.fullmatch(full)
    name = NAME.fullmatch(found[1]) if found else None
    if found is None or name is None:
        raise InvalidReference(text)
    if len(name[2]) > _LONGEST_NAME:
        raise InvalidReference(text, f"repository name must not be more than {_LONGEST_NAME} characters")
    return Parts(name[1] or "", name[2], found[2] or "", found[3] or "")


def _split_domain(text: str) -> tuple[str, str]:
    """Return the domain, the default one if there is none, and the rest with ``library/`` added where it belongs."""
    domain, slash, remote = text.partition("/")
    looks_like_domain = "." in domain or ":" in domain or domain == "localhost" or domain != domain.lower()
    if not slash or not looks_like_domain:
        domain, remote = DEFAULT_DOMAIN, text
    elif domain == _LEGACY_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in remote:
        remote = _OFFICIAL + remote
    return domain, remote


def _digest_problem(digest: str) -> str:
    algorithm, _, digits = digest.partition(":")
    if algorithm != "sha256":
        return "unsupported digest algorithm"
    return "invalid checksum digest length" if len(digits) != 64 else "invalid checksum digest format"
