"""Images that lay traps for whoever starts them, one for each flaw that a launcher has had."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from minidock.core.id_mode import IdMode
from minidock.core.process import Mount, ProcessSpec
from minidock.errors import MinidockError
from minidock.runtime.base import RuntimeReport
from tests.runtime.machine import Containers

_DESCRIPTORS = range(3, 24)


def prepared(box: Containers, **links: str) -> ProcessSpec:
    """Return a spec of a shell whose image has symbolic links in its top directory."""
    spec = box.shell("ls /")
    place = Path(spec.rootfs.copied or spec.rootfs.upper)
    for name, target in links.items():
        (place / name).symlink_to(target)
    return spec


@pytest.mark.parametrize("way", ["directly", "by a link"])
def test_no_open_directory_of_the_launcher_is_a_working_directory(isolated: Containers, way: str) -> None:
    """CVE-2024-21626: a descriptor that the launcher still has open leads out of the container."""
    there = os.listdir("/")
    for number in _DESCRIPTORS:
        place = f"/proc/self/fd/{number}"
        spec = isolated.shell("ls ../../../../../../../..; ls /")
        if way == "by a link":
            link = Path(spec.rootfs.copied or spec.rootfs.upper) / "way"
            link.symlink_to(place)
            place = "/way"
        try:
            code, text = isolated.run(replace(spec, cwd=place))
        except MinidockError as error:
            assert error.exit_code in (125, 126), error
            continue
        lines = text.splitlines()
        half = len(lines) // 2
        assert (code, lines[:half]) == (0, lines[half:]), f"{place}: {text}"
        assert set(lines[half:]) != set(there)


@pytest.mark.parametrize("name", ["dev", "proc", "sys"])
def test_a_built_in_place_that_is_a_link_is_refused_or_stays_inside(
    isolated: Containers, name: str, tmp_path: Path
) -> None:
    """CVE-2026-41579, CVE-2019-19921: /dev or /proc of an image is a link to elsewhere."""
    outside = tmp_path / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    spec = prepared(isolated, **{name: str(outside)})
    try:
        code, _ = isolated.run(spec)
    except MinidockError as error:
        assert error.exit_code == 125
    else:
        assert code in (0, 125, 126)
    assert list(outside.iterdir()) == []
    assert str(outside) not in Path("/proc/self/mountinfo").read_text()


def test_a_working_directory_is_made_inside_whatever_the_links_say(isolated: Containers, tmp_path: Path) -> None:
    """CVE-2026-55686: WORKDIR leads through a link of the image."""
    outside = tmp_path / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    for target in (str(outside), f"../../../../../../../../../..{outside}"):
        spec = prepared(isolated, way=target)
        try:
            isolated.run(replace(spec, cwd="/way/made"))
        except MinidockError as error:
            assert error.exit_code == 125
        assert list(outside.iterdir()) == []


def test_masks_that_the_image_has_replaced_hide_all_the_same(isolated: Containers) -> None:
    """CVE-2025-31133, CVE-2025-52565: /dev/null or /dev/console of an image is a link to what is to be hidden."""
    spec = isolated.shell("cat /proc/keys; ls /sys/firmware; ls -l /dev/null")
    place = Path(spec.rootfs.copied or spec.rootfs.upper)
    (place / "dev").mkdir()
    (place / "dev/null").symlink_to("/proc/sys/kernel/core_pattern")
    (place / "dev/console").symlink_to("/proc/sysrq-trigger")
    code, text = isolated.run(replace(spec, is_build_step=False))
    lines = text.splitlines()
    assert code == 0, text
    assert len(lines) == 1, text
    assert lines[0].startswith("crw-rw-rw-"), text


def test_the_launcher_s_program_lies_on_a_read_only_mount(isolated: Containers, report: RuntimeReport) -> None:
    """CVE-2019-5736: a program called /proc/self/exe is the launcher's, which root inside could write to later."""
    if report.id_mode is not IdMode.ROOT or isolated.runtime.name != "native":
        pytest.skip("in a user namespace it is another user's; crun and runc see to themselves")
    code = "import os; print(os.statvfs('/proc/self/exe').f_flag & os.ST_RDONLY, os.stat('/proc/self/exe').st_ino)"
    home = sys.base_prefix
    libraries = f"LD_LIBRARY_PATH={home}/lib:/usr/lib/x86_64-linux-gnu:/usr/lib/aarch64-linux-gnu"
    mounts = tuple(Mount(place, place) for place in dict.fromkeys(("/usr", home)))
    spec = isolated.spec("/proc/self/exe", "-S", "-c", code, env=(f"PYTHONHOME={home}", libraries), mounts=mounts)
    assert isolated.run(spec) == (0, f"1 {os.stat(sys.executable).st_ino}\n")
