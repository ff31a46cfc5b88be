"""The vocabulary of all renderers: result in a word and a symbol, points as a number, tests as promises.

A promise is one test function: the runs of a parametrized test stand together, so that its inputs (which are
in its name) show nowhere. Words always come with the symbol: colour or shape alone never carry the meaning.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from autograder.render.clean import one_line
from autograder.report import LOOKS_LIKE, WHERE, ExerciseResult, Report, TestResult

__all__ = [
    "SYMBOLS",
    "Promise",
    "State",
    "begun",
    "exercise_state",
    "first_words",
    "headline",
    "kept",
    "next_step",
    "paragraphs",
    "points",
    "points_of",
    "promises",
    "report_state",
]

MESSAGE_LIMIT = 600  # characters of one paragraph of a message; longer ones are an exception's text

OPTION = re.compile(r"([A-H]): (.+)")
CHOSEN = re.compile(r"You chose ([A-H])\.")

State = Literal["passed", "not yet", "error", "to do", "could not run"]

SYMBOLS: dict[State, tuple[str, str]] = {  # (for a display that has them, for plain ASCII)
    "passed": ("\N{CHECK MARK}", "+"),
    "not yet": ("\N{WHITE CIRCLE}", "o"),
    "error": ("!", "!"),
    "to do": ("\N{HORIZONTAL ELLIPSIS}", "."),
    "could not run": ("?", "?"),
}


NEXT: dict[State, str] = {
    "not yet": "Go on with `{name}`: read its message and its rules once more, change your cell, "
    'then run `check("{name}")`.',
    "error": "Go on with `{name}`: your code stops before there is a result; its message says where.",
    "to do": 'Begin `{name}`: write your answer in its cell, then run `check("{name}")`.',
}


@dataclass(frozen=True, slots=True)
class Promise:
    """The runs of one test function, as the learner sees them."""

    name: str
    visible: bool
    state: State
    sentence: str
    evidence: str
    passed: int
    runs: int

    @property
    def options(self) -> list[tuple[str, str]]:
        """Evidence that explains the options of a question, as (letter, text); [] for any other."""
        lines = [line for line in self.evidence.split("\n") if not CHOSEN.fullmatch(line)]
        found = [match for line in lines if (match := OPTION.fullmatch(line))]
        return [(match[1], match[2]) for match in found] if len(found) == len(lines) > 1 else []

    @property
    def chosen(self) -> str:
        """The letter of the option that was chosen, of a question that is answered wrongly; else ''."""
        match = CHOSEN.match(self.evidence) if self.options else None
        return match[1] if match else ""

    @property
    def is_line(self) -> bool:
        """Evidence that reads as a line of prose; longer evidence is shown as it was laid out."""
        return "\n" not in self.evidence and len(self.evidence) <= 300


def promises(exercise: ExerciseResult) -> tuple[Promise, ...]:
    """One promise per test function, the visible ones first; evidence that is the message is not repeated."""
    said = exercise.message.partition("\n\n")[0].strip()
    groups: dict[tuple[str, bool], list[TestResult]] = {}
    for test in exercise.ordered_tests:
        groups.setdefault((test.name.partition("[")[0], test.visible), []).append(test)
    return tuple(_promise(name, runs, said) for (name, _), runs in groups.items())


def exercise_state(exercise: ExerciseResult) -> State:
    """The exercise in one word; `to do` when nothing has been tried yet."""
    if exercise.outcome != "failed":
        return "passed" if exercise.outcome == "passed" else "could not run"
    states = {_state(test) for test in exercise.tests}
    if "passed" in states or "not yet" in states:
        return "not yet"
    return "error" if "error" in states else "to do"


def report_state(report: Report) -> State:
    """The notebook in one word."""
    if report.outcome == "could_not_run":
        return "could not run"
    states = {exercise_state(e) for e in report.exercises if not e.bonus}
    if len(states) == 1:
        return states.pop()
    return "not yet" if states else "passed"


def points(value: float) -> str:
    """At most two digits after the point, never rounded up to a score that was not reached.

    >>> points(3.0), points(2.1), points(2.999)
    ('3', '2.1', '2.99')
    """
    return f"{math.floor(value * 100 + 1e-4) / 100:.2f}".rstrip("0").rstrip(".")


def points_of(exercise: ExerciseResult) -> str:
    """`2.1 of 3 points`, `2.1 of 3 bonus points`."""
    bonus = "bonus " if exercise.bonus else ""
    plural = "point" if exercise.max_score == 1 else "points"
    return f"{points(exercise.score)} of {points(exercise.max_score)} {bonus}{plural}"


def kept(exercise: ExerciseResult) -> str:
    """`4 of 6 promises kept`."""
    all_of_them = promises(exercise)
    passed = sum(promise.state == "passed" for promise in all_of_them)
    plural = "promise" if len(all_of_them) == 1 else "promises"
    return f"{passed} of {len(all_of_them)} {plural} kept"


def headline(report: Report, *, score: float | None = None, max_score: float | None = None) -> str:
    """`31.5 of 40 points (2 of them bonus), 7 of 9 exercises passed`; a course may have its own `score`."""
    bonus = math.fsum(e.score for e in report.exercises if e.bonus)
    extra = f" ({points(bonus)} of them bonus)" if bonus and score is None else ""
    core = [e for e in report.exercises if not e.bonus]
    passed = sum(e.outcome == "passed" for e in core)
    plural = "exercise" if len(core) == 1 else "exercises"
    score = report.score if score is None else score
    max_score = report.max_score if max_score is None else max_score
    total = f"{points(score)} of {points(max_score)} points{extra}"
    return f"{total}, {passed} of {len(core)} {plural} passed"


def paragraphs(message: str) -> list[tuple[str, str]]:
    """The message's parts as (label, text); the label of what we observed is ''."""
    found = []
    for part in message.split("\n\n"):
        label = next((label for label in (LOOKS_LIKE, WHERE) if part.startswith(label)), "")
        text = one_line(part.removeprefix(label), limit=MESSAGE_LIMIT)
        if text:
            found.append((label.rstrip(": "), text))
    return found


def begun(report: Report) -> Report:
    """Without the exercises nobody has begun: to run their check, or to grade them, is no attempt."""
    return report.of_only({e.name for e in report.exercises if exercise_state(e) != "to do"})


def first_words(exercise: ExerciseResult) -> str:
    """For a table cell: what it looks like, where we know it; else what we observed."""
    found = paragraphs(exercise.message)
    named = next((text for label, text in found if label and LOOKS_LIKE.startswith(label)), "")
    return named or (found[0][1] if found else "")


def next_step(report: Report) -> str:
    """One sentence: what has been begun comes before what has not, and all that counts before a bonus."""
    if report.outcome == "could_not_run":
        return "Grade this notebook again: something could not be graded, and that is not your fault."
    core = [(exercise_state(e), one_line(e.name, limit=100)) for e in report.exercises if not e.bonus]
    begun = [(state, name) for state, name in core if state in ("not yet", "error")]
    for state, name in (*begun, *core):
        if state in NEXT:
            return NEXT[state].format(name=name)
    open_bonus = next((e.name for e in report.exercises if e.bonus and e.outcome != "passed"), "")
    if open_bonus:
        return f"All that counts is right. If you like, try the bonus `{one_line(open_bonus, limit=100)}`."
    return "Everything is right. Go on with the next notebook."


def _promise(name: str, runs: Sequence[TestResult], said: str) -> Promise:
    open_runs = [test for test in runs if test.outcome != "passed"]
    shown = open_runs[0] if open_runs else runs[0]
    passed = len(runs) - len(open_runs)
    evidence = shown.evidence if shown.evidence.lower() != said.lower() else ""
    return Promise(name, shown.visible, _state(shown), shown.sentence, evidence, passed, len(runs))


def _state(test: TestResult) -> State:
    """`error` and `to do` are read off the evidence: how the learner's code ended a failed test."""
    if test.outcome != "failed":
        return "passed" if test.outcome == "passed" else "could not run"
    first = test.evidence.partition("\n")[0]
    if first.startswith("This is still to do") or " is not defined: has the cell" in first[:200]:
        return "to do"
    ended = ("Your code raised", "Your code ended", "It did not finish")
    return "error" if first.startswith(ended) else "not yet"
