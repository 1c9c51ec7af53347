from __future__ import annotations

import pytest

from minidock.core import container
from minidock.core.config import ContainerConfig
from minidock.core.process import DEFAULT_PATH, User
from minidock.errors import InvalidRequest


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "option", "args", "expected"),
    [
        (None, ("sh",), None, (), ("sh",)),
        (None, ("sh",), None, ("ls", "/"), ("ls", "/")),
        (("app",), ("run",), None, (), ("app", "run")),
        (("app",), ("run",), None, ("stop",), ("app", "stop")),
        (("app",), ("run",), "other", (), ("other",)),
        (("app",), ("run",), "other", ("x",), ("other", "x")),
        (("app",), ("run",), "", ("x",), ("x",)),
    ],
)
def test_entrypoint_and_command_make_the_arguments(
    entrypoint: tuple[str, ...] | None,
    cmd: tuple[str, ...],
    option: str | None,
    args: tuple[str, ...],
    expected: tuple[str, ...],
) -> None:
    assert container.command_line(ContainerConfig(entrypoint=entrypoint, cmd=cmd), option, args) == expected


@pytest.mark.parametrize(
    ("config", "option"), [(ContainerConfig(), None), (ContainerConfig(entrypoint=("app",), cmd=("run",)), "")]
)
def test_nothing_to_run_is_an_error(config: ContainerConfig, option: str | None) -> None:
    with pytest.raises(InvalidRequest, match=r"^No command specified$"):
        container.command_line(config, option, ())


def test_options_come_before_the_images_variables_and_take_their_place() -> None:
    env = container.chosen_env(("A=image", "B=image", "C=image"), ("B=option", "D", "C"), {"D": "caller"})
    assert env == ("B=option", "D=caller", "A=image")


def test_variable_without_a_name_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"^invalid environment variable: =x$"):
        container.chosen_env((), ("=x",), {})


def test_a_process_gets_dockers_variables_in_dockers_order() -> None:
    user = User(home="/home/app")
    variables = container.process_variables(("A=1", "PATH=/bin"), user, hostname="box", has_terminal=True)
    assert variables == ("PATH=/bin", "HOSTNAME=box", "TERM=xterm", "A=1", "HOME=/home/app")
    variables = container.process_variables(("HOME=/x",), user, hostname="box", has_terminal=False)
    assert variables == (f"PATH={DEFAULT_PATH}", "HOSTNAME=box", "HOME=/x")


@pytest.mark.parametrize("name", ["", "a", "bad name", "-a", "a/b", "..", "ä1", "/", "/a", "//ab", "ab/"])
def test_bad_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        container.check_name(name)
    assert str(caught.value) == f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"


def test_a_name_may_be_written_with_a_slash_before_it() -> None:
    assert container.check_name("/box") == container.check_name("box") == "box"


def test_made_up_names_are_good_names() -> None:
    assert container.made_up_name(lambda words: words[0]) == "amber_abel"
    assert container.check_name(container.made_up_name(lambda words: words[-1])) == "zealous_watt"


@pytest.mark.parametrize(
    ("option", "image", "expected"), [("", "", "/"), ("", "/srv", "/srv"), ("/a/../b/", "/srv", "/b")]
)
def test_working_directory_comes_from_the_option_or_the_image(option: str, image: str, expected: str) -> None:
    assert container.working_directory(option, image) == expected


def test_relative_working_directory_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="the working directory 'x' is invalid, it needs to be an absolute path"):
        container.working_directory("x", "/")


def test_arguments_with_blanks_are_quoted_in_lists() -> None:
    assert container.command_text(("sh", "-c", "echo hi")) == "sh -c 'echo hi'"
