"""Scores, messages and bonus points of one notebook into the gradebook, in one transaction.

What a score is and when an instructor must look is decided by nbgrader's own step, `SaveAutoGrades`; it
asks the gradebook for every cell anew and saves after each. Here the rows of a notebook are read at once
and saved at once, together with what is ours: the message of an exercise becomes the automatic comment on
its answer, a bonus the extra credit. What an instructor wrote stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from nbgrader import utils
from nbgrader.api import Comment, Grade, Gradebook, MissingEntry
from nbgrader.preprocessors import NbGraderPreprocessor, SaveAutoGrades

from autograder.nbgrader.batch import Key
from autograder.nbgrader.books import rows_of
from autograder.render.cell import comment_markdown
from autograder.report import Report

__all__ = ["SaveScores"]


@dataclass(frozen=True, slots=True)
class Rows:
    """The grades and comments of one notebook by the names of their cells, in the place of a gradebook."""

    grades: dict[str, Any]
    comments: dict[str, Any]

    @classmethod
    def of(cls, gradebook: Gradebook, key: Key) -> Self:
        """Raises MissingEntry if nbgrader has no such submission."""
        notebook = gradebook.find_submission_notebook(key.notebook, key.section, key.student)
        return cls(*({row.name: row for row in rows_of(notebook, table)} for table in (Grade, Comment)))

    def find_grade(self, name: str, *_: str) -> Any:
        return _found(self.grades, name)

    def find_comment(self, name: str, *_: str) -> Any:
        return _found(self.comments, name)

    @property
    def db(self) -> Self:
        return self

    def commit(self) -> None:
        """All rows are saved together, later."""


class SaveScores(SaveAutoGrades):  # type: ignore[misc]
    """nbgrader's step on rows that were read before, and then ours."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        key, report = Key.of(resources), resources["autograder"].get("report")
        self.student_id, self.assignment_id, self.notebook_id = key.student, key.section, key.notebook
        with Gradebook(resources["nbgrader"]["db_url"]) as gradebook:
            self.gradebook = rows = Rows.of(gradebook, key)
            nb, resources = NbGraderPreprocessor.preprocess(self, nb, resources)
            if report is not None:
                _add(report, rows, _answers(nb))
            gradebook.db.commit()
        return nb, resources


def _add(report: Report, rows: Rows, answers: dict[str, str]) -> None:
    """Messages and bonus points; nbgrader's step has just emptied the automatic comments."""
    for exercise in report.exercises:
        if exercise.name in answers:
            rows.find_comment(answers[exercise.name]).auto_comment = comment_markdown(exercise) or None
        if exercise.bonus:
            rows.find_grade(exercise.name).extra_credit = exercise.score


def _answers(nb: Any) -> dict[str, str]:
    """The name of the answer cell of each exercise."""
    return {
        cell.metadata.get("autograder", {}).get("exercise"): cell.metadata.nbgrader["grade_id"]
        for cell in nb.cells
        if utils.is_solution(cell)
    }


def _found(rows: dict[str, Any], name: str) -> Any:
    if name not in rows:
        raise MissingEntry(f"the gradebook has no cell {name}; run `nbgrader generate_assignment` again")
    return rows[name]
