"""A seccomp filter from names: calls in the table pass, some under a condition, everything else is refused.

The filter is a BPF program, built here for x86_64 and aarch64. It sees numbers, never what a pointer points
at; therefore calls that hide their arguments behind a pointer are answered "no such call", and paths are
Landlock's.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from dataclasses import dataclass
from functools import lru_cache

from autograder.sandbox.jail import kernel
from autograder.sandbox.jail.syscalls import ABSENT, LAST, MACHINES, numbers

__all__ = ["assemble", "install", "program", "supported"]

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32_BIT = 0x40000000
LOAD, JUMP_EQUAL, JUMP_GREATER, JUMP_SET, AND, RETURN = 0x20, 0x15, 0x25, 0x45, 0x54, 0x06
NUMBER_AT, ARCH_AT, ARGUMENTS_AT = 0, 4, 16
ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
PR_SET_SECCOMP, MODE_FILTER = 22, 2

ALL = 0xFFFFFFFF
OWN_PID = -1
CLONE_THREAD = 0x00010000
CLONE_NEW = 0x7E020000  # user, pid, mount, net, ipc, uts and cgroup namespaces

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, constant


@dataclass(frozen=True, slots=True)
class Condition:
    """`argument & mask` must be one of `values`."""

    argument: int
    mask: int
    values: tuple[int, ...]


# A file opened for reading only must not be emptied on the way: older kernels let Landlock overlook it.
READ_ONLY, WRITE_ONLY, READ_WRITE, TRUNCATE = 0, 1, 2, 0o1000
OPENING = (READ_ONLY, WRITE_ONLY, READ_WRITE, WRITE_ONLY | TRUNCATE, READ_WRITE | TRUNCATE)
OPENING_MASK = 0b11 | TRUNCATE
UNIX, STREAM = 1, 1
CONDITIONS: dict[str, tuple[Condition, ...]] = {
    "clone": (Condition(0, CLONE_THREAD | CLONE_NEW, (CLONE_THREAD,)),),  # threads, no processes
    "open": (Condition(1, OPENING_MASK, OPENING),),
    "openat": (Condition(2, OPENING_MASK, OPENING),),
    # Duplicating, flags and locks; not the commands that send signals or leases to other processes.
    "fcntl": (Condition(1, ALL, (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030)),),
    # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
    "ioctl": (Condition(1, ALL, (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)),),
    "prctl": (Condition(0, ALL, (15, 16)),),  # set and get the name of a thread
    "prlimit64": (Condition(0, ALL, (0,)),),
    "kill": (Condition(0, ALL, (OWN_PID,)),),
    "tgkill": (Condition(0, ALL, (OWN_PID,)),),
    # A pair of connected stream sockets (asyncio wants one); a datagram socket could address others by path.
    "socketpair": (Condition(0, ALL, (UNIX,)), Condition(1, 0xF, (STREAM,))),
}
NO_ATTRIBUTES = ("setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr")
# Landlock does not cover modes and dates: where the learner's process shares a file system with us,
# changing them seems to succeed and does nothing (an error would break `shutil.copy2`).
MODES_AND_DATES = ("chmod", "fchmod", "fchmodat", "utime", "utimes", "futimesat", "utimensat")


def supported() -> bool:
    """Whether there is a table for this machine."""
    return platform.machine() in MACHINES


@lru_cache(maxsize=8)
def program(machine: str, own_pid: int, *, private_files: bool) -> bytes:
    """The filter for process number `own_pid`; `private_files`: it shares no writable file system with us."""
    table = numbers(machine)
    code: list[Instruction] = [
        (LOAD, 0, 0, ARCH_AT),
        (JUMP_EQUAL, 1, 0, AUDIT_ARCH[machine]),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER_AT),
    ]
    if machine == "x86_64":
        code += [(JUMP_SET, 0, 1, X32_BIT), (RETURN, 0, 0, KILL)]
    for name, number in table.items():
        block = answer(name, own_pid, private_files=private_files)
        code += [(JUMP_EQUAL, 0, len(block), number), *block]
    code += [(JUMP_GREATER, 0, 1, LAST), (RETURN, 0, 0, ERROR | errno.ENOSYS)]
    code.append((RETURN, 0, 0, ERROR | errno.EPERM))
    return assemble(code)


def answer(name: str, own_pid: int, *, private_files: bool) -> list[Instruction]:
    """What happens to a call in the table."""
    if name in ABSENT:
        return [(RETURN, 0, 0, ERROR | errno.ENOSYS)]
    if name in NO_ATTRIBUTES:
        return [(RETURN, 0, 0, ERROR | errno.EOPNOTSUPP)]
    if name in MODES_AND_DATES and not private_files:
        return [(RETURN, 0, 0, ERROR | 0)]
    block: list[Instruction] = []
    for condition in CONDITIONS.get(name, ()):
        block.append(
            (LOAD, 0, 0, ARGUMENTS_AT + 8 * condition.argument)
        )  # the low half: both machines are little-endian
        if condition.mask != ALL:
            block.append((AND, 0, 0, condition.mask))
        values = [own_pid if value == OWN_PID else value for value in condition.values]
        for left, value in zip(range(len(values), 0, -1), values, strict=True):
            block.append((JUMP_EQUAL, left, 0, value))
        block.append((RETURN, 0, 0, ERROR | errno.EPERM))
    return [*block, (RETURN, 0, 0, ALLOW)]


def assemble(code: list[Instruction]) -> bytes:
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def install(code: bytes) -> None:
    """Puts this thread and all it starts under the filter; nothing takes it off again."""
    buffer = ctypes.create_string_buffer(code, len(code))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    reference = Program(len(code) // 8, ctypes.addressof(buffer))
    kernel.prctl("seccomp", PR_SET_SECCOMP, MODE_FILTER, ctypes.addressof(reference))
