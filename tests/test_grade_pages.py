"""What `grade` collects for its pages, and in whose journal it notes the result."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from autograder.assignment import Assignment
from autograder.commands.pages import material_of, write_pages
from autograder.journal import Journal
from autograder.layout import Course
from autograder.report import ExerciseResult, Report, TestResult

SECTION, NOTEBOOK = "01_warmup", "tiny"


@pytest.fixture
def assignment(course: Course) -> Assignment:
    return Assignment.load(course, SECTION, NOTEBOOK)


@pytest.fixture
def report() -> Report:
    tests = [TestResult("test_x", True, "failed", "It doubles.\nexpected 2, got 1")]
    result = ExerciseResult.of("double", tests, points=2)
    facts = {"sandbox": "A", "seed": 7, "verdict_id": "3f9a1c"}
    return Report.of(SECTION, NOTEBOOK, exercises=[result], **facts)


@pytest.fixture
def file(tmp_path: Path, course: Course) -> Path:
    """A solved notebook in its section's folder."""
    path = tmp_path / "work" / SECTION / f"{NOTEBOOK}.ipynb"
    path.parent.mkdir(parents=True)
    shutil.copy(course.solved(SECTION, NOTEBOOK), path)
    return path


def test_in_a_work_folder_the_result_is_noted_and_shown(
    file: Path, assignment: Assignment, report: Report
) -> None:
    journal = Journal.create(file.parents[1])
    for number in (1, 2):
        material = material_of(file, file.read_bytes(), assignment, report, pages=True)
        assert [a.how for a in journal.attempts(exercise="double")] == ["grade"] * number
    assert material.attempts == journal.attempts()
    assert material.attempts[0].code
    assert "return x * 2" in material.code["double"]
    assert material.lesson is not None
    assert material.lesson.passages["double"].heading == "1. `double`"


def test_elsewhere_no_trace_is_left(file: Path, assignment: Assignment, report: Report) -> None:
    before = sorted(file.parents[1].rglob("*"))
    assert material_of(file, file.read_bytes(), assignment, report, pages=True).attempts == ()
    assert sorted(file.parents[1].rglob("*")) == before


@pytest.mark.parametrize("linked", [".autograder", ".autograder/attempts.jsonl"])
def test_a_journal_that_leads_elsewhere_is_left_alone(
    linked: str, file: Path, assignment: Assignment, report: Report, tmp_path: Path
) -> None:
    """In a submission somebody made: what is appended to would be a file of the one who grades."""
    mine = tmp_path / "mine"
    if linked.endswith("jsonl"):
        mine.write_text("")
    else:
        mine.mkdir()
    link = file.parents[1] / linked
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(mine)
    assert material_of(file, file.read_bytes(), assignment, report, pages=True).attempts == ()
    assert mine.is_dir() or mine.read_text() == ""
    assert not list(mine.glob("*"))


def test_without_pages_nothing_is_collected_for_them(
    file: Path, assignment: Assignment, report: Report
) -> None:
    material = material_of(file, file.read_bytes(), assignment, report, pages=False)
    assert material.code == {}
    assert material.lesson is not None


def test_a_file_nobody_can_read_has_a_page_all_the_same(
    file: Path, assignment: Assignment, report: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    material = material_of(file, b"not json", assignment, report, pages=True)
    assert material.code == {}
    write_pages(tmp_path, {Path("a/b.ipynb"): report}, {Path("a/b.ipynb"): material})
    assert "Read again" in (tmp_path / "a-b.html").read_text()
    assert 'href="a-b.html"' in (tmp_path / "index.html").read_text()
    assert "Pages:" in capsys.readouterr().err
