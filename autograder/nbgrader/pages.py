"""nbgrader's feedback page, which is our report page: `generate_feedback` writes it instead of its own.

It says what the grader found (the report kept in the graded notebook, in the form a learner may see), what
the gradebook makes of it, what people wrote, and shows the learner's own cells. Released cells are not shown:
whatever an instructor put into a locked one stays where it is. Without a report there is no page, and a
sentence that says what to do.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import Exporter
from nbgrader.converters import GenerateFeedback
from traitlets import Bool, default

from autograder.errors import CouldNotRun
from autograder.layout import Course
from autograder.lesson import headings, lesson_of
from autograder.nbgrader.books import open_books
from autograder.nbgrader.execute import NOTES
from autograder.nbgrader.intake import read_submitted
from autograder.nbgrader.marks import Marks
from autograder.nbgrader.stored import kept_report
from autograder.notebooks import Released, load_released
from autograder.pictures import pictures_of
from autograder.render.material import Excerpt, Mark, Marking, Material, Written
from autograder.render.page import report_page
from autograder.report import Report

__all__ = ["FeedbackExporter"]


class FeedbackExporter(Exporter):  # type: ignore[misc]
    """One graded notebook to one page; made anew for every run of the command."""

    optimistic_validation = Bool(True, help="The graded notebook is ours.").tag(config=True)
    output_mimetype = "text/html"

    @default("file_extension")  # type: ignore[untyped-decorator]
    def _file_extension_default(self) -> str:
        return ".html"

    def __init__(self, config: Any = None, **kwargs: Any) -> None:
        super().__init__(config=config, **kwargs)
        self._released = functools.cache(self._load)
        if isinstance(self.parent, GenerateFeedback):
            _keep_books_open(self.parent)

    def from_filename(
        self, filename: str, resources: dict[str, Any] | None = None, **kwargs: Any
    ) -> tuple[str, dict[str, Any]]:
        """Raises CouldNotRun where the notebook was not graded by us."""
        nb = nbformat.v4.reads(Path(filename).read_text(encoding="utf-8"))
        page: tuple[str, dict[str, Any]] = self.from_notebook_node(nb, resources, **kwargs)
        return page

    def from_notebook_node(self, nb: Any, resources: Any = None, **kwargs: Any) -> tuple[str, Any]:
        nb, resources = super().from_notebook_node(nb, resources, **kwargs)
        info, marks = resources["nbgrader"], resources["autograder"]["marks"]
        released = self._released(info["assignment"], info["notebook"])
        try:
            report = kept_report(nb) if released.exercises else _empty(released)
        except CouldNotRun as missing:
            student, section = info["student"], info["assignment"]
            raise CouldNotRun(
                f"no feedback on {info['notebook']} for {student}: {missing}; run `nbgrader autograde "
                f"{section} --student={student} --force`, then this command again"
            ) from None
        material = Material(
            code=_code(nb),
            lesson=lesson_of(released),
            pictures=pictures_of(self._submitted(info), released),
            marking=_marking(nb, report, marks),
            notebook=tuple(_excerpts(nb, released)),
        )
        return report_page(report, material), resources

    def _load(self, section: str, notebook: str) -> Released:
        course = Course(Path(self.parent.coursedir.root))
        return load_released(course.released(section, notebook), section)

    def _submitted(self, info: Mapping[str, str]) -> bytes:
        """The file as it was handed in, which still has its pictures; nothing if it is gone."""
        coursedir = self.parent.coursedir
        folder = coursedir.format_path(coursedir.submitted_directory, info["student"], info["assignment"])
        return read_submitted(Path(folder) / f"{info['notebook']}.ipynb")[0]


def _keep_books_open(converter: Any) -> None:
    """For the converter's way through its notebooks."""
    convert = converter.convert_notebooks

    @functools.wraps(convert)
    def convert_notebooks() -> None:
        with open_books():
            convert()

    converter.convert_notebooks = convert_notebooks


def _empty(released: Released) -> Report:
    """A notebook without exercises of ours has nothing but what people grade."""
    return Report(released.section, released.name, 0.0, 0.0, "graded", (), "none", 0, "")


def _code(nb: Any) -> dict[str, str]:
    ours = [(cell.metadata.get("autograder", {}), cell.source) for cell in nb.cells]
    return {own["exercise"]: source for own, source in ours if own.get("role") == "answer"}


def _marking(nb: Any, report: Report, marks: Marks) -> Marking:
    found = {}
    for exercise in report.exercises:
        row = marks.rows.get(exercise.name)
        score = exercise.score if row is None or row.score is None else row.score
        found[exercise.name] = Mark(
            score=score,
            max_score=exercise.max_score,
            comment=marks.comments.get(f"{exercise.name}-answer", ""),
            by_hand=abs(score - exercise.score) > 1e-6,
        )
    return Marking(marks.score, marks.max_score, marks.late_penalty, found, tuple(_written(nb, marks)))


def _written(nb: Any, marks: Marks) -> Iterator[Written]:
    """What nbgrader has people grade: answers in text or code, and tasks."""
    above = ""
    for cell in nb.cells:
        own = cell.metadata.get("nbgrader", {})
        name, task = own.get("grade_id", ""), bool(own.get("task"))
        if name in marks.rows and (task or (own.get("grade") and own.get("solution"))):
            yield Written(
                name=name,
                score=marks.rows[name].score,
                max_score=marks.rows[name].max_score,
                asked=_with_scheme(cell.source) if task else above,
                answer="" if task else cell.source,
                is_code=cell.cell_type == "code",
                comment=marks.comments.get(name, ""),
                remark=marks.automatic.get(name, ""),
            )
        above = cell.source if cell.cell_type == "markdown" and not own else ""


def _with_scheme(source: str) -> str:
    """A task with the lines around its mark scheme as a heading."""
    marked = source.replace("=== BEGIN MARK SCHEME ===", "\n**How it is marked**\n")
    return marked.replace("=== END MARK SCHEME ===", "")


def _excerpts(nb: Any, released: Released) -> Iterator[Excerpt]:
    """The learner's cells, each group under the heading of the lesson it stands below."""
    known = {cell.id: cell for cell in released.cells}
    heading = ""
    for cell in nb.cells:
        ours = known.get(cell.id)
        if ours is not None and ours.kind == "markdown":
            heading = next((title for level, title in headings(ours.source) if level <= 2), heading)
        changed = ours is None or ours.role == "answer" or ours.source.strip() != cell.source.strip()
        if cell.id == NOTES or not changed or not cell.source.strip() or (ours and ours.role == "check"):
            continue
        if heading:
            yield Excerpt("heading", heading)
            heading = ""
        yield Excerpt("text" if cell.cell_type == "markdown" else "code", cell.source)
