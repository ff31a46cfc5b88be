"""Landlock: the files a process may read and the one directory it may write, whatever its user may do.

Covers opening, creating, removing, renaming and (from ABI 3) truncating. It does not cover looking at
names, sizes and dates, nor changing modes and dates; seccomp and bubblewrap do.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import struct
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from autograder.sandbox.jail import kernel

__all__ = ["abi", "restrict"]

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every machine
CREATE_RULESET_VERSION = 1
RULE_PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_DIR, REMOVE_FILE, MAKE_DIR, MAKE_REG, MAKE_SYM = 1 << 4, 1 << 5, 1 << 7, 1 << 8, 1 << 12
REFER, TRUNCATE = 1 << 13, 1 << 14
FILES_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many rights each version knows
NETWORK = 0b11  # bind and connect over TCP, from ABI 4
SCOPES = 0b11  # abstract sockets and signals, from ABI 6

READ = READ_FILE | READ_DIR
WRITE = READ | WRITE_FILE | TRUNCATE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SYM | REFER
ON_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE


@cache
def abi() -> int:
    """The kernel's Landlock version; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    try:
        return kernel.syscall("landlock", CREATE_RULESET, None, 0, CREATE_RULESET_VERSION)
    except OSError:
        return 0


def restrict(*, read: Iterable[Path], write: Iterable[Path]) -> None:
    """Leaves this thread reading below `read` and writing below `write`; missing paths are skipped."""
    version = abi()
    handled = (1 << FILES_BY_ABI.get(version, 16)) - 1
    fields = [handled, NETWORK if version >= 4 else 0, SCOPES if version >= 6 else 0]
    size = 8 if version < 4 else 16 if version < 6 else 24
    attributes = ctypes.create_string_buffer(struct.pack("<3Q", *fields), 24)
    ruleset = kernel.syscall("landlock ruleset", CREATE_RULESET, attributes, size, 0)
    try:
        for path in read:
            allow(ruleset, path, READ & handled)
        for path in write:
            allow(ruleset, path, WRITE & handled)
        kernel.syscall("landlock", RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def allow(ruleset: int, path: Path, rights: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                rights &= ON_A_FILE
            rule = ctypes.create_string_buffer(struct.pack("<Qi", rights, descriptor), 12)
            kernel.syscall(f"landlock rule {path}", ADD_RULE, ruleset, RULE_PATH_BENEATH, rule, 0)
        finally:
            os.close(descriptor)
