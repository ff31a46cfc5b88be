"""One submission made ready for the worker, and the way back from the worker's answer to a report.

Everything that decides the score is in the order before the submission runs: the planned tests are those of
the assignment, the points those of the released notebook, the seed follows from code and tests.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from autograder.assignment import Assignment, digest
from autograder.errors import CouldNotRun
from autograder.forbid import violations
from autograder.notebooks import Exercise, Released
from autograder.repair import CodeCell, Repaired, repair
from autograder.report import ExerciseResult, Report, TestResult

__all__ = ["Order", "Run", "runs_of", "unreadable"]

PINNED = ("torch", "numpy", "pytest")


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


@dataclass(frozen=True)
class Order:
    """One submission made ready for the worker, and the way back from its answer to a report."""

    assignment: Assignment
    repaired: Repaired
    seed: int
    level: str
    exercises: tuple[Exercise, ...]

    @classmethod
    def of(cls, raw: bytes, assignment: Assignment, seed: int | None, level: str, only: str | None) -> Order:
        repaired = repair(raw, assignment.released)
        code = json.dumps([c.source for c in repaired.cells])
        if seed is None:  # other inputs for other code, the same for the same code
            seed = int(digest(code.encode(), assignment.tests_hash.encode())[:12], 16)
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
        stopped = (f"{label} stopped: {_once(why)}" for label, why in answer["cells"].items())
        notes = [*self.repaired.notes, *stopped]
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
                why = _once(stopped[cell.label])
                return f"The answer cell stopped before `{exercise.name}` was defined: {why}"
        return ""


def _once(why: str) -> str:
    """Why a cell stopped, without the place that Python writes into a syntax error: ours follows."""
    return re.sub(r" \(<[^<>]*>, line \d+\)(?= \()", "", why)


def runs_of(exercise: str, seeds: Sequence[int], answer: dict[str, Any]) -> list[Run]:
    """The runs of one exercise that a worker answered with."""
    if "error" in answer:
        raise CouldNotRun(answer["error"])
    found = []
    for seed, run in zip(seeds, answer["runs"], strict=False):
        tests = [TestResult(t["name"], t["visible"], t["outcome"], t["message"]) for t in run["tests"]]
        distances = tuple(t["distance"] for t in run["tests"])
        looks_like = run["looks_like"].get(exercise, "")
        found.append(Run(seed, tuple(tests), distances, looks_like, run["seconds"]))
    return found


def unreadable(raw: bytes, assignment: Assignment, why: str, level: str) -> Report:
    """A notebook nobody can read earns nothing, and says why; it is the submission's fault, not ours."""
    results = []
    for e in assignment.released.exercises:
        test = TestResult("test_notebook_can_be_read", True, "failed", f"The notebook can be read.\n{why}")
        results.append(ExerciseResult.of(e.name, [test], points=e.points, bonus=e.bonus, observed=why))
    released = assignment.released
    verdict = digest(raw, assignment.tests_hash.encode())[:12]
    return Report.of(
        released.section,
        released.name,
        exercises=results,
        sandbox=level,
        seed=0,
        verdict_id=verdict,
        notes=[why],
    )


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


def _verdict_id(assignment: Assignment, cells: Sequence[CodeCell], seed: int, level: str) -> str:
    """Same id, same score, on any machine: the code, the tests, the environment, the seed and the level."""
    parts = [[c.source for c in cells], assignment.tests_hash, _versions(), seed, level]
    return digest(json.dumps(parts).encode())[:12]


@lru_cache(maxsize=1)
def _versions() -> list[str]:
    """Of Python and the libraries a result may depend on; to look them up takes milliseconds."""
    return [platform.python_version(), *(importlib.metadata.version(name) for name in PINNED)]
