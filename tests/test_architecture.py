"""The table of who may import whom, checked in every file, bodies of functions included."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import minidock

ROOT = Path(minidock.__file__).parent

# Each package, or module beside them, and what it may import besides itself.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "core": {"errors"},
    "store": {"core", "errors"},
    "registry": {"core", "errors"},
    "runtime": {"core", "errors"},
    "engine": {"core", "errors", "store", "registry", "runtime"},
    "render": {"core", "errors"},
    "cli": {"core", "errors", "engine", "render"},
    "__init__": set(),
    "__main__": {"cli"},
}

# What only one package may use; None: nobody.
ONLY_HOME = {
    "rich": "render",
    "typer": "cli",
    "os.environ": "cli",
    "os.environb": "cli",
    "os.getenv": "cli",
    "os.putenv": "cli",
    "tarfile": None,
    "click": None,
}

# Values and rules have no files, clock, environment, processes or network.
NOT_IN_CORE = ("socket", "subprocess", "tempfile", "shutil", "time", "ctypes", "fcntl", "signal", "random", "logging")


class Use(NamedTuple):
    """A module or an attribute of one (``os.environ``) that a file names."""

    package: str
    place: str
    name: str


def uses(relative: str, source: str) -> Iterator[Use]:
    """Yield everything that the file at ``relative`` imports, and every ``name.attribute`` in it."""
    package = relative.partition("/")[0].removesuffix(".py")
    for node in ast.walk(ast.parse(source, relative)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative}:{node.lineno}: relative imports hide which package is meant"
            assert node.module is not None
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names = [f"{node.value.id}.{node.attr}"]
        for name in names:
            yield Use(package, f"{relative}:{getattr(node, 'lineno', 0)}", name)


ALL = [
    use
    for path in sorted(ROOT.rglob("*.py"))
    for use in uses(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
]


def own_package(name: str) -> str | None:
    """Return the package of ours that ``minidock.x.y`` is in, None for everything else (``minidock.__version__``)."""
    head, _, rest = name.partition(".")
    target = rest.partition(".")[0]
    is_ours = head == "minidock" and target != ""
    return target if is_ours and ((ROOT / target).is_dir() or (ROOT / f"{target}.py").is_file()) else None


def strangers_to(package: str, used: Iterable[Use]) -> list[str]:
    """Return the imports of ``package`` that the table does not allow."""
    allowed = {package, None} | MAY_IMPORT[package]
    return [
        f"{use.place}: {use.name}" for use in used if use.package == package and own_package(use.name) not in allowed
    ]


def test_the_walk_sees_every_package() -> None:
    assert {use.package for use in ALL} >= {"core", "store", "runtime", "engine", "render", "cli"}
    assert {use.package for use in ALL} <= set(MAY_IMPORT)
    assert any(use.name == "typer" and use.package == "cli" for use in ALL)


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_packages_import_only_what_the_table_allows(package: str) -> None:
    assert strangers_to(package, ALL) == []


@pytest.mark.parametrize("name", sorted(ONLY_HOME))
def test_some_things_have_one_home(name: str) -> None:
    strangers = [
        f"{use.place}: {use.name}"
        for use in ALL
        if (use.name == name or use.name.startswith(f"{name}.")) and use.package != ONLY_HOME[name]
    ]
    assert strangers == []


@pytest.mark.parametrize("name", NOT_IN_CORE)
def test_core_is_pure(name: str) -> None:
    impure = [
        f"{use.place}: {use.name}"
        for use in ALL
        if use.package == "core" and (use.name == name or use.name.startswith(f"{name}."))
    ]
    assert impure == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import tarfile", ["tarfile"]),
        ("def f():\n    from os import environ", ["os", "os.environ"]),
        ("class C:\n    def f(self):\n        import rich.table", ["rich.table"]),
        ("import os\nx = os.environ['A']", ["os", "os.environ"]),
        ("from minidock import errors", ["minidock", "minidock.errors"]),
    ],
)
def test_the_walk_looks_into_functions_and_attributes(source: str, expected: list[str]) -> None:
    assert sorted(use.name for use in uses("core/x.py", source)) == expected


def test_a_forbidden_import_would_be_found() -> None:
    source = "import minidock\nfrom minidock import store\ndef f():\n    from minidock.engine import images\n"
    assert strangers_to("core", uses("core/x.py", source)) == [
        "core/x.py:2: minidock.store",
        "core/x.py:4: minidock.engine",
        "core/x.py:4: minidock.engine.images",
    ]
    assert strangers_to("cli", uses("cli/x.py", source)) == ["cli/x.py:2: minidock.store"]


def test_there_is_no_module_for_what_has_no_place() -> None:
    assert [
        path.name for path in ROOT.rglob("*.py") if path.stem in ("utils", "util", "helpers", "common", "misc")
    ] == []


def test_package_files_are_empty() -> None:
    filled = [path for path in ROOT.rglob("__init__.py") if path.parent != ROOT and path.read_text(encoding="utf-8")]
    assert filled == []
