"""Root emulation in a user namespace with a single id: the system calls that need other ids than the one there is.

Apt, dpkg and tar insist on them. What sets owners and makes devices goes to a supervisor, which takes it down
(`minidock.runtime.ownership`), or, where there is none, appears to succeed like all the rest.
Source: Charliecloud's ``--force=seccomp`` for the list of calls; the kernel's syscall tables for the numbers.
"""

from __future__ import annotations

FILE_TYPE, CHARACTER, BLOCK = 0o170000, 0o020000, 0o060000
AT_FDCWD = -100

# Machine: its name for the audit system (linux/audit.h).
ARCHITECTURES = {"x86_64": 0xC000003E, "i386": 0x40000003, "aarch64": 0xC00000B7}
MACHINES = {"x86_64": ("x86_64", "i386"), "aarch64": ("aarch64",)}

# setuid setgid setgroups, setre[ug]id, setres[ug]id, setfs[ug]id, capset; on i386 with 16-bit and with 32-bit ids.
PRETENDED = {
    "x86_64": (105, 106, 116, 113, 114, 117, 119, 122, 123, 126),
    "i386": (23, 46, 81, 70, 71, 164, 170, 138, 139, 213, 214, 206, 203, 204, 208, 210, 215, 216, 185),
    "aarch64": (146, 144, 159, 145, 143, 147, 149, 151, 152, 91),
}

# Calls that set an owner, by number: what their arguments are. ``short`` ones have ids of 16 bits.
PATH, LINK, DESCRIPTOR, AT = "path", "link", "descriptor", "at"
OWNING = {
    "x86_64": {92: PATH, 94: LINK, 93: DESCRIPTOR, 260: AT},
    "i386": {182: PATH, 16: LINK, 95: DESCRIPTOR, 212: PATH, 198: LINK, 207: DESCRIPTOR, 298: AT},
    "aarch64": {55: DESCRIPTOR, 54: AT},
}
SHORT = {"i386": (182, 16, 95)}

# Calls that make devices, by number: the index of the mode among their arguments.
MAKING = {"x86_64": {133: 1, 259: 2}, "i386": {14: 1, 297: 2}, "aarch64": {33: 2}}
