"""The text of `--help`, in docker's layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from minidock.cli.commands import GROUPS, PROGRAM, members

_PADDING = 11
_COMMON = ("run", "exec", "ps", "build", "images", "history", "version", "info")
MAIN_USAGE = f"{PROGRAM} [OPTIONS] COMMAND [ARG...]"


class OptionHelp(NamedTuple):
    """One line of a list of options."""

    name: str
    short: str
    type_name: str
    text: str
    default_text: str = ""


GLOBAL_OPTIONS = (
    OptionHelp("debug", "D", "", "Show where an unexpected error comes from"),
    OptionHelp("id-mode", "", "string", "Ids of files: auto, root, range or single ($MINIDOCK_ID_MODE)"),
    OptionHelp("root", "", "string", "Directory of the store ($MINIDOCK_ROOT)"),
    OptionHelp("runtime", "", "string", "What starts processes: native, crun, runc or a path ($MINIDOCK_RUNTIME)"),
    OptionHelp("version", "v", "", "Print version information and quit"),
)


def options_text(options: tuple[OptionHelp, ...]) -> str:
    """Return the list of options, descriptions below each other; lines after the first of one are indented."""
    heads = []
    for option in options:
        letter = f"-{option.short}, " if option.short else "    "
        heads.append(f"  {letter}--{option.name} {option.type_name}".rstrip())
    column = max(map(len, heads), default=0) + 3
    lines = []
    for head, option in zip(heads, options, strict=True):
        default = f" (default {option.default_text})" if option.default_text else ""
        text = (option.text + default).replace("\n", "\n" + " " * column)
        lines.append(f"{head:<{column}}{text}\n")
    return "".join(lines)


def command_help(usage: str, names: tuple[str, ...], summary: str, options: tuple[OptionHelp, ...]) -> str:
    """Return the help of one command, which goes by all of ``names``."""
    parts = [f"Usage:  {usage}\n", f"{summary}\n"]
    if len(names) > 1:
        parts.append(f"Aliases:\n  {', '.join(f'{PROGRAM} {name}' for name in names)}\n")
    if options:
        parts.append(f"Options:\n{options_text(options)}")
    return "\n".join(parts)


def group_help(group: str) -> str:
    """Return the help of a group of commands."""
    return (
        f"Usage:  {PROGRAM} {group} COMMAND\n\n{GROUPS[group]}\n\n"
        f"Commands:\n{_list_text(members(group))}\n"
        f"Run '{PROGRAM} {group} COMMAND --help' for more information on a command.\n"
    )


def main_help() -> str:
    """Return the help of the program."""
    commands = members("")
    common = {name: commands.pop(name) for name in _COMMON}
    return (
        f"Usage:  {PROGRAM} [OPTIONS] COMMAND\n\n"
        "Container images built and run without a daemon\n\n"
        f"Common Commands:\n{_list_text(common)}\n"
        f"Management Commands:\n{_list_text(GROUPS)}\n"
        f"Commands:\n{_list_text(commands)}\n"
        f"Global Options:\n{options_text(GLOBAL_OPTIONS)}\n"
        f"Run '{PROGRAM} COMMAND --help' for more information on a command.\n"
    )


def _list_text(commands: Mapping[str, str]) -> str:
    width = max(_PADDING, *map(len, commands))
    return "".join(f"  {name:<{width}} {summary}\n" for name, summary in commands.items())
