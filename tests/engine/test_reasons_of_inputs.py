"""Each input of a cache key, changed alone: the step that misses tells that one by its name, with both values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pytest

from minidock.core.cache_key import FORMAT_VERSION, RecordedInputs, StepInputs
from minidock.engine.plan import plan
from minidock.engine.preparing import BuildRequest
from minidock.engine.why import last_build
from minidock.runtime.fake import FakeRuntime
from tests.engine.building import directory, import_base, root_tar, run_build, workspace, write_context

SECRET, OTHER_SECRET = "hunter2-first", "hunter2-second"


@dataclass(frozen=True)
class Case:
    """One change: of the Dockerfile's instructions (``before`` to ``now``), of options of the build, or of the files.

    ``inputs`` are the names of what differs in the inputs of the last step, ``reason`` is all that is told of it.
    """

    name: str
    inputs: frozenset[str]
    reason: str
    before: str = "RUN make"
    now: str = ""
    options: tuple[dict[str, Any], dict[str, Any]] = field(default_factory=lambda: ({}, {}))
    change: Callable[[Path], object] = lambda place: None


def case(name: str, inputs: str, reason: str, before: str = "RUN make", now: str = "", **more: Any) -> Case:
    return Case(name, frozenset(inputs.split("|")), reason, before, now or before, **more)


def link(place: Path, target: str) -> None:
    (place / "l").unlink()
    (place / "l").symlink_to(target)


def mounted(options: str) -> str:
    return f"RUN --mount={options} make"


SHELL = 'SHELL ["make", "-c"]\n'
STAGES = (
    "FROM base:1 AS one\nCOPY a /s/\nFROM base:1 AS two\nCOPY a b /s/\nFROM base:1\n"
    "COPY --from=one /s /1\nCOPY --from=two /s /2\n"
)
NO_CHANGE: dict[str, Any] = {}
CACHE = "type=cache,target=/c"
SECRETS = "type=secret,id=s,target=/s"

CASES = (
    # RUN: what it runs, and as whom, where and with what
    case("text", "instruction", "instruction changed: 'make' -> 'other'", now="RUN other"),
    case(
        "words",
        "instruction",
        """instruction changed: '"one"]' -> '"two"]'""",
        'RUN ["make", "one"]',
        'RUN ["make", "two"]',
    ),
    case(
        "here-document",
        "instruction",
        "instruction changed: 'b' -> 'c'",
        f"{SHELL}RUN <<EOF\nmake b\nEOF",
        f"{SHELL}RUN <<EOF\nmake c\nEOF",
    ),
    case(
        "script",
        "script /dev/pipes/EOF",
        "here-document EOF changed: 'b' -> 'c'",
        "RUN <<EOF\n#!make\nmake b\nEOF",
        "RUN <<EOF\n#!make\nmake c\nEOF",
    ),
    case("shell", "instruction", "shell changed: '/bin/sh -c' -> 'make -e'", now='SHELL ["make", "-e"]\nRUN make'),
    case("user", "user", "user changed: none -> 'app'", now="USER app\nRUN make"),
    case("another user", "user", "user changed: 'app' -> '7:8'", "USER app\nRUN make", "USER 7:8\nRUN make"),
    case(
        "directory",
        "directory",
        "working directory changed: '/w' -> '/'",
        "WORKDIR /w\nRUN make",
        "WORKDIR /w\nWORKDIR /\nRUN make",
    ),
    case("env", "env A", "environment variable A changed: '1' -> '2'", "ENV A=1\nRUN make", "ENV A=2\nRUN make"),
    case("env added", "env A", "environment variable A added: '1'", now="ENV A=1\nRUN make"),
    case("env removed", "env A", "environment variable A removed: '1'", "ENV A=1\nRUN make", "RUN make"),
    case(
        "env path",
        "env PATH",
        "environment variable PATH changed: '…n:/sbin:/bin' -> '…n:/sbin:/bin:/opt/bin'",
        now="ENV PATH=$PATH:/opt/bin\nRUN make",
    ),
    case(
        "secret env",
        "env API_KEY",
        "environment variable API_KEY changed",
        f"ENV API_KEY={SECRET}\nRUN make",
        f"ENV API_KEY={OTHER_SECRET}\nRUN make",
    ),
    case(
        "arg",
        "arg V",
        "build argument V changed: '1' -> '2'",
        "ARG V\nRUN make",
        options=({"build_args": {"V": "1"}}, {"build_args": {"V": "2"}}),
    ),
    case(
        "default of an arg", "arg V", "build argument V changed: '1' -> '2'", "ARG V=1\nRUN make", "ARG V=2\nRUN make"
    ),
    case(
        "secret arg",
        "arg TOKEN",
        "build argument TOKEN changed",
        "ARG TOKEN\nRUN make",
        options=({"build_args": {"TOKEN": SECRET}}, {"build_args": {"TOKEN": OTHER_SECRET}}),
    ),
    case("network", "network", "network changed: 'default' -> 'none'", now="RUN --network=none make"),
    case(
        "security",
        "security",
        "security added: 'insecure'",
        now="RUN --security=insecure make",
        options=({}, {"allowed": ("security.insecure",)}),
    ),
    case(
        "network of the build",
        "network",
        "network changed: 'default' -> 'host'",
        options=(NO_CHANGE, {"network": "host"}),
    ),
    case(
        "epoch",
        "SOURCE_DATE_EPOCH",
        "SOURCE_DATE_EPOCH changed: '1' -> '2'",
        options=({"source_date_epoch": 1}, {"source_date_epoch": 2}),
    ),
    case(
        "hosts",
        "hosts",
        "hosts changed: 'db' -> 'db web'",
        options=({"hosts": (("db", "10.0.0.1"),)}, {"hosts": (("db", "10.0.0.1"), ("web", "10.0.0.2"))}),
    ),
    case(
        "host name",
        "BUILDKIT_SANDBOX_HOSTNAME",
        "BUILDKIT_SANDBOX_HOSTNAME added: 'h'",
        options=(NO_CHANGE, {"build_args": {"BUILDKIT_SANDBOX_HOSTNAME": "h"}}),
    ),
    # its mounts
    case("mount added", "mount /c", "mount /c added: cache rw id=/c", now=mounted(CACHE)),
    case("mount removed", "mount /c", "mount /c removed: cache rw id=/c", mounted(CACHE), "RUN make"),
    case(
        "mount type",
        "mount /c",
        "mount /c changed: cache -> tmpfs, id '/c' -> none",
        mounted(CACHE),
        mounted("type=tmpfs,target=/c"),
    ),
    case(
        "mount target",
        "mount /c|mount /d",
        "mount target changed: '/c' -> '/d'",
        mounted(CACHE),
        mounted("type=cache,target=/d"),
    ),
    case("mount id", "mount /c", "mount /c changed: id '/c' -> none", mounted(CACHE), mounted(f"{CACHE},id=x")),
    case("mount ro", "mount /c", "mount /c changed: rw -> ro", mounted(CACHE), mounted(f"{CACHE},ro")),
    case(
        "mount mode", "mount /c", "mount /c changed: mode none -> '700'", mounted(CACHE), mounted(f"{CACHE},mode=0700")
    ),
    case(
        "mount uid",
        "mount /c",
        "mount /c changed: uid '1' -> '2'",
        mounted(f"{CACHE},uid=1"),
        mounted(f"{CACHE},uid=2"),
    ),
    case(
        "mount gid",
        "mount /c",
        "mount /c changed: gid '1' -> '2'",
        mounted(f"{CACHE},gid=1"),
        mounted(f"{CACHE},gid=2"),
    ),
    case(
        "mount size",
        "mount /t",
        "mount /t changed: size '10' -> '20'",
        mounted("type=tmpfs,target=/t,size=10"),
        mounted("type=tmpfs,target=/t,size=20"),
    ),
    case("mount env", "mount /s", "mount /s changed: env none -> 'S'", mounted(SECRETS), mounted(f"{SECRETS},env=S")),
    case(
        "mount source",
        "files",
        "mount /x changed: source 'a' -> 'b'",
        mounted("source=a,target=/x"),
        mounted("source=b,target=/x"),
    ),
    case(
        "mount from",
        "files",
        "mount /x changed: from 'one' -> 'two'",
        STAGES + mounted("from=one,source=/s,target=/x"),
        STAGES + mounted("from=two,source=/s,target=/x"),
    ),
    case(
        "mount content",
        "files",
        "1 of 1 file changed: a (content)",
        mounted("source=a,target=/x"),
        change=lambda place: (place / "a").write_text("A"),
    ),
    # COPY and ADD
    case("destination", "instruction", "instruction changed: '/x' -> '/y'", "COPY a /x", "COPY a /y"),
    case(
        "sources",
        "instruction|files",
        "instruction changed: 'a' -> 'b'; 2 of 2 files changed: a (no longer taken), b (now taken)",
        "COPY a /x",
        "COPY b /x",
    ),
    case(
        "chown", "instruction|owner", "instruction changed: '--chown=1:2' added", "COPY a /x", "COPY --chown=1:2 a /x"
    ),
    case("chmod", "instruction", "instruction changed: '--chmod=600' added", "COPY a /x", "COPY --chmod=600 a /x"),
    case(
        "parents", "instruction|files", "instruction changed: '--parents' added", "COPY a /x/", "COPY --parents a /x/"
    ),
    case("link", "parent", "instruction changed: '--link' added", "COPY a /x", "COPY --link a /x"),
    case(
        "exclude",
        "files",
        "instruction changed: '--exclude=b' added; 1 of 3 files changed: d/b (no longer taken)",
        "COPY d /x",
        "COPY --exclude=b d /x",
    ),
    case("unpack", "unpack", "instruction changed: '--unpack' added", "ADD a /x", "ADD --unpack a /x"),
    case(
        "from",
        "files",
        "instruction changed: '--from=one' -> '--from=two'; 1 of 2 files changed: s/b (now taken)",
        f"{STAGES}COPY --from=one /s /x",
        f"{STAGES}COPY --from=two /s /x",
    ),
    case(
        "directory of a copy",
        "directory",
        "working directory changed: '/w' -> '/'",
        "WORKDIR /w\nCOPY a /x",
        "WORKDIR /w\nWORKDIR /\nCOPY a /x",
    ),
    case(
        "content",
        "files",
        "1 of 1 file changed: a (content)",
        "COPY a /x",
        change=lambda place: (place / "a").write_text("A"),
    ),
    case(
        "mode",
        "files",
        "1 of 1 file changed: a (mode 644→755)",
        "COPY a /x",
        change=lambda place: (place / "a").chmod(0o755),
    ),
    case(
        "link target",
        "files",
        "1 of 3 files changed: d/l (link target)",
        "COPY d /x",
        change=lambda place: link(place / "d", "b"),
    ),
    case(
        "file added",
        "files",
        "1 of 4 files changed: d/new (added)",
        "COPY d /x",
        change=lambda place: (place / "d/new").write_text(""),
    ),
    case(
        "file removed",
        "files",
        "1 of 3 files changed: d/b (removed)",
        "COPY d /x",
        change=lambda place: (place / "d/b").unlink(),
    ),
    case(
        "ignored",
        "files",
        "newly ignored by .dockerignore:1 (**/b): d/b",
        "COPY d /x",
        change=lambda place: (place / ".dockerignore").write_text("**/b\n"),
    ),
    case("heredoc of a copy", "files", "1 of 1 file changed: <<f (content)", "COPY <<f /x\n1\nf", "COPY <<f /x\n2\nf"),
    # WORKDIR
    case("made directory", "instruction", "instruction changed: '/a' -> '/b'", "WORKDIR /a", "WORKDIR /b"),
    case("owner of a made directory", "user", "user changed: none -> 'app'", "WORKDIR /a", "USER app\nWORKDIR /a"),
    # all of them
    case("base", "parent", "parent image changed: base:1@{one} -> base:2@{two}", "RUN make", "FROM base:2\nRUN make"),
)


def made(rootfs: Path) -> None:
    (rootfs / "made").write_text("made")


def differing(before: RecordedInputs, now: RecordedInputs) -> set[str]:
    """Return the names of what differs in the inputs of a key."""
    found = {name for name in ("instruction", "parent", "files") if getattr(before, name) != getattr(now, name)}
    for prefix, old, new in (
        ("env ", before.env, now.env),
        ("arg ", before.build_args, now.build_args),
        ("", before.settings, now.settings),
    ):
        found |= {f"{prefix}{name}" for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    return found


@pytest.mark.parametrize("changed", CASES, ids=lambda item: item.name)
def test_a_changed_input_is_the_reason_by_its_name(changed: Case, tmp_path: Path) -> None:
    files = {"a": "a", "b": "b", "d/a": "a", "d/b": "b"}
    place = write_context(tmp_path / "context", files)
    (place / "d/l").symlink_to("a")
    for path in (place / name for name in files):
        path.chmod(0o644)
    ws = workspace(tmp_path / "store", FakeRuntime(dict.fromkeys(("make", "other", "/dev/pipes/EOF"), made)))
    bases = {name: import_base(ws, name=f"base:{number}", **extra) for number, (name, extra) in enumerate(BASES, 1)}
    inputs, reasons = [], []
    for text, options in zip((changed.before, changed.now), changed.options, strict=True):
        (place / "Dockerfile").write_text(text if text.startswith("FROM") else f"FROM base:1\n{text}\n")
        foretold = plan(ws, BuildRequest(str(place), **options)).steps[-1]
        run_build(ws, place, **options)
        step = last_build(ws).steps[-1]
        assert foretold.reasons == step.reasons
        found = ws.store.cache.last_inputs(step.id)
        assert found is not None
        inputs.append(found)
        reasons.append(step.line)
        if len(inputs) == 1:
            changed.change(place)
    assert differing(*inputs) == changed.inputs
    told = reasons[1]
    assert told == changed.reason.format(**{name: image.hex[:12] for name, image in bases.items()})


BASES: tuple[tuple[str, dict[str, Any]], ...] = (("one", {}), ("two", {"packed": root_tar([directory("other")])}))


def test_no_kind_of_input_is_left_out() -> None:
    """What `StepInputs` has, beside what is only told, are the kinds; a version of the format is one more."""
    kinds = {item.name for item in fields(StepInputs)} - {"told"}
    names = {name.partition(" ")[0] for item in CASES for name in item.inputs}
    settings = names - {"instruction", "parent", "files", "env", "arg"}
    assert kinds == {"instruction", "parent", "files", "env", "build_args", "settings"}
    assert settings >= {
        "user",
        "directory",
        "network",
        "SOURCE_DATE_EPOCH",
        "hosts",
        "script",
        "mount",
        "owner",
        "unpack",
    }
    assert RecordedInputs("", "", {}, {}, {}).format == FORMAT_VERSION
