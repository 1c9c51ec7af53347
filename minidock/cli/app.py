"""The entry point: finds the command, calls it, and turns every error into one line and an exit code."""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import minidock
from minidock.cli import commands, options, usage
from minidock.cli.commands import PROGRAM, Command
from minidock.cli.flags import Flag, scan
from minidock.cli.values import parse_bool
from minidock.errors import FlagError, MinidockError, StorageFull, StoreUnwritable, UsageError
from minidock.render.errors import error_text

if TYPE_CHECKING:
    from minidock.cli.parsing import Signature

Table = Mapping[str, Command]

_INTERRUPTED = 130
# Objects made before unreachable ones are looked for: loading modules makes tens of thousands and leaves none behind.
_COLLECT_AFTER = 100_000
_BROKEN_PIPE = 141  # what a shell shows for a program that SIGPIPE has ended
_GLOBAL_FLAGS = tuple(Flag(option.name, option.short, not option.type_name) for option in usage.GLOBAL_OPTIONS)
_HELP_FLAG = Flag("help", "h", is_switch=True)


class Choice(NamedTuple):
    """What a command line asks for; ``words`` begin with the name of a command, or are empty."""

    words: tuple[str, ...]
    root: str = ""
    runtime: str = ""
    id_mode: str = ""
    wants_help: bool = False
    wants_version: bool = False
    wants_traceback: bool = False


def main(argv: Sequence[str] | None = None, table: Table = commands.COMMANDS) -> int:
    """Run the command line ``argv`` (default: that of the process) and return its exit code."""
    choice = Choice(())
    try:
        choice = _choice(sys.argv[1:] if argv is None else argv)
        with (
            options.given_root(choice.root),
            options.given_runtime(choice.runtime),
            options.given_id_mode(choice.id_mode),
        ):
            code = _run(choice, table)
        sys.stdout.flush()
        return code
    except MinidockError as error:
        _complain(error_text(error) + _more_help(error, choice, table))
        return _exit_code(error, choice, table)
    except BrokenPipeError:
        return _BROKEN_PIPE
    except KeyboardInterrupt:
        return _INTERRUPTED
    except OSError as error:
        problem = system_problem(error)
        _complain(error_text(problem))
        return _exit_code(problem, choice, table)
    except Exception as error:  # a mistake in this program: still one line, and the way to the rest of it
        if _was_interrupted(error):
            return _INTERRUPTED
        if choice.wants_traceback:
            raise
        _complain(
            f"{PROGRAM}: internal error: {type(error).__name__}: {error}\n"
            f"hint: `{PROGRAM} --debug ...` shows where it comes from; please report it\n"
        )
        return _exit_code(MinidockError(""), choice, table)


def _was_interrupted(error: BaseException | None) -> bool:
    """Tell whether an error came up on the way out after Ctrl-C, as from a lock that was being taken at that moment."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _complain(text: str) -> None:
    """Write ``text`` to stderr, after everything that has been printed before."""
    try:
        sys.stdout.flush()
    except OSError:  # nobody reads it, or the disk is full: that must not hide what is said here
        pass
    sys.stderr.write(text)


def entry() -> NoReturn:
    """Run as a program: output is UTF-8 whatever the locale says, names of files that are not pass through.

    It ends without taking the interpreter apart, object by object: for `run` that was a tenth of the whole.
    No thread that is still wanted lives on after a command, and nothing is registered for the exit.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    gc.set_threshold(_COLLECT_AFTER)
    code = main()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # nobody reads any more: main() has said what there was to say
            pass
    os._exit(code)


def system_problem(error: OSError) -> MinidockError:
    """Return what the operating system refused, as an error of ours."""
    reason = (error.strerror or str(error) or type(error).__name__).lower()
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    text = f"{name}: {reason}" if name else reason
    if error.errno in (errno.ENOSPC, errno.EDQUOT) and name:
        return StorageFull(name)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreUnwritable(text)
    return MinidockError(text)


def _choice(words: Sequence[str]) -> Choice:
    """Return what the options before the command say, and the rest. Raises: FlagError."""
    given, rest = _leading(words, (*_GLOBAL_FLAGS, _HELP_FLAG), command=PROGRAM, usage_line=usage.MAIN_USAGE)
    return Choice(
        rest,
        root=given.get("root", ""),
        runtime=given.get("runtime", ""),
        id_mode=given.get("id-mode", ""),
        wants_help=parse_bool(given.get("help", "false")),
        wants_version=parse_bool(given.get("version", "false")),
        wants_traceback=parse_bool(given.get("debug", "false")),
    )


def _leading(
    words: Sequence[str], flags: Sequence[Flag], *, command: str, usage_line: str
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the options that stand before the first argument, by name, and all the arguments. Raises: FlagError."""
    given: dict[str, str] = {}
    rest: list[str] = []
    try:
        for flag, text in scan(words, flags, stops_at_argument=True):
            if flag is None:
                rest.append(text)
            else:
                given[flag.name] = text
    except FlagError as error:
        error.command, error.usage = command, usage_line
        raise
    return given, tuple(rest)


def _run(choice: Choice, table: Table) -> int:
    """Carry out ``choice``; help that nobody asked for goes to stderr, as docker has it."""
    words = choice.words
    if choice.wants_version:
        print(f"{PROGRAM} version {minidock.__version__}")
        return 0
    if choice.wants_help or not words:
        (sys.stdout if choice.wants_help else sys.stderr).write(usage.main_help())
        return 0
    if words[0] in commands.GROUPS:
        return _run_group(words[0], words[1:], table)
    command = commands.find(words[0], table)
    if command is None:
        raise UsageError(_unknown(words[0], "", table), command=PROGRAM)
    return _call(command, words[0], words[1:])


def _run_group(group: str, words: Sequence[str], table: Table) -> int:
    """Run a command of ``group``, or show the help of the group."""
    name = f"{PROGRAM} {group}"
    given, rest = _leading(words, (_HELP_FLAG,), command=name, usage_line=name)
    if given or not rest:
        (sys.stdout if given else sys.stderr).write(usage.group_help(group))
        return 0
    command = commands.find(f"{group} {rest[0]}", table)
    if command is None:
        raise UsageError(_unknown(rest[0], f"{group} ", table), command=name, usage=f"{name} COMMAND")
    return _call(command, f"{group} {rest[0]}", rest[1:])


def _unknown(word: str, group: str, table: Table) -> str:
    """Return what is wrong with a ``word`` that is no command; ``group`` ends in a blank, or is empty."""
    from minidock.core.suggest import did_you_mean

    names = [name.removeprefix(group) for name in (*table, *commands.ALIASES) if name.startswith(group)]
    known = [name for name in names if " " not in name] + ([] if group else list(commands.GROUPS))
    return f"unknown command: {PROGRAM} {group}{word}{did_you_mean(word, known)}"


def _call(command: Command, name: str, words: Sequence[str]) -> int:
    """Import ``command``, call it with what ``words`` say and return its exit code."""
    from importlib import import_module

    from minidock.cli import parsing

    function = getattr(import_module(f"minidock.cli.{command.module}"), command.function)
    signature = parsing.signature_of(function)
    full_name = f"{PROGRAM} {name}"
    usage_line = f"{full_name} {signature.usage}".rstrip()
    try:
        values = parsing.parse(words, signature, command=full_name, stops_at_argument=command.stops_at_argument)
        # Options can make a reader of another command: `build --plan`.
        is_reader = command.is_reader or any(getattr(value, "only_reads", False) for value in values.values())
        with options.working(is_reader=is_reader, is_diagnosis=command.is_diagnosis):
            return function(**values) or 0
    except parsing.HelpWanted as wanted:
        if wanted.is_by_letter:
            print("Flag shorthand -h has been deprecated, use --help")
        sys.stdout.write(_command_help(command, usage_line, signature))
        return 0
    except UsageError as error:  # it does not know how the command was called
        error.command = error.command or full_name
        error.usage = error.usage or usage_line
        raise


def _command_help(command: Command, usage_line: str, signature: Signature) -> str:
    shown = tuple(
        usage.OptionHelp(option.flag.name, option.flag.short, option.type_name, option.help, option.default_text)
        for option in signature.options
        if not option.is_hidden
    )
    return usage.command_help(usage_line, commands.names_of(command), signature.summary, shown)


def _more_help(error: MinidockError, choice: Choice, table: Table) -> str:
    """Return where to read more: `run`, alone of all commands, says so after every error."""
    command = _command_of(choice, table)
    if command is None or not command.has_help_hint or isinstance(error, UsageError):
        return ""
    return f"\nRun '{PROGRAM} {command.function} --help' for more information\n"


def _command_of(choice: Choice, table: Table) -> Command | None:
    return commands.find(" ".join(choice.words[:2]), table) or commands.find("".join(choice.words[:1]), table)


def _exit_code(error: MinidockError, choice: Choice, table: Table) -> int:
    """Return the code of ``error``; a few commands have one of their own for errors that have not."""
    command = _command_of(choice, table)
    if command is None or isinstance(error, UsageError) or error.exit_code != MinidockError.exit_code:
        return error.exit_code
    return command.failure_code
