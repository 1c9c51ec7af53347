from __future__ import annotations

import struct

import pytest

from minidock.runtime import seccomp

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
        else:
            assert operation == 0x06
            return value


@pytest.mark.parametrize(
    ("arch", "number", "arguments", "answer"),
    [
        pytest.param(X86_64, 92, (), seccomp.SUCCEED, id="chown"),
        pytest.param(X86_64, 260, (), seccomp.SUCCEED, id="fchownat"),
        pytest.param(X86_64, 116, (), seccomp.SUCCEED, id="setgroups"),
        pytest.param(X86_64, 126, (), seccomp.SUCCEED, id="capset"),
        pytest.param(X86_64, 133, (0, 0o020666), seccomp.SUCCEED, id="mknod of a character device"),
        pytest.param(X86_64, 133, (0, 0o060660), seccomp.SUCCEED, id="mknod of a block device"),
        pytest.param(X86_64, 133, (0, 0o010644), seccomp.ALLOW, id="mknod of a fifo"),
        pytest.param(X86_64, 259, (0, 0, 0o020666), seccomp.SUCCEED, id="mknodat of a device"),
        pytest.param(X86_64, 259, (0, 0o020666, 0o100644), seccomp.ALLOW, id="mknodat of a file"),
        pytest.param(X86_64, 1, (), seccomp.ALLOW, id="write"),
        pytest.param(X86_64, 102, (), seccomp.ALLOW, id="getuid"),
        pytest.param(I386, 212, (), seccomp.SUCCEED, id="chown32"),
        pytest.param(I386, 199, (), seccomp.ALLOW, id="getuid32"),
        pytest.param(I386, 92, (), seccomp.ALLOW, id="truncate, which has chown's number of x86_64"),
        pytest.param(UNKNOWN, 92, (), seccomp.ALLOW, id="an architecture that is not known"),
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
    assert answers == [seccomp.SUCCEED, seccomp.SUCCEED, seccomp.ALLOW, seccomp.ALLOW]


def test_without_emulation_there_is_no_filter() -> None:
    assert seccomp.program(emulates_root=False, machine="x86_64") == b""
    assert seccomp.program(emulates_root=True, machine="a machine of the future") == b""
