from __future__ import annotations

import struct

import pytest

from minidock.core.security import DEFAULT_CAPABILITIES
from minidock.errors import InvalidRequest
from minidock.runtime import seccomp
from minidock.runtime.bpf import ALLOW, KILL_PROCESS, SUCCEED
from minidock.runtime.syscall_table import numbers

X86_64, I386, AARCH64, UNKNOWN = 0xC000003E, 0x40000003, 0xC00000B7, 0x12345678


def run(program: bytes, arch: int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """Return what the kernel would answer: an interpreter for the few instructions that the filter uses."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=iIQ6Q", number, arch, 0, *padded)
    code = [struct.unpack("=HBBI", program[at : at + 8]) for at in range(0, len(program), 8)]
    position, accumulator = 0, 0
    while True:
        operation, if_true, if_false, value = code[position]
        position += 1
        if operation == 0x20:
            accumulator = struct.unpack_from("=I", data, value)[0]
        elif operation == 0x54:
            accumulator &= value
        elif operation == 0x15:
            position += if_true if accumulator == value else if_false
        elif operation == 0x35:
            position += if_true if accumulator >= value else if_false
        elif operation == 0x05:
            position += value
        else:
            assert operation == 0x06
            return value


@pytest.mark.parametrize(
    ("arch", "number", "arguments", "answer"),
    [
        pytest.param(X86_64, 92, (), SUCCEED, id="chown"),
        pytest.param(X86_64, 260, (), SUCCEED, id="fchownat"),
        pytest.param(X86_64, 116, (), SUCCEED, id="setgroups"),
        pytest.param(X86_64, 126, (), SUCCEED, id="capset"),
        pytest.param(X86_64, 133, (0, 0o020666), SUCCEED, id="mknod of a character device"),
        pytest.param(X86_64, 133, (0, 0o060660), SUCCEED, id="mknod of a block device"),
        pytest.param(X86_64, 133, (0, 0o010644), ALLOW, id="mknod of a fifo"),
        pytest.param(X86_64, 259, (0, 0, 0o020666), SUCCEED, id="mknodat of a device"),
        pytest.param(X86_64, 259, (0, 0o020666, 0o100644), ALLOW, id="mknodat of a file"),
        pytest.param(X86_64, 1, (), ALLOW, id="write"),
        pytest.param(X86_64, 102, (), ALLOW, id="getuid"),
        pytest.param(I386, 212, (), SUCCEED, id="chown32"),
        pytest.param(I386, 199, (), ALLOW, id="getuid32"),
        pytest.param(I386, 92, (), ALLOW, id="truncate, which has chown's number of x86_64"),
        pytest.param(UNKNOWN, 92, (), ALLOW, id="an architecture that is not known"),
    ],
)
def test_calls_that_need_other_ids_appear_to_succeed(
    arch: int, number: int, arguments: tuple[int, ...], answer: int
) -> None:
    assert run(seccomp.program(emulates_root=True, machine="x86_64"), arch, number, arguments) == answer


def test_aarch64_has_numbers_of_its_own() -> None:
    program = seccomp.program(emulates_root=True, machine="aarch64")
    calls = [(54, ()), (33, (0, 0, 0o020666)), (33, (0, 0, 0o010644)), (92, ())]
    answers = [run(program, AARCH64, number, arguments) for number, arguments in calls]
    assert answers == [SUCCEED, SUCCEED, ALLOW, ALLOW]


def test_without_emulation_there_is_no_filter() -> None:
    assert seccomp.program(emulates_root=False, machine="x86_64") == b""
    assert seccomp.program(emulates_root=True, machine="a machine of the future") == b""


EPERM, ENOSYS = SUCCEED | 1, SUCCEED | 38
PLAIN = tuple(DEFAULT_CAPABILITIES)


def answer(
    name: str, *arguments: int, machine: str = "x86_64", capabilities: tuple[str, ...] = PLAIN, **more: object
) -> int:
    """Return what the default profile answers to a call by name."""
    arch = {"x86_64": X86_64, "i386": I386, "aarch64": AARCH64}[machine]
    host = "aarch64" if machine == "aarch64" else "x86_64"
    options = {"profile": "default", "emulates_root": False, **more}
    code = seccomp.program(capabilities=capabilities, machine=host, **options)  # type: ignore[arg-type]
    return run(code, arch, numbers(machine)[name], arguments)


ADMIN = (*PLAIN, "SYS_ADMIN")


@pytest.mark.parametrize(
    ("name", "arguments", "options", "expected"),
    [
        ("read", (), {}, ALLOW),
        ("openat2", (), {}, ALLOW),
        ("mseal", (), {}, ALLOW),
        ("chroot", (), {}, ALLOW),
        ("chroot", (), {"capabilities": ()}, EPERM),
        ("mount", (), {}, EPERM),
        ("mount", (), {"capabilities": ADMIN}, ALLOW),
        ("unshare", (), {}, EPERM),
        ("setns", (), {}, EPERM),
        ("bpf", (), {}, EPERM),
        ("bpf", (), {"capabilities": ("BPF",)}, ALLOW),
        ("keyctl", (), {}, EPERM),
        ("add_key", (), {"capabilities": ADMIN}, EPERM),
        ("kexec_load", (), {}, EPERM),
        ("userfaultfd", (), {}, EPERM),
        ("io_uring_setup", (), {}, EPERM),
        ("ptrace", (), {}, ALLOW),
        ("pidfd_getfd", (), {}, EPERM),
        ("pidfd_getfd", (), {"capabilities": ("SYS_PTRACE",)}, ALLOW),
        ("clone", (0x00000011,), {}, ALLOW),
        ("clone", (0x10000011,), {}, EPERM),
        ("clone", (0x100000000,), {}, ALLOW),
        ("clone", (0x10000011,), {"capabilities": ADMIN}, ALLOW),
        ("clone3", (), {}, ENOSYS),
        ("clone3", (), {"capabilities": ADMIN}, ALLOW),
        ("socket", (2,), {}, ALLOW),
        ("socket", (16,), {}, ALLOW),
        ("socket", (38,), {}, EPERM),
        ("socket", (40,), {}, EPERM),
        ("socket", (12,), {}, ALLOW),
        ("socket", (39,), {}, ALLOW),
        ("socket", (41,), {}, ALLOW),
        ("socket", (1 << 32 | 38,), {}, ALLOW),
        ("personality", (0,), {}, ALLOW),
        ("personality", (0x20008,), {}, ALLOW),
        ("personality", (0xFFFFFFFF,), {}, ALLOW),
        ("personality", (0x0040000,), {}, EPERM),
        ("mount", (), {"machine": "i386"}, EPERM),
        ("umount2", (), {"machine": "i386"}, EPERM),
        ("clone", (0x10000011,), {"machine": "i386"}, EPERM),
        ("socketcall", (), {"machine": "i386"}, ALLOW),
        ("arch_prctl", (), {}, ALLOW),
        ("mount", (), {"machine": "aarch64"}, EPERM),
        ("openat", (), {"machine": "aarch64"}, ALLOW),
        ("chown", (), {"emulates_root": True}, SUCCEED),
        ("mount", (), {"emulates_root": True}, EPERM),
        ("mknod", (0, 0o020666), {"emulates_root": True}, SUCCEED),
        ("mknod", (0, 0o020666), {}, ALLOW),
    ],
)
def test_the_default_profile_is_dockers(
    name: str, arguments: tuple[int, ...], options: dict[str, object], expected: int
) -> None:
    assert answer(name, *arguments, **options) == expected  # type: ignore[arg-type]


def test_every_allowed_call_is_found_and_every_other_is_not() -> None:
    """The bisection gives what a look at the list gives, for every number."""
    from minidock.core.seccomp import default_profile

    code = seccomp.program(emulates_root=False, profile="default", capabilities=PLAIN, machine="x86_64")
    plain = default_profile(PLAIN, "x86_64").rules[0].names
    for arch, machine in ((X86_64, "x86_64"), (I386, "i386")):
        known = numbers(machine)
        allowed = {known[name] for name in plain if name in known}
        special = {known[name] for name in ("socket", "personality", "clone", "clone3")}
        found = {number for number in range(1024) if number not in special and run(code, arch, number) == ALLOW}
        assert found == allowed - special


def test_machines_and_interfaces_that_are_not_looked_at_are_not_let_past() -> None:
    code = seccomp.program(emulates_root=False, profile="default", capabilities=PLAIN, machine="x86_64")
    assert run(code, AARCH64, 63) == KILL_PROCESS
    assert run(code, X86_64, 0x40000000 | 1) == ENOSYS
    assert run(code, X86_64, 1000) == ENOSYS
    newest = numbers("x86_64")["removexattrat"]
    assert [run(code, X86_64, newest + step) for step in (0, 1)] == [ALLOW, ENOSYS]


@pytest.mark.parametrize(
    ("members", "i386"),
    [
        ("", KILL_PROCESS),
        ('"architectures": ["SCMP_ARCH_X86_64"], ', KILL_PROCESS),
        ('"architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], ', ALLOW),
        ('"archMap": [{"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}], ', KILL_PROCESS),
        ('"archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}], ', ALLOW),
        ('"archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": null}], ', KILL_PROCESS),
    ],
)
def test_a_profile_names_the_machines_whose_programs_may_run(members: str, i386: int) -> None:
    text = f'{{{members}"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}}'
    code = seccomp.program(emulates_root=False, profile=text, machine="x86_64")
    assert [run(code, X86_64, 5), run(code, I386, 5)] == [ALLOW, i386]


def test_conditions_on_one_argument_are_alternatives_as_in_runc() -> None:
    conditions = ", ".join(f'{{"index": 0, "value": {value}, "op": "SCMP_CMP_EQ"}}' for value in (1, 2))
    text = profile(f'{{"names": ["dup"], "action": "SCMP_ACT_ALLOW", "args": [{conditions}]}}')
    assert [answer("dup", value, profile=text) for value in (1, 2, 3)] == [ALLOW, ALLOW, EPERM]


def test_the_filter_of_both_machines_is_short() -> None:
    """The kernel checks every instruction when it is loaded; docker's has about 1,000."""
    code = seccomp.program(emulates_root=False, profile="default", capabilities=PLAIN, machine="x86_64")
    assert len(code) // 8 < 500


def profile(*syscalls: str, default: str = "SCMP_ACT_ERRNO") -> str:
    return f'{{"defaultAction": "{default}", "syscalls": [{", ".join(syscalls)}]}}'


@pytest.mark.parametrize(
    ("text", "name", "arguments", "expected"),
    [
        (profile(), "read", (), EPERM),
        (profile(default="SCMP_ACT_ALLOW"), "mount", (), ALLOW),
        (profile('{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}', default="SCMP_ACT_ALLOW"), "mkdir", (), EPERM),
        (
            profile('{"name": "chmod", "action": "SCMP_ACT_ERRNO", "errnoRet": 5}', default="SCMP_ACT_ALLOW"),
            "chmod",
            (),
            SUCCEED | 5,
        ),
        (profile('{"names": ["kill"], "action": "SCMP_ACT_KILL_PROCESS"}'), "kill", (), KILL_PROCESS),
        *(
            (
                profile(
                    f'{{"names": ["dup2"], "action": "SCMP_ACT_ALLOW", "args": [{{"index": 1, "value": {value}, '
                    f'"op": "SCMP_CMP_{operator}"}}]}}'
                ),
                "dup2",
                (0, argument),
                ALLOW if holds else EPERM,
            )
            for operator, value, argument, holds in (
                ("LT", 5, 4, True),
                ("LT", 5, 5, False),
                ("LT", 1 << 33, (1 << 33) - 1, True),
                ("LE", 5, 5, True),
                ("LE", 5, 6, False),
                ("GT", 5, 6, True),
                ("GT", 5, 5, False),
                ("GE", 5, 5, True),
                ("GE", 1 << 32, 7, False),
                ("NE", 5, 5, False),
                ("NE", 5, 5 | 1 << 40, True),
                ("EQ", 1 << 40, 1 << 40, True),
                ("EQ", 1 << 40, 1 << 41, False),
            )
        ),
        (
            profile(
                '{"names": ["dup2"], "action": "SCMP_ACT_ALLOW", '
                '"args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, '
                '{"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}]}'
            ),
            "dup2",
            (1, 3),
            EPERM,
        ),
        (
            profile('{"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}}'),
            "mount",
            (),
            EPERM,
        ),
        (
            profile('{"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}}'),
            "mount",
            (),
            EPERM,
        ),
        (
            profile('{"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}}'),
            "mount",
            (),
            ALLOW,
        ),
    ],
)
def test_profiles_in_dockers_json_are_compiled(text: str, name: str, arguments: tuple[int, ...], expected: int) -> None:
    assert answer(name, *arguments, profile=text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"defaultAction": "x"}',
        profile('{"names": ["x"], "action": "y"}'),
        profile(
            '{"names": ["x"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}'
        ),
    ],
)
def test_what_is_no_profile_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="decoding seccomp profile failed"):
        seccomp.program(emulates_root=False, profile=text, machine="x86_64")
