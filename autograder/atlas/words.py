"""The words of the roadmap's map, the same in a terminal, on a page and in a notebook.

A symbol never stands without its word. What is not written yet is said as plainly as that: it is not the
learner's to do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from autograder.render.words import points
from autograder.roadmap import Section
from autograder.standing import (
    ExerciseStanding,
    NotebookStanding,
    SectionStanding,
    Standing,
    State,
    Suggestion,
)

__all__ = [
    "MARKS",
    "action",
    "count_of",
    "css_class",
    "exercises_of",
    "headline",
    "listed",
    "minutes_of",
    "needing",
    "points_of_all",
    "still_coming",
    "unlocking",
    "word_of",
]

MARKS: dict[State, tuple[str, str]] = {  # (for a display that has them, for plain ASCII)
    "done": ("\N{CHECK MARK}", "+"),
    "checked": ("\N{CIRCLE WITH LEFT HALF BLACK}", "~"),
    "started": ("\N{WHITE CIRCLE}", "o"),
    "not begun": ("\N{MIDDLE DOT}", "."),
    "coming": ("\N{HORIZONTAL ELLIPSIS}", "-"),
}
WORDS: dict[State, str] = {"checked": "checks pass", "coming": "not yet written"}


def word_of(state: State) -> str:
    return WORDS.get(state, state)


def css_class(state: State) -> str:
    """`ag-not-begun` for `not begun`."""
    return f"ag-{state.replace(' ', '-')}"


def headline(standing: Standing) -> str:
    """`18.5 of 137 points; 1 of 5 notebooks done`."""
    written = [n for n in standing.notebooks if n.state != "coming"]
    done = sum(n.state == "done" for n in written)
    return f"{points_of_all(standing)}; {done} of {count_of(len(written), 'notebook')} done"


def still_coming(standing: Standing) -> str:
    """`35 more notebooks of the roadmap are not yet written`; '' when all are."""
    coming = sum(n.state == "coming" for n in standing.notebooks)
    if not coming:
        return ""
    return (
        f"{count_of(coming, 'more notebook')} of the roadmap {'is' if coming == 1 else 'are'} not yet written"
    )


def points_of_all(standing: Standing | SectionStanding | NotebookStanding) -> str:
    """`23 of 18 points (5 of them bonus)`."""
    bonus = math.fsum(e.score for e in _exercises(standing) if e.bonus)
    extra = f" ({points(bonus)} of them bonus)" if bonus else ""
    plural = "point" if standing.max_score == 1 else "points"
    return f"{points(standing.score)} of {points(standing.max_score)} {plural}{extra}"


def _exercises(standing: Standing | SectionStanding | NotebookStanding) -> Iterator[ExerciseStanding]:
    if isinstance(standing, NotebookStanding):
        yield from standing.exercises
    else:
        for notebook in standing.notebooks:
            yield from notebook.exercises


def exercises_of(notebook: NotebookStanding) -> str:
    """`5 of 7 exercises passed`; bonus exercises are told when they are passed."""
    bonus = sum(e.bonus and e.state in ("done", "checked") for e in notebook.exercises)
    extra = f" and {count_of(bonus, 'bonus')}" if bonus else ""
    return f"{notebook.passed} of {count_of(len(notebook.core), 'exercise')}{extra} passed"


def minutes_of(notebook: NotebookStanding) -> str:
    return f"about {notebook.notebook.minutes} minutes" if notebook.notebook.minutes else ""


def unlocking(section: SectionStanding) -> str:
    """`Finishing it unlocks Transformers (not yet written)`; '' for the last one."""
    names = [
        unlocked.title + ("" if unlocked.written else " (not yet written)") for unlocked in section.unlocks
    ]
    if not names:
        return ""
    return f"{'Unlocked' if section.state == 'done' else 'Finishing it unlocks'}: {listed(names)}"


def needing(standing: Standing, section: Section) -> str:
    names = [standing.roadmap.section(need).title for need in section.needs]
    return f"Comes after: {listed(names)}" if names else ""


def action(standing: Standing, next_one: Suggestion) -> str:
    """What to do, in one sentence."""
    notebook = next(
        n.notebook for n in standing.notebooks if n.path == f"{next_one.section}/{next_one.notebook}.ipynb"
    )
    where = f"{notebook.title} ({standing.roadmap.section(next_one.section).title})"
    if next_one.action == "begin":
        return f"Begin {where}" + (f", about {notebook.minutes} minutes" if notebook.minutes else "")
    if next_one.action == "grade":
        return f"Get the official verdict on {where}"
    return f"Go on with `{next_one.exercise}` in {where}"


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def count_of(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 'es' if what.endswith('s') else 's'}"
