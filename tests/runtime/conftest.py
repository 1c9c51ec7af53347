"""Containers with whatever isolation this user has; `test_other_users` runs the tests that use them as others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from minidock.runtime import oci
from minidock.runtime.base import Isolation, RuntimeReport
from minidock.runtime.native import NativeRuntime
from tests.runtime.machine import Containers, children, make_rootfs


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> RuntimeReport:
    found = NativeRuntime().probe(str(tmp_path_factory.mktemp("probe")))
    if found.isolation is Isolation.UNAVAILABLE:
        pytest.skip(f"no process can be started here: {'; '.join(found.reasons)}")
    return found


@pytest.fixture(scope="session")
def lower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_rootfs(tmp_path_factory.mktemp("rootfs"))


@pytest.fixture(scope="session", params=["native", *oci.KNOWN])
def runtime(request: pytest.FixtureRequest, report: RuntimeReport) -> NativeRuntime:
    """Every runtime that there is here, one after the other."""
    if request.param == "native":
        return NativeRuntime(report.isolation)
    program = oci.found().get(request.param)
    if program is None:
        pytest.skip(f"{request.param} is not installed")
    if report.isolation is not Isolation.NAMESPACES:
        pytest.skip("an OCI runtime needs namespaces")
    return oci.OciRuntime(program, report.isolation)


@pytest.fixture
def box(report: RuntimeReport, runtime: NativeRuntime, lower: Path, tmp_path: Path) -> Iterator[Containers]:
    """Containers, and afterwards a check that nothing of them is left."""
    processes, descriptors = children(), _descriptors()
    place = tmp_path / "containers"
    place.mkdir()
    yield Containers(runtime, lower, place, is_copied=not report.has_overlay)
    assert _mounts(tmp_path) == []
    assert children() == processes
    # One may stay: the protected interpreter of a runtime.
    assert _descriptors() - descriptors <= 1


@pytest.fixture
def isolated(report: RuntimeReport, box: Containers) -> Containers:
    if report.isolation is not Isolation.NAMESPACES:
        pytest.skip("without namespaces there is nothing of this to see")
    return box


@pytest.fixture
def layered(report: RuntimeReport, box: Containers) -> Containers:
    if not report.has_overlay:
        pytest.skip("without an overlay a copied root file system holds everything")
    return box


def _mounts(place: Path) -> list[str]:
    """Return the mounts that have to do with ``place``; others on this machine may come and go."""
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(place) in line]


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
