"""Secrets of a build are nowhere in the store: not after it, not after a failure, not after kill -9 in the middle."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.operations import Player, prepared
from tests.e2e.test_killed import settled
from tests.other_users import PLAIN_ID, become_plain, public_place

OF_A_FILE, OF_A_VARIABLE, OF_THE_STEP = "f1le-s3cret-value", "var1able-s3cret-value", "st3p-s3cret-value"
BUILD_ARG = "bu1ld-arg-s3cret-value"
DOCKERFILE = """\
FROM base:1
ARG API_TOKEN
ARG END=true
RUN --mount=type=secret,id=file --mount=type=secret,id=step,env=STEP --mount=type=secret,id=variable,target=/v \\
    read -r file </run/secrets/file; read -r other </v; echo "$file $other $STEP"; : "$API_TOKEN"; eval "$END"
"""

pytestmark = pytest.mark.slow


@pytest.fixture(params=["own", "plain"])
def player(request: pytest.FixtureRequest) -> Iterator[Player]:
    """The user of the tests, and root's plain user."""
    if request.param == "plain" and os.geteuid() != 0:
        pytest.skip("needs root to be somebody else")
    become = become_plain if request.param == "plain" else None
    mode = "single" if become else "auto"
    variables = {"V": OF_A_VARIABLE, "S": OF_THE_STEP}
    with public_place() as place:
        if become:
            os.chown(place, PLAIN_ID, PLAIN_ID)
        with prepared(place, 1, become, mode, variables) as found:
            (place / "secret").write_text(f"{OF_A_FILE}\n")
            (place / "secret").chmod(0o644)
            (place / "context").mkdir()
            (place / "context/Dockerfile").write_text(DOCKERFILE)
            (place / "context/Dockerfile").chmod(0o644)
            yield found


def words(player: Player, end: str) -> tuple[str, ...]:
    """Return a build whose only step ends as ``end`` does."""
    secrets = [f"id=file,src={player.place / 'secret'}", "id=variable,env=V", "id=step,env=S"]
    return (
        *("build", "-t", "app:2", "--network", "none", "--build-arg", f"END={end}"),
        *("--build-arg", f"API_TOKEN={BUILD_ARG}", *(word for text in secrets for word in ("--secret", text))),
        str(player.place / "context"),
    )


def found_in(root: Path) -> set[str]:
    """Return what of the values stands in a file or a name below ``root``, but for what an image shows of ARG."""
    values = {OF_A_FILE, OF_A_VARIABLE, OF_THE_STEP}
    found = set()
    for directory, _, names in os.walk(root):
        for name in names:
            path = Path(directory, name)
            if path.is_symlink() or not path.is_file():
                continue
            content = f"{name}\n".encode() + path.read_bytes()
            more = {BUILD_ARG} if "blobs" not in path.parts else set()  # configs have build arguments, as docker's
            found |= {f"{value} in {path}" for value in values | more if value.encode() in content}
    return found


def test_no_secret_is_left_of_a_build_however_it_ends(player: Player) -> None:
    done = player.ask(*words(player, "true"))
    assert done.code == 0, done.err
    assert "**** **** ****" in done.err
    failed = player.ask(*words(player, "false"))
    assert failed.code == 1, failed.err
    for text in (done.out, done.err, failed.out, failed.err):
        assert not any(value in text for value in (OF_A_FILE, OF_A_VARIABLE, OF_THE_STEP, BUILD_ARG))
    assert found_in(player.root) == set()

    pid = player.caller.start(*words(player, ": >/waiting; sleep 60"))
    until = time.monotonic() + 60
    while not any("waiting" in names for _, _, names in os.walk(player.root)):
        assert time.monotonic() < until, "the step does not begin"
        time.sleep(0.05)
    os.killpg(pid, signal.SIGKILL)
    assert player.caller.finish(pid).code == -signal.SIGKILL
    assert found_in(player.root) == set()
    settled(player)
    assert player.ask("volume", "create", "after").code == 0
    assert found_in(player.root) == set()
    told = [player.call(*command) for command in (("why",), ("builder", "prune", "-a", "-f", "--dry-run"), ("info",))]
    assert not any(value in text for text in told for value in (OF_A_FILE, OF_A_VARIABLE, OF_THE_STEP, BUILD_ARG))
