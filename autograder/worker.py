"""The trusted warm process: imports torch and the tests once, then forks children that grade.

    python -m autograder.worker FD JOBS LEVEL SHOWN...

It reads one JSON object per line from the socket FD (a job) and writes one per line (a result). A child runs
the planned tests of one submission after another (`running`); the parent only hands out work and collects
results. A child that ends without a result could not run: never a zero, never a pass. No learner code runs in
these processes, so a child may serve many submissions; forking one for each costs 60 ms more.
"""

from __future__ import annotations

# ruff: noqa: E402 - the garbage collector would look through all that is imported again and again (0.2 s)
import gc

gc.disable()

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autograder.box import Box
from autograder.errors import CouldNotRun, CourseError
from autograder.meter import PATIENCE
from autograder.running import GRACE_SECONDS, run_job
from autograder.sandbox.jail import rlimits
from autograder.sandbox.warm import settle, warm
from autograder.suite import Suite

__all__ = ["main"]

GRADIENTS = "torch.fx.experimental.symbolic_shapes"  # what torch imports for a gradient from a tensor: 0.4 s
MAX_TRIES = 2  # a job whose child died without a result is tried once more
MAX_MEMORY = 4 * 2**30  # bytes more than now: answers of a learner's process are kept by tests
MAX_JOBS = 200  # of one child; then it makes room for a fresh one
ENDED = {"error": "the process that runs the tests ended without a result"}


@dataclass(slots=True)
class Job:
    """One notebook to grade, as it came."""

    order: dict[str, Any]
    tries: int = 0
    ends: float = 0.0

    @property
    def tests(self) -> str:
        """Which collected tests it needs."""
        return json.dumps([self.order["files"], self.order["tests_hash"]])


@dataclass(slots=True)
class Child:
    """A process that grades: the tests it was forked with, the box it uses, and the job it works on."""

    pid: int
    line: socket.socket
    tests: frozenset[str]
    box: Box
    place: int  # among those at work at the same time
    job: Job | None = None
    jobs: int = 0
    said: bytearray = field(default_factory=bytearray)


class Worker:
    """Hands jobs to children, at most `jobs` at a time."""

    def __init__(self, connection: socket.socket, jobs: int, level: str, shown: Sequence[Path]) -> None:
        self._connection = connection
        self._jobs = jobs
        self._level = level
        self._shown = shown
        self._box = Box(level=level, shown=shown)
        self._suites: dict[str, Suite | CourseError] = {}
        self._waiting: deque[Job] = deque()
        self._children: dict[int, Child] = {}  # by the descriptor of their line
        self._incoming = bytearray()

    def serve(self) -> None:
        """Works until the other side hangs up."""
        warm_up()
        self._box.wait()
        while True:
            sources = [self._connection.fileno(), *self._children]
            for ready in select.select(sources, [], [], 1.0)[0]:
                if ready in self._children:
                    self._collect(self._children[ready])
                elif not self._receive():
                    self._stop()
                    return
            self._end_overdue()
            while self._waiting and sum(c.job is not None for c in self._children.values()) < self._jobs:
                self._start(self._waiting.popleft())

    def _receive(self) -> bool:
        data = self._connection.recv(2**20)
        self._incoming += data
        *lines, rest = self._incoming.split(b"\n")
        self._incoming = bytearray(rest)
        self._waiting.extend(Job(json.loads(line)) for line in lines)
        return bool(data)

    def _start(self, job: Job) -> None:
        try:
            self._collect_tests(job)
            self._box.warm(job.order["warm"])
        except CourseError as error:
            self._answer(job, {"error": str(error)})
            return
        except CouldNotRun:
            self._restart_box()
        job.tries += 1
        job.ends = time.monotonic() + PATIENCE * (GRACE_SECONDS + sum(job.order["limits"].values()))
        child = self._child_for(job)
        child.job = job
        child.jobs += 1
        with contextlib.suppress(OSError):  # a child that is gone is noticed when its line is read
            child.line.sendall(json.dumps(job.order).encode() + b"\n")

    def _child_for(self, job: Job) -> Child:
        """An idle child that has the tests, or a new one in the place of one that has not."""
        for child in [c for c in self._children.values() if c.job is None]:
            if job.tests in child.tests and child.box is self._box and child.jobs < MAX_JOBS:
                return child
            self._dismiss(child)
        ours, theirs = socket.socketpair()
        place = min(set(range(self._jobs)) - {c.place for c in self._children.values()})
        pid = os.fork()
        if pid == 0:
            ours.close()  # or it would keep its own line open when the parent is gone
            stay_on_one_core(os.getppid() + place)
            self._be_child(theirs)
        theirs.close()
        known = frozenset(key for key, suite in self._suites.items() if isinstance(suite, Suite))
        child = Child(pid, ours, known, self._box, place)
        self._children[ours.fileno()] = child
        return child

    def _be_child(self, line: socket.socket) -> None:
        """Grades job after job until the parent hangs up."""
        try:
            self._connection.close()
            rlimits.bound_memory(MAX_MEMORY)
            for sibling in self._children.values():
                sibling.line.close()
            with line.makefile("rb") as orders:
                for order in orders:
                    job = Job(json.loads(order))
                    line.sendall(json.dumps(self._grade(job)).encode() + b"\n")
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)

    def _grade(self, job: Job) -> Mapping[str, Any]:
        suite = self._suites[job.tests]
        assert isinstance(suite, Suite)
        try:
            return run_job(job.order, suite, self._box)
        except CouldNotRun as error:
            return {"error": str(error)}

    def _collect(self, child: Child) -> None:
        """What a child says; a child that says nothing any more is gone."""
        try:
            data = child.line.recv(2**20)
        except OSError:
            data = b""
        child.said += data
        if data and not child.said.endswith(b"\n"):
            return
        job, child.job = child.job, None
        result = json.loads(child.said) if data else ENDED
        child.said.clear()
        if not data:
            self._dismiss(child)
        if job is None:
            return
        if "error" in result and job.tries < MAX_TRIES:
            self._restart_box()
            self._waiting.appendleft(job)
        else:
            self._answer(job, result)

    def _dismiss(self, child: Child) -> None:
        del self._children[child.line.fileno()]
        child.line.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child.pid, 0)

    def _end_overdue(self) -> None:
        for child in self._children.values():
            if child.job is not None and time.monotonic() > child.job.ends:
                child.job.tries = MAX_TRIES
                os.kill(child.pid, signal.SIGKILL)

    def _collect_tests(self, job: Job) -> None:
        """Collects the tests of a notebook, again when a file has changed; raises what is wrong with them."""
        if job.tests not in self._suites:
            files = {Path(path): visible for path, visible in job.order["files"].items()}
            try:
                self._suites[job.tests] = Suite(files, job.order["limits"])
                if any(b"autograd.grad" in path.read_bytes() for path in files):
                    warm([GRADIENTS])
            except CourseError as error:
                self._suites[job.tests] = error
            gc.collect()
            gc.freeze()
        suite = self._suites[job.tests]
        if isinstance(suite, CourseError):
            raise suite

    def _restart_box(self) -> None:
        """A dead box is replaced; children that still use it fail and their jobs are tried again."""
        if self._box.alive():
            return
        self._box.close()
        self._box = Box(level=self._level, shown=self._shown)
        self._box.wait()

    def _answer(self, job: Job, result: Mapping[str, Any]) -> None:
        line = json.dumps({"id": job.order["id"], **result}) + "\n"
        with contextlib.suppress(BrokenPipeError):
            self._connection.sendall(line.encode())

    def _stop(self) -> None:
        for child in self._children.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)
        self._box.close()


def warm_up() -> None:
    """Touches what torch imports late, so that no child pays for it."""
    warm([])
    settle()


def stay_on_one_core(number: int) -> None:
    """Takes one core, in turn, for this process and the learner's processes it starts.

    The two work in turns; on two cores each would be woken from idling for every call, which costs as much
    again as the call (a call of a small function: 120 us of CPU time on two cores, 60 on one).
    """
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[number % len(cores)]})


def main() -> None:
    """Entry point: `python -m autograder.worker FD JOBS LEVEL FOLDER...` (what learner code may read)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's business; it hangs up
    descriptor, jobs, level = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    Worker(socket.socket(fileno=descriptor), jobs, level, [Path(p) for p in sys.argv[4:]]).serve()


if __name__ == "__main__":
    main()
