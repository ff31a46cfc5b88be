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
from autograder.cohort.desk import Desk, as_file, code_cell
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

TAKE_OVER = (
    "<script>document.documentElement.dataset.taken = 1</script>"
    "<img src=x onerror='document.documentElement.dataset.taken = 1'>"
    "<svg onload='document.documentElement.dataset.taken = 1'></svg>"
    "<iframe srcdoc='<script>parent.document.documentElement.dataset.taken = 1</script>'></iframe>"
    "<details open ontoggle='document.documentElement.dataset.taken = 1'>x</details>"
)
NOISY = """import sys, warnings
def noise():
    print("now"); warnings.warn("careful"); print("\\r 42 %|####   |", file=sys.stderr)
    import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()"""
N_TIMES = "def double(x):\n    return n * x"


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


def _large_output(folder: Path) -> None:
    cell = {"cell_type": "code", "source": "", "metadata": {}, "outputs": ["x" * 60_000_000]}
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}
    (folder / FILE).write_text(json.dumps(content))


def _large_file(folder: Path) -> None:
    with (folder / "weights.bin").open("wb") as file:
        file.truncate(2**31)


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


def _as_text(cells: list[dict[str, Any]]) -> None:
    _cell(cells, "double-answer")["cell_type"] = "markdown"


def _with(*sources: str) -> Callable[[list[dict[str, Any]]], None]:
    """Cells of the learner's own, before the first answer."""
    return lambda cells: cells.__setitem__(
        slice(2, 2), [code_cell(f"mine-{number}", source) for number, source in enumerate(sources)]
    )


def _output(kind: str, text: str) -> dict[str, Any]:
    return {"output_type": "display_data", "data": {kind: text}, "metadata": {}}


def _taken_over(desk: Desk) -> bytes:
    """Everything a page could be made to run, in every place that is the learner's."""
    content = desk.solved(
        double=f"# {TAKE_OVER}\ndef double(x):\n    raise ValueError({TAKE_OVER!r})",
        Counter=f"class Counter:\n    __doc__ = {TAKE_OVER!r}\n{TAKE_OVER} </pre></code>",
        scale=f"def scale(x, low=0.0, high=1.0):\n    return {TAKE_OVER!r}",
    )
    content["metadata"]["title"] = content["metadata"]["kernelspec"]["display_name"] = TAKE_OVER
    text = {"cell_type": "markdown", "id": "mine", "metadata": {"name": TAKE_OVER}, "source": TAKE_OVER}
    raw = {"cell_type": "raw", "id": "raw", "metadata": {"format": "text/html"}, "source": TAKE_OVER}
    shown = code_cell("mine-output", "print(1)")
    kinds = ("text/html", "image/svg+xml", "text/markdown", "text/latex", "text/plain")
    shown["outputs"] = [_output(kind, TAKE_OVER) for kind in kinds]
    shown["outputs"].append(_output("application/javascript", "document.documentElement.dataset.taken = 1"))
    content["cells"][1:1] = [text, raw, shown]
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
        Case("past-time", {FILE: perfect}, time="1999-01-01 00:00:00 UTC"),
        Case("answer-as-text", edit(_as_text), said="turned back"),
        Case("syntax-error", {FILE: as_file(desk.solved(double="def double(x:\n    return 2 * x"))}, 4.0),
        Case("package-missing", edit(_with("import a_package_nobody_has", "y = 1"))),
        Case("commands", edit(_with("%matplotlib inline\n!pip install torch\n%time 1", "%%bash\nls"))),
        Case(
            "defined-twice", edit(_with("def double(x):\n    return x", "def helper(x):\n    return 2 * x"))
        ),
        Case(
            "last-one-counts",
            edit(lambda cells: cells.append(code_cell("late", "def double(x):\n    return x"))),
            4.0,
        ),
        Case(
            "helpers",
            edit(_with("def helper(x):\n    return 2 * x"), double="def double(x):\n    return helper(x)"),
        ),
        Case(
            "noisy",
            edit(_with(NOISY), double="def double(x):\n    noise()\n    return 2 * x"),
        ),
        Case(
            "top-to-bottom",
            edit(_with("n = 1", "n = n + 1", "del noise_of_yesterday"), double=N_TIMES),
        ),
        Case(
            "stale-kernel",
            {FILE: as_file(desk.solved(double="def double(x):\n    return yesterday(x)"))},
            4.0,
            "NameError",
        ),
        Case("large-output", {}, 0.0, "clear all outputs", more=_large_output),
        Case("large-file-beside", {FILE: perfect}, more=_large_file),
        Case("taken-over", {FILE: _taken_over(desk)}, 0.0),
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
