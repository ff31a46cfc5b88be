"""An instructor's clone with a gradebook, and everything that can be wrong with a submission."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from autograder.build import build
from autograder.cohort.desk import Desk, as_file
from autograder.errors import CouldNotRun
from autograder.layout import CONFIG, Course

TINY = Path(__file__).parents[1] / "course"
SECTION, NOTEBOOK = "01_warmup", "tiny"
FILE = f"{NOTEBOOK}.ipynb"
FULL = 6.0  # of 5, with the bonus
TIME = "2026-01-02 03:04:05 UTC"
MARKUP = (
    '<img src=x onerror="alert(1)"><script>alert(2)</script> [a](javascript:alert(3)) [file](x.html) *well*'
)


@dataclass
class Clone:
    """A course as an instructor has it, and nbgrader's commands in it."""

    course: Course
    log: str = ""

    def run(self, app: str, *arguments: str) -> tuple[int, str]:
        """Exit code and log of one command."""
        import nbgrader.apps

        log = io.StringIO()
        with contextlib.chdir(self.course.root), contextlib.redirect_stderr(log):
            command = getattr(nbgrader.apps, app)()
            command.initialize([*arguments])
            try:
                command.start()
            except SystemExit as end:
                return int(end.code or 0), log.getvalue()
        return 0, log.getvalue()

    def autograde(self, *arguments: str) -> tuple[int, str]:
        return self.run("AutogradeApp", SECTION, *arguments)

    def hand_in(self, student: str, files: dict[str, bytes], *, time: str = TIME) -> Path:
        folder = self.course.root / "submitted" / student / SECTION
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        if time:
            (folder / "timestamp.txt").write_text(time)
        return folder

    @contextlib.contextmanager
    def gradebook(self) -> Iterator[Any]:
        from nbgrader.api import Gradebook

        with Gradebook(f"sqlite:///{self.course.root / 'gradebook.db'}", "tiny") as gradebook:
            yield gradebook

    def total(self, student: str) -> float:
        with self.gradebook() as gradebook:
            return float(gradebook.find_submission(SECTION, student).score)

    def graded(self, student: str) -> Path:
        return self.course.root / "autograded" / student / SECTION / FILE

    def text(self, student: str) -> str:
        """All that the graded notebook says, without markup of our own."""
        return json.dumps(json.loads(self.graded(student).read_text()), ensure_ascii=False)


@dataclass
class Case:
    """What is handed in, the score that is due, and words that must be said about it."""

    name: str
    files: dict[str, bytes]
    due: float = FULL
    said: str = ""
    time: str = TIME
    more: Callable[[Path], None] = field(default=lambda folder: None)


def _edited(desk: Desk, edit: Callable[[list[dict[str, Any]]], Any], **answers: str) -> dict[str, bytes]:
    content = desk.solved(**answers)
    edit(content["cells"])
    return {FILE: as_file(content)}


def _cell(cells: list[dict[str, Any]], cell_id: str) -> dict[str, Any]:
    return next(cell for cell in cells if cell["id"] == cell_id)


def _old_format(desk: Desk) -> bytes:
    """nbformat 3: one worksheet, `input` for `source`, no ids."""
    cells = [
        {"cell_type": "code", "input": c["source"], "language": "python", "metadata": {}, "outputs": []}
        for c in desk.solved()["cells"]
        if c["cell_type"] == "code"
    ]
    return as_file({"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": cells}]})


def _strip(cells: list[dict[str, Any]]) -> None:
    for number, cell in enumerate(cells):
        cell["metadata"], cell["id"] = {}, f"other-{number}"


def _swap(cells: list[dict[str, Any]]) -> None:
    one, two = (_cell(cells, f"{name}-answer")["metadata"]["nbgrader"] for name in ("double", "Counter"))
    one["grade_id"], two["grade_id"] = two["grade_id"], one["grade_id"]


def _settings(cell_id: str, **changes: Any) -> Callable[[list[dict[str, Any]]], None]:
    def edit(cells: list[dict[str, Any]]) -> None:
        _cell(cells, cell_id)["metadata"]["nbgrader"].update(changes)

    return edit


def _forged(desk: Desk) -> bytes:
    content = desk.content({})
    result = {
        "output_type": "execute_result",
        "data": {"text/plain": "2.0"},
        "metadata": {},
        "execution_count": 1,
    }
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [result]
    return as_file(content)


def make_cases(desk: Desk) -> list[Case]:
    """Everything of the list of broken submissions, each alone in a solved notebook."""
    perfect = as_file(desk.solved())
    check = copy.deepcopy(_cell(desk.content({})["cells"], "double"))
    invented = {**check, "id": "invented", "source": "2 + 2"}
    invented["metadata"]["nbgrader"].update(grade_id="invented", points=50)
    text = {"cell_type": "markdown", "id": "mine", "metadata": {}, "source": MARKUP}
    noise = {"output_type": "stream", "name": "stderr", "text": "again\n" * 100}
    twin = {"id": "twin"}

    def edit(function: Callable[[list[dict[str, Any]]], Any], **answers: str) -> dict[str, bytes]:
        return _edited(desk, function, **answers)

    return [
        Case("perfect", {FILE: perfect}),
        Case(
            "squares", {FILE: as_file(desk.solved(double="def double(x):\n    return x * x"))}, 4.0, "Not yet"
        ),
        Case(
            "no-bonus",
            {FILE: as_file(desk.content({k: v for k, v in desk.solutions.items() if k != "scale"}))},
            5.0,
        ),
        Case("forged-outputs", {FILE: _forged(desk)}, 0.0, "still to do"),
        Case("truncated", {FILE: perfect[:-500]}, 0.0, "ends in the middle"),
        Case("empty-file", {FILE: b""}, 0.0, "the file is empty"),
        Case("empty-folder", {}, 0.0, "There is no notebook"),
        Case("not-json", {FILE: b"\x00\x01 hello"}, 0.0),
        Case(
            "bad-utf8", {FILE: perfect.replace(b"tiny notebook", b"tiny \xff\xfe notebook")}, said="damaged"
        ),
        Case("nbformat-3", {FILE: _old_format(desk)}),
        Case("future-minor", {FILE: perfect.replace(b'"nbformat_minor": 5', b'"nbformat_minor": 99')}),
        Case("renamed", {"tiny (1).ipynb": perfect}),
        Case("nested", {"homework/01_warmup/tiny.ipynb": perfect}),
        Case("check-deleted", edit(lambda cells: cells.remove(_cell(cells, "double")))),
        Case("answer-deleted", edit(lambda cells: cells.remove(_cell(cells, "double-answer"))), 4.0),
        Case(
            "answer-copied",
            edit(lambda cells: cells.append(copy.deepcopy(_cell(cells, "double-answer")) | twin)),
        ),
        Case("check-copied", edit(lambda cells: cells.append(copy.deepcopy(_cell(cells, "double")) | twin))),
        Case("stripped", edit(_strip)),
        Case("flipped", edit(_settings("double-answer", grade=True, solution=False))),
        Case("points-edited", edit(_settings("double", points=100))),
        Case(
            "points-missing", edit(lambda cells: _cell(cells, "double")["metadata"]["nbgrader"].pop("points"))
        ),
        Case("schema-99", edit(_settings("double", schema_version=99))),
        Case("swapped-ids", edit(_swap)),
        Case("invented-cell", edit(lambda cells: cells.append(invented))),
        Case("unknown-kernel", {FILE: perfect.replace(b'"name": "python3"', b'"name": "no-such-kernel"')}),
        Case(
            "many-outputs", edit(lambda cells: _cell(cells, "double-answer").update(outputs=[noise] * 10_000))
        ),
        Case("markup", edit(lambda cells: cells.insert(1, text))),
        Case("bad-time", {FILE: perfect}, time="the day before yesterday"),
        Case("no-time", {FILE: perfect}, time=""),
        Case("linked", {}, 0.0, "it is a link", more=lambda f: (f / FILE).symlink_to("/etc/hostname")),
        Case("link-beside", {FILE: perfect}, more=lambda f: (f / "secret.txt").symlink_to("/etc/hostname")),
        Case("pipe-beside", {FILE: perfect}, more=lambda f: os.mkfifo(f / "pipe.txt")),
    ]


CASES = {case.name: case for case in make_cases(Desk(Course(TINY), SECTION, NOTEBOOK))}


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone with a gradebook."""
    course = Course(tmp_path_factory.mktemp("instructor") / "course")
    shutil.copytree(TINY, course.root, ignore=shutil.ignore_patterns("build", "__pycache__"))
    settings = {
        "CourseDirectory.root": course.root,
        "Exchange.root": course.root.parent / "ex",
        "Exchange.cache": course.root.parent / "cache",
    }
    with (course.root / CONFIG).open("a") as config:
        config.writelines(f"c.{name} = {str(value)!r}\n" for name, value in settings.items())
    (course.root.parent / "ex").mkdir()
    build(course, [SECTION])
    clone = Clone(course)
    assert clone.run("GenerateAssignmentApp", SECTION, "--force")[0] == 0
    return clone


@pytest.fixture(scope="session")
def batch(clone: Clone) -> Clone:
    """All cases graded in one command, with its log."""
    for case in CASES.values():
        case.more(clone.hand_in(case.name, case.files, time=case.time))
    code, clone.log = clone.autograde()
    assert code == 0, clone.log
    return clone


class Fake:
    """A grader that answers at once, with what it is told to."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[bytes] = []
        self.closed = 0

    def submit(self, raw: bytes, assignment: Any) -> Future[Any]:
        self.asked.append(raw)
        future: Future[Any] = Future()
        if isinstance(self.answer, BaseException):
            future.set_exception(self.answer)
        else:
            future.set_result(self.answer)
        return future

    def close(self) -> None:
        self.closed += 1


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    """Every case in turn."""
    return CASES[request.param]


@pytest.fixture(scope="session")
def cases() -> dict[str, Case]:
    """All of them by name."""
    return CASES


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Stands in for every grader."""
    fake = Fake(CouldNotRun("the disk is full"))
    monkeypatch.setattr("autograder.nbgrader.batch.Grader", lambda **_: fake)
    return fake
