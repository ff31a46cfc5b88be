"""The trusted warm process: imports torch and the tests once, then forks one child per submission.

    python -m autograder.worker FD JOBS LEVEL FOLDER...

It reads one JSON object per line from the socket FD (a job) and writes one per line (a result). The child
of a job runs the notebook's planned tests against a `Session`; the parent only hands out work and
collects results. A child that ends without a result could not run: never a zero, never a pass. Scores are
made elsewhere (`grader`).
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from autograder.errors import CouldNotRun, CourseError, Crashed, TimeLimit
from autograder.report import TestResult
from autograder.sandbox.jail.limits import Limits
from autograder.session import Box, Session
from autograder.suite import Planned, Suite

__all__ = ["main"]

MAX_TRIES = 2  # a job whose child died without a result is tried once more
GRACE_SECONDS = 90.0  # a child may take its exercises' limits and this much more


@dataclass(slots=True)
class Job:
    """One notebook to grade, as it came, and the child that works on it."""

    order: dict[str, Any]
    tries: int = 0
    child: int = 0
    ends: float = 0.0
    output: bytearray = field(default_factory=bytearray)


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
        self._running: dict[int, Job] = {}  # by the pipe their result comes through
        self._incoming = bytearray()

    def serve(self) -> None:
        """Works until the other side hangs up."""
        warm_up()
        self._box.wait()
        while True:
            sources = [self._connection.fileno(), *self._running]
            for ready in select.select(sources, [], [], 1.0)[0]:
                if ready in self._running:
                    self._collect(ready)
                elif not self._receive():
                    self._stop()
                    return
            self._end_overdue()
            while self._waiting and len(self._running) < self._jobs:
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
            suite = self._suite(job.order)
            self._box.warm(job.order["warm"])
        except CourseError as error:
            self._answer(job, {"error": str(error)})
            return
        except CouldNotRun:
            self._restart_box()
        job.tries += 1
        job.ends = time.monotonic() + GRACE_SECONDS + 3 * sum(job.order["limits"].values())
        reader, writer = os.pipe()
        job.child = os.fork()
        if job.child == 0:
            os.close(reader)
            self._be_child(job, suite, writer)
        os.close(writer)
        self._running[reader] = job

    def _be_child(self, job: Job, suite: Suite, writer: int) -> None:
        try:
            self._connection.close()
            try:
                result = run_job(job.order, suite, self._box)
            except CouldNotRun as error:
                result = {"error": str(error)}
            with os.fdopen(writer, "wb") as pipe:
                pipe.write(json.dumps(result).encode())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)

    def _collect(self, reader: int) -> None:
        data = os.read(reader, 2**20)
        job = self._running[reader]
        job.output += data
        if data:
            return
        os.close(reader)
        del self._running[reader]
        os.waitpid(job.child, 0)
        silence = {"error": "the process that runs the tests ended without a result"}
        result = json.loads(job.output) if job.output else silence
        if "error" in result and job.tries < MAX_TRIES:
            job.output.clear()
            self._restart_box()
            self._waiting.appendleft(job)
        else:
            self._answer(job, result)

    def _end_overdue(self) -> None:
        for job in self._running.values():
            if time.monotonic() > job.ends:
                job.tries = MAX_TRIES
                os.kill(job.child, signal.SIGKILL)

    def _suite(self, order: dict[str, Any]) -> Suite:
        """The collected tests of a notebook; collected again when a file has changed."""
        key = json.dumps([order["files"], order["tests_hash"]])
        if key not in self._suites:
            try:
                self._suites[key] = Suite({Path(p): v for p, v in order["files"].items()}, order["limits"])
            except CourseError as error:
                self._suites[key] = error
            gc.collect()
            gc.freeze()
        suite = self._suites[key]
        if isinstance(suite, CourseError):
            raise suite
        return suite

    def _restart_box(self) -> None:
        """A dead box is replaced; children that still use it fail and their jobs are tried again."""
        if self._box.alive():
            return
        self._box.close()
        self._box = Box(level=self._level, shown=self._shown)
        self._box.wait()

    def _answer(self, job: Job, result: dict[str, Any]) -> None:
        line = json.dumps({"id": job.order["id"], **result}) + "\n"
        with contextlib.suppress(BrokenPipeError):
            self._connection.sendall(line.encode())

    def _stop(self) -> None:
        for job in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(job.child, signal.SIGKILL)
        self._box.close()


def run_job(order: dict[str, Any], suite: Suite, box: Box) -> dict[str, Any]:
    """All planned tests of one submission, in order. Every planned test has a result."""
    folder = Path(order["folder"]) if order["folder"] else None
    allowed = sum(order["limits"].values())
    limits = Limits(cpu_s=GRACE_SECONDS + allowed, wall_s=GRACE_SECONDS + 3 * allowed)
    cells = [tuple(c) for c in order["cells"]]
    session = Session(box, cells, seed=order["seed"] % 2**63, folder=folder, limits=limits)
    budget = dict(order["limits"])
    results = []
    for planned in suite.planned:
        if planned.exercise not in order["only"]:
            continue
        if reason := order["refused"].get(planned.exercise):
            result = TestResult(planned.name, planned.visible, "failed", f"{planned.sentence}\n{reason}")
        else:
            result = _run_test(suite, planned, session, budget, order["seed"])
        results.append({"exercise": planned.exercise, **asdict(result)})
    session.close()
    return {"tests": results, "cells": session.errors, "printed": session.printed, "starts": session.starts}


def _run_test(
    suite: Suite, planned: Planned, session: Session, budget: dict[str, float], seed: int
) -> TestResult:
    """One test, within half of what is left of its exercise's time: a slow test leaves some to the others."""
    started = time.monotonic()
    left = budget[planned.exercise]
    deadline = started + min(left, max(left / 2, 1.0))
    try:
        if left < 0.05:
            raise TimeLimit("used up")
        result = suite.run(planned, session.submission(deadline), seed)
        if session.lost:
            raise session.lost
        return result
    except (TimeLimit, Crashed) as error:
        reason = (
            "The time limit of this exercise was used up before this test."
            if isinstance(error, TimeLimit)
            else ""
        )
        message = f"{planned.sentence}\n{reason or f'Your code ended the whole Python process ({error}).'}"
        return TestResult(planned.name, planned.visible, "failed", message)
    finally:
        budget[planned.exercise] = left - (time.monotonic() - started)


def warm_up() -> None:
    """Touches what torch imports late, so that no child pays for it."""
    torch.set_num_threads(1)
    x = torch.ones(2, 2, requires_grad=True)
    torch.autograd.grad((x @ x).softmax(-1).sum(), x)
    gc.collect()
    gc.freeze()


def main() -> None:
    """Entry point: `python -m autograder.worker FD JOBS LEVEL FOLDER...` (what learner code may read)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's business; it hangs up
    descriptor, jobs, level = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    Worker(socket.socket(fileno=descriptor), jobs, level, [Path(p) for p in sys.argv[4:]]).serve()


if __name__ == "__main__":
    main()
