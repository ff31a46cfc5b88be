"""What `autograder watch` knows: the notebooks being worked on, what of them has changed, and the results.

After each save only the exercises whose answer or whose shared code has changed are graded, each by itself,
by the warm grader that gives the official verdict. The newest code counts: what comes late is dropped.
It shows nothing and waits for nothing; results arrive through `tell`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from autograder.assignment import Assignment
from autograder.errors import CouldNotRun, CourseError
from autograder.grader import Grader
from autograder.identify import identify
from autograder.layout import Course
from autograder.notebooks import Released
from autograder.repair import Repaired, repair
from autograder.report import ExerciseResult, Report

__all__ = ["Finished", "Notebook", "Watching"]

AT_ONCE = 2  # gradings of one exercise; with more saves the next one waits


@dataclass(frozen=True, slots=True)
class Finished:
    """One grading that has come to its end; `number` tells which it was."""

    path: Path
    exercise: str
    number: int
    future: Future[Report]


@dataclass(slots=True)
class Notebook:
    """One notebook file: its results so far, and what is being graded."""

    path: Path
    assignment: Assignment
    results: dict[str, ExerciseResult] = field(default_factory=dict)
    stuck: dict[str, str] = field(default_factory=dict)  # exercises that could not run, and why
    code: dict[str, str] = field(default_factory=dict)  # of the answers, as last read
    running: Counter[str] = field(default_factory=Counter)
    graded: dict[str, str] = field(default_factory=dict)  # what each exercise rested on when last submitted
    latest: dict[str, int] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)

    @property
    def exercises(self) -> list[str]:
        """Names, in the order of the notebook."""
        return [exercise.name for exercise in self.assignment.released.exercises]

    def next_open(self, after: str) -> str:
        """The next exercise that is not passed, going round; `after` itself if all are."""
        names = self.exercises
        start = names.index(after) + 1 if after in names else 0
        for name in [*names[start:], *names[:start]]:
            if name not in self.results or self.results[name].outcome != "passed":
                return name
        return after


class Watching:
    """The notebooks of one session. `tell` is called with each Finished, from another thread."""

    def __init__(self, course: Course, grader: Grader, tell: Callable[[Finished], None]) -> None:
        self.notebooks: dict[Path, Notebook] = {}
        self._course, self._grader, self._tell = course, grader, tell
        self._numbers = 0

    def look(self, path: Path, raw: bytes, *, everything: bool = False) -> list[str]:
        """Starts grading what has changed in a notebook, and names it.

        Raises UnreadableNotebook for half a file, CourseError for a notebook of no course.
        """
        notebook = self.notebooks.get(path)
        if notebook is None:
            assignment = Assignment.load(self._course, *identify(path, raw, self._course))
            notebook = Notebook(path, assignment)
        repaired = repair(raw, notebook.assignment.released)
        self.notebooks[path] = notebook
        notebook.code = repaired.answers
        rests_on = _rests_on(repaired, notebook.assignment.released)
        changed = [n for n in notebook.exercises if everything or notebook.graded.get(n) != rests_on[n]]
        for name in changed:
            if notebook.running[name] >= AT_ONCE:
                notebook.waiting.add(name)
                continue
            notebook.graded[name] = rests_on[name]
            self._submit(notebook, name, raw)
        return changed

    def take(self, finished: Finished) -> Report | None:
        """Keeps a result and gives its report; None if newer code is already being graded."""
        notebook = self.notebooks[finished.path]
        notebook.running[finished.exercise] -= 1
        if finished.number != notebook.latest[finished.exercise]:
            return None
        notebook.stuck.pop(finished.exercise, None)
        try:
            report = finished.future.result()
        except (CouldNotRun, CourseError) as error:
            notebook.stuck[finished.exercise] = str(error)
            return None
        (notebook.results[finished.exercise],) = report.exercises
        return report

    def is_due(self, finished: Finished) -> bool:
        """Whether a save was too much at the time and must be looked at again."""
        waiting = self.notebooks[finished.path].waiting
        due = finished.exercise in waiting
        waiting.discard(finished.exercise)
        return due

    def _submit(self, notebook: Notebook, name: str, raw: bytes) -> None:
        self._numbers += 1
        notebook.latest[name] = self._numbers
        notebook.running[name] += 1
        future = self._grader.submit(raw, notebook.assignment, only=name)
        future.add_done_callback(partial(self._done, notebook.path, name, self._numbers))

    def _done(self, path: Path, name: str, number: int, future: Future[Report]) -> None:
        self._tell(Finished(path, name, number, future))


def _rests_on(repaired: Repaired, released: Released) -> dict[str, str]:
    """Of each exercise its answer cells and all code that is no answer: what else could change its result?"""
    shared = [cell.source for cell in repaired.cells if cell.exercise is None]
    return {
        exercise.name: json.dumps([_answers(repaired, exercise.name), shared])
        for exercise in released.exercises
    }


def _answers(repaired: Repaired, name: str) -> Iterable[str]:
    return [cell.source for cell in repaired.cells if cell.exercise == name]
