"""Scores and reports in the grade cells, in place of nbgrader's Execute. Nothing of the learner's runs here.

nbgrader reads a score off the first output of a grade cell, so each gets exactly one: the score as a plain
float, with the report as HTML. What could not run raises: the submission stays ungraded and nbgrader names
it. Not a subclass of Execute: `--no-execute` must not bring a learner's own outputs into the gradebook.
"""

from __future__ import annotations

from typing import Any

import nbformat
from nbgrader import utils
from nbgrader.preprocessors import NbGraderPreprocessor

from autograder.errors import CouldNotRun
from autograder.nbgrader.batch import Key
from autograder.nbgrader.stored import keep_report
from autograder.render.cell import cell_html
from autograder.render.clean import html_prose
from autograder.report import ExerciseResult, Report

__all__ = ["NOTES", "IsolatedExecute"]

NOTES = "autograder-notes"  # id of the cell with the notes


class IsolatedExecute(NbGraderPreprocessor):  # type: ignore[misc]
    """Writes the report into the notebook, and into `resources` for the steps that follow."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        key = Key.of(resources)
        batch = self.parent.batch
        if not batch.assignment(key).released.exercises:
            return nb, resources
        report = batch.report(key, nb)
        if report.outcome != "graded":
            raise CouldNotRun(_reasons(key, report))
        report = report.visible_copy()
        results = {exercise.name: exercise for exercise in report.exercises}
        for cell in nb.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
                if utils.is_grade(cell) and not utils.is_solution(cell):
                    _write_score(cell, results[cell.metadata.nbgrader["grade_id"]])
        if report.notes:
            nb.cells.insert(0, _notes(report.notes))
        keep_report(nb, report)
        resources["autograder"]["report"] = report
        return nb, resources


def _write_score(cell: Any, result: ExerciseResult) -> None:
    score = 0.0 if result.bonus else float(result.score)  # a bonus goes to the extra credit, see `comments`
    data = {"text/plain": repr(score), "text/html": cell_html(result)}
    cell.execution_count = 1
    output = {"output_type": "execute_result", "data": data, "execution_count": 1, "metadata": {}}
    cell.outputs = [nbformat.from_dict(output)]  # the whole notebook is validated in the end


def _notes(notes: tuple[str, ...]) -> Any:
    """A cell on top that says what was done; inside an HTML block nothing is read as markdown."""
    items = "".join(f"<li>{html_prose(note)}</li>\n" for note in notes)
    cell = nbformat.v4.new_markdown_cell(f"**Notes on this submission**\n\n<ul>\n{items}</ul>")
    cell.id = NOTES
    return cell


def _reasons(key: Key, report: Report) -> str:
    stuck = [f"{e.name}: {e.message}" for e in report.exercises if e.outcome == "could_not_run"]
    return (
        f"{key.section}/{key.notebook} of {key.student} could not be graded, and that is not the learner's "
        "fault: " + "; ".join([*stuck, *report.notes]) + ". It stays ungraded; run the same command again"
    )
