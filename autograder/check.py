"""`check("softmax")`: the visible tests of one exercise, run in the learner's own kernel; `check()`: of all.

Instant and friendly, not official: the code under test shares this process with the tests, which
`autograder grade` avoids. The same tests, the same words, the same report record. Nothing is written to
stderr; under nbgrader's Validate a failed check raises. Every check is noted in the journal of the work
folder, which opens the next hint when a failure shows something new.
"""

from __future__ import annotations

import inspect
import linecache
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import CodeType
from typing import overload

from autograder.hints import hints_of, open_hints
from autograder.journal import Journal
from autograder.place import Place, place_of, this_notebook
from autograder.render.card import Card
from autograder.render.folds import OpenHints
from autograder.render.words import begun, headline, points
from autograder.report import ExerciseResult, Report
from autograder.statusline import StatusLine
from autograder.visible import SEED, run_visible

__all__ = ["CheckFailed", "Score", "check", "run_check"]

NOTE = (
    "The other points are for hidden tests: the same contract on other inputs. `autograder grade` runs them."
)


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
    return run_visible(place_of(name, namespace, folder), namespace, lambda _: None)


def _check(places: Sequence[Place], namespace: dict[str, object]) -> Card:
    """Runs, notes and shows the exercises of one notebook."""
    results = []
    with StatusLine() as line:
        for number, place in enumerate(places, 1):
            lead = f"{place.exercise.name} ({number} of {len(places)} exercises): " if len(places) > 1 else ""
            results.append(run_visible(place, namespace, lambda text, lead=lead: line.tell(lead + text)))  # type: ignore[misc]
        report = Report.of(
            places[0].section,
            places[0].name,
            exercises=results,
            sandbox="none: your own kernel",
            seed=SEED,
            verdict_id="",
        )
        journal = Journal.find(places[0].tests.parent, section=places[0].section)
        journal.note(begun(report), how="check", code={e.name: _answer(namespace, e.name) for e in results})
        card = Card(report, note=NOTE, hints=_hints(places, report, journal))
        line.show(card)
    return card


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
