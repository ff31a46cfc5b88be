"""A scratch directory without a quota of its own (levels B, C, none), in the hands of the warden.

What the learner made of it is hostile ground: deep, unreadable, changing while it is looked at.
"""

# ruff: noqa: PTH101, PTH104, PTH106, PTH108

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from autograder.sandbox.jail.limits import Limits
from autograder.sandbox.jail.outer import SCRATCH

__all__ = ["make", "over_quota", "remove"]


def make() -> Path:
    """A new directory of this user's, in the box's scratch or else among the machine's temporary files."""
    base = SCRATCH if os.access(SCRATCH, os.W_OK) else Path(tempfile.gettempdir())
    return Path(tempfile.mkdtemp(prefix="autograder-", dir=base))


def over_quota(directory: Path, open_files: Iterator[os.stat_result], limits: Limits) -> bool:
    """Whether the files in `directory`, and the removed ones still held open, exceed the limits.

    A tree that cannot be looked at (too deep, made unreadable) is over quota as well.
    """
    used = sum(f.st_blocks * 512 for f in open_files if stat.S_ISREG(f.st_mode) and f.st_nlink == 0)
    try:
        for count, found in enumerate(entries(directory), start=1):
            used += found.st_blocks * 512
            if used > limits.scratch_bytes or count > limits.inodes:
                return True
    except (OSError, RecursionError):
        return True
    return used > limits.scratch_bytes


def entries(directory: Path) -> Iterator[os.stat_result]:
    """The state of every entry below `directory`; by descriptor, as a name may by now mean another."""
    for _, directories, files, descriptor in os.fwalk(directory, onerror=unless_vanished):
        for name in (*directories, *files):
            with contextlib.suppress(FileNotFoundError):
                yield os.stat(name, dir_fd=descriptor, follow_symlinks=False)


def unless_vanished(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def remove(directory: Path) -> None:
    """Removes `directory`, however deeply nested: subdirectories are moved to the top before they go."""
    names = (f"{directory}/{os.urandom(4).hex()}-{number}" for number in itertools.count())
    while subdirectories := clear(str(directory)):
        for subdirectory in subdirectories:
            for grandchild in clear(subdirectory):
                os.chmod(grandchild, 0o700)
                os.rename(grandchild, next(names))
            os.rmdir(subdirectory)
    directory.rmdir()


def clear(directory: str) -> list[str]:
    """Unlinks the files of one directory and returns its subdirectories."""
    os.chmod(directory, 0o700)
    with os.scandir(directory) as entries:
        found = list(entries)
    subdirectories = [entry.path for entry in found if entry.is_dir(follow_symlinks=False)]
    for entry in found:
        if not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.path)
    return subdirectories
