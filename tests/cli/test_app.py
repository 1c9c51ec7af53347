"""The program as a whole: its help, its errors, its exit codes and what it does not load."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pytest
import typer

import minidock
from minidock.cli.app import main
from minidock.cli.commands import Command
from minidock.errors import CommandNotFound, FlagError, NoSuchImage

ROOT = str(Path(minidock.__file__).parent.parent)

Work = Callable[[], int | None]
Run = Callable[..., int]


@pytest.fixture
def run_standin(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs `minidock standin WORDS`, a command whose body is ``work``."""

    def run(work: Work, *words: str, options: tuple[str, ...] = (), failure_code: int = 1) -> int:
        def standin(name: Annotated[str, typer.Argument()] = "", loud: Annotated[bool, typer.Option()] = False) -> int:
            """Stand in for a command."""
            return work() or 0

        module = types.ModuleType("minidock.cli.standin")
        module.standin = standin  # type: ignore[attr-defined]  # a module made on the spot has no declarations
        monkeypatch.setitem(sys.modules, "minidock.cli.standin", module)
        table = {"standin": Command("standin", "standin", "Stand in for a command", failure_code=failure_code)}
        return main([*options, "standin", *words], table)

    return run


def raising(error: BaseException) -> Work:
    def work() -> int:
        raise error

    return work


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": ROOT},
    )


@pytest.mark.parametrize("words", [["--version"], ["-v"], ["-D", "--version", "images"]])
def test_the_version_is_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert capsys.readouterr() == (f"minidock version {minidock.__version__}\n", "")


@pytest.mark.parametrize("words", ["['--version']", "[]", "['image']", "['frob']"])
def test_version_and_help_load_nothing_heavy(words: str) -> None:
    done = python(
        "-c",
        f"import sys\nbefore = set(sys.modules)\nfrom minidock.cli.app import main\nmain({words})\n"
        "heavy = ('typer', 'rich', 'tarfile', 'urllib', 'dataclasses', 'asyncio', 'subprocess', 'minidock.engine')\n"
        "sys.exit(','.join(name for name in heavy if name in sys.modules.keys() - before) or 0)\n",
    )
    assert done.returncode == 0, done.stderr


def test_the_program_starts_as_a_module() -> None:
    done = python("-m", "minidock", "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"minidock version {minidock.__version__}\n", "")


def test_help_that_was_asked_for_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    asked = capsys.readouterr()
    assert main([]) == 0
    bare = capsys.readouterr()
    assert (asked.out, asked.err, bare.out) == (bare.err, "", "")
    assert asked.out.startswith(
        "Usage:  minidock [OPTIONS] COMMAND\n\n"
        "Container images built and run without a daemon\n\n"
        "Common Commands:\n"
        "  run         Create and run a new container from an image\n"
    )
    assert asked.out.endswith(
        "Global Options:\n"
        "  -D, --debug            Show where an unexpected error comes from\n"
        "      --id-mode string   Ids of files: auto, root, range or single ($MINIDOCK_ID_MODE)\n"
        "      --root string      Directory of the store ($MINIDOCK_ROOT)\n"
        "      --runtime string   What starts processes: native, crun, runc or a path ($MINIDOCK_RUNTIME)\n"
        "  -v, --version          Print version information and quit\n\n"
        "Run 'minidock COMMAND --help' for more information on a command.\n"
    )


def test_a_group_alone_shows_its_commands_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["volume"]) == 0
    bare = capsys.readouterr()
    assert main(["volume", "--help"]) == 0
    assert (capsys.readouterr().out, bare.out) == (bare.err, "")
    assert bare.err == (
        "Usage:  minidock volume COMMAND\n\n"
        "Manage volumes\n\n"
        "Commands:\n"
        "  create      Create a volume\n"
        "  inspect     Display detailed information on one or more volumes\n"
        "  ls          List volumes\n"
        "  prune       Remove unused local volumes\n"
        "  rm          Remove one or more volumes\n\n"
        "Run 'minidock volume COMMAND --help' for more information on a command.\n"
    )


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (
            ["frobnicate"],
            1,
            "minidock: unknown command: minidock frobnicate\n\nRun 'minidock --help' for more information\n",
        ),
        (
            ["biuld", "."],
            1,
            "minidock: unknown command: minidock biuld (did you mean build?)\n\n"
            "Run 'minidock --help' for more information\n",
        ),
        (
            ["image", "lst"],
            1,
            "minidock: unknown command: minidock image lst (did you mean ls?)\n\nUsage:  minidock image COMMAND\n\n"
            "Run 'minidock image --help' for more information\n",
        ),
        (
            ["image", "frob"],
            1,
            "minidock: unknown command: minidock image frob\n\nUsage:  minidock image COMMAND\n\n"
            "Run 'minidock image --help' for more information\n",
        ),
        (
            ["--frob"],
            125,
            "unknown flag: --frob\n\nUsage:  minidock [OPTIONS] COMMAND [ARG...]\n\n"
            "Run 'minidock --help' for more information\n",
        ),
        (
            ["image", "-x"],
            125,
            "unknown shorthand flag: 'x' in -x\n\nUsage:  minidock image\n\n"
            "Run 'minidock image --help' for more information\n",
        ),
        (
            ["version", "extra"],
            1,
            "minidock: 'minidock version' accepts no arguments\n\nUsage:  minidock version [OPTIONS]\n\n"
            "Run 'minidock version --help' for more information\n",
        ),
        (
            ["image", "ls", "--no-trunc=maybe"],
            125,
            'invalid argument "maybe" for "--no-trunc" flag: strconv.ParseBool: parsing "maybe": invalid syntax\n\n'
            "Usage:  minidock image ls [OPTIONS] [REPOSITORY[:TAG]]\n\n"
            "Run 'minidock image ls --help' for more information\n",
        ),
    ],
)
def test_a_line_that_does_not_fit_is_explained_on_stderr(
    words: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == code
    assert capsys.readouterr() == ("", text)


def test_a_command_helps_in_dockers_layout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["images", "-h"]) == 0
    assert capsys.readouterr().out == (
        "Flag shorthand -h has been deprecated, use --help\n"
        "Usage:  minidock images [OPTIONS] [REPOSITORY[:TAG]]\n\n"
        "List images\n\n"
        "Aliases:\n"
        "  minidock image ls, minidock image list, minidock images\n\n"
        "Options:\n"
        "  -a, --all             Show all images (default hides intermediate images)\n"
        "      --digests         Show digests\n"
        "  -f, --filter filter   Filter output based on conditions provided\n"
        "      --format string   Format output:\n"
        "                        'table':            Print output in table format with column headers (default)\n"
        "                        'table TEMPLATE':   Print output in table format using the given Go template\n"
        "                        'json':             Print in JSON format\n"
        "                        'TEMPLATE':         Print output using the given Go template\n"
        "      --no-trunc        Don't truncate output\n"
        "  -q, --quiet           Only show image IDs\n"
    )


def test_a_command_returns_its_code(run_standin: Run) -> None:
    assert [run_standin(lambda: None), run_standin(lambda: 7)] == [0, 7]


def test_an_error_is_one_line_a_hint_and_its_code(run_standin: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        print("before")
        raise NoSuchImage("nosuch:1")

    assert run_standin(work) == 1
    assert capsys.readouterr() == ("before\n", "minidock: No such image: nosuch:1\nhint: see `minidock image ls`\n")


def test_an_option_refused_late_is_explained_like_one_refused_early(
    run_standin: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_standin(raising(FlagError("conflicting options"))) == 125
    assert capsys.readouterr().err == (
        "conflicting options\n\nUsage:  minidock standin [OPTIONS] [NAME]\n\n"
        "Run 'minidock standin --help' for more information\n"
    )


def test_a_command_may_have_a_code_for_failing_itself(run_standin: Run) -> None:
    codes = [
        run_standin(raising(NoSuchImage("x")), failure_code=125),
        run_standin(raising(OSError(errno.EIO, "Input/output error", "/x")), failure_code=125),
        run_standin(raising(CommandNotFound("x")), failure_code=125),
        run_standin(lambda: None, "one", "two", failure_code=125),
        run_standin(lambda: 3, failure_code=125),
    ]
    assert codes == [125, 125, 127, 1, 3]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/s/x"), "minidock: no space left on device: /s/x\nhint: "),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/s/x"), "minidock: no space left on device: /s/x\nhint: "),
        (OSError(errno.ENOSPC, "No space left on device"), "minidock: no space left on device\n"),
        (PermissionError(errno.EACCES, "Permission denied", b"/s"), "minidock: /s: permission denied\n"),
        (OSError(errno.EROFS, "Read-only file system", "/s"), "minidock: /s: read-only file system\n"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "f"), "minidock: f: no such file or directory\n"),
        (OSError("odd"), "minidock: odd\n"),
    ],
)
def test_what_the_system_refuses_is_one_line(
    error: OSError, text: str, run_standin: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_standin(raising(error)) == 1
    shown = capsys.readouterr().err
    assert shown.startswith(text)
    assert shown.count("\n") == text.count("\n") + (not text.endswith("\n"))


def test_an_interrupt_is_130_and_says_nothing(run_standin: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_standin(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr() == ("", "")


def test_an_error_on_the_way_out_after_an_interrupt_is_the_interrupt(
    run_standin: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    error = RuntimeError("release unlocked lock")
    error.__context__ = KeyboardInterrupt()
    assert run_standin(raising(error)) == 130
    assert capsys.readouterr() == ("", "")


def test_a_mistake_of_ours_is_no_traceback_unless_asked_for(
    run_standin: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_standin(raising(ValueError("oops"))) == 1
    assert capsys.readouterr().err == (
        "minidock: internal error: ValueError: oops\n"
        "hint: `minidock --debug ...` shows where it comes from; please report it\n"
    )
    with pytest.raises(ValueError, match="oops"):
        run_standin(raising(ValueError("oops")), options=("--debug",))


def test_the_root_option_reaches_the_command(run_standin: Run, tmp_path: Path) -> None:
    from minidock.cli import options

    seen: list[str] = []

    def work() -> None:
        seen.append(options.store_root())

    assert run_standin(work, options=("--root", str(tmp_path))) == 0
    assert seen == [str(tmp_path)]


def test_a_reader_that_goes_away_is_met_in_silence() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "minidock", "--help"],
            stdout=pipe,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": ROOT},
        )
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_an_error_of_one_line() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "minidock", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": ROOT},
        )
    assert (done.returncode, done.stderr) == (1, b"minidock: no space left on device\n")


def test_output_is_utf8_whatever_the_locale_and_other_bytes_pass() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "minidock", "a…".encode() + b"\xff"],
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": ROOT, "PYTHONIOENCODING": "ascii:strict", "PYTHONUTF8": "0"},
    )
    assert done.stderr.partition(b"\n")[0] == "minidock: unknown command: minidock a…".encode() + b"\xff"
