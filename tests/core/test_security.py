from __future__ import annotations

import pytest

from minidock.core.devices import Device, parse_device_rule
from minidock.core.namespaces import Namespaces
from minidock.core.security import (
    ALL_CAPABILITIES,
    DEFAULT_CAPABILITIES,
    Asked,
    Security,
    chosen_capabilities,
    normal_capabilities,
)
from minidock.core.sysctls import check_sysctls, parse_sysctl
from minidock.errors import FlagError, InvalidRequest, MinidockError

ALL = tuple(sorted(ALL_CAPABILITIES))


def without(names: tuple[str, ...], *dropped: str) -> tuple[str, ...]:
    return tuple(name for name in names if name not in dropped)


@pytest.mark.parametrize(
    ("added", "dropped", "chosen"),
    [
        ([], [], DEFAULT_CAPABILITIES),
        (["NET_ADMIN"], [], tuple(sorted((*DEFAULT_CAPABILITIES, "NET_ADMIN")))),
        ([], ["CHOWN"], without(DEFAULT_CAPABILITIES, "CHOWN")),
        (["CHOWN"], ["CHOWN"], without(DEFAULT_CAPABILITIES, "CHOWN")),
        (["ALL"], [], ALL),
        (["ALL"], ["CHOWN"], without(ALL, "CHOWN")),
        (["ALL", "CHOWN"], ["CHOWN"], without(ALL, "CHOWN")),
        ([], ["ALL"], ()),
        (["CHOWN"], ["ALL"], ("CHOWN",)),
        (["ALL"], ["ALL"], ALL),
    ],
)
def test_capabilities_are_chosen_as_docker_does(added: list[str], dropped: list[str], chosen: tuple[str, ...]) -> None:
    assert chosen_capabilities(added, dropped) == chosen


def test_capabilities_are_written_in_any_way() -> None:
    assert normal_capabilities("CapAdd", ["net_admin", "CAP_Net_Admin", "all"]) == ("ALL", "NET_ADMIN")
    with pytest.raises(InvalidRequest) as caught:
        normal_capabilities("CapDrop", ["chown", "foo"])
    assert str(caught.value) == 'invalid CapDrop: unknown capability: "CAP_FOO"'


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("/dev/fuse", Device("/dev/fuse", "/dev/fuse")),
        ("/dev/fuse:/dev/x", Device("/dev/fuse", "/dev/x")),
        ("/dev/fuse:r", Device("/dev/fuse", "/dev/fuse", "r")),
        ("/dev/fuse:/dev/x:mw", Device("/dev/fuse", "/dev/x", "mw")),
        ("/dev/a/../fuse:/dev//y", Device("/dev/fuse", "/dev/y")),
    ],
)
def test_devices_are_read_as_docker_reads_them(text: str, device: Device) -> None:
    assert Device.parse(text) == device


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "bad format for path: "),
        ("a:b:c:d", "bad format for path: a:b:c:d"),
        ("/dev/fuse:/dev/y:x", "bad mode specified: x"),
        ("/dev/fuse:/dev/y:rr", "bad mode specified: rr"),
        ("fuse", "fuse is not an absolute path"),
        ("/dev/fuse:dev/x", "dev/x is not an absolute path"),
        ("/dev/fuse::r", " is not an absolute path"),
    ],
)
def test_bad_devices_are_refused_in_docker_s_words(text: str, message: str) -> None:
    with pytest.raises(FlagError) as caught:
        Device.parse(text)
    assert str(caught.value) == message


def test_rules_for_devices_have_docker_s_form() -> None:
    assert [parse_device_rule(text) for text in ("c 1:3 rwm", "a *:* r")] == ["c 1:3 rwm", "a *:* r"]
    with pytest.raises(FlagError, match="invalid device cgroup format 'foo'"):
        parse_device_rule("foo")


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("net.ipv4.ip_forward=1", ("net.ipv4.ip_forward", "1")),
        ("kernel.sem=1 2 3 4", ("kernel.sem", "1 2 3 4")),
        ("fs.mqueue.msg_max=", ("fs.mqueue.msg_max", "")),
    ],
)
def test_settings_of_a_namespace_are_allowed(text: str, pair: tuple[str, str]) -> None:
    assert parse_sysctl(text) == pair


@pytest.mark.parametrize(
    "text", ["kernel.foo=1", "kernel.hostname=x", "vm.swappiness=1", "foo", "=1", "net.x", "net...x=1", "net.a/../b=1"]
)
def test_settings_of_the_host_are_not_allowed(text: str) -> None:
    with pytest.raises(FlagError) as caught:
        parse_sysctl(text)
    assert str(caught.value) == f"sysctl '{text}' is not allowed"


@pytest.mark.parametrize(
    ("name", "shared", "message"),
    [
        ("net.core.somaxconn", "network", "sysctl 'net.core.somaxconn' not allowed in host network namespace"),
        ("kernel.shmmax", "ipc", 'sysctl "kernel.shmmax" is not allowed in the hosts ipc namespace'),
        ("kernel.shmmax", "network", ""),
        ("net.core.somaxconn", "ipc", ""),
    ],
)
def test_settings_of_a_namespace_that_is_the_host_s_are_refused(name: str, shared: str, message: str) -> None:
    try:
        check_sysctls([name], shares_network=shared == "network", shares_ipc=shared == "ipc")
    except InvalidRequest as error:
        assert str(error) == message
    else:
        assert not message


def namespaces(**given: str) -> Namespaces:
    return Namespaces.parse(**{"ipc": "", "pid": "", "uts": "", "user": "", "cgroup": "", **given})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ipc": "foo"}, "Invalid IPC mode: foo"),
        ({"ipc": "container:"}, "Invalid IPC mode: container:"),
        ({"pid": "private"}, "--pid: invalid PID mode"),
        ({"uts": "container:x"}, "--uts: invalid UTS mode"),
        ({"user": "private"}, "--userns: invalid USER mode"),
        ({"cgroup": "none"}, "--cgroupns: invalid CGROUP mode"),
        ({"pid": "container:x"}, "--pid container:x: the namespace of another container cannot be joined"),
    ],
)
def test_namespaces_that_there_are_not_are_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(MinidockError) as caught:
        namespaces(**given)
    assert str(caught.value) == message


def test_namespaces_of_the_host_and_one_s_own_are_read() -> None:
    assert namespaces(ipc="none", pid="host", uts="host", user="host", cgroup="private") == Namespaces(
        "none", "host", "host", "host", "private"
    )


def test_what_is_written_down_is_read_again() -> None:
    security = Security(
        capabilities=("CHOWN",),
        seccomp="{}",
        no_new_privileges=True,
        is_privileged=True,
        is_unmasked=True,
        devices=(Device("/dev/a", "/dev/b", "r"),),
        sysctls=(("net.x", "1"),),
        namespaces=Namespaces(pid="host"),
        asked=Asked(("ALL",), ("CHOWN",), ("audio",), ("label=disable",), ("a *:* r",)),
    )
    assert Security.from_json(security.to_json()) == security


def test_exec_with_privileges_goes_by_the_container_s_profile() -> None:
    extended = Security(capabilities=("CHOWN",)).extended()
    assert (extended.capabilities, extended.profile_capabilities) == (ALL, ("CHOWN",))
