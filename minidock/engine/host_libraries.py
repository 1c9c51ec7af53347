"""Finds the shared libraries of programs as their loader would, by reading; nothing is run, so no ``ldd``.

Source: ld.so(8), "DESCRIPTION" and "Dynamic string tokens"; ldconfig(8) for the configuration files; musl's
ldso/dynlink.c for what its loader does otherwise. ``LD_LIBRARY_PATH`` is not looked at: an image starts without it.
Neither are the ``glibc-hwcaps`` variants: the plain library beside them runs on every processor.
"""

from __future__ import annotations

import glob
import os
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field

from minidock.core import elf
from minidock.core.dataclass import dataclass
from minidock.core.elf import ElfFile
from minidock.errors import HostFileError, InvalidElf, LibraryNotFound

LOADER_CONFIGURATION = "/etc/ld.so.conf"
LOADER_CACHE = "/etc/ld.so.cache"

_MAX_CONFIGURATION_FILES = 256
# What follows /lib and /usr/lib on systems with Debian's multiarch directories, by machine and word size.
_TRIPLETS = {
    (3, False): "i386-linux-gnu",
    (8, False): "mipsel-linux-gnu",
    (8, True): "mips64el-linux-gnuabi64",
    (20, False): "powerpc-linux-gnu",
    (21, True): "powerpc64le-linux-gnu",
    (22, True): "s390x-linux-gnu",
    (40, False): "arm-linux-gnueabihf",
    (62, False): "x86_64-linux-gnux32",
    (62, True): "x86_64-linux-gnu",
    (183, True): "aarch64-linux-gnu",
    (243, True): "riscv64-linux-gnu",
    (258, True): "loongarch64-linux-gnu",
}
# The libraries that musl's loader is itself, under whatever name a program asks for them.
_MUSL_ITSELF = re.compile(r"lib(c|pthread|rt|m|dl|util|xnet)\.")


@dataclass(frozen=True, slots=True)
class Closure:
    """What one program needs: its libraries by the name they were asked for, and what of them is not there."""

    libraries: Mapping[str, str]
    missing: tuple[LibraryNotFound, ...]
    needs_cache: bool  # a library is where the loader looks only because its cache says so


@dataclass(frozen=True, slots=True)
class _Object:
    """A loaded file: the path it was found at, what ``$ORIGIN`` is for it, and the RPATHs of those who loaded it.

    The loader knows a program by the path that the kernel resolved, a library by the path that it looked up.
    """

    path: str
    file: ElfFile
    origin: str
    inherited: tuple[str, ...]

    def own_rpath(self) -> tuple[str, ...]:
        return () if self.file.runpath is not None else _expand(self.file.rpath or (), self)


@dataclass(slots=True)
class LibraryFinder:
    """Looks libraries up; files that were read once are remembered. ``configured`` as the loader's cache has them."""

    configured: Sequence[str] = ()
    _files: dict[str, ElfFile | None] = field(default_factory=dict)

    def read(self, path: str) -> ElfFile | None:
        """Return what the loader reads of the file at ``path``, ``None`` if it is no (sound) ELF file."""
        real = os.path.realpath(path)
        if real not in self._files:
            self._files[real] = _read(real)
        return self._files[real]

    def closure(self, program: str, file: ElfFile, loaded: Mapping[str, str]) -> Closure:
        """Return the libraries that ``program`` brings into a process which has ``loaded`` already.

        Breadth first, each name once, like the loader: a library found by one file serves all later ones.
        """
        found: dict[str, str] = {}
        missing: list[LibraryNotFound] = []
        needs_cache = False
        interpreter = file.interpreter or ""
        is_musl = os.path.basename(interpreter).startswith("ld-musl-")
        standard = _musl_directories(interpreter) if is_musl else default_directories(file)
        queue = deque([_Object(program, file, os.path.dirname(os.path.realpath(program)), ())])
        while queue:
            current = queue.popleft()
            for name in current.file.needed:
                if name in found or name in loaded or name == os.path.basename(interpreter):
                    continue
                if is_musl and _MUSL_ITSELF.match(name):
                    continue
                library = self._find(name, current, () if is_musl else self.configured, standard)
                if library is None:
                    missing.append(LibraryNotFound(name, current.path))
                    continue
                found[name] = library.path
                needs_cache |= self._is_only_configured(library.path, current, standard)
                queue.append(library)
        return Closure(found, tuple(missing), needs_cache)

    def _find(self, name: str, by: _Object, configured: Sequence[str], standard: Sequence[str]) -> _Object | None:
        inherited = (*by.own_rpath(), *by.inherited)
        for path in _candidates(name, by, inherited, (*configured, *standard)):
            file = self.read(path) if os.path.exists(path) else None
            if file is not None and file.is_loadable_with(by.file):
                return _Object(path, file, os.path.dirname(path), inherited)
        return None

    def _is_only_configured(self, path: str, by: _Object, standard: Sequence[str]) -> bool:
        folder = os.path.dirname(path)
        if folder not in self.configured:
            return False
        return folder not in (*standard, *by.own_rpath(), *by.inherited, *_expand(by.file.runpath or (), by))


def default_directories(file: ElfFile) -> tuple[str, ...]:
    """Return where the C library's loader looks without any configuration, on Debian's and on other systems."""
    triplet = _TRIPLETS.get((file.machine, file.is_64))
    names = [f"lib/{triplet}"] if triplet else []
    names += ["lib64", "lib"] if file.is_64 else ["lib32", "libx32", "lib"]
    return tuple(f"{prefix}/{name}" for name in names for prefix in ("", "/usr"))


def configured_directories(path: str = LOADER_CONFIGURATION) -> tuple[str, ...]:
    """Return the directories of the loader's configuration at ``path``, those of included files in their place.

    Empty if there is no such file. An include is a glob pattern, relative to the file that it stands in.
    """
    directories: dict[str, None] = {}
    waiting = [path]
    seen: set[str] = set()
    while waiting and len(seen) < _MAX_CONFIGURATION_FILES:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        for line in _configuration_lines(name):
            word, _, rest = line.partition(" ")
            if word == "include":
                pattern = os.path.join(os.path.dirname(name), rest.strip())
                waiting[:0] = sorted(glob.glob(pattern))
            elif line.startswith("/"):
                directories[os.path.normpath(line)] = None
    return tuple(directories)


def _configuration_lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read(1 << 20)
    except OSError:
        return []  # the loader does without it, too
    return [" ".join(line.partition("#")[0].split()) for line in text.splitlines()]


def _musl_directories(interpreter: str) -> tuple[str, ...]:
    lines = _configuration_lines(musl_configuration(interpreter))
    return tuple(part for line in lines for part in line.split(":") if part) or ("/lib", "/usr/local/lib", "/usr/lib")


def musl_configuration(interpreter: str) -> str:
    """Return the file in which musl's loader at ``interpreter`` looks up its directories."""
    architecture = os.path.basename(interpreter).removeprefix("ld-musl-").partition(".so")[0]
    return f"/etc/ld-musl-{architecture}.path"


def _candidates(name: str, by: _Object, inherited: tuple[str, ...], system: Sequence[str]) -> Iterator[str]:
    """Yield the paths at which a loader looks for ``name``, best first."""
    if "/" in name:
        yield from _expand((name,), by)
        return
    # A file's own RUNPATH serves its direct needs only and switches every RPATH off, inherited ones too.
    own = inherited if by.file.runpath is None else _expand(by.file.runpath, by)
    for folder in dict.fromkeys((*own, *system)):
        yield f"{folder}/{name}"


def _expand(directories: Sequence[str], by: _Object) -> tuple[str, ...]:
    """Return the absolute directories that a RPATH or RUNPATH means for the file ``by``.

    ``$LIB`` is tried as each of the names it has on some system; relative directories would depend on where a
    process is started and are left out, as is anything with a token that is not known here.
    """
    triplet = _TRIPLETS.get((by.file.machine, by.file.is_64))
    libs = [*([f"lib/{triplet}"] if triplet else []), "lib64", "lib"]
    expanded: dict[str, None] = {}
    for directory in directories:
        text = re.sub(r"\$ORIGIN\b|\$\{ORIGIN\}", lambda _: by.origin, directory)
        for lib in libs:
            path = re.sub(r"\$LIB\b|\$\{LIB\}", lib, text)
            if path.startswith("/") and "$" not in path:
                expanded[os.path.normpath(path)] = None
    return tuple(expanded)


def _read(path: str) -> ElfFile | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise HostFileError(path, (error.strerror or "cannot be read").lower()) from error
    try:
        return elf.parse(lambda offset, size: os.pread(descriptor, size, offset))
    except (InvalidElf, OSError):
        return None
    finally:
        os.close(descriptor)
