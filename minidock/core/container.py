"""What a container is made from: an image's config and the user's options become arguments, environment and mounts.

Source: moby, daemon/create.go, container/env.go, volume/mounts/linux_parser.go, as seen from outside.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence

from minidock.core.config import ContainerConfig
from minidock.core.process import DEFAULT_PATH, User
from minidock.errors import InvalidRequest

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_NAME_CHARACTERS = "[a-zA-Z0-9][a-zA-Z0-9_.-]"

_ADJECTIVES = (
    "amber brave breezy brisk calm candid cheerful clever cosmic crisp curious daring dapper deft eager earnest "
    "elated fearless fervent fluent focused frosty gentle gifted glad golden graceful happy hardy honest hopeful "
    "humble jolly keen kind lively loyal lucid mellow merry modest nimble noble patient placid polite proud quick "
    "quiet radiant serene sharp silent sincere steady sunny tender tidy tranquil upbeat vivid warm witty zealous"
)
_SURNAMES = (
    "abel ampere archimedes babbage banach bell bernoulli bohr boole brahe cantor carson cauchy celsius "
    "copernicus curie darwin descartes dijkstra dirac edison einstein erdos euclid euler faraday fermat feynman "
    "fibonacci fourier franklin galileo galois gauss germain godel hamilton hawking heisenberg hertz hilbert "
    "hopper hubble huygens hypatia jacobi kepler kovalevskaya lagrange laplace leibniz liskov lovelace maxwell "
    "meitner mendel newton noether pascal pasteur pauli planck ptolemy ramanujan riemann rontgen shannon tesla "
    "turing volta watt"
)


def check_name(name: str) -> str:
    """Return the name that a container gets by ``name``, which may have a slash before it. Raises: InvalidRequest."""
    wanted = name.removeprefix("/")
    if not _NAME.fullmatch(wanted):
        raise InvalidRequest(f"Invalid container name ({name}), only {_NAME_CHARACTERS} are allowed")
    return wanted


def made_up_name(choose: Callable[[Sequence[str]], str]) -> str:
    """Return a name for a container, such as ``calm_euler``; ``choose`` picks one of several words."""
    return f"{choose(_ADJECTIVES.split())}_{choose(_SURNAMES.split())}"


def command_line(config: ContainerConfig, entrypoint: str | None, args: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments of a container's process.

    ``entrypoint`` replaces the image's and drops its CMD; an empty one clears it. Raises: InvalidRequest if nothing
    says what to run.
    """
    if entrypoint is None:
        words = (*(config.entrypoint or ()), *(args or config.cmd or ()))
    else:
        words = (*([entrypoint] if entrypoint else []), *args)
    if not words:
        raise InvalidRequest("No command specified")
    return words


def chosen_env(image: Sequence[str], options: Sequence[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return a container's variables: those of ``-e``, then the image's others.

    ``-e NAME`` takes the value that NAME has in ``environment``; where it is unset there, the image's goes too.
    """
    chosen: dict[str, str | None] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not name:
            raise InvalidRequest(f"invalid environment variable: {option}")
        chosen[name] = value if equals else environment.get(name)
    for variable in image:
        name, _, value = variable.partition("=")
        chosen.setdefault(name, value)
    return tuple(f"{name}={value}" for name, value in chosen.items() if value is not None)


def process_variables(env: Sequence[str], user: User, *, hostname: str, has_terminal: bool) -> tuple[str, ...]:
    """Return the environment of a process in docker's order: PATH, HOSTNAME, TERM, ``env``, HOME."""
    variables = {"PATH": DEFAULT_PATH, "HOSTNAME": hostname}
    if has_terminal:
        variables["TERM"] = "xterm"
    variables.update(variable.partition("=")[::2] for variable in env)
    variables.setdefault("HOME", user.home)
    return tuple(f"{name}={value}" for name, value in variables.items())


def working_directory(option: str, image: str) -> str:
    """Return the absolute directory in which a process starts. Raises: InvalidRequest."""
    if option and not option.startswith("/"):
        raise InvalidRequest(f"the working directory '{option}' is invalid, it needs to be an absolute path")
    return posixpath.normpath(option or image or "/")


def command_text(args: Sequence[str]) -> str:
    """Return a command line as lists show it: arguments with blanks in single quotes."""
    return " ".join([args[0], *(f"'{arg}'" if " " in arg else arg for arg in args[1:])])
