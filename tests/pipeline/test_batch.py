"""One autograde command over everything that can be wrong with a submission."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autograder.cohort.leaks import find_leaks, secret_lines
from autograder.layout import Course

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of nbgrader and its libraries

SECTION, NOTEBOOK, FILE = "01_warmup", "tiny", "tiny.ipynb"


def test_released_again_byte_for_byte(clone: Any, course: Course) -> None:
    """An instructor's generate_assignment gives what the builder made."""
    made, committed = clone.course.release / SECTION, course.release / SECTION
    assert (made / FILE).read_bytes() == (committed / FILE).read_bytes()


def test_everybody_gets_what_is_due(batch: Any, case: Any) -> None:
    assert batch.total(case.name) == case.due
    assert case.said in batch.text(case.name)


def test_what_was_handed_in_is_kept(batch: Any, case: Any) -> None:
    folder = batch.course.root / "submitted" / case.name / SECTION
    for file, content in case.files.items():
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
        ("large-file-beside", "`weights.bin` is left out: it is larger than 256 MB"),
    ],
)
def test_a_line_says_what_was_done(batch: Any, student: str, line: str) -> None:
    lines = [text for text in batch.log.splitlines() if f"[autograder] {student}: " in text]
    assert len(lines) == 1
    assert line in lines[0]


def test_autograder_grade_says_the_same(batch: Any, cases: dict[str, Any]) -> None:
    """The same folders without nbgrader; one command, whatever lies in them."""
    folder = batch.course.root / "submitted"
    os.mkfifo(folder / "pipe.ipynb")
    command = [sys.executable, "-m", "autograder", "grade", str(folder), "--json"]
    try:
        done = subprocess.run(command, cwd=batch.course.root, capture_output=True, text=True, check=False)
    finally:
        (folder / "pipe.ipynb").unlink()
    assert done.returncode == 1
    assert "pipe.ipynb: can't be graded: it is a pipe, not an ordinary file" in done.stderr
    assert f"linked/{SECTION}/{FILE}: can't be graded: it is a link" in done.stderr
    got = {}
    for line in done.stdout.splitlines():
        report = json.loads(line)
        got[Path(report["path"]).relative_to(folder).parts[0]] = report["score"]
        assert report["outcome"] == "graded"
    due = {case.name: case.due for case in cases.values() if case.files}
    assert {name: got.get(name) for name in due} == due


def test_links_are_not_followed(batch: Any) -> None:
    graded = batch.graded("link-beside").parent
    assert sorted(path.name for path in graded.iterdir() if path.suffix == ".txt") == ["timestamp.txt"]


def test_the_gradebook_has_partial_credit_messages_and_bonus(batch: Any) -> None:
    with batch.gradebook() as gradebook:
        grade = gradebook.find_grade("double", NOTEBOOK, SECTION, "squares")
        assert (grade.auto_score, grade.max_score, grade.needs_manual_grade) == (0.0, 2.0, False)
        comment = gradebook.find_comment("double-answer", NOTEBOOK, SECTION, "squares").auto_comment
        assert comment.startswith("Not yet: ")
        assert gradebook.find_comment("Counter-answer", NOTEBOOK, SECTION, "squares").auto_comment is None
        bonus = gradebook.find_grade("scale", NOTEBOOK, SECTION, "squares")
        assert (bonus.auto_score, bonus.extra_credit) == (0.0, 1.0)
        assert gradebook.find_grade("scale", NOTEBOOK, SECTION, "no-bonus").extra_credit == 0.0


def test_a_grade_cell_has_one_trusted_output(batch: Any) -> None:
    cells = json.loads(batch.graded("forged-outputs").read_text())["cells"]
    outputs = {cell["id"]: cell["outputs"] for cell in cells if cell.get("outputs")}
    assert list(outputs) == ["double", "Counter", "scale"]
    assert [output["data"]["text/plain"] for (output,) in outputs.values()] == [["0.0"]] * 3


def test_feedback_tells_nothing_hidden_and_runs_nothing(batch: Any) -> None:
    clone = batch
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
    assert "<strong>4 of 5 points, 1 of 2 exercises passed</strong>" in page
    assert not re.search(r"<script|<link|@import|https?://", page)
    assert "hidden test" in page
