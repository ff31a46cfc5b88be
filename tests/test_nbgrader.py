"""nbgrader's commands on a throw-away course: one batch of all that goes wrong, then special runs."""

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
from autograder.cohort.leaks import find_leaks, secret_lines
from autograder.errors import CouldNotRun
from autograder.layout import CONFIG, Course

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of nbgrader and its libraries

TINY = Path(__file__).parent / "course"
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


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def batch(clone: Clone) -> tuple[Clone, str]:
    """All cases graded in one command, and its log."""
    for case in CASES.values():
        case.more(clone.hand_in(case.name, case.files, time=case.time))
    code, log = clone.autograde()
    assert code == 0, log
    return clone, log


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


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Stands in for every grader."""
    fake = Fake(CouldNotRun("the disk is full"))
    monkeypatch.setattr("autograder.nbgrader.batch.Grader", lambda **_: fake)
    return fake


def test_released_again_byte_for_byte(clone: Clone) -> None:
    """An instructor's generate_assignment gives what the builder made."""
    made, committed = clone.course.release / SECTION, Course(TINY).release / SECTION
    assert (made / FILE).read_bytes() == (committed / FILE).read_bytes()


@pytest.mark.parametrize("name", CASES)
def test_everybody_gets_what_is_due(batch: tuple[Clone, str], name: str) -> None:
    clone, _ = batch
    assert clone.total(name) == CASES[name].due
    assert CASES[name].said in clone.text(name)


@pytest.mark.parametrize("name", CASES)
def test_what_was_handed_in_is_kept(batch: tuple[Clone, str], name: str) -> None:
    folder = batch[0].course.root / "submitted" / name / SECTION
    for file, content in CASES[name].files.items():
        assert (folder / file).read_bytes() == content


@pytest.mark.parametrize(
    ("student", "line"),
    [
        ("renamed", "`tiny (1).ipynb` is graded as `tiny.ipynb`"),
        ("nested", "`homework/01_warmup/tiny.ipynb` is graded as `tiny.ipynb`"),
        ("empty-folder", "`tiny.ipynb` was not handed in: it counts as empty"),
        ("bad-time", "`timestamp.txt` can't be read"),
        ("linked", "`tiny.ipynb` is left out: it is a link"),
        ("link-beside", "`secret.txt` is left out: it is a link"),
        ("pipe-beside", "`pipe.txt` is left out: it is a pipe"),
    ],
)
def test_a_line_says_what_was_done(batch: tuple[Clone, str], student: str, line: str) -> None:
    lines = [text for text in batch[1].splitlines() if f"[autograder] {student}: " in text]
    assert len(lines) == 1
    assert line in lines[0]


def test_links_are_not_followed(batch: tuple[Clone, str]) -> None:
    graded = batch[0].graded("link-beside").parent
    assert sorted(path.name for path in graded.iterdir() if path.suffix == ".txt") == ["timestamp.txt"]


def test_the_gradebook_has_partial_credit_messages_and_bonus(batch: tuple[Clone, str]) -> None:
    with batch[0].gradebook() as gradebook:
        grade = gradebook.find_grade("double", NOTEBOOK, SECTION, "squares")
        assert (grade.auto_score, grade.max_score, grade.needs_manual_grade) == (0.0, 2.0, False)
        comment = gradebook.find_comment("double-answer", NOTEBOOK, SECTION, "squares").auto_comment
        assert comment.startswith("Not yet: ")
        assert gradebook.find_comment("Counter-answer", NOTEBOOK, SECTION, "squares").auto_comment is None
        bonus = gradebook.find_grade("scale", NOTEBOOK, SECTION, "squares")
        assert (bonus.auto_score, bonus.extra_credit) == (0.0, 1.0)
        assert gradebook.find_grade("scale", NOTEBOOK, SECTION, "no-bonus").extra_credit == 0.0


def test_a_grade_cell_has_one_trusted_output(batch: tuple[Clone, str]) -> None:
    cells = json.loads(batch[0].graded("forged-outputs").read_text())["cells"]
    outputs = {cell["id"]: cell["outputs"] for cell in cells if cell.get("outputs")}
    assert list(outputs) == ["double", "Counter", "scale"]
    assert [output["data"]["text/plain"] for (output,) in outputs.values()] == [["0.0"]] * 3


def test_a_regrade_follows_the_new_code_and_keeps_what_people_wrote(batch: tuple[Clone, str]) -> None:
    clone, _ = batch
    clone.hand_in("changes-mind", CASES["perfect"].files)
    assert clone.autograde("--student=changes-mind")[0] == 0
    with clone.gradebook() as gradebook:
        gradebook.find_comment(
            "double-answer", NOTEBOOK, SECTION, "changes-mind"
        ).manual_comment = "Well done!"
        gradebook.db.commit()
    clone.hand_in("changes-mind", CASES["no-bonus"].files, time="2026-02-02 03:04:05 UTC")
    assert clone.autograde("--student=changes-mind")[0] == 0
    assert clone.total("changes-mind") == 5.0
    with clone.gradebook() as gradebook:
        comment = gradebook.find_comment("double-answer", NOTEBOOK, SECTION, "changes-mind")
        assert comment.comment == "Well done!"


def test_no_execute_does_not_bring_forged_outputs_in(batch: tuple[Clone, str]) -> None:
    clone, _ = batch
    assert clone.autograde("--student=forged-outputs", "--force", "--no-execute")[0] == 0
    assert clone.total("forged-outputs") == 0.0


def test_what_could_not_run_is_no_zero_and_stops_nobody(batch: tuple[Clone, str], fake: Fake) -> None:
    """Each fails alone, the old score stays, the exit code tells; two restarts are tried in a run."""
    clone, _ = batch
    code, log = clone.autograde("--student=s*", "--force")
    assert code == 1
    assert "the disk is full" in log
    students = ["schema-99", "squares", "stripped", "swapped-ids"]
    assert [f"student '{student}'" in log for student in students] == [True] * 4
    assert [clone.total(student) for student in students] == [FULL, 4.0, FULL, FULL]
    assert not clone.graded("squares").exists()
    assert fake.closed == 3
    assert len(fake.asked) >= 6


def test_the_rest_is_finished_by_the_same_command(batch: tuple[Clone, str]) -> None:
    """After the failure above, only those who are missing are graded."""
    clone, _ = batch
    code, log = clone.autograde("--student=s*")
    assert code == 0, log
    assert clone.graded("squares").exists()
    assert clone.total("stripped") == FULL


def test_ctrl_c_ends_the_grader(batch: tuple[Clone, str], fake: Fake) -> None:
    clone, _ = batch
    fake.answer = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        clone.autograde("--student=no-time", "--force")
    assert fake.closed == 1
    assert clone.total("no-time") == FULL


def test_an_old_report_is_not_used_for_new_code(
    batch: tuple[Clone, str], fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands in the notebook in the end is what is graded, whoever changed it on the way."""
    from autograder.nbgrader.sanitize import RepairSubmission

    repair = RepairSubmission.preprocess

    def meddle(self: Any, nb: Any, resources: Any) -> tuple[Any, Any]:
        nb, resources = repair(self, nb, resources)
        next(cell for cell in nb.cells if cell.id == "double-answer").source = "double = 'changed'"
        return nb, resources

    monkeypatch.setattr(RepairSubmission, "preprocess", meddle)
    batch[0].autograde("--student=no-time", "--force")
    assert fake.asked
    assert all(b"double = 'changed'" in raw for raw in fake.asked)


@pytest.mark.usefixtures("fake")
def test_weak_walls_refuse_before_anything_is_touched(
    batch: tuple[Clone, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clone, _ = batch

    def refuse(*, unsafe: bool) -> None:
        raise CouldNotRun("no walls; --unsafe grades all the same")

    monkeypatch.setattr("autograder.nbgrader.consistency.ensure_safe", refuse)
    code, log = clone.autograde("--student=perfect", "--force")
    assert code == 1
    assert "no walls; --Batch.unsafe=True grades all the same" in log
    assert clone.graded("perfect").exists()


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE grade_cells SET max_score = 7 WHERE max_score = 3", "have not the same points for Counter"),
        ("DELETE FROM notebook", "the gradebook does not know 01_warmup/tiny"),
    ],
)
def test_a_gradebook_that_does_not_fit_is_told_once(
    clone: Clone, tmp_path: Path, statement: str, words: str
) -> None:
    import sqlite3

    other = tmp_path / "other.db"
    shutil.copy(clone.course.root / "gradebook.db", other)
    with contextlib.closing(sqlite3.connect(other)) as connection:
        connection.execute(statement)
        connection.commit()
    clone.hand_in("somebody", CASES["perfect"].files)
    code, log = clone.autograde(f"--db=sqlite:///{other}")
    assert code == 1
    assert words in log
    assert log.count("run `nbgrader generate_assignment 01_warmup --force`") == 1


@pytest.mark.usefixtures("fake")
def test_a_section_of_another_course(clone: Clone) -> None:
    folder = clone.course.root / "submitted" / "bob" / "99_other"
    folder.mkdir(parents=True)
    (folder / FILE).write_bytes(b"{}")
    code, log = clone.run("AutogradeApp", "99_other")
    assert code == 1
    assert "99_other is not a section of this course; there are 01_warmup" in log


def test_feedback_tells_nothing_hidden_and_runs_nothing(batch: tuple[Clone, str]) -> None:
    clone, _ = batch
    root = clone.course.root
    code, log = clone.run("GenerateFeedbackApp", SECTION, "--force")
    assert code == 0, log
    assert find_leaks(secret_lines(clone.course, SECTION), [root / "feedback", root / "autograded"]) == []
    page = (root / "feedback" / "markup" / SECTION / f"{NOTEBOOK}.html").read_text()
    assert "onerror" not in page
    assert 'href="javascript' not in page
    assert 'href="x.html"' not in page
    assert "<em>well</em>" in page
    page = (root / "feedback" / "squares" / SECTION / f"{NOTEBOOK}.html").read_text()
    assert "Score: 4.0 / 5.0" in page
    assert "hidden test" in page


def test_the_formgraders_buttons(batch: tuple[Clone, str]) -> None:
    """The formgrader calls this API."""
    from nbgrader.apps import NbGrader
    from nbgrader.apps.api import NbGraderAPI

    clone, _ = batch
    (clone.course.root / "submitted" / "perfect" / SECTION / "submission_secret.txt").write_text("secret")
    with contextlib.chdir(clone.course.root), contextlib.redirect_stderr(io.StringIO()):
        app = NbGrader()
        app.initialize([])
        json.dumps(app.config)  # its config panel does this
        api = NbGraderAPI(config=app.config)
        results = [
            api.release_assignment(SECTION),
            api.collect(SECTION, update=True),
            api.autograde(SECTION, "perfect"),
            api.generate_feedback(SECTION, "perfect"),
            api.release_feedback(SECTION, "perfect"),
        ]
        assert [result["success"] for result in results] == [True] * 5, results
        assert api.get_submission(SECTION, "perfect")["score"] == FULL
