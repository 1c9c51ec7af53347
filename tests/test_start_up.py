"""What `run` and the launcher load: every module that comes in here makes every start slower."""

from __future__ import annotations

import subprocess
import sys

import pytest

import minidock

HEAVY_FOR_RUN = {
    *("secrets", "hmac", "random", "logging", "tarfile", "concurrent.futures", "asyncio", "rich", "importlib.metadata"),
    *("minidock.engine.run_step", "minidock.engine.build", "minidock.engine.changes", "minidock.store.scan"),
    *("minidock.store.cache", "minidock.core.cache_key"),
    *("minidock.core.platform", "minidock.runtime.probe", "minidock.runtime.oci", "minidock.runtime.delegate"),
}
SLOW = {"dataclasses", "enum", "typing", "re", "json", "socket", "subprocess", "signal", "collections", "functools"}


def loaded(code: str, *options: str) -> set[str]:
    """Return the modules that a fresh Python has loaded after ``code``."""
    command = [sys.executable, *options, "-c", f"{code}; print(' '.join(sys.modules))"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_run_loads_what_it_needs() -> None:
    names = "cli.run cli.container_flags.request engine.run engine.supervise runtime.native store.snapshots"
    found = loaded("import sys; " + "; ".join(f"import minidock.{name}" for name in names.split()))
    assert "minidock.engine.run" in found
    assert found & HEAVY_FOR_RUN == set()


@pytest.mark.parametrize("verb", ["pull", "push", "save", "load"])
def test_what_brings_images_loads_nothing_of_builds(verb: str) -> None:
    found = loaded(f"import sys, minidock.cli.{verb}, minidock.engine.{verb}")
    assert f"minidock.engine.{verb}" in found
    heavy = ("minidock.core.dockerfile.checks", "minidock.engine.contexts", "minidock.engine.progress")
    assert [name for name in found if name.startswith((*heavy, "minidock.runtime.native", "tarfile", "rich"))] == []


@pytest.mark.parametrize("module", ["stub", "joining", "delegate", "delegate_join", "files", "trial", "chroot"])
def test_the_launcher_loads_nothing_slow(module: str) -> None:
    assert of_the_launcher(module) & SLOW == set()


def test_a_start_loads_nothing_that_other_verbs_need() -> None:
    others = {
        f"minidock.runtime.{name}"
        for name in ("delegate", "delegate_join", "oci_calls", "joining", "files", "trial", "chroot")
    }
    assert of_the_launcher("stub") & others == set()


def of_the_launcher(module: str) -> set[str]:
    root = minidock.__file__.removesuffix("/minidock/__init__.py")
    found = loaded(f"import sys; sys.path.append({root!r}); import minidock.runtime.{module}", "-I", "-S")
    assert f"minidock.runtime.{module}" in found
    return found
