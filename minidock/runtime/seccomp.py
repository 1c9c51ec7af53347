"""Builds the one seccomp filter of a process: the profile of allowed calls, and root emulation.

They have to be one program: across two filters the stricter answer wins, and "appear to succeed" would lose. Emulated
calls are decided first. The numbers that a profile allows are looked up by bisection, so that a call costs a handful
of comparisons; what depends on arguments stands before it.

Runs in the parent of the launcher, which is given the bytes. Source: seccomp(2); linux/audit.h for the machines.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache

from minidock.core.seccomp import (
    UNCONFINED_PROFILE,
    Action,
    Condition,
    Operator,
    Profile,
    Rule,
    default_profile,
    parse_profile,
)
from minidock.core.security import DEFAULT_PROFILE, UNCONFINED
from minidock.runtime.bpf import (
    ALLOW,
    AND,
    JUMP,
    JUMP_EQUAL,
    JUMP_GREATER_EQUAL,
    KILL_PROCESS,
    KILL_THREAD,
    LOAD,
    LOG,
    NOTIFY,
    OFFSET_ARCH,
    OFFSET_ARGUMENTS,
    OFFSET_NUMBER,
    RETURN,
    SUCCEED,
    TRAP,
    instruction,
)
from minidock.runtime.emulation import ARCHITECTURES, BLOCK, CHARACTER, FILE_TYPE, MACHINES, MAKING, OWNING, PRETENDED
from minidock.runtime.syscall_table import numbers

_WORD = 0xFFFFFFFF
_X32 = 0x40000000
_ENOSYS = 38
_SIZE = 8
_ANSWERS = {
    Action.ALLOW: ALLOW,
    Action.KILL: KILL_THREAD,
    Action.KILL_THREAD: KILL_THREAD,
    Action.KILL_PROCESS: KILL_PROCESS,
    Action.TRAP: TRAP,
    Action.LOG: LOG,
}


@lru_cache(maxsize=8)
def program(
    *,
    emulates_root: bool,
    records_owners: bool = False,
    profile: str = UNCONFINED,
    capabilities: Collection[str] = (),
    machine: str = os.uname().machine,
) -> bytes:
    """Return the filter for a process, empty if there is nothing to filter.

    ``profile`` is that of `Security.seccomp`. With ``records_owners`` a supervisor is asked about devices, and, if root
    is emulated, about owners; without one they appear to be set in that emulation.
    Raises: InvalidRequest for a profile that cannot be read.
    """
    families = MACHINES.get(machine, ())
    if not families or (profile == UNCONFINED and not emulates_root and not records_owners):
        return b""
    rules = _profile(profile, capabilities, machine)
    emulation = NOTIFY if records_owners else SUCCEED if emulates_root else None
    others = families if rules.machines is None else rules.machines
    kept = [name for name in families if name == machine or name in others]
    blocks = b"".join(_block(name, rules, emulation, emulates_root=emulates_root) for name in kept)
    # A machine that is not known here has calls that are not known here: nothing of it is let past.
    last = _answer(ALLOW if profile == UNCONFINED else KILL_PROCESS)
    return instruction(LOAD, OFFSET_ARCH) + blocks + last


def _profile(text: str, capabilities: Collection[str], machine: str) -> Profile:
    if text == DEFAULT_PROFILE:
        return default_profile(capabilities, machine)
    if text == UNCONFINED:
        return UNCONFINED_PROFILE
    major, minor = os.uname().release.split(".")[:2]
    digits = "".join(character for character in minor if character.isdigit())
    return parse_profile(text, capabilities, machine, (int(major), int(digits or 0)))


def _answer(value: int) -> bytes:
    return instruction(RETURN, value)


def _value(action: Action, errno: int) -> int:
    return SUCCEED | (errno & 0xFFFF) if action is Action.ERRNO else _ANSWERS[action]


def _block(machine: str, profile: Profile, emulation: int | None, *, emulates_root: bool) -> bytes:
    """Return the rules of one machine; it is skipped, with the machine still loaded, for another.

    ``emulation`` is the answer to what makes devices and, where root is emulated, sets owners; None is the profile's.
    """
    known = numbers(machine)
    body = instruction(LOAD, OFFSET_NUMBER)
    if machine == "x86_64":
        # The x32 interface has the same calls under other numbers; nothing here uses it.
        body += instruction(JUMP_GREATER_EQUAL, _X32, 0, 1) + _answer(SUCCEED | _ENOSYS)
    if emulation is not None and emulates_root:
        body += b"".join(_when_number(number, _answer(SUCCEED)) for number in PRETENDED[machine])
        body += b"".join(_when_number(number, _answer(emulation)) for number in OWNING[machine])
    if emulation is not None:
        body += b"".join(
            _when_number(number, _emulated_mknod(index, emulation)) for number, index in MAKING[machine].items()
        )
    plain, conditional = _split(profile.rules, known)
    for number, rules in conditional.items():
        body += _when_number(number, _conditions(rules, profile))
    default = _value(profile.default, profile.default_errno)
    # What is newer than the profile: with ENOSYS a program falls back to what it did before, with EPERM it gives up.
    unknown = SUCCEED | _ENOSYS if profile.default is Action.ERRNO else default
    body += _bisection(plain, default, max((*plain, *conditional), default=max(known.values())) + 1, unknown)
    # A jump over the whole block is too far for a comparison.
    return instruction(JUMP_EQUAL, ARCHITECTURES[machine], 1, 0) + instruction(JUMP, len(body) // _SIZE) + body


def _when_number(number: int, then: bytes) -> bytes:
    """Return ``then``, which ends with an answer, for one call; for others the number is still loaded behind it."""
    return instruction(JUMP_EQUAL, number, 0, len(then) // _SIZE) + then


def _emulated_mknod(index: int, emulation: int) -> bytes:
    """Devices get the answer ``emulation``; for files and fifos the profile would say yes anyway."""
    return b"".join(
        (
            instruction(LOAD, OFFSET_ARGUMENTS + 8 * index),
            instruction(AND, FILE_TYPE),
            instruction(JUMP_EQUAL, CHARACTER, 1, 0),
            instruction(JUMP_EQUAL, BLOCK, 0, 1),
            _answer(emulation),
            _answer(ALLOW),
        )
    )


def _split(rules: Iterable[Rule], known: Mapping[str, int]) -> tuple[dict[int, int], dict[int, list[Rule]]]:
    """Return the answers to calls whatever their arguments, and the rules of those for which the arguments count."""
    plain: dict[int, int] = {}
    conditional: dict[int, list[Rule]] = {}
    for rule in rules:
        for name in rule.names:
            number = known.get(name)
            if number is None:
                continue
            if rule.conditions:
                conditional.setdefault(number, []).append(rule)
            else:
                plain.setdefault(number, _value(rule.action, rule.errno))
    for number in plain.keys() & conditional.keys():
        answer = plain[number]
        action = Action.ALLOW if answer == ALLOW else Action.ERRNO
        conditional[number].append(Rule((), action, errno=answer & 0xFFFF))
    return plain, conditional


def _conditions(rules: Sequence[Rule], profile: Profile) -> bytes:
    """Return the tests of one call's rules, in order, and the answer if none holds."""
    parts = [_rule(rule) for rule in rules]
    return b"".join(parts) + _answer(_value(profile.default, profile.default_errno))


def _rule(rule: Rule) -> bytes:
    code = _answer(_value(rule.action, rule.errno))
    for condition in reversed(rule.conditions):
        code = _condition(condition, len(code) // _SIZE) + code
    return code


def _condition(condition: Condition, rest: int) -> bytes:
    """Return a test that goes on behind itself if it holds, and ``rest`` instructions further if not."""
    low, high = condition.value & _WORD, condition.value >> 32
    place = OFFSET_ARGUMENTS + 8 * condition.index
    load_low, load_high = instruction(LOAD, place), instruction(LOAD, place + 4)
    match condition.operator:
        case Operator.MASKED_EQUAL:
            wanted_low, wanted_high = condition.other & _WORD, condition.other >> 32
            return b"".join(
                (
                    load_high,
                    instruction(AND, high),
                    instruction(JUMP_EQUAL, wanted_high, 0, rest + 3),
                    load_low,
                    instruction(AND, low),
                    instruction(JUMP_EQUAL, wanted_low, 0, rest),
                )
            )
        case Operator.EQUAL:
            return b"".join(
                (load_high, instruction(JUMP_EQUAL, high, 0, rest + 2), load_low, instruction(JUMP_EQUAL, low, 0, rest))
            )
        case Operator.NOT_EQUAL:
            return b"".join(
                (load_high, instruction(JUMP_EQUAL, high, 0, 2), load_low, instruction(JUMP_EQUAL, low, rest, 0))
            )
        case Operator.LESS | Operator.GREATER_OR_EQUAL:
            return _at_least(condition.value, rest, load_low, load_high, holds=condition.operator is not Operator.LESS)
        case Operator.LESS_OR_EQUAL | Operator.GREATER:
            holds = condition.operator is Operator.GREATER
            return _at_least(condition.value + 1, rest, load_low, load_high, holds=holds)


def _at_least(value: int, rest: int, load_low: bytes, load_high: bytes, *, holds: bool) -> bytes:
    """Return the test for ``argument >= value``, or for its opposite."""
    low, high = value & _WORD, value >> 32
    greater_high = instruction(JUMP_GREATER_EQUAL, high + 1, 3 if holds else rest + 3, 0)
    equal_high = instruction(JUMP_EQUAL, high, 0, rest + 2 if holds else 2)
    compare = instruction(JUMP_GREATER_EQUAL, low, 0, rest) if holds else instruction(JUMP_GREATER_EQUAL, low, rest, 0)
    return b"".join((load_high, greater_high, equal_high, load_low, compare))


def _bisection(answers: Mapping[int, int], default: int, end: int, unknown: int) -> bytes:
    """Return the search for a number's answer: a balanced tree over the ranges that have the same one.

    Numbers from ``end`` on are ``unknown``.
    """
    starts: list[tuple[int, int]] = [(0, answers.get(0, default))]
    for number in sorted({*answers, *(number + 1 for number in answers)}):
        answer = answers.get(number, default)
        if number and answer != starts[-1][1]:
            starts.append((number, answer))
    if starts[-1][1] != unknown:
        starts.append((end, unknown))
    return _tree(starts)


def _tree(starts: Sequence[tuple[int, int]]) -> bytes:
    if len(starts) == 1:
        return _answer(starts[0][1])
    middle = len(starts) // 2
    below, above = _tree(starts[:middle]), _tree(starts[middle:])
    distance = len(below) // _SIZE
    if distance <= 255:
        return instruction(JUMP_GREATER_EQUAL, starts[middle][0], distance, 0) + below + above
    jump = instruction(JUMP_GREATER_EQUAL, starts[middle][0], 0, 1) + instruction(JUMP, distance)
    return jump + below + above


def decoded(code: bytes) -> list[tuple[int, int, int, int]]:
    """Return the instructions of a filter: operation, jump if true, jump if false, value."""
    return [struct.unpack("=HBBI", code[at : at + _SIZE]) for at in range(0, len(code), _SIZE)]
