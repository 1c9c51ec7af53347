"""Measures minidock beside docker and podman, where those are installed, and beside what the machine allows.

Every task is done by each program in turn, several times over, so that a busy hour hits all of them alike: read the
ratios. Whole commands are timed by wall clock. Everything happens in a directory of its own, which is removed.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from debian import NoRootFileSystem, make_root_file_system

DOCKERFILE = """\
FROM {base}
RUN echo one > /one
RUN echo two > /two
RUN mkdir /made && i=0; while [ $i -lt 2000 ]; do echo $i > /made/f$i; i=$((i+1)); done
COPY . /src/
ENTRYPOINT ["/bin/true"]
"""
BASE, IMAGE = "localhost/bench-base", "localhost/bench-image"
FLOOR = "floor"
RUN = ("--rm", "--network", "none", BASE, "true")


@dataclass(frozen=True, slots=True)
class Program:
    """A builder: its command with the options that keep its files in ``place``, and which of its words differ."""

    name: str
    command: tuple[str, ...]
    place: Path
    build: tuple[str, ...] = ("build",)
    cold: tuple[str, ...] = ()
    run: tuple[str, ...] = ("run",)
    environment: tuple[tuple[str, str], ...] = ()

    def words(self, *words: str) -> tuple[str, ...]:
        """Return a whole command line."""
        return (*self.command, *words)


@dataclass(frozen=True, slots=True)
class Work:
    """What all programs work on."""

    place: Path
    context: Path
    dockerfile: Path
    base: Path  # the tar of a root file system


@dataclass(frozen=True, slots=True)
class Way:
    """One way to do a task: what is timed, and what has to be done before each time."""

    name: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    before: Callable[[], object] = lambda: None


def main() -> int:
    """Measure and print; return an exit code."""
    options = _options()
    runs = options.runs or (3 if options.quick else 5)
    with tempfile.TemporaryDirectory(prefix="minidock-bench.", dir=options.directory) as name:
        place = Path(name)
        try:
            _measure(place, runs, is_quick=options.quick, base=options.base)
        finally:
            _clean_up(programs_in(place))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small context and 3 runs: a minute in all")
    parser.add_argument("--runs", type=int, default=0, help="how often each command is run (default: 5)")
    parser.add_argument("--base", type=Path, help="tar of a root file system (default: made with mmdebstrap)")
    parser.add_argument("--directory", help="where to work (default: the place for temporary files)")
    return parser.parse_args()


def _measure(place: Path, runs: int, *, is_quick: bool, base: Path | None) -> None:
    start_up(place, runs)
    work = Work(place, place / "context", place / "Dockerfile", base or place / "base.tar")
    _make_context(work.context, files=500 if is_quick else 10_000, large_size=(10 if is_quick else 200) << 20)
    work.dockerfile.write_text(DOCKERFILE.format(base=BASE))
    if base is None:
        print("\nMaking a Debian with mmdebstrap, which takes minutes; --base FILE uses one that is there.", flush=True)
        try:
            make_root_file_system(work.base, place)
        except NoRootFileSystem as error:
            print(f"The rest needs the tar of a root file system, and none could be made: {error}")
            return
    programs = programs_in(place)
    others = ", ".join(program.name for program in programs[1:]) or "no other program is installed"
    print(f"\nContext: {sum(len(names) for _, _, names in os.walk(work.context))} files. Beside: {others}.")
    images(work, programs, runs)
    for name in ("archives.py", "registries.py"):
        script = Path(__file__).with_name(name)
        subprocess.run([sys.executable, str(script), str(work.base), "--runs", str(runs)], check=False)


# --- tasks


def start_up(place: Path, runs: int) -> None:
    """Time what every command costs."""
    minidock = _minidock(place / "empty")
    ways = [
        Way("python -c pass", (sys.executable, "-c", "pass")),
        Way("import typer", (sys.executable, "-c", "import typer")),
        Way("minidock --version", minidock.words("--version")),
        Way("image ls (empty)", minidock.words("image", "ls"), minidock.environment),
    ]
    medians = alternate("start-up", ways, 4 * runs, compared_with="import typer")
    ratio = medians["image ls (empty)"] / medians["import typer"]
    print(f"  image ls takes {ratio:.2f} x `import typer` (limit 1.5): {'ok' if ratio < 1.5 else 'TOO SLOW'}")


def images(work: Work, programs: Sequence[Program], runs: int) -> None:
    """Time imports, builds, a run and the lists."""

    def ways(before: Callable[[Program], object], words: Callable[[Program], Sequence[str]]) -> list[Way]:
        return [
            Way(program.name, program.words(*words(program)), program.environment, partial(before, program))
            for program in programs
        ]

    def build(program: Program, *options: str) -> tuple[str, ...]:
        return (*program.build, *options, "-t", IMAGE, "-f", str(work.dockerfile), str(work.context))

    def with_base(program: Program) -> None:
        reset(program)
        run(program.words("import", str(work.base), BASE), program.environment)
        settle()

    def edit(_: Program) -> None:
        path = work.context / "d50" / "f0"
        path.write_bytes(random.randbytes(2048))
        settle()

    def nothing(_: Program) -> None:
        pass

    copy = f"cp {work.base} {work.place}/copy && sha256sum {work.place}/copy"
    tar = f"tar cf - -C {work.context} . | tee {work.place}/copy | sha256sum"
    floor = Way(FLOOR, ("sh", "-c", copy), before=settle)
    alternate("import", [floor, *ways(reset, lambda _: ("import", str(work.base), BASE))], runs, compared_with=FLOOR)
    floor = Way(FLOOR, ("sh", "-c", tar), before=settle)
    cold = ways(with_base, lambda program: build(program, *program.cold))
    alternate("cold build", [floor, *cold], runs, compared_with=FLOOR)
    _print_disk(work, programs)
    alternate("warm build, nothing changed", ways(nothing, build), runs)
    alternate("one file edited", [floor, *ways(edit, build)], runs, compared_with=FLOOR)
    starts = ways(nothing, lambda program: (*program.run, *RUN))
    alternate("run --rm --network none IMAGE true", [*starts, _before_the_launcher(programs[0])], 4 * runs)
    launcher = Path(__file__).with_name("launcher.py")
    subprocess.run([sys.executable, str(launcher), str(8 * runs)], check=False)
    alternate("images", ways(nothing, lambda _: ("images",)), 2 * runs)
    alternate("system df -v", ways(nothing, lambda _: ("system", "df", "-v")), 2 * runs)
    alternate("history", ways(nothing, lambda _: ("history", IMAGE)), 2 * runs)


def _before_the_launcher(minidock: Program) -> Way:
    """Return a `run` that ends where it would start the launcher; what it leaves is removed before the next."""
    stop = (
        "import os, sys; from minidock.runtime import spawn; spawn.spawn = lambda *a, **k: os._exit(0); "
        "from minidock.cli.app import main; main(sys.argv[1:])"
    )
    command = (sys.executable, "-c", stop, "run", *RUN)
    prune = minidock.words("container", "prune", "-f")
    return Way("…to the launcher", command, minidock.environment, lambda: run(prune, minidock.environment))


def _print_disk(work: Work, programs: Sequence[Program]) -> None:
    """Print how many bytes on the disk a store takes for each byte of the base's and the context's files."""
    apparent = work.base.stat().st_size + sum(path.lstat().st_size for path in work.context.rglob("*"))
    print("\ndisk per apparent byte, after the build")
    for program in programs:
        if program.name != "docker":  # others may use its store
            listing = subprocess.run(["du", "-s", "-B1", program.place], check=False, capture_output=True, text=True)
            print(f"  {program.name:20} {int(listing.stdout.split()[0]) / apparent:8.2f}")


def alternate(title: str, ways: Sequence[Way], runs: int, *, compared_with: str = "minidock") -> dict[str, float]:
    """Time every way in turn, ``runs`` times; print and return the medians in seconds."""
    times: dict[str, list[float]] = {way.name: [] for way in ways}
    failed: dict[str, str] = {}
    for _ in range(runs):
        for way in ways:
            if way.name in failed:
                continue
            way.before()
            started = time.perf_counter()
            problem = run(way.command, way.environment)
            times[way.name].append(time.perf_counter() - started)
            if problem:
                failed[way.name] = problem
    medians = {name: statistics.median(found) for name, found in times.items() if name not in failed}
    print(f"\n{title} (median of {runs})")
    for way in ways:
        if way.name in failed:
            print(f"  {way.name:20} failed: {failed[way.name]}")
            continue
        line = f"  {way.name:20} {medians[way.name]:8.3f} s   {min(times[way.name]):.3f} … {max(times[way.name]):.3f}"
        if compared_with in medians and way.name != compared_with:
            line += f"   {medians[way.name] / medians[compared_with]:6.2f} x {compared_with}"
        print(line)
    sys.stdout.flush()
    return medians


def run(command: Sequence[str], environment: Sequence[tuple[str, str]] = ()) -> str:
    """Run to the end, silently; return the last line that it printed if it failed, else nothing."""
    # A byte code cache that may not be written would make Python programs look slow.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        command,
        env=inherited | dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


# --- programs


def _minidock(store: Path) -> Program:
    return Program("minidock", (sys.executable, "-m", "minidock"), store, environment=(("MINIDOCK_ROOT", str(store)),))


def programs_in(place: Path) -> list[Program]:
    """Return the programs that are installed, this one first. (Builds of buildah are those of podman.)"""
    found = [_minidock(place / "minidock")]
    if shutil.which("podman"):
        store = place / "podman"
        # The limits that it sets by itself are refused where a job has no CAP_SYS_RESOURCE.
        limits = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
        build = ("build", "--layers", "--isolation", "chroot", *limits)
        # crun refuses machines with both versions of control groups.
        runtime = ("--runtime", "runc", "--cgroup-manager", "cgroupfs") if shutil.which("runc") else ()
        command = ("podman", "--root", f"{store}/root", "--runroot", f"{store}/run")
        found.append(Program("podman", command, store, build, run=(*runtime, "run", *limits)))
    if shutil.which("docker") and not run(("docker", "info")):
        # Its cache is left alone: others may use it. A cold build is one that does not look at it.
        found.append(Program("docker", ("docker",), Path("/var/lib/docker"), cold=("--no-cache",)))
    return found


def reset(program: Program) -> None:
    """Begin with nothing, in a new directory. What was there before goes at the very end.

    Removing it now would make the next files slow: for some seconds ext4 looks for inodes that are not just freed.
    """
    if program.name == "docker":
        run(program.words("image", "rm", "-f", IMAGE, BASE))
    elif program.place.exists():
        shutil.rmtree(program.place / "blobs", ignore_errors=True)  # few files, most of the bytes
        program.place.rename(f"{program.place}.{time.monotonic_ns()}")
    settle()


def _clean_up(programs: Sequence[Program]) -> None:
    for program in programs:
        if program.name == "podman":
            run(program.words("system", "reset", "-f"))
        else:
            reset(program)


def settle() -> None:
    """Let the disk finish what was written before."""
    os.sync()


# --- work


def _make_context(place: Path, *, files: int, large_size: int) -> None:
    """Make files of 2 KB in directories of a hundred, and one large one; every time the same bytes."""
    random.seed(1)
    per_directory = max(files // 100, 1)
    for directory in range(100):
        (place / f"d{directory}").mkdir(parents=True)
        for number in range(per_directory):
            (place / f"d{directory}" / f"f{number}").write_bytes(random.randbytes(2048))
    with (place / "large").open("wb") as file:
        for _ in range(large_size >> 20):
            file.write(random.randbytes(1 << 20))


if __name__ == "__main__":
    sys.exit(main())
