"""Packs programs of this machine, with all that they load, into the entries of a base image's layer.

Programs are read, never run. What a program opens by itself while it runs (plug-ins, data, certificates, a language's
standard library) cannot be seen that way: name it in ``adds``.

Python is such a program: ``python3`` alone starts only with ``--add`` and the directory of its standard library, which
``python3 -c 'import os; print(os.path.dirname(os.__file__))'`` prints; its extension modules bring their libraries.

- Debian's: ``python3 --add /usr/lib/python3.11``.
- pyenv's: what PATH finds is a shim, a script that needs all of pyenv and is refused; name the program itself,
  ``~/.pyenv/versions/3.11.7/bin/python3 --add ~/.pyenv/versions/3.11.7/lib/python3.11``. It keeps its path, so put
  that directory into the image's PATH (``ENV PATH=...``); below /root it serves the image's root only. The folder
  holds site-packages too, all of them.
- A virtual environment's: its links are followed to the Python that it was made from, so add that one's standard
  library; add the whole folder of the environment for its packages.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import field

from minidock.core.dataclass import dataclass
from minidock.core.elf import ElfFile
from minidock.engine.host_libraries import (
    LOADER_CACHE,
    Closure,
    LibraryFinder,
    configured_directories,
    musl_configuration,
)
from minidock.engine.host_tree import HostEntry, HostTree
from minidock.errors import HostFileError, ProgramNotFound

# On merged-usr systems these are links into /usr. They are kept in any case: a PATH that finds /usr/bin/sh must not
# make an image without the /bin/sh that scripts, and the shell form of RUN, name.
_TOP_LINKS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")

_MAX_SCRIPT_LINE = 256  # BINPRM_BUF_SIZE of Linux
_MAX_INTERPRETERS = 5  # after as many scripts that are run by scripts Linux gives up

_PASSWD = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
_GROUP = b"root:x:0:\nnogroup:x:65534:\n"
_NSSWITCH = b"passwd: files\ngroup: files\nhosts: files dns\n"


def collect(
    programs: Sequence[str],
    adds: Sequence[str],
    search_path: str,
    *,
    mtime: int = 0,
    warn: Callable[[str], None] = lambda message: None,
) -> tuple[HostEntry, ...]:
    """Return the entries of a layer in which ``programs`` can run: sorted by path, each path once, parents included.

    ``programs`` are names to be found in ``search_path`` (directories with colons between) or paths; ``adds`` are
    files, or folders that come with everything in them. All keep the paths they have on this machine. ``mtime``, in
    seconds, becomes the time of every entry. A library that a file in an added folder misses, it misses on this
    machine too: ``warn`` gets a line; for a program or an added file it is an error.

    Raises: ProgramNotFound, LibraryNotFound, HostFileError.
    """
    packer = _Packer(HostTree(mtime), LibraryFinder(configured_directories()), search_path, warn)
    for link in _TOP_LINKS:
        if os.path.islink(link) and os.path.isdir(link):
            packer.tree.add(link)
    for name in programs:
        packer.add_program(_find_program(name, search_path))
    for path in adds:
        packer.add_path(os.path.abspath(path))
    _make_system_files(packer.tree)
    return packer.tree.entries()


@dataclass(slots=True)
class _Packer:
    """One collection under way; ``loaded`` are the libraries of all programs, which later plug-ins find in place."""

    tree: HostTree
    finder: LibraryFinder
    search_path: str
    warn: Callable[[str], None]
    loaded: dict[str, str] = field(default_factory=dict)

    def add_program(self, path: str, *, depth: int = 0) -> None:
        """Add the program at ``path`` with what runs or loads it."""
        real = self.tree.add(path)
        file = self.finder.read(real)
        if file is not None:
            self.loaded |= self._add_libraries(real, file, is_strict=True).libraries
            return
        line = _script_line(real)
        if line is None:
            raise HostFileError(path, "neither a program for Linux nor a script that names its interpreter")
        if os.path.basename(os.path.dirname(path)) == "shims":
            raise _shim_refused(path, self.search_path)
        if depth == _MAX_INTERPRETERS:
            raise HostFileError(path, "scripts that are run by scripts, without an end")
        for interpreter in _interpreters(line, real, self.search_path):
            self.add_program(interpreter, depth=depth + 1)

    def add_path(self, path: str) -> None:
        """Add the file or folder at ``path``, with the libraries of the programs and libraries in it."""
        real = self.tree.add(path)
        if os.path.isdir(real):
            self._add_folder(real)
            return
        file = self.finder.read(real)
        if file is not None:
            self._add_libraries(real, file, is_strict=True)
        elif os.access(real, os.X_OK) and _script_line(real) is not None:
            self.add_program(path)

    def _add_folder(self, folder: str) -> None:
        members = tuple(self.tree.add_folder(folder))
        # Bundles keep libraries that only find each other because something loads them in the right order.
        names = {os.path.basename(member) for member in members}
        for member in members:
            file = self.finder.read(member)
            if file is None:
                continue
            for missing in self._add_libraries(member, file, is_strict=False).missing:
                if missing.library not in names:
                    self.warn(str(missing))

    def _add_libraries(self, path: str, file: ElfFile, *, is_strict: bool) -> Closure:
        """Add the loader and the libraries of ``path`` and return them."""
        closure = self.finder.closure(path, file, {} if file.interpreter else self.loaded)
        if is_strict and closure.missing:
            raise closure.missing[0]
        if file.interpreter is not None:
            self._add_loader(path, file.interpreter, is_strict=is_strict)
        for library in closure.libraries.values():
            self.tree.add(library)
        self._add_loader_files(file, closure)
        return closure

    def _add_loader(self, path: str, loader: str, *, is_strict: bool) -> None:
        if os.path.isabs(loader) and os.path.exists(loader):
            self.tree.add(loader)
        elif is_strict:
            raise HostFileError(path, f"its loader {loader} does not exist")
        else:
            self.warn(f"from-host: {path}: its loader {loader} does not exist")

    def _add_loader_files(self, file: ElfFile, closure: Closure) -> None:
        """Add what tells the loader of directories that it does not know by itself."""
        for path in (
            LOADER_CACHE if closure.needs_cache else "",
            musl_configuration(file.interpreter) if file.interpreter and "/ld-musl-" in file.interpreter else "",
        ):
            if path and os.path.exists(path):
                self.tree.add(path)


def _find_program(name: str, search_path: str) -> str:
    """Return the absolute path of the program ``name``, its links not followed. Raises: ProgramNotFound."""
    if "/" in name:
        if not os.path.isfile(name):
            raise ProgramNotFound(name, "no such file")
        return os.path.abspath(name)
    found = next(iter(_in_search_path(name, search_path)), None)
    if found is None:
        raise ProgramNotFound(name)
    return found


def _in_search_path(name: str, search_path: str) -> list[str]:
    paths = [os.path.join(folder, name) for folder in search_path.split(":") if folder.startswith("/")]
    return [path for path in paths if name and os.path.isfile(path) and os.access(path, os.X_OK)]


def _shim_refused(path: str, search_path: str) -> HostFileError:
    name = os.path.basename(path)
    others = [other for other in _in_search_path(name, search_path) if os.path.dirname(other) != os.path.dirname(path)]
    choices = [*others[:1], f"what `pyenv which {name}` prints"]
    return HostFileError(
        path,
        "a shim of pyenv or the like, a script that looks for the real program when it runs",
        hint=f"name the program itself by its path: {' or '.join(choices)}",
    )


def _script_line(path: str) -> str | None:
    """Return what follows ``#!`` in the first line of ``path``, ``None`` if it is not such a script."""
    try:
        with open(path, "rb") as file:
            head = file.read(_MAX_SCRIPT_LINE)
    except OSError as error:
        raise HostFileError(path, (error.strerror or "cannot be read").lower()) from error
    line = os.fsdecode(head.partition(b"\n")[0].strip())
    return line[2:].strip() if line.startswith("#!") and line[2:].strip() else None


def _interpreters(line: str, script: str, search_path: str) -> list[str]:
    """Return the programs that run a script with this ``line``: one, or ``env`` and what it looks for in PATH."""
    interpreter, _, argument = line.partition(" ")
    if not os.path.isfile(interpreter):
        raise HostFileError(script, f"its interpreter {interpreter} does not exist")
    if os.path.basename(interpreter) != "env":
        return [interpreter]
    try:
        words = shlex.split(argument)
    except ValueError:
        words = argument.split()
    name = next((word for word in words if not word.startswith("-") and "=" not in word), None)
    return [interpreter] if name is None else [interpreter, _find_program(name, search_path)]


def _make_system_files(tree: HostTree) -> None:
    """Add what every program expects of a system."""
    tree.make("tmp", 0o1777)
    tree.make("root", 0o700)
    tree.make("etc/passwd", 0o644, _PASSWD)
    tree.make("etc/group", 0o644, _GROUP)
    tree.make("etc/nsswitch.conf", 0o644, _NSSWITCH)
