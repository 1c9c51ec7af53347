"""The web server of the well-known tutorial, for real: Debian's packages, pip's packages, two images, containers.

The tests follow one another as a person would go on, in one store of their own.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

APP = Path(__file__).parents[2] / "sample-apps/my-custom-app"
IMAGE, SECOND = "my-custom-app", "my-custom-app-2"
_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}


@dataclass(frozen=True, slots=True)
class Shop:
    """A store, and the commands that work on it."""

    store: Path
    ports: list[int] = field(default_factory=list)

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command that has to end with ``code``."""
        done = subprocess.run(
            [sys.executable, "-m", "minidock", *words],
            check=False,
            env={**os.environ, "MINIDOCK_ROOT": str(self.store)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=1200,
        )
        assert done.returncode == code, f"minidock {' '.join(words)}: {done.stdout}{done.stderr}"
        return done

    def rows(self, *words: str) -> list[dict[str, Any]]:
        """Return what a list prints as JSON lines."""
        return [json.loads(line) for line in self.run(*words, "--format", "json").stdout.splitlines()]

    def start(self, name: str, image: str) -> int:
        """Start a detached container and return the port that its server listens on."""
        port = _free_port()
        self.ports.append(port)
        self.run("run", "-d", "--name", name, "-e", f"FLASK_RUN_PORT={port}", image)
        return port

    def page(self, port: int, path: str = "/") -> str:
        """Return a page of a server, which may still be starting."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + 60
        while True:
            try:
                with opener.open(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                    return str(answer.read().decode())
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _bytes(text: str) -> float:
    number = text.rstrip("BkMG")
    return float(number) * _UNITS[text[len(number) :]]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, debian: Path) -> Iterator[Shop]:
    """A store with the image `debian`."""
    shop = Shop(tmp_path_factory.mktemp("shop") / "store")
    try:
        shop.run("import", str(debian), "debian")
        yield shop
    finally:
        shop.run("system", "reset", "-f")


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the app."""
    return Path(shutil.copytree(APP, tmp_path_factory.mktemp("context") / "my-custom-app"))


def _build(shop: Shop, *words: str) -> dict[str, list[str]]:
    """Build; return what each step of the Dockerfile printed, by its name."""
    proxies = [word for name in os.environ if name.lower().endswith("_proxy") for word in ("--build-arg", name)]
    log = shop.run("build", "--progress=plain", *proxies, *words).stderr
    steps: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for line in log.splitlines():
        number, _, text = line.partition(" ")
        if number.startswith("#") and number not in names:
            names[number] = text
        elif number.startswith("#"):
            steps.setdefault(names[number], []).append(text)
    return {name: lines for name, lines in steps.items() if name[1:2].isdigit()}


@pytest.fixture(scope="module")
def first_image(shop: Shop, context: Path) -> dict[str, list[str]]:
    """What the steps of the first build printed."""
    return _build(shop, "-t", IMAGE, str(context))


@pytest.fixture(scope="module")
def second_image(shop: Shop, context: Path, first_image: dict[str, list[str]]) -> dict[str, list[str]]:
    """What the steps of the second Dockerfile's build printed."""
    return _build(shop, "-t", SECOND, "-f", str(context / "Dockerfile.2"), str(context))


def test_first_build_runs_every_step(first_image: dict[str, list[str]]) -> None:
    assert list(first_image) == [
        "[1/4] FROM docker.io/library/debian:latest",
        "[2/4] RUN apt-get update && apt-get install -y python3 python3-pip",
        "[3/4] RUN pip install --break-system-packages flask flask-mysql",
        "[4/4] COPY . /opt/source-code",
    ]
    assert [lines[-1].split(" ")[0] for lines in first_image.values()] == ["CACHED", "DONE", "DONE", "DONE"]


@pytest.mark.usefixtures("first_image")
def test_container_answers_a_request(shop: Shop) -> None:
    port = shop.start("web", IMAGE)
    assert shop.page(port).startswith("Hello! This page was served by ")
    assert shop.page(port, "/how-are-you") == "Very well, thanks for asking. And you?\n"
    assert [(row["Names"], row["Image"], row["State"]) for row in shop.rows("ps")] == [("web", IMAGE, "running")]
    logged = shop.run("logs", "web")
    assert "GET /how-are-you" in logged.stdout + logged.stderr


def test_other_dockerfile_shares_the_steps_that_are_equal(second_image: dict[str, list[str]]) -> None:
    assert list(second_image)[-1] == "[4/4] COPY . /opt/app-code"
    assert [lines[-1].split(" ")[0] for lines in second_image.values()] == ["CACHED", "CACHED", "CACHED", "DONE"]
    assert [line for lines in second_image.values() for line in lines if line.startswith("why: ")] == [
        "why: never built here before"
    ]


@pytest.mark.usefixtures("second_image")
def test_wholly_cached_build_gives_the_same_image(shop: Shop, context: Path) -> None:
    before = shop.rows("image", "ls", "--no-trunc")
    steps = _build(shop, "-t", IMAGE, str(context))
    assert [lines[-1] for lines in steps.values()] == ["CACHED"] * 4
    assert sorted((row["Repository"], row["ID"]) for row in shop.rows("image", "ls", "--no-trunc")) == sorted(
        (row["Repository"], row["ID"]) for row in before
    )


@pytest.mark.usefixtures("second_image")
def test_sizes_show_what_is_shared(shop: Shop) -> None:
    sizes = {row["Repository"]: _bytes(row["Size"]) for row in shop.rows("image", "ls")}
    assert sizes.keys() == {"debian", IMAGE, SECOND}
    assert sizes[IMAGE] == sizes[SECOND] > 2 * sizes["debian"]
    all_images = next(row for row in shop.rows("system", "df") if row["Type"] == "Images")
    assert all_images["TotalCount"] == "3"
    assert _bytes(all_images["Size"]) == pytest.approx(sizes[IMAGE], rel=0.01)
    details = json.loads(shop.run("system", "df", "-v", "--format", "json").stdout)
    for row in details["Images"]:
        whole, shared, unique = (_bytes(row[name]) for name in ("Size", "SharedSize", "UniqueSize"))
        assert shared + unique == pytest.approx(whole, rel=0.01)
        # Of its own each has a copy of the app, a few hundred bytes.
        assert unique == 0 if row["Repository"] == "debian" else 0 < unique < 10_000


@pytest.mark.usefixtures("second_image")
def test_bytes_on_disk_are_what_the_disk_says(shop: Shop) -> None:
    *_, line, remark = shop.run("system", "df", "-v").stdout.splitlines()
    assert line.startswith("On disk: ")
    # The application is running.
    assert "may have written meanwhile" in remark
    said = int(line.removeprefix("On disk: ").split(" ")[0])
    listing = subprocess.run(["du", "-s", "-B1", shop.store], check=True, capture_output=True, text=True).stdout
    # The directories and small files in which the store keeps its own affairs.
    assert said == pytest.approx(int(listing.split("\t")[0]), rel=0.02)


@pytest.mark.usefixtures("second_image")
@pytest.mark.parametrize("image", [IMAGE, SECOND])
def test_history_adds_up_to_the_size_of_the_image(shop: Shop, image: str) -> None:
    steps = shop.rows("history", "--no-trunc", "--human=false", image)
    size = json.loads(shop.run("image", "inspect", image).stdout)[0]["Size"]
    assert sum(int(step["Size"]) for step in steps) == size
    assert [step["CreatedBy"].split(" ")[0] for step in steps[:4]] == ["ENTRYPOINT", "COPY", "RUN", "RUN"]
    assert [int(step["Size"]) > 0 for step in steps] == [False, True, True, True, True]


@pytest.mark.usefixtures("second_image")
def test_edit_in_a_container_stays_there(shop: Shop) -> None:
    served = shop.page(shop.ports[0])
    shop.run("exec", "web", "sed", "-i", "s/Hello/Goodbye/", "/opt/source-code/app.py")
    changed = shop.run("exec", "web", "cat", "/opt/source-code/app.py").stdout
    original = (APP / "app.py").read_text()
    assert changed == original.replace("Hello", "Goodbye")
    assert "C /opt/source-code/app.py" in shop.run("diff", "web").stdout.splitlines()
    assert shop.run("run", "--rm", "--entrypoint", "cat", IMAGE, "/opt/source-code/app.py").stdout == original
    other = shop.start("other", IMAGE)
    assert shop.page(other).startswith("Hello! ")
    assert "C /opt/source-code/app.py" not in shop.run("diff", "other").stdout.splitlines()
    assert served.startswith("Hello! ")


@pytest.mark.usefixtures("second_image")
def test_edited_context_rebuilds_the_copy_and_says_why(shop: Shop, context: Path) -> None:
    source = context / "app.py"
    source.write_text(source.read_text().replace("Hello", "Howdy"))
    steps = _build(shop, "-t", f"{IMAGE}:edited", str(context))
    assert [lines[-1].split(" ")[0] for lines in steps.values()] == ["CACHED", "CACHED", "CACHED", "DONE"]
    reason = next(line for line in steps["[4/4] COPY . /opt/source-code"] if line.startswith("why: "))
    assert reason.startswith("why: 1 of ") and reason.endswith(" files changed: app.py (content)")
    assert shop.page(shop.start("edited", f"{IMAGE}:edited")).startswith("Howdy! ")


@pytest.mark.usefixtures("second_image")
def test_removed_containers_and_a_reset_store_leave_nothing(shop: Shop) -> None:
    shop.run("rm", "-f", "web", "other", "edited")
    assert shop.rows("ps", "-a") == []
    assert [port for port in shop.ports if _answers(port)] == []
    shop.run("system", "reset", "-f")
    assert list(shop.store.rglob("*")) == []
    assert _traces(str(shop.store)) == []


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _traces(store: str) -> list[str]:
    """Return the processes that name the store: in their mounts, their environment or their arguments."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        for name in ("mountinfo", "environ", "cmdline"):
            try:
                if store.encode() in (process / name).read_bytes():
                    found.append(f"{process}/{name}")
            except OSError:
                continue  # it has ended, or is a kernel's
    return found
