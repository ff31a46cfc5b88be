"""The file of attempts: what is written, what a crash leaves, and where nothing may be written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autograder.errors import CourseError
from autograder.journal import Journal
from autograder.report import ExerciseResult, Report, TestResult


def report(*, passed: bool, evidence: str = "") -> Report:
    test = TestResult("test_a", True, "passed" if passed else "failed", f"It holds.\n{evidence}".strip())
    exercise = ExerciseResult.of("softmax", [test], points=3)
    return Report.of("05_a", "tiny", exercises=[exercise], sandbox="A", seed=1, verdict_id="")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.create(tmp_path / "work")


def test_what_was_noted_is_read_back(journal: Journal) -> None:
    journal.note(report(passed=False, evidence="got 2"), how="check", code={"softmax": "def softmax(): 1"})
    journal.note(report(passed=True), how="grade")
    first, second = journal.attempts()
    assert (first.section, first.notebook, first.exercise) == ("05_a", "tiny", "softmax")
    assert (first.how, first.outcome, first.score, first.max_score) == ("check", "failed", 0.0, 3.0)
    assert (second.how, second.outcome, second.score) == ("grade", "passed", 3.0)
    assert first.code
    assert first.evidence
    assert not second.evidence
    assert first.when.endswith("+00:00")


def test_a_filter_names_what_is_wanted(journal: Journal) -> None:
    journal.note(report(passed=True), how="check")
    assert journal.attempts(section="05_a", notebook="tiny", exercise="softmax")
    assert not journal.attempts(exercise="attention")
    assert not journal.attempts(section="06_b")


def test_the_same_failure_is_the_same_evidence(journal: Journal) -> None:
    for evidence in ("got 2", "got 2", "got 3"):
        journal.note(report(passed=False, evidence=evidence), how="check")
    one, again, other = (attempt.evidence for attempt in journal.attempts())
    assert one == again != other


def test_neither_code_nor_evidence_is_kept_as_text(journal: Journal) -> None:
    journal.note(report(passed=False, evidence="secret"), how="check", code={"softmax": "secret"})
    assert journal.file is not None
    assert "secret" not in journal.file.read_text()


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "\xff",
        '{"when": 1}',
        "[" * 100_000,
        "\0",
    ],
)
def test_a_line_that_cannot_be_read_is_passed_over(journal: Journal, line: str) -> None:
    journal.note(report(passed=True), how="check")
    assert journal.file is not None
    with journal.file.open("ab") as file:
        file.write(line.encode("latin-1") + b"\n")
    journal.note(report(passed=True), how="check")
    assert len(journal.attempts()) == 2


def test_a_line_that_was_cut_off_takes_no_other_with_it(journal: Journal) -> None:
    for _ in range(2):
        journal.note(report(passed=True), how="check")
    assert journal.file is not None
    whole = journal.file.read_bytes()
    journal.file.write_bytes(whole[:-20])
    journal.note(report(passed=True), how="check")
    assert len(journal.attempts()) == 2


def test_a_disk_that_refuses_costs_only_the_memory_of_it(journal: Journal) -> None:
    assert journal.file is not None
    journal.file.mkdir()
    journal.note(report(passed=True), how="check")
    assert len(journal.attempts()) == 1


def test_the_work_folder_around_is_found(journal: Journal, tmp_path: Path) -> None:
    inside = tmp_path / "work" / "05_a" / "deeper"
    inside.mkdir(parents=True)
    assert Journal.find(inside).file == journal.file


def test_without_a_work_folder_it_begins_above_the_section(tmp_path: Path) -> None:
    section = tmp_path / "home" / "05_a"
    section.mkdir(parents=True)
    found = Journal.find(section, section="05_a")
    assert found.file == tmp_path / "home" / ".autograder" / "attempts.jsonl"
    assert Journal.find(tmp_path / "home").file == found.file
    assert not (tmp_path / "home" / ".autograder").exists()
    found.note(report(passed=True), how="check")
    (line,) = found.file.read_text().splitlines()
    assert json.loads(line)["exercise"] == "softmax"


def test_a_courses_own_folders_stay_clean(tmp_path: Path) -> None:
    (tmp_path / "nbgrader_config.py").touch()
    for name in ("source", "release/05_a"):
        (tmp_path / name).mkdir(parents=True)
    Journal.find(tmp_path / "release" / "05_a", section="05_a").note(report(passed=True), how="check")
    assert not list(tmp_path.rglob(".autograder"))
    again = Journal.find(tmp_path / "release" / "05_a", section="05_a")
    assert len(again.attempts()) == 1, "a kernel remembers what the disk may not"


def test_a_work_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "work").touch()
    with pytest.raises(CourseError, match="the work folder can't be made here"):
        Journal.create(tmp_path / "work")
