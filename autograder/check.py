"""`check("softmax")`: the visible tests of one exercise, run in the learner's own kernel.

Instant and friendly, not official: the code under test shares this process with the tests, which
`autograder grade` avoids. The same tests, the same words, the same report record. Nothing is written to
stderr; under nbgrader's Validate a failed check raises.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import time
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from autograder.alarm import alarm
from autograder.bank import Variant, load_bank
from autograder.errors import CourseError, TimeLimit
from autograder.fingerprints import BUDGET_SECONDS, looks_like, where_to_look
from autograder.layout import Course
from autograder.notebooks import Exercise, load_released
from autograder.render.card import Card
from autograder.report import VISIBLE_SHARE, ExerciseResult, Report, TestResult
from autograder.shrink import simplest
from autograder.submission import Submission, local
from autograder.suite import Planned, Suite
from autograder.testing import Simpler
from autograder.trace import Trace

__all__ = ["CheckFailed", "check", "run_check"]

NOTE = (
    "The other points are for hidden tests: the same promises on other inputs. `autograder grade` runs them."
)

SEED = 20_170_612  # the learner sees the same inputs at every check, so that a change in the result is theirs


class CheckFailed(AssertionError):
    """Raised where nbgrader looks for an error in the check cell; says what the card says."""

    def _render_traceback_(self) -> list[str]:
        """What Validate shows: the sentence, not the way through our code."""
        return [str(self)]


def check(name: str) -> None:
    """Runs the visible tests of exercise `name` against what this notebook defines, and shows a card.

    Raises CourseError if no tests for `name` lie beside the notebook, CheckFailed under nbgrader's Validate.
    """
    caller = sys._getframe(1)
    folder = _folder(name)
    result = run_check(name, caller.f_globals, folder)
    _show(Card(_report(result, folder), note=NOTE))
    if os.environ.get("NBGRADER_EXECUTION") and result.outcome != "passed":
        raise CheckFailed(f"{name}: {result.message}")


def run_check(name: str, namespace: dict[str, object], folder: Path) -> ExerciseResult:
    """The visible tests of one exercise against a namespace, in this process."""
    path = _test_file(name, folder)
    suite = _suite(path, path.stat().st_mtime_ns, frozenset(_exercises_of(path)))
    exercise = _facts(name, folder)
    submission = Submission(local(namespace, let_through=(KeyboardInterrupt, TimeLimit)))
    ends = time.monotonic() + exercise.limit
    results: list[TestResult] = []
    traces: dict[Planned, Trace] = {}
    for planned in suite.planned:
        if planned.exercise != name:
            continue
        if (left := ends - time.monotonic()) <= 0:
            text = "The time limit of this exercise was used up before this test."
            results.append(TestResult(planned.name, True, "failed", f"{planned.sentence}\n{text}"))
            continue
        with alarm(left):
            result, traces[planned] = suite.trace(planned, submission, SEED)
        first = result.outcome == "failed" and all(r.outcome == "passed" for r in results)
        if first:
            result = _simplest(suite, planned, submission, (result, traces[planned]), namespace.get(name))
        results.append(result)
    looks = ""
    if any(result.outcome == "failed" for result in results):
        looks = looks_like(suite, _wrong_variants(name, folder), traces, seed=SEED, budget=BUDGET_SECONDS)
    whole = ExerciseResult.of(
        name,
        results,
        points=exercise.points,
        bonus=exercise.bonus,
        looks_like=looks,
        where="" if looks else where_to_look(traces),
    )
    return replace(whole, score=round(whole.score * VISIBLE_SHARE, 6))


def _simplest(
    suite: Suite, planned: Planned, submission: Submission, found: tuple[TestResult, Trace], answer: object
) -> TestResult:
    """With the input it fails on, and a simpler one if there is one."""
    if not planned.shrinks:
        return found[0]

    def again(simpler: Simpler) -> tuple[TestResult, Trace]:
        with alarm(1.0):
            return suite.trace(planned, submission, SEED, simpler=simpler)

    code = answer.__code__ if inspect.isfunction(answer) else None
    return simplest(found, again, names=code.co_varnames[: code.co_argcount] if code else ())


def _wrong_variants(name: str, folder: Path) -> list[Variant]:
    """Of the bank, where the whole course is at hand; without it there are no fingerprints."""
    with contextlib.suppress(CourseError):
        course = Course.find(folder)
        path = course.bank_file(folder.name, _test_file(name, folder).stem.removeprefix("test_"))
        return [v for v in load_bank(path) if v.exercise == name and v.kind == "wrong"]
    return []


def _report(result: ExerciseResult, folder: Path) -> Report:
    """The record of one checked exercise, for the card; it has no verdict of its own."""
    return Report.of(
        folder.name, "", exercises=[result], sandbox="none: your own kernel", seed=SEED, verdict_id=""
    )


def _folder(name: str) -> Path:
    """Where the tests of `name` lie: the working folder, else its section in the course around it."""
    here = Path.cwd()
    with contextlib.suppress(CourseError):
        if not _tests_for(name, here):
            course = Course.find(here)
            for section in course.sections():
                if _tests_for(name, course.release / section):
                    return course.release / section
    return here


def _tests_for(name: str, folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("test_*.py")) if name in _exercises_of(path)]


def _exercises_of(path: Path) -> list[str]:
    """Names in `@exercise("...")` of a test module, read without running it."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    marks = [line for line in lines if line.startswith("@exercise(")]
    return [mark.removeprefix("@exercise(").rstrip(")").strip("\"'") for mark in marks]


def _test_file(name: str, folder: Path) -> Path:
    found = _tests_for(name, folder)
    if found:
        return found[0]
    names = sorted({n for path in folder.glob("test_*.py") for n in _exercises_of(path)})
    known = f"the exercises here are {', '.join(names)}" if names else "there are no tests in this folder"
    raise CourseError(f"no tests for an exercise `{name}`: {known}; is the name spelled right?", path=folder)


@lru_cache(maxsize=32)
def _suite(path: Path, _changed: int, exercises: frozenset[str]) -> Suite:
    return Suite({path: True}, exercises)


def _facts(name: str, folder: Path) -> Exercise:
    """Points and time limit, from the notebook that has the exercise; one point if no notebook tells."""
    for path in sorted(folder.glob("*.ipynb")):
        with contextlib.suppress(CourseError):
            for exercise in load_released(path, folder.name).exercises:
                if exercise.name == name:
                    return exercise
    return Exercise(name, 1.0)


def _show(card: Card) -> None:
    """In a notebook the card, elsewhere its text."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        print(card)
    else:
        sys.modules["IPython.display"].display(card)
