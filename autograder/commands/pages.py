"""What `grade` adds to its reports: the learner's code and pictures, the lesson, the journal, the pages.

The journal is that of the work folder a notebook lies in. Where there is none, nothing is begun: grading a
folder of somebody else's work leaves no trace in it, and a journal that is a link is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from autograder.errors import UnreadableNotebook

if TYPE_CHECKING:
    from autograder.assignment import Assignment
    from autograder.journal import Journal
    from autograder.render.material import Material
    from autograder.report import Report

__all__ = ["material_of", "write_pages"]


def material_of(path: Path, raw: bytes, assignment: Assignment, report: Report, *, pages: bool) -> Material:
    """What is known about a graded notebook, all of it if pages are wanted.

    The result is noted in the journal of its work folder first.
    """
    from autograder.lesson import lesson_of
    from autograder.pictures import pictures_of
    from autograder.render.material import Material
    from autograder.render.words import begun

    released = assignment.released
    journal = _journal(path, released.section)
    code = _code(raw, assignment) if pages or journal else {}
    if journal:
        journal.note(begun(report), how="grade", code=code)
    lesson = lesson_of(released)
    if not pages:
        return Material(lesson=lesson)
    attempts = journal.attempts(section=released.section, notebook=released.name) if journal else ()
    return Material(code, lesson, pictures_of(raw, released), attempts)


def write_pages(folder: Path, reports: Mapping[Path, Report], material: Mapping[Path, Material]) -> None:
    """A page per notebook and an index, named after where the notebooks lay."""
    from autograder.render.page import index_page, report_page

    labels = [str(path) for path in reports]
    links = [f"{label.strip('/').replace('/', '-').removesuffix('.ipynb')}.html" for label in labels]
    for link, (path, report) in zip(links, reports.items(), strict=True):
        (folder / link).write_text(report_page(report, material[path]), encoding="utf-8")
    index = folder / "index.html"
    index.write_text(index_page(list(reports.values()), labels=labels, links=links), encoding="utf-8")
    typer.echo(f"Pages: {index}", err=True)


def _journal(path: Path, section: str) -> Journal | None:
    from autograder.journal import Journal

    journal = Journal.find(path.parent, section=section)
    if journal.file is None:
        return journal
    folder = journal.file.parent
    linked = folder.is_symlink() or journal.file.is_symlink()
    plain = journal.file.is_file() or not journal.file.exists()
    return journal if folder.is_dir() and plain and not linked else None


def _code(raw: bytes, assignment: Assignment) -> dict[str, str]:
    """What the learner wrote for each exercise."""
    from autograder.repair import repair

    try:
        return repair(raw, assignment.released).answers
    except UnreadableNotebook:
        return {}
