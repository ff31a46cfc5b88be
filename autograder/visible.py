"""The visible tests of one exercise, run in this very process against the learner's own names.

Decides which test runs when and for how long, and what a failure looks like; shows and notes nothing (`check`
does).
"""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from autograder.alarm import alarm
from autograder.bank import Variant, load_bank
from autograder.errors import CourseError, TimeLimit
from autograder.fingerprints import BUDGET_SECONDS, looks_like, where_to_look
from autograder.layout import Course
from autograder.place import Place, exercises_tested_in
from autograder.report import VISIBLE_SHARE, ExerciseResult, TestResult
from autograder.shrink import simplest
from autograder.submission import Submission, local
from autograder.suite import Planned, Suite
from autograder.testing import Simpler
from autograder.trace import Trace

__all__ = ["SEED", "run_visible"]

SEED = 20_170_612  # the learner sees the same inputs at every check, so that a change in the result is theirs
LEAST_SECONDS = 1.0  # for one test, however slow those before it were
Tell = Callable[[str], None]


def run_visible(place: Place, namespace: dict[str, object], tell: Tell) -> ExerciseResult:
    """One test after another, within the time of the exercise; `tell` hears what is going on, in words."""
    name, exercise = place.exercise.name, place.exercise
    suite = _suite(place.tests, place.tests.stat().st_mtime_ns)
    submission = Submission(local(namespace, let_through=(KeyboardInterrupt, TimeLimit)))
    planned_ones = [planned for planned in suite.planned if planned.exercise == name]
    ends = time.monotonic() + exercise.limit
    results: list[TestResult] = []
    traces: dict[Planned, Trace] = {}
    for planned in planned_ones:
        tell(_progress_text(planned, planned_ones, len(results)))
        if (left := ends - time.monotonic()) <= 0:
            text = "The time limit of this exercise was used up before this test."
            results.append(TestResult(planned.name, True, "failed", f"{planned.sentence}\n{text}"))
            continue
        with alarm(min(left, max(left / 2, LEAST_SECONDS))):
            result, traces[planned] = suite.trace(planned, submission, SEED)
        first = result.outcome == "failed" and all(r.outcome == "passed" for r in results)
        if first:
            result = _simplest(suite, planned, submission, (result, traces[planned]), namespace.get(name))
        results.append(result)
    looks = ""
    if any(result.outcome == "failed" for result in results):
        looks = looks_like(suite, _wrong_variants(place), traces, seed=SEED, budget=BUDGET_SECONDS)
    whole = ExerciseResult.of(
        name,
        results,
        points=exercise.points,
        bonus=exercise.bonus,
        looks_like=looks,
        where="" if looks else where_to_look(traces),
    )
    return replace(whole, score=round(whole.score * VISIBLE_SHARE, 6))


def _progress_text(running: Planned, all_of_them: Sequence[Planned], tried: int) -> str:
    """`3 of 7 promises tried ... running: <sentence>`; the runs of a parametrized test are one promise."""
    names = [planned.name.partition("[")[0] for planned in all_of_them]
    done = len(set(names[:tried]) - set(names[tried:]))
    return f"{done} of {len(set(names))} promises tried ... running: {running.sentence}"


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


def _wrong_variants(place: Place) -> list[Variant]:
    """Of the bank, where the whole course is at hand; without it there are no fingerprints."""
    with contextlib.suppress(CourseError, OSError):
        course = Course.find(place.tests.parent)
        path = course.bank_file(place.section, place.name)
        return [v for v in _bank(path, path.stat().st_mtime_ns) if v.exercise == place.exercise.name]
    return []


@lru_cache(maxsize=32)
def _suite(path: Path, _changed: int) -> Suite:
    return Suite({path: True}, exercises_tested_in(path))


@lru_cache(maxsize=8)
def _bank(path: Path, _changed: int) -> tuple[Variant, ...]:
    return tuple(variant for variant in load_bank(path) if variant.kind == "wrong")
