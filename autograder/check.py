"""`check("softmax")`: the visible tests of one exercise, run in the learner's own kernel; `check()`: of all.

Instant and friendly, not official: the code under test shares this process with the tests, which
`autograder grade` avoids. The same tests, the same words, the same report record. Nothing is written to
stderr; under nbgrader's Validate a failed check raises. Every check is noted in the journal of the work
folder, which opens the next hint when a failure shows something new.
"""

from __future__ import annotations

import contextlib
import inspect
import linecache
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import CodeType
from typing import overload

from autograder.alarm import alarm
from autograder.bank import Variant, load_bank
from autograder.errors import CourseError, TimeLimit
from autograder.fingerprints import BUDGET_SECONDS, looks_like, where_to_look
from autograder.hints import hints_of, open_hints
from autograder.journal import Journal
from autograder.layout import Course
from autograder.place import Place, exercises_tested_in, place_of, this_notebook
from autograder.progress import Progress
from autograder.render.card import Card, OpenHints
from autograder.render.words import exercise_state, headline, points
from autograder.report import VISIBLE_SHARE, ExerciseResult, Report, TestResult
from autograder.shrink import simplest
from autograder.submission import Submission, local
from autograder.suite import Planned, Suite
from autograder.testing import Simpler
from autograder.trace import Trace

__all__ = ["CheckFailed", "Score", "check", "run_check"]

NOTE = (
    "The other points are for hidden tests: the same promises on other inputs. `autograder grade` runs them."
)
SEED = 20_170_612  # the learner sees the same inputs at every check, so that a change in the result is theirs
LEAST_SECONDS = 1.0  # for one test, however slow those before it were
Tell = Callable[[str], None]


class CheckFailed(AssertionError):
    """Raised where nbgrader looks for an error in the check cell; says what the card says."""

    def _render_traceback_(self) -> list[str]:
        """What Validate shows: the sentence, not the way through our code."""
        return [str(self)]


class Score:
    """What `check()` found: `score` of `max_score` points so far, and the `report` behind them.

    As the value of a notebook's cell it shows the card, once.
    """

    def __init__(self, card: Card) -> None:
        self.report = card.report
        self.score, self.max_score = card.report.score, card.report.max_score
        self._card = card
        self._shown = _execution()

    def __repr__(self) -> str:
        return f"Score: {points(self.score)} of {points(self.max_score)} points so far"

    def _ipython_display_(self) -> None:
        """The cell that made it has shown the card already."""
        if self._shown is None or self._shown != _execution():
            sys.modules["IPython.display"].display(self._card)


@overload
def check(name: str) -> None: ...
@overload
def check() -> Score: ...
def check(name: str | None = None) -> Score | None:
    """Runs the visible tests of exercise `name` against what this notebook defines, and shows a card.

    Without a name: of every exercise of this notebook, and gives the score so far.

    Raises CourseError if no tests for `name` lie beside the notebook, or if nothing tells which notebook this
    is; CheckFailed under nbgrader's Validate.
    """
    namespace = sys._getframe(1).f_globals
    if name is not None:
        card = _check([place_of(name, namespace)], namespace)
        found = card.report.exercises[0]
        _raise_for_nbgrader([f"{name}: {found.message}"] if found.outcome != "passed" else [])
        return None
    path, released = this_notebook(namespace)
    places = [place_of(exercise.name, namespace) for exercise in released.exercises]
    card = _check([replace(place, notebook=path) for place in places], namespace)
    open_ones = [e for e in card.report.exercises if e.outcome != "passed"]
    _raise_for_nbgrader([headline(card.report)] if open_ones else [])
    return Score(card)


def run_check(name: str, namespace: dict[str, object], folder: Path) -> ExerciseResult:
    """The visible tests of one exercise against a namespace, in this process; shows and notes nothing."""
    return _run(place_of(name, namespace, folder), namespace, lambda _: None)


def _check(places: Sequence[Place], namespace: dict[str, object]) -> Card:
    """Runs, notes and shows the exercises of one notebook."""
    results = []
    with Progress() as progress:
        for number, place in enumerate(places, 1):
            lead = f"{place.exercise.name} ({number} of {len(places)} exercises): " if len(places) > 1 else ""
            results.append(_run(place, namespace, lambda text, lead=lead: progress.tell(lead + text)))  # type: ignore[misc]
        report = Report.of(
            places[0].section,
            places[0].name,
            exercises=results,
            sandbox="none: your own kernel",
            seed=SEED,
            verdict_id="",
        )
        journal = Journal.find(places[0].tests.parent, section=places[0].section)
        journal.note(_tried(report), how="check", code={e.name: _answer(namespace, e.name) for e in results})
        card = Card(report, note=NOTE, hints=_hints(places, report, journal))
        progress.show(card)
    return card


def _run(place: Place, namespace: dict[str, object], tell: Tell) -> ExerciseResult:
    """The visible tests of one exercise, one after another, within its time."""
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
        path = course.bank_file(place.tests.parent.name, place.tests.stem.removeprefix("test_"))
        return [v for v in _bank(path, path.stat().st_mtime_ns) if v.exercise == place.exercise.name]
    return []


def _tried(report: Report) -> Report:
    """Without the exercises that nobody has begun: to run their check is no attempt, and opens no hint."""
    begun = [exercise for exercise in report.exercises if exercise_state(exercise) != "to do"]
    return Report.of(
        report.assignment,
        report.notebook,
        exercises=begun,
        sandbox=report.sandbox,
        seed=report.seed,
        verdict_id="",
    )


def _hints(places: Sequence[Place], report: Report, journal: Journal) -> dict[str, OpenHints]:
    """The hints that are open, of each exercise that is not passed."""
    found: dict[str, OpenHints] = {}
    for place, result in zip(places, report.exercises, strict=True):
        if place.notebook is not None and result.outcome == "failed":
            hints = hints_of(place.notebook, result.name)
            attempts = journal.attempts(
                section=report.assignment, notebook=report.notebook, exercise=result.name
            )
            found[result.name] = OpenHints(open_hints(hints, attempts), len(hints))
    return found


def _answer(namespace: Mapping[str, object], name: str) -> str:
    """The cell that defined an answer; '' where that is not known."""
    value = namespace.get(name)
    code = getattr(value, "__code__", None)
    if inspect.isclass(value):
        methods = [member.__code__ for member in vars(value).values() if inspect.isfunction(member)]
        code = next(iter(methods), None)
    if isinstance(code, CodeType):
        return "".join(linecache.getlines(code.co_filename))
    return f"{name} = {value!r}" if isinstance(value, str) else ""


def _raise_for_nbgrader(said: Sequence[str]) -> None:
    if said and os.environ.get("NBGRADER_EXECUTION"):
        raise CheckFailed(said[0])


def _execution() -> int | None:
    """The number of the cell that runs, None outside IPython."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return None if shell is None else int(shell.execution_count)


@lru_cache(maxsize=32)
def _suite(path: Path, _changed: int) -> Suite:
    return Suite({path: True}, exercises_tested_in(path))


@lru_cache(maxsize=8)
def _bank(path: Path, _changed: int) -> tuple[Variant, ...]:
    return tuple(variant for variant in load_bank(path) if variant.kind == "wrong")
