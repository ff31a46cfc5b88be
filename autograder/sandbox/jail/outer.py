"""The outer wall: the command line that puts the zygote into bubblewrap.

Inside there is no network, no home, no course: only what `roots.readable` lists, read-only, and an empty
scratch. As root the zygote is handed to a user of its own without privileges; as an ordinary user
bubblewrap makes a user namespace. At the levels without bubblewrap the command is left as it is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from autograder.sandbox.jail.level import Level

__all__ = ["SCRATCH", "USER", "command", "environment"]

SCRATCH = Path("/scratch")
USER = 64001
BATCH_SCRATCH = 2**30  # bytes for all submissions of a zygote together, where they have no quota of their own


def command(
    argv: Sequence[str], *, level: Level, readable: Iterable[Path], hidden: Iterable[Path] = ()
) -> list[str]:
    """`argv` behind the outer wall of `level`. Descriptors the caller passes on stay open inside.

    It becomes process number 1 there: all that is inside ends with it, and the CPU time of all that it has
    waited for is counted as the caller's.
    """
    if not level.outer:
        return [*argv]
    bubblewrap = shutil.which("bwrap")
    if bubblewrap is None:
        raise FileNotFoundError("bubblewrap (bwrap) is not installed")
    root = os.geteuid() == 0
    drop = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--bounding-set=-all"]
    drop += ["--inh-caps=-all", "--no-new-privs"]
    return [
        bubblewrap,
        *("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
        *("--hostname", "sandbox", "--new-session", "--die-with-parent", "--as-pid-1"),
        *(privileges() if root else ["--unshare-user"]),
        *("--proc", "/proc", "--dev", "/dev"),
        *scratch(level),
        *binds([*readable], [*hidden]),
        *("--remount-ro", "/", "--chdir", "/", "--"),
        *(drop if root and level.inner else []),
        *argv,
    ]


def privileges() -> list[str]:
    """What root keeps inside: enough to become another user, once or for each submission."""
    kept = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")
    return ["--cap-drop", "ALL", *(word for capability in kept for word in ("--cap-add", capability))]


def scratch(level: Level) -> list[str]:
    """Room for temporary files: the zygote's alone where each submission gets its own over it."""
    size = [] if level.inner else ["--size", str(BATCH_SCRATCH)]
    place = str(SCRATCH)
    return ["--perms", "1777", *size, "--tmpfs", place, "--setenv", "TMPDIR", place]


def binds(readable: list[Path], hidden: list[Path]) -> list[str]:
    """Mounts, parents before children; a hidden tree inside a readable one is covered with emptiness."""
    veils = [v for v in hidden if v not in readable and any(r in v.parents for r in readable) and v.is_dir()]
    arguments: list[str] = []
    seen: set[Path] = set()
    for path in sorted([*readable, *veils], key=lambda p: len(p.parts)):
        covered = any(r in path.parents for r in seen)
        if not covered:
            for parent in [*reversed(path.parents)][1:]:
                arguments += ["--perms", "0755", "--dir", str(parent)]
        if path in veils:
            arguments += ["--perms", "0755", "--tmpfs", str(path)]
        else:
            arguments += link_or_bind(path)
        seen.add(path)
    if not any(p.is_relative_to("/tmp") for p in readable):
        arguments += ["--symlink", str(SCRATCH), "/tmp"]
    return arguments + [word for veil in veils for word in ("--remount-ro", str(veil))]


def link_or_bind(path: Path) -> list[str]:
    """The system's own links (`/lib` to `usr/lib`) stay links; everything else is bound."""
    if path.is_symlink() and len(path.parts) == 2 and path.resolve().is_relative_to("/usr"):
        return ["--symlink", str(path.readlink()), str(path)]
    return ["--ro-bind", str(path), str(path)]


def environment() -> dict[str, str]:
    """The whole environment of the zygote: nothing of the caller's."""
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    return {
        **threads,
        "CUDA_VISIBLE_DEVICES": "",
        "HOME": "/nonexistent",
        "LANG": "C.UTF-8",
        "MALLOC_ARENA_MAX": "2",  # an arena of 64 MiB for each thread would eat the address space
        "MPLBACKEND": "agg",
        "PATH": "/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
    }
