"""Which files a learner may read: the system's libraries, Python with its packages, our side of the wire.

`readable` lists whole directories; `hidden` lists what must not be seen inside them (this package, when it is
installed among the others; a course that lives below a readable directory).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import autograder
from autograder.sandbox.jail.level import Level

__all__ = ["PACKAGE", "hidden", "readable", "visible"]

PACKAGE = Path(autograder.__file__).resolve().parent
CODE = tuple(PACKAGE / part for part in ("__init__.py", "wire", "sandbox"))
SYSTEM = tuple(Path(p) for p in ("/usr", "/lib", "/lib64", "/etc/ld.so.cache"))
DEVICES = tuple(Path(p) for p in ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"))
PARTS = ("bin", "lib", "lib64", "pyvenv.cfg")  # not the whole prefix: somebody's is a home directory


def readable(extra: Iterable[Path] = ()) -> tuple[Path, ...]:
    """Existing paths a learner's process may read, each with all below it; parents before children."""
    prefixes = dict.fromkeys(Path(p) for p in (sys.base_prefix, sys.base_exec_prefix, sys.prefix))
    python = [prefix / part for prefix in prefixes for part in PARTS]
    paths = dict.fromkeys(Path(p).absolute() for p in (*SYSTEM, *python, *CODE, *extra))
    return tuple(sorted((p for p in paths if p.exists()), key=lambda p: len(p.parts)))


def hidden(shown: Sequence[Path] = ()) -> tuple[Path, ...]:
    """What must not be seen even inside a readable directory: this package, the courses around `shown`."""
    return (PACKAGE, *(folder.parent for folder in shown))


def visible(paths: Iterable[Path], *, hidden: Iterable[Path], level: Level) -> tuple[Path, ...]:
    """What Landlock is to allow, so that `paths` can be read and the hidden trees inside them cannot.

    Behind bubblewrap they are covered; without it their neighbours are named instead: Landlock cannot deny.
    """
    if level.outer:
        return tuple(paths)
    veils = [*hidden]
    return tuple(dict.fromkeys(part for path in paths for part in without(path, veils)))


def without(path: Path, hidden: list[Path]) -> Iterator[Path]:
    """`path`, or what remains of it when a hidden tree lies strictly below it."""
    if not any(path in veil.parents for veil in hidden):
        yield path
        return
    for child in path.iterdir():
        if child not in hidden:
            yield from without(child, hidden)
