"""The inner walls: what a forked child passes through before it runs a line of the learner's.

`enter` returns in the learner's process only, behind all walls; the process that called it becomes the
warden. A wall that cannot be built ends the child: nothing runs without it, and the grader is told which
one it was.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from autograder.sandbox.jail import kernel, landlock, namespaces, rlimits, scratch, seccomp
from autograder.sandbox.jail.level import Level
from autograder.sandbox.jail.limits import Limits
from autograder.sandbox.jail.outer import SCRATCH, USER
from autograder.sandbox.jail.roots import DEVICES
from autograder.sandbox.jail.warden import Ending, Ward, introduce, report, watch

__all__ = ["enter", "prepare"]

USERS = 900  # root gives each child a user of its own out of so many, above the zygote's
PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4


def prepare(level: Level) -> None:
    """Does once, before the first fork, what every child would otherwise repeat."""
    if level.outer:  # becoming another user has undone bubblewrap's own request
        kernel.prctl("pdeathsig", PR_SET_PDEATHSIG, signal.SIGKILL)
    if level.locked:
        kernel.library()
        landlock.abi()
        seccomp.program(platform.machine(), 1, private_files=True)


def enter(
    stream: int,
    control: int,
    limits: Limits,
    level: Level,
    *,
    readable: Iterable[Path],
    folder: Path | None = None,
) -> None:
    """Forks the learner's process and returns in it.

    The caller becomes the warden: there it does not return, and the process ends after the learner's. The
    entries of `folder` appear, read-only, in the working directory, the only place to write.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with contextlib.suppress(PermissionError):  # already a leader
        os.setsid()
    complaint, complain = os.pipe()
    place: Path | None = None
    try:
        own_user = level.inner or become_somebody(readable)
        proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY) if sys.platform == "linux" else -1
        if level.inner:
            namespaces.separate()
        else:
            place = scratch.make()
        pid = os.fork()
    except OSError as error:
        report(Ending("setup", message=str(error)), control)
        os._exit(1)
    if pid == 0:
        try:
            lock_in(
                [stream, complain], limits, level, place, own_user=own_user, readable=readable, folder=folder
            )
        except BaseException as error:
            os.write(complain, f"{type(error).__name__}: {error}".encode()[:4000])
            os._exit(1)
        os.close(complain)
        return
    for descriptor in (stream, complain):
        os.close(descriptor)
    introduce(pid, control)
    report(watch(Ward(pid, limits, proc, complaint, place), control), control)
    if place:  # after the report: thousands of nested folders take a while, and the grader waits
        with contextlib.suppress(OSError):
            scratch.remove(place)
    os._exit(0)


def become_somebody(readable: Iterable[Path]) -> bool:
    """As root, takes a user of this child's own, if that user can reach Python; says whether it did."""
    if os.geteuid() != 0 or not all(reachable(path) for path in readable):
        return False
    uid = USER + 1 + os.getpid() % USERS
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    return True


def reachable(path: Path) -> bool:
    """Whether every directory on the way is open to all users."""
    return all(parent.stat().st_mode & 0o001 for parent in (path, *path.parents) if parent.is_dir())


def lock_in(
    keep: list[int],
    limits: Limits,
    level: Level,
    place: Path | None,
    *,
    own_user: bool,
    readable: Iterable[Path],
    folder: Path | None,
) -> None:
    """Builds the walls around this process, the last of them being the one that forbids building more."""
    os.setpgid(0, 0)
    keep_only(keep)
    rlimits.apply(limits, own_user=own_user)
    if level.inner:
        namespaces.furnish(SCRATCH, limits)
    move_in(place or SCRATCH, folder)
    if not level.locked:
        return
    kernel.no_new_privileges()
    if landlock.abi() or not level.inner:  # namespaces alone hide the files as well
        landlock.restrict(read=(*readable, *DEVICES), write=[place or SCRATCH, Path(os.devnull)])
    kernel.abandon_privileges()
    kernel.prctl("dumpable", PR_SET_DUMPABLE, 1)  # so that the warden may look at its descriptors
    kernel.prctl("pdeathsig", PR_SET_PDEATHSIG, signal.SIGKILL)
    if not seccomp.supported():
        raise kernel.Refused(0, f"no table of system calls for {platform.machine()}")
    own_pid = 1 if level.inner else os.getpid()
    seccomp.install(seccomp.program(platform.machine(), own_pid, private_files=level.inner))


def keep_only(descriptors: list[int]) -> None:
    """Standard streams to nowhere; everything but `descriptors` closed."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    bounds = [2, *sorted(descriptors), os.sysconf("SC_OPEN_MAX")]
    for below, above in itertools.pairwise(bounds):
        os.closerange(below + 1, above)


def move_in(place: Path, folder: Path | None) -> None:
    """A clean environment, and a working directory that is the scratch with links to the notebook's files."""
    os.environ.clear()
    os.environ |= {"HOME": str(place), "TMPDIR": str(place), "LANG": "C.UTF-8"}
    os.environ |= {"MPLBACKEND": "agg", "MPLCONFIGDIR": str(place), "OMP_NUM_THREADS": "1"}
    tempfile.tempdir = None
    os.chdir(place)
    for entry in folder.iterdir() if folder else ():
        (place / entry.name).symlink_to(entry)
