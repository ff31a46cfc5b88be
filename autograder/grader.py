"""From a submitted notebook to a report: `grade(notebook, assignment) -> Report`, without database or
nbgrader.

`Grader` keeps the warm processes of a batch and grades many notebooks at once. What is graded is fixed
before the submission is loaded: the planned tests, the points (from the released notebook), the seed.
Every planned test needs an explicit pass; what has no result could not run.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from autograder.assignment import Assignment
from autograder.errors import CouldNotRun, UnreadableNotebook
from autograder.order import Order, Run, runs_of, unreadable
from autograder.report import Report
from autograder.sandbox.jail.detect import detect

__all__ = ["Grader", "grade"]

R = TypeVar("R")
CLOSING_SECONDS = 2.0  # for the processes to end by themselves


def grade(notebook: Path, assignment: Assignment, *, seed: int | None = None) -> Report:
    """Grades one notebook file in warm processes of its own."""
    with Grader(jobs=1) as grader:
        return grader.submit(notebook.read_bytes(), assignment, seed=seed).result()


class Grader:
    """The warm processes of a batch. Use as a context manager; processes start with the first submission."""

    def __init__(self, *, jobs: int | None = None, level: str | None = None) -> None:
        self.level = level or detect().name
        self._jobs = jobs or len(os.sched_getaffinity(0))
        self._shown: Path | None = None  # the released files of the one course it grades
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._waiting: dict[int, tuple[Future[Any], Callable[[dict[str, Any]], Any]]] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(
        self, raw: bytes, assignment: Assignment, *, seed: int | None = None, only: str | None = None
    ) -> Future[Report]:
        """Starts grading one notebook; what is wrong with the submission becomes part of its report.

        `seed` repeats a recorded run. `only` names one exercise: the report has no other (for authors'
        proofs).
        """
        self._open(assignment.course.release)
        try:
            order = Order.of(raw, assignment, seed, self.level, only)
        except UnreadableNotebook as error:
            told: Future[Report] = Future()
            told.set_result(unreadable(raw, assignment, str(error), self.level))
            return told
        return self._enqueue(order.job(), order.report)

    def prove(
        self,
        raw: bytes,
        assignment: Assignment,
        exercise: str,
        *,
        seeds: Sequence[int],
        simpler: Sequence[int] = (),
        named: bool = False,
        until_failed: bool = False,
        limit: float | None = None,
    ) -> Future[list[Run]]:
        """Starts running the tests of one exercise, once for each seed: for authors' proofs.

        With the seeds in `simpler` visible tests run on simpler inputs as well. `named` asks what the answer
        looks like. `until_failed` ends everything at the first failed test, `limit` takes the place of the
        exercise's own.
        """
        self._open(assignment.course.release)
        job = Order.of(raw, assignment, seeds[0], self.level, exercise).job()
        job |= {"seeds": list(seeds), "proof": True, "simpler": list(simpler), "until_failed": until_failed}
        job["bank"] = job["bank"] if named else ""
        if limit is not None:
            job["limits"] = dict.fromkeys(job["limits"], limit)
        return self._enqueue(job, lambda answer: runs_of(exercise, seeds, answer))

    def _open(self, release: Path) -> None:
        """The released files are all of the disk that learner code may read."""
        if self._shown not in (None, release):
            raise ValueError(f"a Grader grades one course: expected {self._shown}, got {release}")
        self._shown = release

    def _enqueue(self, job: dict[str, Any], read: Callable[[dict[str, Any]], R]) -> Future[R]:
        future: Future[R] = Future()
        with self._lock:
            number = next(self._numbers)
            self._waiting[number] = (future, read)
            self._send({"id": number, **job})
        return future

    def close(self) -> None:
        """Ends all processes; what has not been graded could not run."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None
        if self._process is not None:
            for harder in (self._process.terminate, self._process.kill):
                try:
                    self._process.wait(CLOSING_SECONDS)
                except subprocess.TimeoutExpired:  # still importing, it does not hear that we have hung up
                    harder()
            self._process.wait()
            self._process = None

    def _send(self, job: dict[str, Any]) -> None:
        if self._socket is None:
            self._start()
        assert self._socket is not None
        try:
            self._socket.sendall(json.dumps(job).encode() + b"\n")
        except OSError:
            self._fail_all("the grading process is gone")

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        command = [
            sys.executable,
            "-m",
            "autograder.worker",
            str(theirs.fileno()),
            str(self._jobs),
            self.level,
            str(self._shown),
        ]
        threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
        self._process = subprocess.Popen(
            command,
            pass_fds=[theirs.fileno()],
            env={**os.environ, **threads, "CUDA_VISIBLE_DEVICES": ""},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        self._socket = ours
        threading.Thread(target=self._read, args=(ours,), name="autograder-results", daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection.makefile("rb") as lines:
            for line in lines:
                answer = json.loads(line)
                future, read = self._waiting.pop(answer["id"])
                try:
                    future.set_result(read(answer))
                except Exception as error:
                    future.set_exception(error)
        self._fail_all("the grading process ended")

    def _fail_all(self, reason: str) -> None:
        for number in list(self._waiting):
            with contextlib.suppress(KeyError):
                future, _ = self._waiting.pop(number)
                future.set_exception(CouldNotRun(f"{reason}; run the same command again"))
