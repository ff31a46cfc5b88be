"""What the gradebook says of one notebook of one learner, for its feedback page: in place of GetGrades.

nbgrader's own step asks the database anew for every cell and does not tell a person's comment from an
automatic one. This one reads what the page needs and changes nothing, in the notebook or in the gradebook.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nbgrader.api import Comment, Grade, Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor

from autograder.nbgrader.books import rows_of

__all__ = ["Marks", "ReadMarks", "Row"]


@dataclass(frozen=True, slots=True)
class Row:
    """One graded cell; `score` is None while a person has to grade it."""

    score: float | None
    max_score: float


@dataclass(frozen=True, slots=True)
class Marks:
    """By the name of a cell. `comments` are what a person wrote, `automatic` what a program did."""

    score: float
    max_score: float
    late_penalty: float
    rows: dict[str, Row]
    comments: dict[str, str]
    automatic: dict[str, str]


class ReadMarks(NbGraderPreprocessor):  # type: ignore[misc]
    """Puts the `Marks` into `resources["autograder"]`."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        info = resources["nbgrader"]
        place = (info["notebook"], info["assignment"], info["student"])
        with Gradebook(info["db_url"]) as gradebook:
            notebook = gradebook.find_submission_notebook(*place)
            resources["autograder"] = {"marks": _marks(notebook)}
        return nb, resources


def _marks(notebook: Any) -> Marks:
    late = float(notebook.late_submission_penalty or 0)
    grades, comments = rows_of(notebook, Grade), rows_of(notebook, Comment)
    return Marks(
        score=float(notebook.score) - late,
        max_score=float(notebook.max_score),
        late_penalty=late,
        rows={grade.name: _row(grade) for grade in grades},
        comments={c.name: c.manual_comment for c in comments if c.manual_comment},
        automatic={c.name: c.auto_comment for c in comments if c.auto_comment},
    )


def _row(grade: Any) -> Row:
    waiting = grade.manual_score is None and (grade.auto_score is None or grade.needs_manual_grade)
    return Row(None if waiting else float(grade.score), float(grade.max_score))
