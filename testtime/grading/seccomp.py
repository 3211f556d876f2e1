"""A filter of system calls that leaves no way to a user namespace, in which the sandbox's program
would be root and could mount memory of its own.

The kernel's filter language is a few numbers an instruction (linux/filter.h, linux/seccomp.h), so
it is written here by hand: `unshare`, `setns` and `clone` with CLONE_NEWUSER fail with EPERM;
`clone3`, whose flags a filter cannot see, fails with ENOSYS, upon which C libraries use `clone`.
"""

from __future__ import annotations

import errno
import platform
import struct

_NEWUSER = 0x10000000
_LOAD, _JUMP_EQUAL, _JUMP_SET, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
# machine: (AUDIT_ARCH, clone, unshare, setns)
_MACHINES = {
    "x86_64": (0xC000003E, 56, 272, 308),
    "aarch64": (0xC00000B7, 220, 97, 268),
    "riscv64": (0xC00000F3, 220, 97, 268),
}
_CLONE3 = 435


def program() -> bytes | None:
    """The filter as bubblewrap's `--seccomp` takes it; None for a machine whose numbers are not
    known here.
    """
    if platform.machine() not in _MACHINES:
        return None
    arch, clone, unshare, setns = _MACHINES[platform.machine()]
    deny, absent = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    steps = [
        (_LOAD, 0, 0, 4),  # the architecture: another one has other numbers
        (_JUMP_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),  # the call's number
        (_JUMP_AT_LEAST, 0, 1, 0x40000000),  # x32 on x86_64
        (_RETURN, 0, 0, _KILL),
        (_JUMP_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, absent),
        (_JUMP_EQUAL, 0, 1, setns),
        (_RETURN, 0, 0, deny),
        (_JUMP_EQUAL, 1, 0, clone),
        (_JUMP_EQUAL, 0, 2, unshare),
        (_LOAD, 0, 0, 16),  # its flags: the low half of the first argument
        (_JUMP_SET, 1, 0, _NEWUSER),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, deny),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
