"""Measures saving and loading an image beside skopeo, podman and docker, and beside copying and hashing its bytes.

Layers are uncompressed on both sides, or (where it says so) the whole archive is compressed by gzip -6. minidock and
skopeo keep layers as they come; podman and docker unpack them while they load, which minidock does at the first run.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from bench import BASE, FLOOR, Program, Way, alternate, programs_in, reset, run, settle

NAME = f"{BASE}:latest"


def main() -> int:
    """Measure and print; return an exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path, help="tar of a root file system")
    parser.add_argument("--runs", type=int, default=5, help="how often each command is run")
    parser.add_argument("--directory", help="where to work (default: the place for temporary files)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="minidock-bench.", dir=options.directory) as name:
        place = Path(name)
        programs = programs_in(place)
        try:
            measure(place, options.base, programs, options.runs)
        finally:
            for program in programs:
                run(program.words("rmi", "-f", NAME), program.environment)
                if program.name == "podman":
                    run(program.words("system", "reset", "-f"))
    return 0


def measure(place: Path, base: Path, programs: list[Program], runs: int) -> None:
    """Time saves and loads of an image whose one layer is ``base``."""
    archive, out = place / "archive.tar", place / "out.tar"
    for program in programs:
        run(program.words("import", str(base), BASE), program.environment)
    minidock = programs[0]
    problem = run(minidock.words("save", "-o", str(archive), NAME), minidock.environment)
    if problem:
        print(f"save failed: {problem}", file=sys.stderr)
        return
    subprocess.run(["sh", "-c", f"gzip -6 <{archive} >{archive}.gz"], check=True)

    def before() -> None:
        out.unlink(missing_ok=True)
        settle()

    copying = ("sh", "-c", f"tee {out} <{archive} | sha256sum")
    ways = [Way(FLOOR, copying, before=before)]
    ways += [
        Way(program.name, program.words("save", "-o", str(out), NAME), program.environment, before)
        for program in programs
    ]
    if shutil.which("skopeo"):
        words = ("skopeo", "--insecure-policy", "copy", f"oci:{minidock.place}:{BASE}:latest", f"docker-archive:{out}")
        ways.append(Way("skopeo", words, before=before))
    alternate(f"save {archive.stat().st_size >> 20} MiB, layers uncompressed", ways, runs, compared_with=FLOOR)
    for path, title in ((archive, "load, uncompressed"), (Path(f"{archive}.gz"), "load, gzip -6")):
        unpacking = ("sh", "-c", f"gzip -dcf <{path} | tee {out} | sha256sum")
        loads = [Way(FLOOR, unpacking, before=before)]
        for program in programs:
            words = program.words("load", "-i", str(path))
            loads.append(Way(program.name, words, program.environment, partial(_without, program)))
        if shutil.which("skopeo"):
            words = ("skopeo", "--insecure-policy", "copy", f"docker-archive:{path}", f"dir:{place}/skopeo")
            loads.append(Way("skopeo", words, before=partial(_emptied, place / "skopeo")))
        alternate(title, loads, runs, compared_with=FLOOR)


def _without(program: Program) -> None:
    if program.name == "minidock":
        reset(program)
    run(program.words("rmi", "-f", NAME), program.environment)
    settle()


def _emptied(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    settle()


if __name__ == "__main__":
    sys.exit(main())
