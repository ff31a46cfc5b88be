"""The few system calls Python does not offer, through the C library.

Linux only; importing is harmless elsewhere.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache

__all__ = [
    "Refused",
    "abandon_privileges",
    "capset",
    "mount",
    "no_new_privileges",
    "prctl",
    "syscall",
    "unshare",
]

PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
CAPABILITY_VERSION_3 = 0x20080522


class Refused(OSError):
    """The kernel refused a wall that was asked for."""


@cache
def library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def checked(what: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise Refused(number, f"{what}: {os.strerror(number)}")
    return result


def syscall(what: str, number: int, *arguments: object) -> int:
    """A system call by number; integers are passed as longs."""
    values = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return checked(what, library().syscall(ctypes.c_long(number), *values))


def prctl(what: str, option: int, *arguments: object) -> int:
    values = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
    padding = [ctypes.c_ulong(0)] * (4 - len(values))
    return checked(what, library().prctl(ctypes.c_int(option), *values, *padding))


def unshare(flags: int) -> None:
    checked("unshare", library().unshare(ctypes.c_int(flags)))


def mount(kind: str, target: str, flags: int, options: str = "") -> None:
    """Mounts a file system that has no source (`tmpfs`), or changes the mount at `target`."""
    arguments = (kind.encode() or None, target.encode(), kind.encode() or None)
    checked(f"mount {target}", library().mount(*arguments, ctypes.c_ulong(flags), options.encode() or None))


def no_new_privileges() -> None:
    """From here on no program this process may start gains anything."""
    prctl("no_new_privs", PR_SET_NO_NEW_PRIVS, 1)


def capset(effective: int = 0) -> None:
    """Makes `effective` the only capabilities, effective and permitted."""
    low, high = effective & 0xFFFFFFFF, effective >> 32
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    checked("capset", library().capset(header, sets))


def abandon_privileges() -> None:
    """Drops every capability, also from what could be regained; needs no privilege itself."""
    for capability in range(64):
        if library().prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), *[ctypes.c_ulong(0)] * 3) < 0:
            break  # the kernel knows no more of them, or we have none to drop with
    library().prctl(PR_CAP_AMBIENT, *[ctypes.c_ulong(n) for n in (PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)])
    capset(0)
