from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import pytest

from minidock.core.elf import parse
from minidock.engine.from_host import collect
from minidock.engine.host_libraries import LibraryFinder, configured_directories
from minidock.engine.host_tree import HostEntry, HostTree
from minidock.errors import HostFileError, LibraryNotFound, ProgramNotFound
from tests.elf_files import make_elf

SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


def below(entries: Sequence[HostEntry], root: Path) -> dict[str, tuple[str, int, str]]:
    """Return kind, mode and link target of what was packed from ``root``, by path in it."""
    prefix = f"{str(root)[1:]}/"
    return {
        entry.path.removeprefix(prefix): (entry.kind, entry.mode, entry.linkname)
        for entry in entries
        if entry.path.startswith(prefix)
    }


def write(path: Path, content: bytes, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    return path


def unpack(entries: Sequence[HostEntry], root: Path) -> None:
    for entry in entries:
        path = root / entry.path
        match entry.kind:
            case "dir":
                path.mkdir()
            case "symlink":
                path.symlink_to(entry.linkname)
            case "file" if entry.source is not None:
                shutil.copyfile(entry.source, path)
            case "file":
                path.write_bytes(entry.content or b"")
        if entry.kind != "symlink":
            path.chmod(entry.mode | 0o200)  # a plain user goes on writing below


def chroot(root: Path, *command: str) -> str:
    """Return what ``command`` prints in ``root``; skip if this user may not change the root directory."""
    enter = ["chroot"] if os.geteuid() == 0 else ["unshare", "-r", "chroot"]
    search = {"PATH": f"{SYSTEM_PATH}:/usr/sbin:/sbin"}
    if shutil.which(enter[0], path=search["PATH"]) is None:
        pytest.skip(f"no {enter[0]} on this machine")
    probe = subprocess.run([*enter, "/", "true"], check=False, env=search, capture_output=True, text=True, timeout=30)
    if probe.returncode != 0:
        pytest.skip(f"this user may not change the root directory: {probe.stderr.strip()}")
    done = subprocess.run(
        [*enter, str(root), *command], check=False, env=search, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_packed_programs_run_in_a_root_directory_of_their_own(tmp_path: Path) -> None:
    unpack(collect(["sh", "ls", "cat"], [], SYSTEM_PATH), tmp_path)
    printed = chroot(tmp_path, "/bin/sh", "-c", "ls -d /tmp /etc/passwd; cat /etc/group")
    assert printed == "/etc/passwd\n/tmp\nroot:x:0:\nnogroup:x:65534:\n"


def test_python_runs_with_its_standard_library(tmp_path: Path) -> None:
    program, library = os.path.realpath(sys.executable), tmp_path / "library"
    # Without the packages of this machine beside it, which may be gigabytes.
    standard = sysconfig.get_path("stdlib")
    shutil.copytree(standard, library, ignore=shutil.ignore_patterns("*-packages", "test", "__pycache__"))
    root = tmp_path / "root"
    root.mkdir()
    unpack(collect([program], [str(library)], SYSTEM_PATH), root)
    os.makedirs(os.path.dirname(f"{root}{standard}"), exist_ok=True)
    shutil.move(f"{root}{library}", f"{root}{standard}")
    code = "import ctypes, json, math, zlib; print(json.dumps(zlib.crc32(b'x')))"
    assert chroot(root, program, "-I", "-c", code) == "2363233923\n"


def test_every_path_comes_once_sorted_with_its_parents(tmp_path: Path) -> None:
    entries = collect(["sh", "ls", "sh"], [], SYSTEM_PATH, mtime=1234)
    paths = [entry.path for entry in entries]
    assert paths == sorted(set(paths))
    assert {entry.mtime for entry in entries} == {1234}
    kinds = {entry.path: entry.kind for entry in entries}
    assert [path for path in paths if "/" in path and kinds[os.path.dirname(path)] != "dir"] == []


def test_a_made_system_has_users_and_places() -> None:
    entries = {entry.path: entry for entry in collect([], [], SYSTEM_PATH)}
    assert (entries["tmp"].mode, entries["root"].mode, entries["etc"].mode) == (0o1777, 0o700, 0o755)
    assert entries["etc/group"] == HostEntry("etc/group", "file", 0o644, 0, content=b"root:x:0:\nnogroup:x:65534:\n")
    assert (entries["etc/passwd"].content or b"").startswith(b"root:x:0:0:root:/root:/bin/sh\n")


@pytest.mark.skipif(not os.path.islink("/bin"), reason="/bin of this machine is no link into /usr")
def test_the_links_of_a_merged_usr_are_kept() -> None:
    entries = {entry.path: entry for entry in collect(["sh"], [], "/usr/bin")}
    assert entries["bin"] == HostEntry("bin", "symlink", 0o777, 0, linkname=os.readlink("/bin"))
    assert entries["usr/bin"].kind == "dir"


def test_chains_of_links_are_kept(tmp_path: Path) -> None:
    write(tmp_path / "real" / "tool-1.2", make_elf())
    (tmp_path / "real" / "tool-1").symlink_to("tool-1.2")
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tool").symlink_to("../folder/tool-1")
    assert below(collect(["tool"], [], f"{tmp_path}/bin"), tmp_path) == {
        "bin": ("dir", 0o755, ""),
        "bin/tool": ("symlink", 0o777, "../folder/tool-1"),
        "folder": ("symlink", 0o777, "real"),
        "real": ("dir", 0o755, ""),
        "real/tool-1": ("symlink", 0o777, "tool-1.2"),
        "real/tool-1.2": ("file", 0o755, ""),
    }


def test_a_loop_of_links_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(HostFileError, match="a: too many levels of symbolic links"):
        collect([], [f"{tmp_path}/a"], SYSTEM_PATH)


def test_setuid_bits_are_left_behind(tmp_path: Path) -> None:
    write(tmp_path / "su", make_elf(), 0o6755)
    assert below(collect(["su"], [], str(tmp_path)), tmp_path) == {"su": ("file", 0o755, "")}


def test_libraries_are_found_beside_the_program_and_bring_their_own(tmp_path: Path) -> None:
    write(tmp_path / "bin" / "tool", make_elf(needed=("liba.so.1",), runpath="$ORIGIN/../${LIB}"))
    write(tmp_path / "lib64" / "liba.so.1.7", make_elf(needed=("libb.so",), runpath="$ORIGIN/deep"))
    (tmp_path / "lib64" / "liba.so.1").symlink_to("liba.so.1.7")
    write(tmp_path / "lib64" / "deep" / "libb.so", make_elf(), 0o644)
    assert below(collect(["tool"], [], f"{tmp_path}/bin"), tmp_path) == {
        "bin": ("dir", 0o755, ""),
        "bin/tool": ("file", 0o755, ""),
        "lib64": ("dir", 0o755, ""),
        "lib64/deep": ("dir", 0o755, ""),
        "lib64/deep/libb.so": ("file", 0o644, ""),
        "lib64/liba.so.1": ("symlink", 0o777, "liba.so.1.7"),
        "lib64/liba.so.1.7": ("file", 0o755, ""),
    }


@pytest.mark.parametrize(
    ("program", "library", "found"),
    [
        ({"rpath": "$ORIGIN"}, {}, True),  # RPATH serves the libraries' libraries
        ({"runpath": "$ORIGIN"}, {}, False),  # RUNPATH does not
        ({"rpath": "$ORIGIN", "runpath": "$ORIGIN"}, {}, False),  # and switches RPATH off
        ({"rpath": "$ORIGIN"}, {"runpath": "/nowhere"}, False),  # also that of whoever loads the file
        ({"runpath": "$ORIGIN"}, {"runpath": "$ORIGIN"}, True),
        ({"runpath": "$ORIGIN", "needed": ("liba.so", "libb.so")}, {}, True),  # loaded already, by its name
    ],
)
def test_rpath_and_runpath_reach_as_far_as_the_loader_lets_them(
    tmp_path: Path, program: dict[str, str], library: dict[str, str], found: bool
) -> None:
    write(tmp_path / "tool", make_elf(**{"needed": ("liba.so",), **program}))
    write(tmp_path / "liba.so", make_elf(needed=("libb.so",), **library))
    write(tmp_path / "libb.so", make_elf())
    path = str(tmp_path / "tool")
    closure = LibraryFinder().closure(path, parse((tmp_path / "tool").read_bytes()), {})
    libraries = {"liba.so": str(tmp_path / "liba.so"), "libb.so": str(tmp_path / "libb.so")}
    if found:
        assert (closure.libraries, closure.missing) == (libraries, ())
    else:
        assert [str(missing) for missing in closure.missing] == [
            f"from-host: libb.so: shared library not found, needed by {tmp_path}/liba.so"
        ]


def test_a_library_for_another_machine_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "tool", make_elf(needed=("liba.so",), runpath="$ORIGIN/arm:$ORIGIN/text:$ORIGIN/mine"))
    write(tmp_path / "arm" / "liba.so", make_elf(machine=183))
    write(tmp_path / "text" / "liba.so", b"INPUT(-lb)\n")
    write(tmp_path / "mine" / "liba.so", make_elf())
    packed = below(collect(["tool"], [], str(tmp_path)), tmp_path)
    assert [path for path in packed if path.endswith("liba.so")] == ["mine/liba.so"]


def test_a_library_that_only_the_cache_knows_asks_for_the_cache(tmp_path: Path) -> None:
    write(tmp_path / "far" / "liba.so", make_elf())
    program = make_elf(needed=("liba.so",))
    finder = LibraryFinder([str(tmp_path / "far")])
    assert finder.closure(str(tmp_path / "tool"), parse(program), {}).needs_cache
    near = make_elf(needed=("liba.so",), runpath=str(tmp_path / "far"))
    assert not finder.closure(str(tmp_path / "tool"), parse(near), {}).needs_cache


def test_musls_loader_is_its_own_c_library(tmp_path: Path) -> None:
    program = parse(make_elf(interpreter="/lib/ld-musl-none.so.1", needed=("libc.so", "libpthread.so.0", "libz.so.1")))
    write(tmp_path / "libz.so.1", make_elf())
    closure = LibraryFinder([str(tmp_path)]).closure("/bin/tool", program, {})
    # The directories of /etc/ld.so.conf are not musl's.
    assert (closure.libraries, [missing.library for missing in closure.missing]) == ({}, ["libz.so.1"])


def test_the_loaders_configuration_is_read_with_its_includes(tmp_path: Path) -> None:
    write(
        tmp_path / "ld.so.conf", b"# first\n/one\ninclude conf.d/*.conf\n include  ld.so.conf\n/last # why\nhwcap 1 x\n"
    )
    write(tmp_path / "conf.d" / "b.conf", b"/three\n/one\n")
    write(tmp_path / "conf.d" / "a.conf", b"/two/\n")
    write(tmp_path / "conf.d" / "a.other", b"/never\n")
    assert set(configured_directories(str(tmp_path / "ld.so.conf"))) == {"/one", "/two", "/three", "/last"}
    assert configured_directories(str(tmp_path / "none")) == ()


def test_scripts_bring_their_interpreter(tmp_path: Path) -> None:
    write(tmp_path / "env", make_elf())
    write(tmp_path / "lang", make_elf())
    write(tmp_path / "wrapper", f"#! {tmp_path}/lang -x\n".encode())
    write(tmp_path / "tool", f"#!{tmp_path}/env -S A=1 wrapper -q\nprint\n".encode())
    packed = below(collect(["tool"], [], str(tmp_path)), tmp_path)
    assert sorted(packed) == ["env", "lang", "tool", "wrapper"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("#!{here}/none\n", "from-host: {here}/tool: its interpreter {here}/none does not exist"),
        ("#!{here}/env none\n", "from-host: none: not found in PATH"),
        ("echo\n", "from-host: {here}/tool: neither a program for Linux nor a script that names its interpreter"),
        ("#!{here}/tool\n", "from-host: {here}/tool: scripts that are run by scripts, without an end"),
    ],
)
def test_scripts_that_nothing_can_run_are_errors(tmp_path: Path, content: str, message: str) -> None:
    write(tmp_path / "env", make_elf())
    write(tmp_path / "tool", content.format(here=tmp_path).encode())
    with pytest.raises(HostFileError) as caught:
        collect(["tool"], [], str(tmp_path))
    assert str(caught.value) == message.format(here=tmp_path)


def test_a_shim_is_refused_and_the_real_program_proposed(tmp_path: Path) -> None:
    write(tmp_path / "shims" / "lang", b'#!/bin/sh\nexec pyenv exec lang "$@"\n')
    write(tmp_path / "bin" / "lang", make_elf())
    with pytest.raises(HostFileError) as caught:
        collect(["lang"], [], f"{tmp_path}/shims:{tmp_path}/bin")
    assert caught.value.path == f"{tmp_path}/shims/lang"
    assert caught.value.hint == (
        f"name the program itself by its path: {tmp_path}/bin/lang or what `pyenv which lang` prints"
    )


def test_a_program_that_is_nowhere_is_named() -> None:
    with pytest.raises(ProgramNotFound) as caught:
        collect(["sh"], [], "/nonexistent")
    assert (str(caught.value), caught.value.exit_code) == ("from-host: sh: not found in PATH", 1)


def test_a_library_that_is_nowhere_is_named_with_who_needs_it(tmp_path: Path) -> None:
    write(tmp_path / "tool", make_elf(needed=("libnowhere.so.9",)))
    with pytest.raises(LibraryNotFound) as caught:
        collect(["tool"], [], str(tmp_path))
    assert (caught.value.library, caught.value.needed_by) == ("libnowhere.so.9", f"{tmp_path}/tool")
    assert str(caught.value) == f"from-host: libnowhere.so.9: shared library not found, needed by {tmp_path}/tool"


def test_a_missing_path_to_add_is_named(tmp_path: Path) -> None:
    with pytest.raises(HostFileError) as caught:
        collect([], [f"{tmp_path}/none/x"], SYSTEM_PATH)
    assert str(caught.value) == f"from-host: {tmp_path}/none/x: no such file or directory"


def test_a_folder_comes_with_everything_but_what_makes_no_sense_in_an_image(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    write(folder / "data" / "text", b"x", 0o640)
    write(folder / "__pycache__" / "m.pyc", b"x")
    write(tmp_path / "outside", b"x", 0o600)
    write(folder / "plugin.so", make_elf(needed=("libhere.so",), runpath="$ORIGIN/../libs"))
    write(tmp_path / "libs" / "libhere.so", make_elf())
    (folder / "data").chmod(0o2750)
    (folder / "link").symlink_to("../outside")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(folder / "socket"))
        packed = below(collect([], [str(folder)], SYSTEM_PATH), tmp_path)
    assert packed == {
        "folder": ("dir", 0o755, ""),
        "folder/dangling": ("symlink", 0o777, "nowhere"),
        "folder/data": ("dir", 0o750, ""),
        "folder/data/text": ("file", 0o640, ""),
        "folder/link": ("symlink", 0o777, "../outside"),
        "folder/loop": ("symlink", 0o777, str(folder)),
        "folder/plugin.so": ("file", 0o755, ""),
        "libs": ("dir", 0o755, ""),
        "libs/libhere.so": ("file", 0o755, ""),
        "outside": ("file", 0o600, ""),
    }


def test_what_a_plugin_in_a_folder_misses_is_a_warning(tmp_path: Path) -> None:
    write(tmp_path / "plugin.so", make_elf(needed=("libnowhere.so", "libmate.so")))
    write(tmp_path / "deep" / "libmate.so", make_elf())
    warnings: list[str] = []
    collect([], [str(tmp_path)], SYSTEM_PATH, warn=warnings.append)
    assert warnings == [f"from-host: libnowhere.so: shared library not found, needed by {tmp_path}/plugin.so"]


def test_a_plugin_uses_what_a_packed_program_has_loaded(tmp_path: Path) -> None:
    write(tmp_path / "tool", make_elf(needed=("libcore.so",), runpath="$ORIGIN/private"))
    write(tmp_path / "private" / "libcore.so", make_elf())
    write(tmp_path / "plugin.so", make_elf(needed=("libcore.so",)))
    collect(["tool"], [f"{tmp_path}/plugin.so"], str(tmp_path))
    with pytest.raises(LibraryNotFound):
        collect([], [f"{tmp_path}/plugin.so"], str(tmp_path))


def test_the_file_systems_of_the_kernel_stay_outside() -> None:
    entries = collect([], ["/proc"], SYSTEM_PATH)
    assert [entry.path for entry in entries if entry.path.startswith("proc")] == ["proc"]


def test_a_file_that_was_added_wins_over_a_made_one() -> None:
    entries = {entry.path: entry for entry in collect([], ["/etc/passwd"], SYSTEM_PATH)}
    assert entries["etc/passwd"].source == os.path.realpath("/etc/passwd")
    assert entries["etc/passwd"].content is None


def test_nothing_is_made_below_a_link(tmp_path: Path) -> None:
    tree = HostTree(0)
    (tmp_path / "etc").symlink_to("elsewhere")
    tree.add_link(str(tmp_path / "etc"))
    tree.make(f"{str(tmp_path)[1:]}/etc/passwd", 0o644, b"")
    assert list(below(tree.entries(), tmp_path)) == ["etc"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    write(tmp_path / "secret", b"x", 0o000)
    with pytest.raises(HostFileError, match="secret: permission denied"):
        collect([], [f"{tmp_path}/secret"], SYSTEM_PATH)
