"""From a submitted notebook to a report: `grade(notebook, assignment) -> Report`, without database or
nbgrader.

`Grader` keeps the warm processes of a batch and grades many notebooks at once. What is graded is fixed
before the submission is loaded: the planned tests, the points (from the released notebook), the seed.
Every planned test needs an explicit pass; what has no result could not run.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import itertools
import json
import os
import platform
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from autograder.errors import CouldNotRun, UnreadableNotebook
from autograder.forbid import violations
from autograder.layout import Course
from autograder.notebooks import Exercise, Released, load_released
from autograder.repair import CodeCell, Repaired, repair
from autograder.report import ExerciseResult, Report, TestResult
from autograder.sandbox.jail.detect import detect

__all__ = ["Assignment", "Grader", "Run", "grade"]

R = TypeVar("R")

PINNED = ("torch", "numpy", "pytest")
WARMABLE = (
    "torch.optim",
    "torch.nn",
    "matplotlib.pyplot",
    "numpy",
    "math",
    "re",
    "collections",
    "dataclasses",
)


@dataclass(frozen=True)
class Assignment:
    """One released notebook with its tests: all that decides a score but the submission."""

    course: Course
    released: Released

    @classmethod
    def load(cls, course: Course, section: str, notebook: str) -> Assignment:
        """Reads the released notebook; raises CourseError if there is none."""
        return cls(course, load_released(course.released(section, notebook), section))

    @cached_property
    def files(self) -> dict[str, bool]:
        """Test modules and whether they are visible."""
        r = self.released
        visible, hidden = (
            self.course.visible_tests(r.section, r.name),
            self.course.hidden_tests(r.section, r.name),
        )
        return {str(path): shown for path, shown in ((visible, True), (hidden, False)) if path.exists()}

    @cached_property
    def tests_hash(self) -> str:
        """Of the tests and the bank, byte for byte."""
        bank = Path(self.bank).read_bytes() if self.bank else b""
        return _digest(*(Path(path).read_bytes() for path in self.files), bank)

    @cached_property
    def bank(self) -> str:
        """The file of the known variants, or '' if there is none."""
        path = self.course.bank_file(self.released.section, self.released.name)
        return str(path) if path.exists() else ""

    @cached_property
    def warm(self) -> list[str]:
        """Modules the released cells import: touched once before any submission is loaded."""
        text = "\n".join(c.source for c in self.released.cells if c.role in ("given", "answer"))
        return [name for name in WARMABLE if name in text]

    @cached_property
    def folder(self) -> str:
        """What is shipped beside the notebook, for cells that read it."""
        return str(self.course.released(self.released.section, self.released.name).parent)


@dataclass(frozen=True, slots=True)
class Run:
    """The tests of one exercise, run once with one seed.

    `distances` are how far each test was from failing or from passing, in tolerances (see `trace`);
    `looks_like` is the message of the wrong variant it is like, or ''.
    """

    seed: int
    tests: tuple[TestResult, ...]
    distances: tuple[float | None, ...]
    looks_like: str
    seconds: float


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
            order = _Order.of(raw, assignment, seed, self.level, only)
        except UnreadableNotebook as error:
            unreadable: Future[Report] = Future()
            unreadable.set_result(_unreadable(raw, assignment, str(error), self.level))
            return unreadable
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
        job = _Order.of(raw, assignment, seeds[0], self.level, exercise).job()
        job |= {"seeds": list(seeds), "proof": True, "simpler": list(simpler), "until_failed": until_failed}
        job["bank"] = job["bank"] if named else ""
        if limit is not None:
            job["limits"] = dict.fromkeys(job["limits"], limit)
        return self._enqueue(job, lambda answer: _runs(exercise, seeds, answer))

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
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            self._process.kill()
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


@dataclass(frozen=True)
class _Order:
    """One submission made ready for the worker, and the way back from its answer to a report."""

    assignment: Assignment
    repaired: Repaired
    seed: int
    level: str
    exercises: tuple[Exercise, ...]

    @classmethod
    def of(cls, raw: bytes, assignment: Assignment, seed: int | None, level: str, only: str | None) -> _Order:
        repaired = repair(raw, assignment.released)
        code = json.dumps([c.source for c in repaired.cells])
        if seed is None:  # other inputs for other code, the same for the same code
            seed = int(_digest(code.encode(), assignment.tests_hash.encode())[:12], 16)
        exercises = tuple(e for e in assignment.released.exercises if only in (None, e.name))
        return cls(assignment, repaired, seed, level, exercises)

    def job(self) -> dict[str, Any]:
        return {
            "files": self.assignment.files,
            "tests_hash": self.assignment.tests_hash,
            "bank": self.assignment.bank,
            "warm": self.assignment.warm,
            "folder": self.assignment.folder,
            "cells": [(c.label, c.source) for c in self.repaired.cells],
            "limits": {e.name: e.limit for e in self.assignment.released.exercises},
            "only": [e.name for e in self.exercises],
            "refused": {
                e.name: why
                for e in self.exercises
                if (why := _refusal(e, self.repaired.cells, self.assignment.released))
            },
            "seeds": [self.seed],
            "proof": False,
            "simpler": [],
            "until_failed": False,
        }

    def report(self, answer: dict[str, Any]) -> Report:
        if "error" in answer:
            raise CouldNotRun(answer["error"])
        notes = [*self.repaired.notes, *(f"{label} stopped: {why}" for label, why in answer["cells"].items())]
        return Report.of(
            self.assignment.released.section,
            self.assignment.released.name,
            exercises=[self._result(e, answer) for e in self.exercises],
            sandbox=self.level,
            seed=self.seed,
            verdict_id=_verdict_id(self.assignment, self.repaired.cells, self.seed, self.level),
            notes=notes,
        )

    def _result(self, exercise: Exercise, answer: dict[str, Any]) -> ExerciseResult:
        (run,) = answer["runs"]
        tests = [
            TestResult(t["name"], t["visible"], t["outcome"], t["message"])
            for t in run["tests"]
            if t["exercise"] == exercise.name
        ]
        looks_like = run["looks_like"].get(exercise.name, "")
        return ExerciseResult.of(
            exercise.name,
            tests,
            points=exercise.points,
            bonus=exercise.bonus,
            observed=self._why_undefined(exercise, answer["cells"]),
            looks_like=looks_like,
            where="" if looks_like else run["where"].get(exercise.name, ""),  # the look has its own place
        )

    def _why_undefined(self, exercise: Exercise, stopped: dict[str, str]) -> str:
        """If the answer cell itself stopped, that is the news, not the tests."""
        for cell in self.repaired.cells:
            if cell.exercise == exercise.name and cell.label in stopped:
                return f"The answer cell stopped before `{exercise.name}` was defined: {stopped[cell.label]}"
        return ""


def _runs(exercise: str, seeds: Sequence[int], answer: dict[str, Any]) -> list[Run]:
    if "error" in answer:
        raise CouldNotRun(answer["error"])
    found = []
    for seed, run in zip(seeds, answer["runs"], strict=False):
        tests = [TestResult(t["name"], t["visible"], t["outcome"], t["message"]) for t in run["tests"]]
        distances = tuple(t["distance"] for t in run["tests"])
        looks_like = run["looks_like"].get(exercise, "")
        found.append(Run(seed, tuple(tests), distances, looks_like, run["seconds"]))
    return found


def _refusal(exercise: Exercise, cells: Sequence[CodeCell], released: Released) -> str:
    """Why the exercise's code is not accepted, or ''.

    Looks at its answer cell and at the cells the learner added or changed; not at answers to other exercises,
    which may be free to use what this one must not.
    """
    if not exercise.forbid:
        return ""
    given = {cell.source for cell in released.cells}
    own = [
        cell.source
        for cell in cells
        if cell.exercise == exercise.name or (cell.role != "answer" and cell.source not in given)
    ]
    context = [cell.source for cell in cells]
    found = [f for source in own for f in violations(source, exercise.forbid, context=context)]
    return f"This exercise is to be solved without {', '.join(found)}." if found else ""


def _unreadable(raw: bytes, assignment: Assignment, why: str, level: str) -> Report:
    """A notebook nobody can read earns nothing, and says why; it is the submission's fault, not ours."""
    results = []
    for e in assignment.released.exercises:
        test = TestResult("test_notebook_can_be_read", True, "failed", f"The notebook can be read.\n{why}")
        results.append(ExerciseResult.of(e.name, [test], points=e.points, bonus=e.bonus, observed=why))
    released = assignment.released
    verdict = _digest(raw, assignment.tests_hash.encode())[:12]
    return Report.of(
        released.section,
        released.name,
        exercises=results,
        sandbox=level,
        seed=0,
        verdict_id=verdict,
        notes=[why],
    )


def _verdict_id(assignment: Assignment, cells: Sequence[CodeCell], seed: int, level: str) -> str:
    """Same id, same score, on any machine: the code, the tests, the environment, the seed and the level."""
    versions = [platform.python_version(), *(importlib.metadata.version(name) for name in PINNED)]
    parts = [[c.source for c in cells], assignment.tests_hash, versions, seed, level]
    return _digest(json.dumps(parts).encode())[:12]


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()
