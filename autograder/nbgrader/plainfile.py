"""Plain files of bounded size, and nothing else: what a folder somebody else filled may hold.

A link, a pipe, a device or a file that is too large is refused with a reason in words. Nothing here looks
into a file.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ["LARGEST", "Refused", "kind_of", "read_plain"]

LARGEST = 256 * 2**20  # bytes


class Refused(Exception):
    """This is not a file we take; the message says why."""


def kind_of(status: os.stat_result) -> str:
    """Why a file is refused, or '' for a plain one of bounded size."""
    kinds = {
        stat.S_IFLNK: "a link",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFDIR: "a folder",
    }
    if (kind := kinds.get(stat.S_IFMT(status.st_mode))) is not None:
        return kind
    if status.st_size > LARGEST:
        return f"larger than {LARGEST // 2**20} MB ({status.st_size / 2**20:,.0f} MB)"
    return ""


def read_plain(path: Path | str, *, folder: int | None = None) -> bytes:
    """The bytes of a plain file; `folder` is the descriptor of an open directory `path` is relative to.

    Raises Refused for anything else and FileNotFoundError where there is nothing.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = kind_of(os.stat(path, dir_fd=folder, follow_symlinks=False))
        raise Refused(reason or f"not readable ({error.strerror})") from error
    if reason := kind_of(os.fstat(descriptor)):
        os.close(descriptor)
        raise Refused(reason)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(LARGEST)
