"""Where a learner stands: the roadmap and the journal put together. Pure; nothing is kept, all is derived.

The official verdict (`grade`) beats the check in the learner's kernel; of each kind the latest counts. A
check that passes after a verdict that did not asks for a new one. An attempt at an answer that is still the
stub, and one that could not run, is no attempt. What is not written yet is nobody's failing: it counts
nothing and stands in nobody's way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from autograder.journal import Attempt, Journal, code_hash
from autograder.notebooks import Exercise
from autograder.roadmap import Notebook, Roadmap, Section

__all__ = [
    "ExerciseStanding",
    "NotebookStanding",
    "SectionStanding",
    "Standing",
    "State",
    "Suggestion",
    "standing_of",
]

# `checked`: the visible tests pass and the hidden ones were not run. `coming`: not yet written.
State = Literal["done", "checked", "started", "not begun", "coming"]


@dataclass(frozen=True, slots=True)
class ExerciseStanding:
    """One exercise. `score` is the official one where there is one; `last` is when it was last tried."""

    name: str
    state: State
    score: float
    max_score: float
    bonus: bool
    last: str = ""


@dataclass(frozen=True, slots=True)
class NotebookStanding:
    """One notebook; done when every exercise that is no bonus is."""

    notebook: Notebook
    exercises: tuple[ExerciseStanding, ...]

    @property
    def core(self) -> tuple[ExerciseStanding, ...]:
        return tuple(e for e in self.exercises if not e.bonus)

    @property
    def state(self) -> State:
        if self.notebook.exercises is None:
            return "coming"
        return _together([e.state for e in self.core], any_of=[e.state for e in self.exercises])

    @property
    def passed(self) -> int:
        """How many exercises that are no bonus are passed, in the verdict or in the check."""
        return sum(e.state in ("done", "checked") for e in self.core)

    @property
    def score(self) -> float:
        return round(math.fsum(e.score for e in self.exercises), 6)

    @property
    def max_score(self) -> float:
        return round(math.fsum(e.max_score for e in self.core), 6)

    @property
    def last(self) -> str:
        return max((e.last for e in self.exercises), default="")

    @property
    def path(self) -> str:
        """Where it lies in the work folder."""
        return f"{self.notebook.section}/{self.notebook.name}.ipynb"


@dataclass(frozen=True, slots=True)
class SectionStanding:
    """One assignment; done when all its notebooks are that are written."""

    section: Section
    notebooks: tuple[NotebookStanding, ...]
    unlocks: tuple[Section, ...]
    is_ready: bool  # all that it needs, as far as it is written, is done

    @property
    def written(self) -> tuple[NotebookStanding, ...]:
        return tuple(n for n in self.notebooks if n.state != "coming")

    @property
    def state(self) -> State:
        states = [n.state for n in self.written]
        return _together(states, any_of=states) if states else "coming"

    @property
    def score(self) -> float:
        return round(math.fsum(n.score for n in self.notebooks), 6)

    @property
    def max_score(self) -> float:
        return round(math.fsum(n.max_score for n in self.notebooks), 6)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What to do next and why. `exercise` is "" for a whole notebook."""

    section: str
    notebook: str
    exercise: str
    action: Literal["begin", "go on", "grade"]
    reason: str


@dataclass(frozen=True)
class Standing:
    """The whole map."""

    roadmap: Roadmap
    sections: tuple[SectionStanding, ...]

    @property
    def notebooks(self) -> tuple[NotebookStanding, ...]:
        return tuple(notebook for section in self.sections for notebook in section.notebooks)

    @property
    def score(self) -> float:
        return round(math.fsum(s.score for s in self.sections), 6)

    @property
    def max_score(self) -> float:
        return round(math.fsum(s.max_score for s in self.sections), 6)

    @cached_property
    def next(self) -> Suggestion | None:
        """One suggestion; None when all that is written is done."""
        tried = [n for n in self.notebooks if n.last and n.state in ("started", "checked")]
        if tried:
            return _go_on(max(tried, key=lambda n: n.last))
        return next(self._beginnings(), None)

    def _beginnings(self) -> Iterator[Suggestion]:
        """The first notebook not begun of the first assignment that is ready."""
        began = any(n.state == "done" for n in self.notebooks)
        for section in sorted(self.sections, key=lambda s: not s.is_ready):
            for notebook in section.notebooks:
                if notebook.state == "not begun":
                    reason = "it is the first notebook of the roadmap that is written"
                    if section.state == "started":
                        reason = f"it is the next one of {section.section.title}"
                    elif began:
                        reason = "all that it needs, as far as it is written, is done"
                    yield Suggestion(section.section.name, notebook.notebook.name, "", "begin", reason)


def standing_of(roadmap: Roadmap, journal: Journal) -> Standing:
    """What the journal says of every exercise of the roadmap."""
    tried: dict[tuple[str, str], list[Attempt]] = {}
    for attempt in journal.attempts():
        if attempt.outcome != "could_not_run":
            tried.setdefault((attempt.section, attempt.exercise), []).append(
                attempt
            )  # names: once in a section
    sections: dict[str, SectionStanding] = {}
    for section in roadmap.sections:
        notebooks = tuple(_notebook(notebook, tried) for notebook in section.notebooks)
        ready = all(_out_of_the_way(sections[need]) for need in section.needs)
        sections[section.name] = SectionStanding(section, notebooks, roadmap.unlocks(section.name), ready)
    return Standing(roadmap, tuple(sections.values()))


def _out_of_the_way(section: SectionStanding) -> bool:
    """Done, or not written and nothing before it in the way either."""
    return section.state == "done" or (section.state == "coming" and section.is_ready)


def _notebook(notebook: Notebook, tried: Mapping[tuple[str, str], Sequence[Attempt]]) -> NotebookStanding:
    exercises = []
    for exercise in notebook.exercises or ():
        stub = code_hash(notebook.stubs.get(exercise.name, ""))
        attempts = [
            a for a in tried.get((notebook.section, exercise.name), ()) if not a.code or a.code != stub
        ]
        exercises.append(_exercise(exercise, attempts))
    return NotebookStanding(notebook, tuple(exercises))


def _exercise(exercise: Exercise, attempts: Sequence[Attempt]) -> ExerciseStanding:
    if not attempts:
        return ExerciseStanding(exercise.name, "not begun", 0.0, exercise.points, exercise.bonus)
    latest = attempts[-1]
    decides = next((a for a in reversed(attempts) if a.how == "grade"), latest)
    state: State = "done" if decides.how == "grade" else "checked"
    if decides.outcome != "passed":
        mended = latest.how == "check" and latest.outcome == "passed"  # since the verdict
        state = "checked" if mended else "started"
    score = decides.score if math.isfinite(decides.score) else 0.0
    score = min(max(score, 0.0), exercise.points)
    return ExerciseStanding(exercise.name, state, score, exercise.points, exercise.bonus, latest.when)


def _together(states: Iterable[State], *, any_of: Iterable[State]) -> State:
    """The state of a whole: of those parts that must be done, and of any part that was begun."""
    kinds = set(states)
    if kinds <= {"done"} and kinds:
        return "done"
    if kinds <= {"done", "checked"} and kinds:
        return "checked"
    return "started" if set(any_of) - {"not begun", "coming"} else "not begun"


def _go_on(notebook: NotebookStanding) -> Suggestion:
    section, name = notebook.notebook.section, notebook.notebook.name
    core = notebook.core
    if notebook.state == "checked":
        reason = "every check in it passes; the hidden tests are still to come"
        return Suggestion(section, name, "", "grade", reason)
    open_ones = [e for e in core if e.state in ("started", "not begun")]
    latest = max(open_ones, key=lambda e: e.last)  # the one tried last; when none was, the first
    reason = f"you have begun this notebook: {notebook.passed} of {len(core)} exercises are passed"
    return Suggestion(section, name, latest.name, "go on", reason)
