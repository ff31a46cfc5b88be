"""What stands in the gradebook: one row for each exercise of each learner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nbgrader.api import Gradebook

__all__ = ["Score", "read_scores"]


@dataclass(frozen=True, slots=True)
class Score:
    """One exercise of one learner: `score` with the extra credit, None while it is not graded."""

    student: str
    section: str
    notebook: str
    exercise: str
    score: float | None
    comment: str


def read_scores(db_url: str, course_id: str, section: str) -> Iterator[Score]:
    """All rows of a section."""
    with Gradebook(db_url, course_id) as gradebook:
        for submission in gradebook.assignment_submissions(section):
            for notebook in submission.notebooks:
                comments = {c.name: c.comment or "" for c in notebook.comments}
                for grade in notebook.grades:
                    graded = grade.auto_score is not None or grade.manual_score is not None
                    yield Score(
                        submission.student.id,
                        section,
                        notebook.name,
                        grade.name,
                        float(grade.score) if graded else None,
                        comments.get(f"{grade.name}-answer", ""),
                    )
