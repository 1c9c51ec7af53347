"""Times what starts a process, without the command around it, beside `crun run` on the same files.

Both start ``true`` with namespaces of its own, without control groups: a bundle for crun, an overlay over the same
directory for minidock. Bundle and directories are made before the clock runs. Called by bench.py; run by itself it
takes the number of runs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from minidock.core.namespaces import Namespaces
from minidock.core.networking import Networking, NetworkKind
from minidock.core.process import ProcessSpec, RootFs
from minidock.core.security import Security
from minidock.runtime.base import ProcessIO
from minidock.runtime.native import NativeRuntime
from minidock.runtime.oci import OciRuntime, found

Way = Callable[[], float]  # starts the process once, and returns the seconds that this took

_NO_GROUPS = Namespaces(cgroup="host")
_LOADING = 0.05  # seconds, more than Python takes
_SEPARATE = "MINIDOCK_BENCH_SEPARATE"


def main() -> int:
    """Measure and print; return an exit code."""
    if os.geteuid() == 0 and not os.environ.get(_SEPARATE):
        _leave_control_groups()
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    with tempfile.TemporaryDirectory(prefix="minidock-bench.") as name:
        place = Path(name)
        lower = _make_root(place / "lower")
        native = NativeRuntime()
        ways: dict[str, Way] = {
            "minidock": partial(_start, native, lower, place),
            "minidock, loaded ahead": partial(_start_ahead, native, lower, place),
        }
        program = found().get("crun")
        if program:
            ways["crun run"] = partial(_run, program, _make_bundle(place / "bundle", program, lower))
            ways["minidock with crun"] = partial(_start, OciRuntime(program), lower, place, Namespaces())
        _print(ways, runs)
    return 0


def _leave_control_groups() -> None:
    """Go on in a mount namespace without control groups: crun refuses the layout with both versions of them."""
    script = 'mount -t tmpfs none /sys/fs/cgroup; exec "$@"'
    words = ["unshare", "-m", "sh", "-c", script, "sh", sys.executable, *sys.argv]
    os.execvpe("unshare", words, {**os.environ, _SEPARATE: "1"})


def _print(ways: dict[str, Way], runs: int) -> None:
    print(f"\nthe launcher alone: `true`, start to exit (median of {runs})")
    times: dict[str, list[float]] = {name: [] for name in ways}
    for name, way in list(ways.items()):
        try:
            way()
        except (OSError, subprocess.SubprocessError) as error:
            print(f"  {name:23} failed: {error}")
            del ways[name]
    for _ in range(runs):
        for name, way in ways.items():
            times[name].append(way())
    compared_with = "crun run" if "crun run" in ways else next(iter(ways))
    base = statistics.median(times[compared_with])
    for name in ways:
        median = statistics.median(times[name])
        ratio = "" if name == compared_with else f"   {median / base:6.2f} x {compared_with}"
        print(f"  {name:23} {1000 * median:8.1f} ms   {1000 * min(times[name]):.1f} …{ratio}")


def _start_ahead(runtime: NativeRuntime, lower: Path, place: Path) -> float:
    """Have Python loaded, as `run` has while it makes the container."""
    runtime.prepare()
    time.sleep(_LOADING)
    return _start(runtime, lower, place)


def _start(runtime: NativeRuntime, lower: Path, place: Path, namespaces: Namespaces = _NO_GROUPS) -> float:
    with _directory(place) as here:
        for name in ("upper", "work"):
            os.mkdir(f"{here}/{name}")
        spec = ProcessSpec(
            "bench",
            ("true",),
            ("PATH=/bin", "HOME=/"),
            RootFs((str(lower),), f"{here}/upper", f"{here}/work"),
            networking=Networking(NetworkKind.NONE, "none"),
            security=Security(namespaces=namespaces),
            hostname="bench",
        )
        started = time.perf_counter()
        if runtime.start(spec, ProcessIO()).wait():
            raise OSError("true failed")
        return time.perf_counter() - started


@contextmanager
def _directory(place: Path) -> Iterator[str]:
    here = tempfile.mkdtemp(dir=place)
    try:
        yield here
    finally:
        shutil.rmtree(here)


def _run(program: str, bundle: Path) -> float:
    words = [program, "--cgroup-manager=disabled", "--root", f"{bundle}/state"]
    started = time.perf_counter()
    subprocess.run([*words, "run", "--bundle", str(bundle), "bench"], check=True, capture_output=True, timeout=60)
    return time.perf_counter() - started


def _make_bundle(bundle: Path, program: str, lower: Path) -> Path:
    bundle.mkdir()
    subprocess.run([program, "spec", "--bundle", str(bundle)], check=True, capture_output=True, cwd=bundle)
    config = json.loads((bundle / "config.json").read_text())
    config["process"] |= {"terminal": False, "args": ["true"], "env": ["PATH=/bin"]}
    config["process"].pop("rlimits", None)  # to set them needs CAP_SYS_RESOURCE
    config["root"]["path"] = str(lower)
    config["mounts"] = [mount for mount in config["mounts"] if mount["type"] != "cgroup"]
    config["linux"]["namespaces"] = [kind for kind in config["linux"]["namespaces"] if kind["type"] != "cgroup"]
    config["linux"].pop("resources", None)
    (bundle / "config.json").write_text(json.dumps(config))
    return bundle


def _make_root(place: Path) -> Path:
    """Make a root file system of `true`, the libraries that it loads, and what every image has in /etc."""
    program = shutil.which("true") or "/bin/true"
    listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    for source in (program, *re.findall(r"(/\S+)", listing)):
        target = place / ("bin/true" if source == program else source.lstrip("/"))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    for name in ("proc", "sys", "dev", "etc"):
        (place / name).mkdir()
    for name in ("hosts", "hostname", "resolv.conf"):
        (place / "etc" / name).touch()
    return place


if __name__ == "__main__":
    sys.exit(main())
