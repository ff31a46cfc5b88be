"""Special runs of nbgrader: regrades, failures of ours, refusals, the formgrader's buttons."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from autograder.errors import CouldNotRun

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of nbgrader and its libraries

SECTION, NOTEBOOK, FILE = "01_warmup", "tiny", "tiny.ipynb"
FULL = 6.0


def test_a_regrade_follows_the_new_code_and_keeps_what_people_wrote(cases: Any, batch: Any) -> None:
    clone = batch
    clone.hand_in("changes-mind", cases["perfect"].files)
    assert clone.autograde("--student=changes-mind")[0] == 0
    with clone.gradebook() as gradebook:
        gradebook.find_comment(
            "double-answer", NOTEBOOK, SECTION, "changes-mind"
        ).manual_comment = "Well done!"
        gradebook.db.commit()
    clone.hand_in("changes-mind", cases["no-bonus"].files, time="2026-02-02 03:04:05 UTC")
    assert clone.autograde("--student=changes-mind")[0] == 0
    assert clone.total("changes-mind") == 5.0
    with clone.gradebook() as gradebook:
        comment = gradebook.find_comment("double-answer", NOTEBOOK, SECTION, "changes-mind")
        assert comment.comment == "Well done!"


def test_no_execute_does_not_bring_forged_outputs_in(batch: Any) -> None:
    clone = batch
    assert clone.autograde("--student=forged-outputs", "--force", "--no-execute")[0] == 0
    assert clone.total("forged-outputs") == 0.0


def test_what_could_not_run_is_no_zero_and_stops_nobody(batch: Any, fake: Any) -> None:
    """Each fails alone, the old score stays, the exit code tells; two restarts are tried in a run."""
    clone = batch
    code, log = clone.autograde("--student=s*", "--force")
    assert code == 1
    assert "the disk is full" in log
    students = ["schema-99", "squares", "stripped", "swapped-ids"]
    assert [f"student '{student}'" in log for student in students] == [True] * 4
    assert [clone.total(student) for student in students] == [FULL, 4.0, FULL, FULL]
    assert not clone.graded("squares").exists()
    assert fake.closed == 3
    assert len(fake.asked) >= 6


def test_the_rest_is_finished_by_the_same_command(batch: Any) -> None:
    """After the failure above, only those who are missing are graded."""
    clone = batch
    code, log = clone.autograde("--student=s*")
    assert code == 0, log
    assert clone.graded("squares").exists()
    assert clone.total("stripped") == FULL


def test_ctrl_c_ends_the_grader(batch: Any, fake: Any) -> None:
    clone = batch
    fake.answer = KeyboardInterrupt()
    code, log = clone.autograde("--student=no-time", "--force")
    assert code == 1
    assert "[autograder] interrupted; what is finished is kept: run the same command again" in log
    assert fake.closed == 1
    assert clone.total("no-time") == FULL


def test_an_old_report_is_not_used_for_new_code(
    batch: Any, fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands in the notebook in the end is what is graded, whoever changed it on the way."""
    from autograder.nbgrader.sanitize import RepairSubmission

    repair = RepairSubmission.preprocess

    def meddle(self: Any, nb: Any, resources: Any) -> tuple[Any, Any]:
        nb, resources = repair(self, nb, resources)
        next(cell for cell in nb.cells if cell.id == "double-answer").source = "double = 'changed'"
        return nb, resources

    monkeypatch.setattr(RepairSubmission, "preprocess", meddle)
    batch.autograde("--student=no-time", "--force")
    assert fake.asked
    assert all(b"double = 'changed'" in raw for raw in fake.asked)


@pytest.mark.usefixtures("fake")
def test_weak_walls_refuse_before_anything_is_touched(batch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = batch

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
    cases: Any, clone: Any, tmp_path: Path, statement: str, words: str
) -> None:
    other = tmp_path / "other.db"
    shutil.copy(clone.course.root / "gradebook.db", other)
    with contextlib.closing(sqlite3.connect(other)) as connection:
        connection.execute(statement)
        connection.commit()
    clone.hand_in("somebody", cases["perfect"].files)
    code, log = clone.autograde(f"--db=sqlite:///{other}")
    assert code == 1
    assert words in log
    assert log.count("run `nbgrader generate_assignment 01_warmup`") == 1


@pytest.mark.usefixtures("fake")
def test_a_course_of_somebody_else(cases: Any, clone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clone.hand_in("elsewhere", cases["perfect"].files)
    monkeypatch.setattr("autograder.nbgrader.consistency.os.access", lambda *_: False)
    code, log = clone.autograde("--student=elsewhere")
    assert code == 1
    assert "autograded may not be written by this user; run the command as the one whose course it is" in log
    assert "Traceback" not in log


@pytest.mark.usefixtures("fake")
def test_a_section_of_another_course(clone: Any) -> None:
    folder = clone.course.root / "submitted" / "bob" / "99_other"
    folder.mkdir(parents=True)
    (folder / FILE).write_bytes(b"{}")
    code, log = clone.run("AutogradeApp", "99_other")
    assert code == 1
    assert "99_other is not a section of this course; there are 01_warmup" in log


def test_the_formgraders_buttons(batch: Any) -> None:
    """The formgrader calls this API."""
    from nbgrader.apps import NbGrader
    from nbgrader.apps.api import NbGraderAPI

    clone = batch
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
