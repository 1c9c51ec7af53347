"""Has crun or runc start processes, in root file systems that minidock prepares as it does for the native runtime.

The work is done by a stub process (`minidock.runtime.delegate`, `delegate_join`); this module finds the program, writes
the orders and understands its errors.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from typing import Any

from minidock.core.id_mode import IdMode
from minidock.core.process import ProcessSpec
from minidock.errors import CommandNotExecutable, CommandNotFound, NoRuntime, RuntimeProblem
from minidock.runtime.base import Isolation, RuntimeReport
from minidock.runtime.ids import id_mode
from minidock.runtime.native import NativeRuntime
from minidock.runtime.oci_config import config_of, process_of
from minidock.runtime.orders import Oci

KNOWN = ("crun", "runc")
_SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TIMEOUT = 10

# What the programs say, in their own words, when there is nothing to execute or it may not be.
_MISSING = re.compile(r"executable file .* not found in \$PATH|executable.*no such file|stat .*: no such file", re.I)
_REFUSED = re.compile(r"exec.*?(permission denied|operation not permitted|exec format error|is a directory)", re.I)


class OciRuntime(NativeRuntime):
    """A `Runtime` that calls ``program``, the path of crun or runc."""

    def __init__(self, program: str, isolation: Isolation | None = None) -> None:
        super().__init__(isolation)
        self._program = program

    @property
    def name(self) -> str:
        return os.path.basename(self._program) if self._program in found().values() else self._program

    def probe(self, directory: str) -> RuntimeReport:
        version(self._program)
        report = super().probe(directory)
        if report.isolation is not Isolation.CHROOT:
            return report
        self._found = RuntimeReport(Isolation.UNAVAILABLE, report.id_mode, has_overlay=False, reasons=report.reasons)
        return self._found

    def _oci(self, spec: ProcessSpec, *, is_joining: bool) -> Oci:
        is_single_id = id_mode() is IdMode.SINGLE
        is_crun = os.path.basename(self._program) == "crun"
        if is_joining:
            files = [("process.json", _json(process_of(spec, is_single_id=is_single_id)))]
            bundle = "/"
        else:
            config = config_of(spec, is_single_id=is_single_id, machine=os.uname().machine)
            files = [("config.json", _json(config))]
            bundle = os.path.dirname(os.path.abspath(spec.rootfs.copied or spec.rootfs.upper))
        return Oci(
            program=self._program,
            options=["--cgroup-manager=disabled"] if is_crun else ["--rootless=true"],
            hides_cgroups=is_crun,
            bundle=bundle,
            files=files,
            has_terminal=spec.has_terminal,
        )

    def _failure(self, command: str, message: tuple[Any, ...]) -> RuntimeProblem:
        if message[0] != "oci":
            return super()._failure(command, message)
        return failure(os.path.basename(self._program), command, message[1])


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogateescape")


def failure(program: str, command: str, log: str) -> RuntimeProblem:
    """Return what the log of a runtime, JSON objects, one a line, says about why it could not start ``command``."""
    text = ""
    for line in log.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry.get("level") in ("error", "fatal"):
            text = str(entry.get("msg", ""))
    if _MISSING.search(text):
        return CommandNotFound(command)
    refused = _REFUSED.search(text)
    if refused:
        reason = refused[1].lower()
        return CommandNotExecutable(command, "permission denied" if "permit" in reason else reason)
    return RuntimeProblem(f"{program}: {text or 'failed without a word'}")


def found() -> dict[str, str]:
    """Return the paths of the OCI runtimes on this machine by name, the preferred one first."""
    paths = {name: shutil.which(name, path=_SEARCHED) for name in KNOWN}
    return {name: path for name, path in paths.items() if path}


def version(program: str) -> str:
    """Return the first line that the program says about itself. Raises: NoRuntime if it cannot be executed."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=_TIMEOUT, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it does not answer to --version"
        raise NoRuntime(f"the runtime {program} cannot be used: {reason}", hint="use --runtime native") from error
    return done.stdout.partition("\n")[0]
