"""RUN --mount: from its text to what is mounted where."""

from __future__ import annotations

from typing import Any

import pytest

from minidock.core.dockerfile import run_mounts, words
from minidock.core.dockerfile.problem import InstructionError
from minidock.core.dockerfile.run_mounts import MountType, RunMount, Sharing, parse
from tests import vectors


def mount_of(text: str, env: dict[str, str] | None = None) -> RunMount:
    return parse(text, lambda word: words.expand(word, env or {}))


def _fields(mount: RunMount) -> dict[str, Any]:
    values: dict[str, Any] = {"type": mount.type.value, "readonly": mount.is_read_only}
    values |= {name: text for name in ("source", "target", "id") if (text := getattr(mount, name))}
    values |= {name: value for name in ("uid", "gid", "env") if (value := getattr(mount, name)) is not None}
    values |= {"from": mount.from_} if mount.from_ else {}
    values |= {"mode": f"0{mount.mode:o}"} if mount.mode is not None else {}
    values |= {"sharing": mount.sharing.value} if mount.sharing else {}
    values |= {"required": True} if mount.is_required else {}
    return values | ({"size": mount.size} if mount.size else {})


def _problem(case: dict[str, Any]) -> str:
    with pytest.raises(InstructionError) as caught:
        mount_of(case["input"], case.get("env")).path(case.get("workdir", "/"))
    return str(caught.value)


@pytest.mark.parametrize("case", vectors.params("run-mount"))
def test_upstreams_rules_hold(case: dict[str, Any]) -> None:
    if "error" in case:
        assert _problem(case) == case["error"]
        return
    if "error_contains" in case:
        assert case["error_contains"] in _problem(case)
        return
    mount = mount_of(case["input"], case.get("env"))
    expected = dict(case["mount"])
    effective = expected.pop("effective", {})
    assert _fields(mount) == expected
    if "id" in effective:
        assert mount.key == effective["id"]
    if "path" in effective and mount.type is not MountType.SSH:
        assert mount.path(case.get("workdir", "/")) == effective["path"]


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("target=/a", RunMount(target="/a", is_read_only=True)),
        ('type=tmpfs,"dst=/a,b",size=1k', RunMount(MountType.TMPFS, target="/a,b", is_read_only=False, size=1024)),
        (
            "type=cache,target=/c,sharing=Locked,mode=0711,uid=5,ro",
            RunMount(MountType.CACHE, target="/c", sharing=Sharing.LOCKED, mode=0o711, uid=5, is_read_only=True),
        ),
        (
            "type=secret,id=s,env=S,required",
            RunMount(MountType.SECRET, id="s", env="S", is_required=True, is_read_only=True),
        ),
        ("type=ssh", RunMount(MountType.SSH, is_read_only=True)),
    ],
)
def test_every_type_is_read(text: str, mount: RunMount) -> None:
    assert mount_of(text) == mount


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("type=bind,target=/a,mode=0700", 'mode not allowed for "bind" type mounts'),
        ("type=secret,id=a,from=b", "secret mount should not have a from"),
        ("type=secret,id=a,sharing=locked", "secret mount should not define sharing"),
        ("target=/a,required", "unexpected key 'required' for mount type 'bind'"),
        ("type=cache,target=/c,uid=-1", "invalid value -1 for uid"),
        ("type=ssh,source=/x", "ssh does not support source"),
        (
            'type=bind,"target=/a',
            'failed to parse csv mounts: parse error on line 1, column 21: extraneous or missing "',
        ),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InstructionError) as caught:
        mount_of(text)
    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize(("text", "source"), [("from=a,from=b,target=/x", "b"), ("type=$T", ""), ("FROM=x", "x")])
def test_the_source_is_known_before_variables_are(text: str, source: str) -> None:
    assert run_mounts.source_of(text) == source
