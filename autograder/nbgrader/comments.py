"""Messages and bonus points into the gradebook, after nbgrader has saved the scores (it resets comments).

Only automatic comments and the extra credit of bonus exercises are written; what an instructor wrote stays.
"""

from __future__ import annotations

from typing import Any

from nbgrader import utils
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor

from autograder.nbgrader.batch import Key
from autograder.render.cell import comment_markdown

__all__ = ["SaveAutoComments"]


class SaveAutoComments(NbGraderPreprocessor):  # type: ignore[misc]
    """The message of an exercise becomes the comment on its answer cell."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        key, report = Key.of(resources), resources["autograder"].get("report")
        if report is None:
            return nb, resources
        answers = {
            cell.metadata.get("autograder", {}).get("exercise"): cell.metadata.nbgrader["grade_id"]
            for cell in nb.cells
            if utils.is_solution(cell)
        }
        with Gradebook(resources["nbgrader"]["db_url"]) as gradebook:
            for exercise in report.exercises:
                place = (key.notebook, key.section, key.student)
                if exercise.name in answers:
                    comment = gradebook.find_comment(answers[exercise.name], *place)
                    comment.auto_comment = comment_markdown(exercise) or None
                if exercise.bonus:
                    gradebook.find_grade(exercise.name, *place).extra_credit = exercise.score
            gradebook.db.commit()
        return nb, resources
