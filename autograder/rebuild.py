"""What a learner has done, found out anew from the notebooks in the work folder: each is graded in isolation.

For a record that was lost or never kept. It adds official attempts to the journal and takes nothing out of
it. Notebooks that lie elsewhere than `start` puts them, and answers nobody has begun, are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from autograder.assignment import Assignment
from autograder.errors import CouldNotRun, CourseError
from autograder.grader import Grader
from autograder.identify import find_notebooks
from autograder.journal import Journal
from autograder.layout import Course
from autograder.render.terminal import batch_progress
from autograder.repair import repair
from autograder.shipping import is_plain_file

__all__ = ["rebuild"]


def rebuild(work: Path) -> list[str]:
    """Grades every notebook of the course in `work`; returns a sentence for each thing passed over."""
    course = Course.find(work)
    found = find_notebooks([work]) if any(work.rglob("*.ipynb")) else []
    expected = {work / s / f"{n}.ipynb": (s, n) for s in course.sections() for n in course.notebooks(s)}
    skipped = [
        f"Skipped {path.relative_to(work)}: only notebooks where `autograder start` puts them are looked at."
        for path in found
        if path not in expected
    ]
    journal = Journal.create(work)
    chosen = [(path, *expected[path]) for path in found if path in expected]
    with Grader() as grader, batch_progress(len(chosen)) as advance:
        for path, section, notebook in chosen:
            try:
                assignment = Assignment.load(course, section, notebook)
                skipped += _grade(grader, path, assignment, journal)
            except (CouldNotRun, CourseError, OSError) as error:
                skipped.append(f"Skipped {path.relative_to(work)}: {str(error).partition(chr(10))[0]}")
            advance(path.name)
    return skipped


def _grade(grader: Grader, path: Path, assignment: Assignment, journal: Journal) -> Iterator[str]:
    """Into the journal, but for what has not been begun and what could not run."""
    if not is_plain_file(path):
        raise CourseError("it is a link, not a file")
    raw = path.read_bytes()
    begun = _begun(raw, assignment)
    if not begun:
        return
    report = grader.submit(raw, assignment).result()
    journal.note(report.of_only(begun), how="grade", code=begun)
    stuck = [e.name for e in report.exercises if e.name in begun and e.outcome == "could_not_run"]
    if stuck:
        yield f"Could not run, and not counted: {', '.join(stuck)} of {path.name}."


def _begun(raw: bytes, assignment: Assignment) -> dict[str, str]:
    """The answers that are no longer the stub."""
    stubs = {cell.exercise: cell.source for cell in assignment.released.cells if cell.role == "answer"}
    answers = repair(raw, assignment.released).answers
    return {name: text for name, text in answers.items() if text.strip() != stubs.get(name, "").strip()}
