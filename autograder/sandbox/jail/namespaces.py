"""Namespaces of a submission's own: users, processes, mounts, System V objects; and an almost empty file
system in them.

The network namespace is bubblewrap's, which is empty; `socket` is refused besides.
"""

from __future__ import annotations

import os
from pathlib import Path

from autograder.sandbox.jail import kernel
from autograder.sandbox.jail.limits import Limits

__all__ = ["furnish", "separate"]

NEWNS, NEWIPC, NEWUSER, NEWPID = 0x00020000, 0x08000000, 0x10000000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 16384, 1 << 18
EMPTY = "size=4k,nr_inodes=2,mode=555"


def separate() -> None:
    """Moves this process into new namespaces; its next child is process number 1 of them."""
    uid, gid = os.getuid(), os.getgid()
    kernel.unshare(NEWUSER | NEWPID | NEWNS | NEWIPC)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    kernel.mount("", "/", MS_REC | MS_PRIVATE)


def furnish(scratch: Path, limits: Limits) -> None:
    """An empty scratch with a quota, and nothing at all in /proc and /dev/shm."""
    quota = f"size={limits.scratch_bytes},nr_inodes={limits.inodes},mode=700"
    kernel.mount("tmpfs", str(scratch), MS_NOSUID | MS_NODEV | MS_NOEXEC, quota)
    for place in ("/proc", "/dev/shm"):
        kernel.mount("tmpfs", place, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, EMPTY)
