from __future__ import annotations

from typing import Any

import pytest

from minidock.core.mount_keys import parse_mount
from minidock.core.mounts import MountOption, check_targets, parse_volumes_from
from minidock.core.process import MountType, Recursion
from minidock.errors import InvalidRequest

BIND, TMPFS = MountType.BIND, MountType.TMPFS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/host:/box", MountOption("/host", "/box", type=BIND)),
        ("/host/../other/:/box/", MountOption("/other", "/box", type=BIND)),
        ("/host:/box:ro", MountOption("/host", "/box", True, BIND, mode="ro")),
        ("/host:/box:rw,z", MountOption("/host", "/box", type=BIND, mode="rw,z")),
        ("/host:/box:rslave,Z", MountOption("/host", "/box", type=BIND, mode="rslave,Z", propagation="rslave")),
        ("/host:/box:cached", MountOption("/host", "/box", type=BIND, mode="cached")),
        ("data:/box:ro", MountOption("data", "/box", is_read_only=True, mode="ro")),
        ("data:/box:nocopy", MountOption("data", "/box", mode="nocopy", has_copy=False)),
        ("/box", MountOption("", "/box")),
    ],
)
def test_volume_option_is_parsed(text: str, expected: MountOption) -> None:
    assert MountOption.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "/a:b",
            "invalid volume specification: '/a:b': invalid mount config for type \"bind\": "
            "invalid mount path: 'b' mount path must be absolute",
        ),
        (
            "relative/path:/x",
            'create relative/path: "relative/path" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path',
        ),
        ("v:/b", "create v: volume name is too short, names should be at least two alphanumeric characters"),
        ("/a:/b:sideways", "invalid mode: sideways"),
        ("/a:/b:ro,rw", "invalid mode: ro,rw"),
        ("/a:/b:z,Z", "invalid mode: z,Z"),
        ("/a:/b:rshared,shared", "invalid mode: rshared,shared"),
        ("/a:/b:cached,delegated", "invalid mode: cached,delegated"),
        ("/a:/b:copy", "invalid mode: copy"),
        ("/a:/b:ro:rw", "invalid volume specification: '/a:/b:ro:rw'"),
        ("/x:ro", "invalid volume specification: '/x:ro'"),
        ("", "invalid empty volume spec"),
        (":/b", "invalid spec: :/b: empty section between colons"),
        ("/a:/b:", "invalid spec: /a:/b:: empty section between colons"),
        (
            "/a:/",
            "invalid volume specification: '/a:/': invalid mount config for type \"bind\": "
            "invalid specification: destination can't be '/'",
        ),
        (
            "/a:/b:nocopy",
            "invalid volume specification: '/a:/b:nocopy': invalid mount config for type \"bind\": "
            "field VolumeOptions must not be specified",
        ),
        (
            "vol:/b:rshared",
            "invalid volume specification: 'vol:/b:rshared': invalid mount config for type \"volume\": "
            "field BindOptions must not be specified",
        ),
    ],
)
def test_bad_volume_option_is_refused_in_dockers_words(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        MountOption.parse(text)
    assert str(caught.value) == message


def long(source: str, target: str, **fields: Any) -> MountOption:
    return MountOption(source, target, is_short=False, **fields)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("type=bind,src=/a,dst=/b", long("/a", "/b", type=BIND)),
        ("type=BIND,Source=/a/,destination=/b/,readonly", long("/a", "/b", type=BIND, is_read_only=True)),
        ("type=bind,src=/a,dst=/b,ro=0", long("/a", "/b", type=BIND)),
        ("type=bind,src=/a,dst=/b,bind-propagation=rslave", long("/a", "/b", type=BIND, propagation="rslave")),
        ("type=bind,src=/a,dst=/b,bind-nonrecursive", long("/a", "/b", type=BIND, recursion=Recursion.DISABLED)),
        (
            "type=bind,src=/a,dst=/b,ro,bind-recursive=writable",
            long("/a", "/b", type=BIND, is_read_only=True, recursion=Recursion.WRITABLE),
        ),
        (
            "type=bind,src=/a,dst=/b,ro,bind-recursive=readonly,bind-propagation=rprivate",
            long("/a", "/b", type=BIND, is_read_only=True, recursion=Recursion.READONLY, propagation="rprivate"),
        ),
        ("type=bind,src=/a,dst=/b,consistency=delegated", long("/a", "/b", type=BIND)),
        ('type=bind,"src=/a,with ""quotes""",dst=/b', long('/a,with "quotes"', "/b", type=BIND)),
        ("src=vol,dst=/b", long("vol", "/b")),
        ("dst=/b", long("", "/b")),
        ("type=volume,src=vol,dst=/b,volume-nocopy", long("vol", "/b", has_copy=False)),
        (
            "src=vol,dst=/b,volume-subpath=sub/dir,volume-label=a=b,volume-label=c,volume-driver=local",
            long("vol", "/b", subpath="sub/dir", labels={"a": "b", "c": ""}),
        ),
        (
            "src=vol,dst=/b,volume-opt=type=tmpfs,volume-opt=device=tmpfs",
            long("vol", "/b", driver_options={"type": "tmpfs", "device": "tmpfs"}),
        ),
        ("type=tmpfs,dst=/b", long("", "/b", type=TMPFS)),
        (
            "type=tmpfs,dst=/b,tmpfs-size=64m,tmpfs-mode=0700",
            long("", "/b", type=TMPFS, tmpfs=("size=67108864", "mode=700")),
        ),
    ],
)
def test_mount_option_is_parsed(text: str, expected: MountOption) -> None:
    assert parse_mount(text).checked() == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "EOF"),
        ("foo", "invalid field 'foo' must be a key=value pair"),
        ("foo=bar", "unexpected key 'foo' in 'foo=bar'"),
        ("src=vol", "target is required"),
        (
            "type=bind, src=/a,dst=/b",
            "invalid option ' src' in ' src=/a': option should not have whitespace",
        ),
        ("type=bind,src=/a,dst=/b,ro=maybe", "invalid value for ro: maybe"),
        ("type=bind,src=/a,dst=/b,volume-nocopy", "cannot mix 'volume-*' options with mount type 'bind'"),
        ("src=vol,dst=/b,bind-propagation=slave", "cannot mix 'bind-*' options with mount type 'volume'"),
        ("src=vol,dst=/b,tmpfs-size=1", "cannot mix 'tmpfs-*' options with mount type 'volume'"),
        ("type=tmpfs,dst=/x,tmpfs-size=1x", "invalid value for tmpfs-size: 1x"),
        ("type=tmpfs,dst=/x,tmpfs-mode=9", "invalid value for tmpfs-mode: 9"),
        ('type=bind,"src=/tmp,dst=/x', 'parse error on line 1, column 27: extraneous or missing " in quoted-field'),
        ('type=bind,s"rc=/a', 'parse error on line 1, column 12: bare " in non-quoted-field'),
        (
            "type=bind,src=/tmp,dst=/x,bind-recursive=foo",
            'invalid value for bind-recursive: foo (must be "enabled", "disabled", "writable", or "readonly")',
        ),
        (
            "type=bind,src=/tmp,dst=/x,bind-recursive=writable",
            "option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction",
        ),
        (
            "type=bind,src=/tmp,dst=/x,bind-recursive=readonly,ro",
            "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction",
        ),
        ("type=image,src=base,dst=/x", 'invalid mount config for type "image": mount type unknown'),
        ("type=bind,dst=/x", 'invalid mount config for type "bind": field Source must not be empty'),
        ("type=tmpfs,src=/a,dst=/x", 'invalid mount config for type "tmpfs": field Source must not be specified'),
        (
            "type=bind,src=rel,dst=/x",
            "invalid mount config for type \"bind\": invalid mount path: 'rel' mount path must be absolute",
        ),
        (
            "type=bind,src=/a,dst=x",
            "invalid mount config for type \"bind\": invalid mount path: 'x' mount path must be absolute",
        ),
        (
            "src=vol,dst=/",
            "invalid mount config for type \"volume\": invalid specification: destination can't be '/'",
        ),
        (
            "dst=/x,readonly",
            'invalid mount config for type "volume": must not set ReadOnly mode when using anonymous volumes',
        ),
        (
            "type=bind,src=/a,dst=/x,bind-propagation=foo",
            'invalid mount config for type "bind": invalid propagation mode: foo',
        ),
        (
            "src=/abs,dst=/x",
            'create /abs: "/abs" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path',
        ),
        ("src=vol,dst=/x,volume-driver=foo", 'error looking up volume plugin foo: plugin "foo" not found'),
    ],
)
def test_bad_mount_option_is_refused_in_dockers_words(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_mount(text).checked()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/run", MountOption("", "/run", type=TMPFS)),
        (
            "/run/:rw,size=1m,mode=700",
            MountOption("", "/run", type=TMPFS, mode="rw,size=1m,mode=700", tmpfs=("rw", "size=1m", "mode=700")),
        ),
        ("/run:ro", MountOption("", "/run", True, TMPFS, mode="ro", tmpfs=("ro",))),
    ],
)
def test_tmpfs_option_is_parsed(text: str, expected: MountOption) -> None:
    assert MountOption.parse_tmpfs(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run", "invalid mount path: 'run' mount path must be absolute"),
        ("/", "invalid specification: destination can't be '/'"),
        ("/run:foo", 'invalid tmpfs option ["foo"]'),
        ("/run:size", 'invalid tmpfs option ["size"]'),
        ("/run:ro=1", 'invalid tmpfs option ["ro=1"]'),
    ],
)
def test_bad_tmpfs_option_is_refused_in_dockers_words(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        MountOption.parse_tmpfs(text)
    assert str(caught.value) == message


def test_volumes_from_names_a_container_and_a_mode() -> None:
    assert [parse_volumes_from(text) for text in ("box", "box:ro", "box:rw,z")] == [
        ("box", False),
        ("box", True),
        ("box", False),
    ]
    for text, message in ((":ro", 'invalid name or ID supplied: ""'), ("a:b:c", "invalid mode: b:c")):
        with pytest.raises(InvalidRequest) as caught:
            parse_volumes_from(text)
        assert str(caught.value) == message


def test_only_a_tmpfs_may_share_its_target() -> None:
    check_targets([MountOption("one", "/x"), MountOption.parse_tmpfs("/x"), MountOption.parse_tmpfs("/x")])
    with pytest.raises(InvalidRequest, match=r"^Duplicate mount point: /x$"):
        check_targets([MountOption("one", "/x"), MountOption("two", "/x")])
