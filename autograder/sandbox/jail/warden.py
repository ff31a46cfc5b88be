"""The warden: a process of ours beside each learner's process, which watches it and ends it.

It ends the learner's process when the control socket says something or closes (also because the grader
died), at the limits for wall clock, memory, threads and disk, and by the kernel's own limit for CPU time.
It never runs a line of the learner's and reads nothing the learner wrote.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from autograder.sandbox.jail.limits import Limits
from autograder.sandbox.jail.scratch import over_quota

__all__ = ["Ending", "Ward", "introduce", "report", "watch"]

TICK_S = 0.1
CPU_SHARE = 0.5  # of its limit; the account the kernel limits and the one it reports differ


@dataclass(frozen=True, slots=True)
class Ending:
    """How the learner's process ended; crosses the control socket as JSON.

    `cause`: "exit", "signal", "limit" (then `limit` names it), "closed" (the grader asked) or "setup" (a
    wall could not be built: ours to repair, `message` says which). `status` is the exit code, or minus the
    signal.
    """

    cause: str
    status: int = 0
    limit: str = ""
    message: str = ""
    cpu_s: float = 0.0
    peak_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Ward:
    """The learner's process as its warden sees it.

    `proc` is /proc, opened before the learner's side covered it, or -1; `complaint` is where a failed set-up
    says why; `scratch` is given when it has no quota of its own.
    """

    pid: int
    limits: Limits
    proc: int
    complaint: int
    scratch: Path | None

    def usage(self) -> dict[str, int]:
        """Memory of its own in bytes and the number of its threads; empty where there is no /proc."""
        try:
            descriptor = os.open(f"{self.pid}/status", os.O_RDONLY, dir_fd=self.proc)
        except OSError:
            return {}
        try:
            text = os.read(descriptor, 2**14).decode("ascii", "replace")
        except ProcessLookupError:
            return {}
        finally:
            os.close(descriptor)
        found = {
            name: int(value)
            for name, value in re.findall(r"^(RssAnon|RssShmem|Threads):\s+(\d+)", text, re.M)
        }
        memory = 1024 * (found.get("RssAnon", 0) + found.get("RssShmem", 0))
        return {"memory": memory, "threads": found.get("Threads", 1)}

    def open_files(self) -> Iterator[os.stat_result]:
        """The state of what it holds open."""
        try:
            directory = os.open(f"{self.pid}/fd", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.proc)
        except OSError:
            return
        try:
            for name in os.listdir(directory):  # noqa: PTH208
                with contextlib.suppress(OSError):
                    yield os.stat(name, dir_fd=directory)
        finally:
            os.close(directory)

    def excess(self, at_start: dict[str, int]) -> str:
        """The limit it exceeds, or nothing."""
        now = self.usage()
        if now and now["memory"] - at_start.get("memory", 0) > self.limits.memory_bytes:
            return "memory"
        if now and now["threads"] > self.limits.processes:
            return "processes"
        if self.scratch and over_quota(self.scratch, self.open_files(), self.limits):
            return "scratch"
        return ""

    def kill(self) -> None:
        """Ends it; in a process namespace of its own everything it started ends with it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def introduce(pid: int, control: int) -> None:
    """Tells the grader which process is the learner's, by a descriptor: numbers differ between namespaces."""
    descriptors: list[int] = []
    with contextlib.suppress(AttributeError, OSError):  # no Linux: then the grader cannot see its CPU time
        descriptors = [os.pidfd_open(pid)]
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(control)) as line:
        socket.send_fds(line, [b"{}"], descriptors)
    for descriptor in descriptors:
        os.close(descriptor)


def watch(ward: Ward, control: int) -> Ending:
    """Waits for the end of the learner's process, or brings it about; returns when it is gone."""
    at_start, deadline = ward.usage(), time.monotonic() + ward.limits.wall_s
    events = select.poll()
    events.register(control, select.POLLIN)
    with contextlib.suppress(AttributeError, OSError):  # without it the end is noticed at the next tick
        events.register(os.pidfd_open(ward.pid), select.POLLIN)
    cause, limit = "", ""
    while not cause:
        ready = {descriptor for descriptor, _ in events.poll(1000 * TICK_S)}
        ended = os.waitid(os.P_PID, ward.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is not None:
            break
        if control in ready:
            cause = "closed"
        elif time.monotonic() > deadline:
            cause, limit = "limit", "wall"
        elif limit := ward.excess(at_start):
            cause = "limit"
    ward.kill()
    _, status, used = os.wait4(ward.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    cpu_s = used.ru_utime + used.ru_stime
    message = os.read(ward.complaint, 2**12).decode("utf-8", "replace")
    if message:
        cause = "setup"
    elif cause != "limit" and code == -signal.SIGKILL and cpu_s >= CPU_SHARE * ward.limits.cpu_s:
        cause, limit = "limit", "cpu"
    elif not cause or code != -signal.SIGKILL:  # it was ending before it was killed
        cause, limit = "exit" if code >= 0 else "signal", ""
    return Ending(cause, code, limit, message, cpu_s, 1024 * used.ru_maxrss)


def report(ending: Ending, control: int) -> None:
    """Sends the ending to the grader, if it still listens."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(control)) as line:
        line.send(json.dumps(asdict(ending)).encode())
