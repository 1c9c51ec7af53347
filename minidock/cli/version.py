"""`minidock version`."""

from __future__ import annotations

import os
import platform
import sys
from typing import Annotated

import typer

import minidock
from minidock.render.formats import Format, json_text

# The names of machines in images are Go's, not the kernel's.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def version(
    shape: Annotated[
        Format,
        typer.Option(
            "--format", "-f", parser=Format.parse, help="Format output:\n'json':             Print in JSON format"
        ),
    ] = Format.TABLE,
) -> None:
    """Show the minidock version information."""
    system = os.uname()
    facts = {
        "Version": minidock.__version__,
        "PythonVersion": platform.python_version(),
        "KernelVersion": system.release,
        "Os": sys.platform,
        "Arch": _ARCHITECTURES.get(system.machine, system.machine),
    }
    if shape is Format.JSON:
        print(json_text({"Client": facts}))
        return
    if shape.template:
        print(shape.document({"Client": facts, "Server": facts}), end="")  # scripts ask for either: they are one
        return
    rows = {
        "Version": facts["Version"],
        "Python version": facts["PythonVersion"],
        "Kernel version": facts["KernelVersion"],
        "OS/Arch": f"{facts['Os']}/{facts['Arch']}",
    }
    print("Client: minidock")
    for name, text in rows.items():
        print(f" {name + ':':<18} {text}")
