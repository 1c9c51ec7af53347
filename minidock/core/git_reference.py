"""Git references as ADD and build contexts write them: ``https://host/repo.git#ref:subdir``, ``git@host:r?tag=v1``.

Grammar: an ``http(s)`` URL whose path ends in ``.git``, a ``git`` or ``ssh`` URL, or ``user@host:path``; then queries
(ref branch tag commit checksum subdir keep-git-dir submodules mtime fetch-by-commit) and ``#ref:subdir``.
Source: BuildKit, frontend/dockerfile/dfgitutil/git_ref.go, util/gitutil/git_url.go.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from minidock.core.dataclass import dataclass
from minidock.core.quoting import quoted
from minidock.core.truth import FALSE, TRUE
from minidock.errors import BuildError

_SCHEMES = ("http", "https", "ssh", "git")
_SCHEME = re.compile(r"([a-zA-Z0-9]+)://")
_SCP = re.compile(r"([a-zA-Z0-9_-]+@[a-zA-Z0-9.-]+:)([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)
_TRUTHS = {
    **dict.fromkeys(TRUE, True),
    **dict.fromkeys(FALSE, False),
}
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_FLAGS = ("submodules", "keep-git-dir", "fetch-by-commit")


@dataclass(frozen=True, slots=True)
class GitReference:
    """A repository and what of it: empty or None where the text does not say.

    ``is_like_path`` is true for ``github.com/owner/repo``, which is a local path in ADD.
    """

    remote: str
    ref: str = ""
    subdir: str = ""
    checksum: str = ""
    keep_git_dir: bool | None = None
    submodules: bool | None = None
    mtime: str = ""
    fetch_by_commit: bool = False
    is_like_path: bool = False

    @property
    def short_name(self) -> str:
        """The last part of the repository's path, without ``.git``."""
        return self.remote.rpartition("/")[2].removesuffix(".git")

    @property
    def is_commit(self) -> bool:
        """Whether ``ref`` is a whole commit hash."""
        return is_commit(self.ref)


def is_commit(text: str) -> bool:
    """Tell whether ``text`` is a whole commit hash."""
    return _COMMIT.fullmatch(text) is not None


def is_remote(source: str) -> bool:
    """Tell whether ADD fetches ``source`` from elsewhere: a URL or a git reference, well-formed or not."""
    if source.startswith(("http://", "https://")):
        return True
    try:
        reference = parse_git_reference(source)
    except BuildError:
        return True
    return reference is not None and not reference.is_like_path


def parse_git_reference(text: str) -> GitReference | None:
    """Return the reference that ``text`` is, None if it is a local path or a plain URL.

    Raises: BuildError for a reference whose parts make no sense.
    """
    if text.startswith(("./", "../")):
        return None
    is_like_path = text.startswith("github.com/")
    scheme = _SCHEME.match(text)
    if is_like_path or scheme is not None:
        url = text if scheme is not None else f"https://{text}"
        if scheme is not None and scheme[1].lower() not in _SCHEMES:
            return None
        try:
            parts = urlsplit(url)
        except ValueError:
            return None
        if parts.scheme in ("http", "https") and not parts.path.endswith(".git") and not is_like_path:
            return None
        remote = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
        remote = remote.partition("://")[2] if is_like_path else remote
        query, fragment = parts.query, unquote(parts.fragment)
    else:
        found = _SCP.fullmatch(text)
        if found is None:
            return None
        remote, query, fragment = found[1] + found[2], found[3] or "", found[4] or ""
    ref, _, subdir = fragment.partition(":")
    subdir = posixpath.normpath(f"/{subdir}").lstrip("/")
    return _with_query(GitReference(remote, ref, subdir, is_like_path=is_like_path), query)


def _with_query(reference: GitReference, query: str) -> GitReference:
    tag = branch = ""
    for key, values in parse_qs(query, keep_blank_values=True).items():
        if len(values) > 1:
            raise BuildError(f"query {quoted(key)} has multiple values")
        value = values[0]
        if not value and key not in _FLAGS:
            raise BuildError(f"query {quoted(key)} has no value")
        match key:
            case "tag":
                tag = "refs/tags/" + value.removeprefix("refs/tags/")
            case "branch":
                branch = "refs/heads/" + value.removeprefix("refs/heads/")
            case "ref":
                reference = _with_ref(reference, value)
            case "subdir":
                if reference.subdir not in ("", value):
                    raise BuildError(f"subdir conflicts: {quoted(reference.subdir)} vs {quoted(value)}")
                reference = replace(reference, subdir=value)
            case "checksum" | "commit":
                reference = replace(reference, checksum=value)
            case "keep-git-dir":
                reference = replace(reference, keep_git_dir=_truth(key, value))
            case "submodules":
                reference = replace(reference, submodules=_truth(key, value))
            case "fetch-by-commit":
                reference = replace(reference, fetch_by_commit=_truth(key, value))
            case "mtime":
                if value not in ("checkout", "commit"):
                    raise BuildError(f'invalid mtime value: {quoted(value)} (must be "checkout" or "commit")')
                reference = replace(reference, mtime=value)
            case _:
                raise BuildError(f"unexpected query {quoted(key)}")
    if tag:
        reference = _with_ref(reference, tag)
    if branch and tag:
        raise BuildError("branch conflicts with tag")
    return _with_ref(reference, branch) if branch else reference


def _with_ref(reference: GitReference, ref: str) -> GitReference:
    if reference.ref not in ("", ref):
        raise BuildError(f"ref conflicts: {quoted(reference.ref)} vs {quoted(ref)}")
    return replace(reference, ref=ref)


def _truth(key: str, value: str) -> bool:
    if not value:
        return True
    if value not in _TRUTHS:
        raise BuildError(f"invalid {key} value: {quoted(value)}")
    return _TRUTHS[value]


def without_password(url: str) -> str:
    """Return a URL as it may be shown and kept: a password becomes ``xxxxx``."""
    scheme, separator, rest = url.partition("://")
    if not separator or "@" not in rest.partition("/")[0]:
        return url
    authority, slash, path = rest.partition("/")
    credentials, _, host = authority.rpartition("@")
    user, colon, _ = credentials.partition(":")
    shown = f"{user}:xxxxx" if colon else credentials
    return f"{scheme}://{shown}@{host}{slash}{path}"
