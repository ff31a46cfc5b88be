"""Did everybody get what is due? Expected and actual scores side by side, and what else must be so.

The gradebook is read as it stands. For a known mistake "less than everything" is due; how much exactly is
what the same file gets when it is graded directly.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from autograder.assignment import Assignment
from autograder.cohort.learners import Learner
from autograder.cohort.play import COURSE_ID, Stage
from autograder.grader import Grader
from autograder.nbgrader.scores import Score, read_scores
from autograder.report import DIGITS

__all__ = ["Judge", "Verdict"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One learner's row; `wrong` says what is not as it must be."""

    learner: Learner
    due: str
    score: float
    message: str
    seconds: float | None
    wrong: tuple[str, ...]


class Judge:
    """Knows the gradebook, the exported grades and the points of a play."""

    def __init__(self, stage: Stage, learners: Sequence[Learner]) -> None:
        self._stage = stage
        self._assignments: dict[tuple[str, str], Assignment] = {}
        self._rows: dict[tuple[str, str], dict[tuple[str, str], Score]] = {}
        for learner in learners:
            for notebook, _ in learner.expected:
                key = (learner.section, notebook)
                self._assignments[key] = self._assignments.get(key) or Assignment.load(stage.course, *key)
        for section in {learner.section for learner in learners}:
            for row in read_scores(stage.db_url, COURSE_ID, section):
                self._rows.setdefault((row.student, section), {})[row.notebook, row.exercise] = row
        with stage.grades.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self._exported = {(row["student_id"], row["assignment"]): _sum([row["score"]]) for row in rows}
        self._direct = self._grade_directly(learners)

    def verdict(self, learner: Learner) -> Verdict:
        """The learner's row."""
        rows = self._rows.get((learner.name, learner.section), {})
        score = _sum(row.score or 0.0 for row in rows.values())
        wrong = [*self._scores(learner, rows), *self._others(learner, score)]
        comments = (rows[place].comment for place in learner.expected if place in rows)
        message = next((line for comment in comments for line in comment.splitlines() if line), "")
        seconds = self._stage.seconds.get(f"{learner.name}/{learner.section}")
        return Verdict(learner, self._due(learner), score, message, seconds, tuple(wrong))

    def _points(self, learner: Learner, notebook: str, exercise: str) -> float:
        known = self._assignments[learner.section, notebook].released.exercises
        return next(e.points for e in known if e.name == exercise)

    def _due(self, learner: Learner) -> str:
        """The total in words: 25, or "17 to 25" where a known mistake leaves it open."""
        points = {place: self._points(learner, *place) for place in learner.expected}
        least = sum(p for place, p in points.items() if learner.expected[place] == "full")
        most = sum(p for place, p in points.items() if learner.expected[place] != "nothing")
        return f"{least:g}" if least == most else f"{least:g} to below {most:g}"

    def _scores(self, learner: Learner, rows: dict[tuple[str, str], Score]) -> Iterator[str]:
        for place, due in learner.expected.items():
            points, row = self._points(learner, *place), rows.get(place)
            if row is None or row.score is None:
                yield f"{place[1]} is not graded"
            elif due == "less":
                direct = self._direct[learner.name, *place]
                if not row.score < points or row.score != direct:
                    yield f"{place[1]} got {row.score:g} of {points:g}, directly {direct:g}"
            elif row.score != (points if due == "full" else 0.0):
                yield f"{place[1]} got {row.score:g} of {points:g}"

    def _others(self, learner: Learner, score: float) -> Iterator[str]:
        """What else must be so: the exported grade, untouched files, feedback."""
        stage, section = self._stage, learner.section
        if self._exported.get((learner.name, section)) != score:
            yield f"{stage.grades.name} has {self._exported.get((learner.name, section))}"
        for name, content in learner.files.items():
            if (stage.submitted(learner.name, section) / name).read_bytes() != content:
                yield f"the submitted {name} was changed"
        for notebook in {notebook for notebook, _ in learner.expected}:
            if not (stage.feedback(learner.name, section) / f"{notebook}.html").is_file():
                yield f"no feedback on {notebook}"
        if learner.files and not list(stage.desk(learner.name).glob(f"{section}/feedback/*/*.html")):
            yield "no feedback fetched"

    def _grade_directly(self, learners: Sequence[Learner]) -> dict[tuple[str, str, str], float]:
        """Scores of the files with known mistakes, without nbgrader."""
        mistaken = {
            (learner.name, learner.section, notebook): learner.files[f"{notebook}.ipynb"]
            for learner in learners
            for (notebook, _), due in learner.expected.items()
            if due == "less"
        }
        with Grader() as grader:
            futures = {
                (name, notebook): grader.submit(raw, self._assignments[section, notebook])
                for (name, section, notebook), raw in mistaken.items()
            }
            return {
                (*key, exercise.name): exercise.score
                for key, future in futures.items()
                for exercise in future.result().exercises
            }


def _sum(scores: Iterable[float | str]) -> float:
    """Without the noise of adding: scores have six digits, and nbgrader adds them in another order."""
    return round(math.fsum(map(float, scores)), DIGITS)
