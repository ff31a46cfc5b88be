"""What must be so before a section is autograded: strong walls, a gradebook that knows what was released.

It only looks. What it finds is one sentence for the instructor, with the command that helps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook, MissingEntry
from sqlalchemy.exc import OperationalError

from autograder.errors import CouldNotRun, CourseError
from autograder.layout import Course
from autograder.notebooks import Released, load_released
from autograder.safety import ensure_safe

__all__ = ["problems"]


def problems(course: Course, coursedir: Any, *, unsafe: bool) -> Iterator[str]:
    """Reasons not to begin, the first of which is enough."""
    section = coursedir.assignment_id
    try:
        ensure_safe(unsafe=unsafe)
        released = [
            load_released(course.released(section, name), section) for name in course.notebooks(section)
        ]
    except (CouldNotRun, CourseError) as error:
        yield str(error).replace("--unsafe", "--Batch.unsafe=True")
        return
    graded = Path(coursedir.root) / coursedir.autograded_directory
    if not _writable(graded):
        yield f"{graded} may not be written by this user; run the command as the one whose course it is"
    if not released:
        yield f"{section} is not a section of this course; there are {', '.join(course.sections())}"
    try:
        yield from _differences(released, section, coursedir)
    except OperationalError as error:
        yield f"the gradebook can't be opened ({error.orig}); when it can, run the same command again"


def _writable(folder: Path) -> bool:
    """The folder, or where it would be made."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return os.access(there, os.W_OK | os.X_OK)


def _differences(released: list[Released], section: str, coursedir: Any) -> Iterator[str]:
    """Between what was released and what the gradebook knows."""
    again = f"run `nbgrader generate_assignment {section}`"
    with Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
        for notebook in released:
            try:
                known = gradebook.find_notebook(notebook.name, section)
            except MissingEntry:
                yield f"the gradebook does not know {section}/{notebook.name}: {again}"
                continue
            graded = {cell.name: float(cell.max_score) for cell in known.grade_cells}
            wanted = {e.name: 0.0 if e.bonus else e.points for e in notebook.exercises}
            different = sorted(
                name for name in graded.keys() | wanted if graded.get(name) != wanted.get(name)
            )
            if different:
                yield (
                    f"the gradebook and the released {section}/{notebook.name} have not the same points for "
                    f"{', '.join(different)}: {again}"
                )
