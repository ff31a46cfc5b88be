"""A throw-away course with its exchange, and the commands of instructor and learners in it.

The instructor's commands, and those of the first learner, are processes like anybody's; the others' run in
this process, because starting nbgrader sixty times would take minutes. Sections are played side by side, one
per core. The course it is made from is only read.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from autograder.build import build
from autograder.cohort.learners import Learner
from autograder.errors import CouldNotRun
from autograder.layout import CONFIG, Course
from autograder.nbgrader.commands import nbgrader, nbgrader_here

__all__ = ["COURSE_ID", "Stage", "play", "set_up"]

COURSE_ID = "demo"
LEARNER_CONFIG = """\
c = get_config()
c.CourseDirectory.course_id = "{course}"
c.Exchange.root = "{exchange}"
c.Exchange.cache = "{cache}"
"""
LEFT_BEHIND = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", ".*_cache")
Step = Callable[[str], contextlib.AbstractContextManager[None]]


@dataclass(slots=True)
class Stage:
    """The folders of a play, and what was found on the way."""

    root: Path
    problems: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def course(self) -> Course:
        return Course(self.root / "course")

    @property
    def exchange(self) -> Path:
        return self.root / "exchange"

    @property
    def grades(self) -> Path:
        return self.root / "grades.csv"

    @property
    def db_url(self) -> str:
        return f"sqlite:///{self.root / 'gradebook.db'}?timeout=30"

    def desk(self, learner: str) -> Path:
        """The folder a learner works in."""
        return self.root / "learners" / learner

    @property
    def shown(self) -> list[Path]:
        """What learners and graders may see."""
        return [*(self.course.root / name for name in ("release", "autograded", "feedback")), self.exchange]

    def submitted(self, learner: str, section: str) -> Path:
        """What was collected from a learner."""
        return self.course.root / "submitted" / learner / section

    def feedback(self, learner: str, section: str) -> Path:
        """The pages generated for a learner."""
        return self.course.root / "feedback" / learner / section

    def instructor(self, command: str, *arguments: str, exchange: bool = False) -> None:
        """One command in the course."""
        settings = [
            f"--course={COURSE_ID}",
            f"--CourseDirectory.root={self.course.root}",
            f"--db={self.db_url}",
        ]
        if exchange:
            settings += [f"--Exchange.root={self.exchange}", "--ExchangeCollect.check_owner=False"]
        nbgrader(command, *arguments, *settings, folder=self.course.root)

    def learner(self, name: str, *command: str, here: bool) -> None:
        """One command of a learner."""
        run = nbgrader_here if here else nbgrader
        run(*command, folder=self.desk(name))


def set_up(course: Course, root: Path, sections: Sequence[str], step: Step) -> Stage:
    """A fresh clone of the course in a new folder, built."""
    stage = Stage(root)
    with step("build"):
        _copy(course, stage.course)
        build(stage.course, sections)
    return stage


def play(stage: Stage, learners: Sequence[Learner], step: Step) -> None:
    """The whole way, from the released notebooks to feedback in the learners' folders and grades.csv."""
    sections = list(dict.fromkeys(learner.section for learner in learners))
    with _own_settings(stage.root):
        _release(stage, step, sections[0])  # by itself: the gradebook is new, and one command must make it
        _side_by_side(partial(_release, stage, step), sections[1:])
        with step(f"fetch_assignment and submit, {len(learners)} times"):
            _hand_in(stage, learners)
        _side_by_side(partial(_grade, stage, step), sections)
        with step(f"fetch_feedback, {len(learners)} times"):
            for number, learner in enumerate(learners):
                command = ("fetch_feedback", learner.section, f"--student={learner.name}")
                stage.learner(learner.name, *command, here=number > 0)
        with step("export"):
            stage.instructor("export", f"--to={stage.grades}")


def _side_by_side(play_one: Callable[[str], None], sections: Sequence[str]) -> None:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(play_one, sections):
            pass


def _release(stage: Stage, step: Step, section: str) -> None:
    with step(f"generate_assignment {section}"):  # release/ is there, the gradebook is new
        stage.instructor("generate_assignment", section, "--force")
    with step(f"release_assignment {section}"):
        stage.instructor("release_assignment", section, exchange=True)


def _hand_in(stage: Stage, learners: Sequence[Learner]) -> None:
    for number, learner in enumerate(learners):
        desk = stage.desk(learner.name)
        desk.mkdir(parents=True, exist_ok=True)
        config = LEARNER_CONFIG.format(course=COURSE_ID, exchange=stage.exchange, cache=desk / "cache")
        (desk / CONFIG).write_text(config)
        stage.learner(learner.name, "fetch_assignment", learner.section, here=number > 0)
        work = desk / learner.section
        for fetched in work.glob("*.ipynb"):
            fetched.unlink()
        for name, content in learner.files.items():
            (work / name).write_bytes(content)
        stage.learner(learner.name, "submit", learner.section, f"--student={learner.name}", here=number > 0)


def _grade(stage: Stage, step: Step, section: str) -> None:
    with step(f"collect {section}"):
        stage.instructor("collect", section, exchange=True)
    with step(f"autograde {section}"):
        try:
            stage.instructor("autograde", section, "--Batch.unsafe=True")  # nobody else's work
        except CouldNotRun as error:
            stage.problems.append(str(error))
        stage.seconds |= _times(stage.course.root / "autograded", section)
    with step(f"generate_feedback {section}"):
        stage.instructor("generate_feedback", section)
    with step(f"release_feedback {section}"):
        stage.instructor("release_feedback", section, exchange=True)


def _times(graded: Path, section: str) -> dict[str, float]:
    """Seconds from one finished submission to the next; nobody can tell them for the first."""
    folders = sorted(graded.glob(f"*/{section}"))
    ends = [max((path.stat().st_mtime for path in folder.glob("*.ipynb")), default=0.0) for folder in folders]
    return {
        f"{folder.parent.name}/{section}": max(end - before, 0.0)
        for folder, before, end in zip(folders[1:], ends, ends[1:], strict=False)
    }


def _copy(course: Course, copy: Course) -> None:
    """What a fresh clone of the course has."""
    copy.root.mkdir(parents=True)
    shutil.copy(course.root / CONFIG, copy.root)
    for here, there in ((course.source, copy.source), (course.hidden, copy.hidden)):
        shutil.copytree(here, there, ignore=LEFT_BEHIND)
    for here, there in ((course.release, copy.release), (course.solutions, copy.solutions)):
        if here.is_dir():
            shutil.copytree(here, there, ignore=LEFT_BEHIND)


@contextlib.contextmanager
def _own_settings(root: Path) -> Iterator[None]:
    """The user's own Jupyter settings and nbgrader caches have no part in this."""
    own = {
        f"JUPYTER_{name}_DIR": str(root / "jupyter" / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")
    }
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
