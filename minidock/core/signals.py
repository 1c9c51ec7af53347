"""Names and numbers of signals on Linux. Source: moby/sys, signal/signal_linux.go."""

from __future__ import annotations

import re

from minidock.errors import InvalidSignal

_NAMES = (
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG "
    "XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
)
_NUMBERS = {
    **{name: number for number, name in enumerate(_NAMES.split(), 1)},
    "CLD": 17,
    "IOT": 6,
    "POLL": 29,
    "UNUSED": 31,
    "RTMIN": 34,
    "RTMAX": 64,
    **{f"RTMIN+{offset}": 34 + offset for offset in range(1, 16)},
    **{f"RTMAX-{offset}": 64 - offset for offset in range(1, 15)},
}
_NUMBER = re.compile(r"[+-]?[0-9]+", re.ASCII)


def is_supported(number: int) -> bool:
    """Whether a container can be sent this signal; 0, 32 and 33 are none, or the C library's own."""
    return number in _NUMBERS.values()


def parse_signal(text: str) -> int:
    """Return the number of a signal written as a name, with or without ``SIG``, or as a number other than 0.

    Raises: InvalidSignal.
    """
    if _NUMBER.fullmatch(text):
        number = int(text) if len(text) < 20 else 0
    else:
        number = _NUMBERS.get(text.upper().removeprefix("SIG"), 0)
    if not number:
        raise InvalidSignal(text)
    return number
