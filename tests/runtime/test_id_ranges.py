"""The user namespace of a user with ranges of ids, and the tests of the runtime again in it."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minidock.runtime.ids import id_mode
from tests.other_users import RangedUser, environment, public_place, python_for_everybody, ranged_user, run_tests

NAMES = ("test_isolation", "test_limits", "test_native", "test_step_mounts", "test_volumes")
MORE = ("test_declared", "test_holes", "test_hostile_images")

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or id_mode() != "root", reason="only root can make a user with ranges of ids"
)


@pytest.fixture(scope="module")
def user() -> Iterator[RangedUser]:
    with ranged_user() as found:
        yield found


@pytest.fixture
def place(user: RangedUser) -> Iterator[Path]:
    """A directory of the user."""
    with public_place() as path:
        os.chown(path, user.uid, user.gid)
        yield path


def told(code: str, become: Callable[[], None]) -> str:
    """Return what Python code prints after ``become``."""
    command = [python_for_everybody(), "-c", f"from minidock.runtime import id_ranges\n{code}"]
    ran = subprocess.run(command, env=environment(), preexec_fn=become, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_root_inside_is_the_user_outside(user: RangedUser) -> None:
    code = "from minidock.runtime import ids; print(ids.id_mode(), ids.outside_uid())"
    assert told(code, user.become_root_of_namespace) == f"range {user.uid}\n"


def test_programs_share_the_namespace_that_is_known(user: RangedUser) -> None:
    code = """
import os
maps = id_ranges.maps_of_user()
def entered(known):
    read, write = os.pipe()
    ended, end = os.pipe()
    if not os.fork():
        os.close(end)
        os.write(write, str(id_ranges.enter(maps, known)).encode())
        os.read(ended, 1)
        os._exit(0)
    os.close(ended)
    return int(os.read(read, 100)), end
first, life = entered(0)
second, _ = entered(first)
other, _ = entered(0)
print(second == first, other == first)
"""
    assert told(code, user.become) == "True False\n"


def test_without_ranges_it_is_said_which_line_is_missing(user: RangedUser, tmp_path: Path) -> None:
    code = """
from minidock.errors import IdRangesUnavailable
id_ranges.FILES["gid"] = "/dev/null"
try:
    id_ranges.maps_of_user()
except IdRangesUnavailable as error:
    print(error)
"""
    assert told(code, user.become).startswith("/dev/null has no line for minidock-")


def test_files_of_strangers_are_packed_as_those_of_root(user: RangedUser, place: Path) -> None:
    name = pwd.getpwuid(user.uid).pw_name
    lines = [line.split(":") for path in ("/etc/subuid", "/etc/subgid") for line in Path(path).read_text().splitlines()]
    first_uid, first_gid = (int(first) for owner, first, _ in lines if owner == name)
    known = (first_uid + 32, first_gid + 41)
    for name, owner in (("own", (user.uid, user.gid)), ("strange", (12, 13)), ("subordinate", known)):
        (place / name).touch()
        os.chown(place / name, *owner)
    code = f"""
import io, os
from minidock.runtime.archive import Packer, read_entry
stream = io.BytesIO()
packer = Packer(stream, hides_strangers=True)
packer.pack(os.open({str(place)!r}, os.O_PATH))
packer.close()
stream.seek(0)
print([(entry.path, entry.uid, entry.gid) for entry in iter(lambda: read_entry(stream), None)])
"""
    assert told(code, user.become_root_of_namespace) == (
        "[('', 0, 0), ('own', 0, 0), ('strange', 0, 0), ('subordinate', 33, 42)]\n"
    )


@pytest.mark.parametrize("name", [*NAMES, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)])
def test_everything_holds_with_ranges_of_ids(user: RangedUser, place: Path, name: str) -> None:
    summary = run_tests(python_for_everybody(), place, user.become_root_of_namespace, f"tests/runtime/{name}.py")
    assert "no process can be started here" not in summary
    assert "without an overlay" not in summary
