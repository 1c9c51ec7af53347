"""Root emulation: the system calls that appear to succeed in a user namespace with a single id.

They need other ids than the one there is; apt, dpkg and tar insist on them. Runs in the stub.
Source: Charliecloud's ``--force=seccomp`` for the list of calls; the kernel's syscall tables for the numbers.
"""

from __future__ import annotations

FILE_TYPE, CHARACTER, BLOCK = 0o170000, 0o020000, 0o060000

# Machine: AUDIT_ARCH, calls that appear to succeed, and (number, index of the mode argument) of the mknod calls.
CALLS = {
    "x86_64": (
        0xC000003E,
        # chown fchown lchown fchownat, setuid setgid setgroups, setre[ug]id, setres[ug]id, setfs[ug]id, capset
        (92, 93, 94, 260, 105, 106, 116, 113, 114, 117, 119, 122, 123, 126),
        ((133, 1), (259, 2)),
    ),
    "i386": (
        0x40000003,
        # the same with 16-bit ids, the same with 32-bit ids, fchownat, capset
        (
            *(182, 95, 16, 23, 46, 81, 70, 71, 164, 170, 138, 139),
            *(212, 207, 198, 213, 214, 206, 203, 204, 208, 210, 215, 216),
            *(298, 185),
        ),
        ((14, 1), (297, 2)),
    ),
    "aarch64": (
        0xC00000B7,
        (55, 54, 146, 144, 159, 145, 143, 147, 149, 151, 152, 91),
        ((33, 2),),
    ),
}
MACHINES = {"x86_64": ("x86_64", "i386"), "aarch64": ("aarch64",)}
