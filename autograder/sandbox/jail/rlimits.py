"""The kernel's own ceilings on one process, set on the learner's process before it runs anything."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

from autograder.sandbox.jail.limits import Limits

if sys.platform != "win32":
    import resource

__all__ = ["apply", "bound_memory"]


def apply(limits: Limits, *, own_user: bool) -> None:
    """Lowers this process's ceilings for good.

    Address space and data are counted from what the interpreter holds already. `own_user`: no other process
    counts as this user's, so that threads can be counted by the kernel (elsewhere the warden counts them).
    """
    ceilings = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: math.ceil(limits.cpu_s),
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
    }
    if sys.platform == "linux":
        held = size_now()
        ceilings[resource.RLIMIT_AS] = held["VmSize"] + limits.memory_bytes
        ceilings[resource.RLIMIT_DATA] = held["VmData"] + limits.memory_bytes
        ceilings[resource.RLIMIT_MEMLOCK] = 0
        ceilings[resource.RLIMIT_MSGQUEUE] = 0
        if own_user:
            ceilings[resource.RLIMIT_NPROC] = limits.processes
    for kind, value in ceilings.items():
        _, hard = resource.getrlimit(kind)
        ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (ceiling, ceiling))


def bound_memory(more: int) -> None:
    """Lets the address space of this process, one of ours, grow by `more` bytes and no further; on Linux."""
    if sys.platform == "linux":
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (size_now()["VmSize"] + more, hard))


def size_now() -> dict[str, int]:
    """`VmSize` and `VmData` of this process in bytes."""
    text = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return {
        name: 1024 * int(value) for name, value in re.findall(r"^(VmSize|VmData):\s+(\d+) kB", text, re.M)
    }
