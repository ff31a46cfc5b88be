"""One run of `nbgrader autograde`: all its submissions share one grader, whatever nbgrader does in between.

nbgrader goes through the submissions one by one. At the first report asked for, the notebooks that will
follow are handed to the grader in advance, so that all cores work while nbgrader keeps its books. A report is
used only for the very bytes it was made from. The grader ends with the run, however that ends.
"""

from __future__ import annotations

import fnmatch
import functools
import glob
import hashlib
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import nbformat
from nbgrader.converters.base import NbGraderException
from traitlets import Bool, Integer
from traitlets.config import LoggingConfigurable

from autograder.assignment import Assignment
from autograder.errors import CouldNotRun
from autograder.grader import Grader
from autograder.layout import Course
from autograder.nbgrader.books import open_books
from autograder.nbgrader.consistency import problems
from autograder.nbgrader.intake import prepare_folder, read_submitted, student_of
from autograder.nbgrader.leftovers import remove_unfinished
from autograder.nbgrader.plainly import INTERRUPTED
from autograder.nbgrader.progress import Progress
from autograder.report import Report

__all__ = ["Batch", "Key", "learner_code"]

AHEAD = 100  # notebooks handed in before their turn
RESTARTS = 2  # of a grader that broke down, in one run


@dataclass(frozen=True, slots=True)
class Key:
    """One notebook of one learner."""

    student: str
    section: str
    notebook: str

    @classmethod
    def of(cls, resources: Any) -> Self:
        """From what nbgrader tells its steps."""
        info = resources["nbgrader"]
        return cls(info["student"], info["assignment"], info["notebook"])


@dataclass(frozen=True, slots=True)
class Sanitized:
    """What the first pass made of a submission: the second must find the same code."""

    raw: bytes
    problem: str
    code: tuple[str, ...]


class Batch(LoggingConfigurable):  # type: ignore[misc]
    """The reports of one run, made ahead of time where possible."""

    jobs = Integer(0, help="Submissions graded at the same time; 0 for one per core.").tag(config=True)
    unsafe = Bool(False, help="Grade also where the walls around learners' code are weak.").tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.course = Course(Path(self.parent.coursedir.root))
        self._grader: Grader | None = None
        self._assignments: dict[tuple[str, str], Assignment] = {}
        self._waiting: deque[tuple[Key, Path]] = deque()
        self._ready: dict[Key, tuple[str, Future[Report]]] = {}
        self._sanitized: dict[Key, Sanitized] = {}
        self._progress = Progress(self.log)
        self._restarts = RESTARTS

    @classmethod
    def around(cls, converter: Any) -> Self:
        """A batch that begins and ends with a converter's way through its submissions."""
        batch = cls(parent=converter)
        convert, ignored = converter.convert_notebooks, converter.coursedir.ignore

        @functools.wraps(convert)
        def convert_notebooks() -> None:
            try:
                with open_books():
                    batch.plan()
                    convert()
            except KeyboardInterrupt:
                batch.log.error("[autograder] %s", INTERRUPTED)
                raise NbGraderException(INTERRUPTED) from None
            finally:
                converter.coursedir.ignore = ignored
                batch.close()

        converter.convert_notebooks = convert_notebooks
        return batch

    def assignment(self, key: Key) -> Assignment:
        """The released notebook and its tests; raises CourseError when there is none."""
        name = (key.section, key.notebook)
        if name not in self._assignments:
            self._assignments[name] = Assignment.load(self.course, *name)
        return self._assignments[name]

    def plan(self) -> None:
        """Makes every folder ready and notes what nbgrader will grade, in its order.

        Raises NbGraderException before anything is touched when the run can't end well.
        """
        coursedir, assignments = self.parent.coursedir, self.parent.assignments
        for problem in problems(self.course, coursedir, unsafe=self.unsafe):
            self.log.error("[autograder] %s", problem)
            raise NbGraderException(problem)
        pattern = self._path("submitted", coursedir.student_id)
        for folder in sorted(glob.glob(pattern)):  # noqa: PTH207 - absolute, as nbgrader's
            student = student_of(coursedir, "submitted", folder)
            try:
                prepared = prepare_folder(Path(folder), self.course, coursedir.assignment_id)
            except OSError as error:
                self.log.error("[autograder] %s: the folder can't be made ready: %s", student, error)
                continue
            wanted = [p for p in prepared.notebooks if fnmatch.fnmatch(p.stem, coursedir.notebook_id)]
            if wanted:
                assignments[folder] = [str(path) for path in wanted]
            graded = Path(self._path("autograded", student))
            if coursedir.notebook_id == "*" and remove_unfinished(graded, [p.stem for p in wanted]):
                self.log.warning("[autograder] %s: an earlier run ended in the middle; graded anew", student)
            coursedir.ignore = list(dict.fromkeys([*coursedir.ignore, *prepared.refused]))
            if self._will_be_graded(folder, student):
                self._waiting += [(Key(student, coursedir.assignment_id, path.stem), path) for path in wanted]
                if prepared.lines:
                    self.log.warning("[autograder] %s: %s", student, "; ".join(prepared.lines))
        self._progress.total = len(self._waiting)

    def remember(self, key: Key, raw: bytes, problem: str, nb: Any) -> None:
        """What the first pass made of the bytes `raw`."""
        self._sanitized[key] = Sanitized(raw, problem, learner_code(nb))

    def report(self, key: Key, nb: Any) -> Report:
        """The report on the notebook in hand. Raises CouldNotRun when the machine failed, not the learner."""
        if self._grader is None:
            self._grader = self._new_grader()
        sanitized = self._sanitized.pop(key, None)
        known = sanitized is not None and sanitized.code == learner_code(nb)
        raw = sanitized.raw if sanitized is not None and known else nbformat.writes(nb).encode()
        future = self._future(key, raw)
        try:
            report = self._progress.wait_for(future)
        except CouldNotRun:
            if not self._restarts:
                raise
            self._restarts -= 1
            self._grader.close()
            self._grader = self._new_grader()
            self._ready.clear()
            report = self._grader.submit(raw, self.assignment(key)).result()
        if sanitized is not None and sanitized.problem:  # says more than "the file is empty"
            report = replace(report, notes=(sanitized.problem,))
        return report

    def _new_grader(self) -> Grader:
        return Grader(jobs=self.jobs or None)

    def close(self) -> None:
        """Ends the grader; what it has not graded stays ungraded."""
        self._progress.close()
        self._waiting.clear()
        self._ready.clear()
        if self._grader is not None:
            self._grader.close()
            self._grader = None

    def _future(self, key: Key, raw: bytes) -> Future[Report]:
        """What is under way for these bytes, or a new order; and orders for the notebooks that come next."""
        assert self._grader is not None
        digest, future = self._ready.pop(key, ("", None))
        if future is None or digest != _digest(raw):
            future = self._grader.submit(raw, self.assignment(key))
        while self._waiting and len(self._ready) < AHEAD:
            following, path = self._waiting.popleft()
            if following != key:
                raw, _ = read_submitted(path)
                self._ready[following] = _digest(raw), self._grader.submit(raw, self.assignment(following))
        return future

    def _will_be_graded(self, folder: str, student: str) -> bool:
        """What nbgrader will decide; a wrong guess costs time and nothing else."""
        coursedir = self.parent.coursedir
        graded = self._path("autograded", student)
        if student in coursedir.student_id_exclude.split(","):
            return False
        if self.parent.force or not Path(graded).exists():
            return True
        new, old = coursedir.get_existing_timestamp(folder), coursedir.get_existing_timestamp(graded)
        return new is not None and old is not None and new > old

    def _path(self, step: str, student: str) -> str:
        coursedir = self.parent.coursedir
        directory = getattr(coursedir, f"{step}_directory")
        return str(coursedir.format_path(directory, student, coursedir.assignment_id))


def learner_code(nb: Any) -> tuple[str, ...]:
    """Sources of the code cells that decide a score."""
    ours = ("check", "demo")
    return tuple(
        cell.source
        for cell in nb.cells
        if cell.cell_type == "code" and cell.metadata.get("autograder", {}).get("role") not in ours
    )


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
