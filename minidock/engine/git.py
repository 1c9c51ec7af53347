"""Git repositories, by the system's git: which commit a reference means, and its files in a directory.

Git reads no configuration of the machine or user (a filter, a hook or a line-ending setting would change the files) and
asks nothing. What it writes is rubbish of the session until a layer is made of it.
Source: BuildKit, source/git/source.go; git-ls-remote(1), gitglossary(7) ("ref").
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence

from minidock.core.dataclass import dataclass
from minidock.core.git_reference import GitReference, is_commit, without_password
from minidock.core.quoting import quoted
from minidock.errors import BuildError

_SETTINGS = (
    "GIT_TERMINAL_PROMPT=0",
    "GIT_CONFIG_NOSYSTEM=1",
    "GIT_ALLOW_PROTOCOL=http:https:ssh:git",
    "GIT_SSH_COMMAND=ssh -o BatchMode=yes",
    "LC_ALL=C",
)
_UNSET = tuple(f"--unset={name}" for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"))
_TICK = 0.1
_SHA256_DIGITS = 64
_SSH_SAYS = "fatal: Could not read from remote repository."  # ssh has said why, one line before
Git = Callable[..., str]


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a reference means now: the name that it was found under (empty for a commit), what that names, the commit.

    ``found`` and ``commit`` differ for an annotated tag.
    """

    ref: str
    found: str
    commit: str


@dataclass(frozen=True, slots=True)
class Checkout:
    """Files below ``root``, their commit and its time in seconds."""

    root: str
    commit: str
    time: int


def resolve(reference: GitReference, config: str = os.devnull) -> Resolved:
    """Return the commit of a reference, asking the repository unless it is a commit.

    ``config`` is the file of settings that git reads, instead of the user's. Raises: BuildError.
    """
    checksum = reference.checksum
    if checksum and any(character not in "0123456789abcdef" for character in checksum.lower()):
        raise BuildError(f"invalid checksum {checksum} for Git URL, expected hex commit hash")
    if reference.is_commit:
        _require_match(checksum, reference.ref)
        return Resolved("", reference.ref, reference.ref)
    if reference.fetch_by_commit:
        if not is_commit(checksum):
            raise BuildError("fetch-by-commit requires a full commit SHA checksum or ref")
        return Resolved("", checksum, checksum)
    git = _git(f"failed to fetch remote {without_password(reference.remote)}", config)
    resolved = _ask(git, reference.remote, reference.ref or _default_branch(git, reference.remote))
    _require_match(checksum, resolved.found, resolved.commit)
    return resolved


def _require_match(checksum: str, *found: str) -> None:
    if checksum and not any(name.startswith(checksum) for name in found):
        names = " or ".join(dict.fromkeys(found))
        raise BuildError(
            f"expected checksum to match {checksum}, got {names}",
            hint="the reference names another commit: look at it before changing the checksum",
        )


def _default_branch(git: Git, remote: str) -> str:
    output = git("ls-remote", "--symref", "--", remote, "HEAD")
    for line in output.splitlines():
        target, _, name = line.partition("\t")
        if name == "HEAD" and target.startswith("ref: "):
            return target.removeprefix("ref: ")
    if not output.strip():
        raise BuildError(f"{without_password(remote)}: the repository is empty")
    return "HEAD"


def _ask(git: Git, remote: str, ref: str) -> Resolved:
    output = git("ls-remote", "--", remote, ref, f"{ref}^{{}}")
    known = {name: commit for commit, _, name in (line.partition("\t") for line in output.splitlines())}
    tag = "refs/tags/" + ref.removeprefix("refs/tags/")
    # A branch wins over a tag of its name, as for git checkout.
    for name in ("refs/" + ref.removeprefix("refs/"), "refs/heads/" + ref.removeprefix("refs/heads/"), tag, ref):
        if name in known:
            return Resolved(name, known[name], known.get(f"{name}^{{}}", known[name]) if name == tag else known[name])
    raise BuildError(f"repository does not contain ref {ref}, output: {quoted(output)}")


def check_out(
    reference: GitReference,
    resolved: Resolved,
    directory: str,
    check: Callable[[], None],
    config: str = os.devnull,
) -> Checkout:
    """Fetch a commit into the new ``directory`` and return its files; ``check`` raises where the build has ended.

    Raises: BuildError.
    """
    if os.path.lexists(directory):
        shutil.rmtree(directory)
    os.mkdir(directory, 0o755)
    problem = f"failed to fetch remote {without_password(reference.remote)}"
    git = _git(problem, config, ["-C", directory], check)
    kind = ["--object-format=sha256"] if len(resolved.commit) == _SHA256_DIGITS else []
    git("-c", "init.defaultBranch=master", "init", "--quiet", "--template=", *kind)
    git("remote", "add", "origin", reference.remote)
    _fetch(git, resolved)
    git("-c", "advice.detachedHead=false", "checkout", "--quiet", "--force", resolved.commit)
    _require_match(reference.checksum, resolved.found, git("rev-parse", "HEAD").strip())
    if reference.submodules is not False and os.path.exists(f"{directory}/.gitmodules"):
        _submodules(git)
    seconds = int(git("log", "-1", "--format=%ct", "HEAD").strip())
    root = _subdirectory(directory, reference.subdir)
    if reference.keep_git_dir and root == directory:
        git("remote", "set-url", "origin", without_password(reference.remote))
        git("reflog", "expire", "--all", "--expire=now")
        for name in ("FETCH_HEAD", "ORIG_HEAD"):
            if os.path.exists(f"{directory}/.git/{name}"):
                os.unlink(f"{directory}/.git/{name}")
    else:
        _remove_git_directories(directory)
    return Checkout(root, resolved.commit, seconds)


def _fetch(git: Git, resolved: Resolved) -> None:
    # A name may be fetched anywhere, a commit only where the server allows that.
    wanted = f"+{resolved.ref}:{resolved.ref}" if resolved.ref.startswith("refs/") else resolved.commit
    try:
        git("fetch", "--quiet", "-u", "--depth=1", "--no-tags", "origin", wanted)
        git("cat-file", "-e", f"{resolved.commit}^{{commit}}")
    except BuildError:
        # Plain files on a web server cannot be fetched in part; or the name has moved on meanwhile.
        git("fetch", "--quiet", "-u", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*")


def _submodules(git: Git) -> None:
    try:
        git("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1")
    except BuildError:
        git("submodule", "--quiet", "update", "--init", "--recursive", "--force")


def _subdirectory(directory: str, subdir: str) -> str:
    path = directory
    for part in subdir.split("/"):
        if part in ("", "."):
            continue
        path = f"{path}/{part}"
        # A link would lead out of the checkout.
        if part in ("..", ".git") or os.path.islink(path) or not os.path.isdir(path):
            raise BuildError(f"invalid subdir {subdir}: {part} is not a directory of the repository")
    return path


def _remove_git_directories(directory: str) -> None:
    """Remove git's own files, also those of submodules, which name the ones of the repository around."""
    for path, directories, files in os.walk(directory):
        if ".git" in directories:
            shutil.rmtree(f"{path}/.git")
            directories.remove(".git")
        if ".git" in files:
            os.unlink(f"{path}/.git")


def _git(problem: str, config: str, before: Sequence[str] = (), check: Callable[[], None] = lambda: None) -> Git:
    """Return a function that runs git and returns what it prints.

    It raises BuildError with ``problem`` and git's last words. ``before`` stands before every command.
    """

    def run(*words: str) -> str:
        try:
            process = subprocess.Popen(
                ["env", *_UNSET, *_SETTINGS, f"GIT_CONFIG_GLOBAL={config}", "git", *before, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                umask=0o022,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise _missing() from error
        output, errors = _output_of(process, check)
        if process.returncode == 127:
            raise _missing()
        if process.returncode:
            raise BuildError(f"{problem}: {_reason(errors) or f'git ended with exit code {process.returncode}'}")
        return output.decode("utf-8", "surrogateescape")

    return run


def _missing() -> BuildError:
    return BuildError("git is not installed on this machine", hint="install git, or copy the files")


def _reason(errors: bytes) -> str:
    lines = [line.strip() for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
    found = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[-1] if lines else "")
    return lines[0] if found == _SSH_SAYS else found


def _output_of(process: subprocess.Popen[bytes], check: Callable[[], None]) -> tuple[bytes, bytes]:
    try:
        while True:
            try:
                return process.communicate(timeout=_TICK)
            except subprocess.TimeoutExpired:
                check()
    except BaseException:
        # With its helpers, which are of its session: they would go on fetching.
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
