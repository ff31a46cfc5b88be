"""The demo cohort: what its learners hand in, and that a wrong score does not pass unseen."""

from __future__ import annotations

import json
import sqlite3
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autograder.bank import load_bank
from autograder.cohort.leaks import find_leaks, secret_lines
from autograder.cohort.learners import Learner, make_learners
from autograder.commands.cohort import cohort
from autograder.layout import Course

SECTION, NOTEBOOK, FILE = "01_warmup", "tiny", "tiny.ipynb"
SMALL = ("perfect", "mistaken-1", "renamed-file", "forger")


@pytest.fixture(scope="module")
def learners(course: Course) -> dict[str, Learner]:
    return {learner.name: learner for learner in make_learners(course, SECTION)}


def test_the_cohort_is_large_and_everybody_differs(learners: dict[str, Learner]) -> None:
    assert len(learners) >= 15
    assert len({learner.story for learner in learners.values()}) == len(learners)


def test_every_right_variant_is_handed_in(course: Course, learners: dict[str, Learner]) -> None:
    known = [v for v in load_bank(course.bank_file(SECTION, NOTEBOOK)) if v.kind == "right"]
    handed_in = {
        cell["source"]
        for name, learner in learners.items()
        if name.startswith("right-")
        for cell in json.loads(learner.files[FILE])["cells"]
        if isinstance(cell["source"], str)
    }
    assert known
    assert {variant.source for variant in known} <= handed_in


def test_what_is_due_follows_from_what_was_done(learners: dict[str, Learner]) -> None:
    due = {name: list(learner.expected.values()) for name, learner in learners.items()}
    assert due["perfect"] == due["noisy"] == due["renamed-file"] == ["full"] * 3
    assert due["untouched"] == due["forger"] == due["corrupt-file"] == ["nothing"] * 3
    assert due["mistaken-1"] == ["less", "full", "full"]
    assert due["half-done"] == ["full", "full", "nothing"]


def test_leaks_are_found_in_pages_and_notebooks(course: Course, tmp_path: Path) -> None:
    (line, *_) = secrets = sorted(secret_lines(course, SECTION))
    assert find_leaks(secrets, [course.release, course.solutions]) == []
    marked = line.replace("<", "&lt;").replace("(", "<span>(</span>").replace('"', "&quot;")
    (tmp_path / "page.html").write_text(f"<p>{marked}</p>")
    (tmp_path / "notebook.ipynb").write_text(json.dumps({"cells": [{"source": ["# mine\n", line]}]}))
    (tmp_path / "broken.ipynb").write_text("{" + line)
    assert [path.name for path, _ in find_leaks(secrets, [tmp_path])] == [
        "broken.ipynb",
        "notebook.ipynb",
        "page.html",
    ]


def _step(name: str) -> AbstractContextManager[None]:
    return nullcontext()


@pytest.mark.slow
def test_a_play_in_which_everybody_gets_what_is_due_and_one_in_which_not(
    course: Course, learners: dict[str, Learner], tmp_path: Path
) -> None:
    """The real commands, from a fresh clone to feedback; then a score is changed behind our back."""
    from autograder.cohort.play import play, set_up
    from autograder.cohort.verdict import Judge

    chosen = [learners[name] for name in SMALL]
    stage = set_up(course, tmp_path / "play", [SECTION], _step)
    play(stage, chosen, _step)
    judge = Judge(stage, chosen)
    assert [(name, judge.verdict(learners[name]).wrong) for name in SMALL] == [(name, ()) for name in SMALL]
    assert [judge.verdict(learners[name]).score for name in ("perfect", "forger")] == [6.0, 0.0]
    assert judge.verdict(learners["mistaken-1"]).due == "4 to below 6"
    assert find_leaks(secret_lines(stage.course, SECTION), stage.shown) == []

    with closing(sqlite3.connect(stage.root / "gradebook.db")) as gradebook:
        gradebook.execute("UPDATE grade SET auto_score = 1")
        gradebook.commit()
    (stage.submitted("perfect", SECTION) / FILE).write_bytes(b"")
    (stage.feedback("forger", SECTION) / f"{NOTEBOOK}.html").unlink()
    judge = Judge(stage, chosen)
    assert judge.verdict(learners["perfect"]).wrong == (
        *("double got 1 of 2", "Counter got 1 of 3", "scale got 2 of 1"),
        *("grades.csv has 6.0", "the submitted tiny.ipynb was changed"),
    )
    assert "no feedback on tiny" in judge.verdict(learners["forger"]).wrong
    assert "double got 1 of 2, directly 0" in judge.verdict(learners["mistaken-1"]).wrong


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["demo", "99_none"], "there is no section 99_none; there are 01_warmup"),
        (["demo", "--keep", "."], "is not empty"),
        (["intake", "99_none"], "there is no section 99_none; there are 01_warmup"),
    ],
)
def test_wrong_usage(
    course: Course, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(course.root)
    result = CliRunner().invoke(cohort, arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.output.replace("│", " ").split())


def test_intake_says_a_line_for_each_learner(course_copy: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = course_copy.released(SECTION, NOTEBOOK).read_bytes()
    for name, file in (("ann", FILE), ("ben", "tiny (2).ipynb")):
        folder = course_copy.root / "submitted" / name / SECTION
        folder.mkdir(parents=True)
        (folder / file).write_bytes(raw)
    monkeypatch.chdir(course_copy.root)
    result = CliRunner().invoke(cohort, ["intake", SECTION])
    assert result.exit_code == 0
    assert result.output.splitlines() == ["ann: ready", "ben: `tiny (2).ipynb` is graded as `tiny.ipynb`"]


def test_intake_without_submissions(course_copy: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    from autograder.errors import CourseError

    monkeypatch.chdir(course_copy.root)
    result = CliRunner().invoke(cohort, ["intake", SECTION])
    assert isinstance(result.exception, CourseError)
    assert "put them into submitted/LEARNER/01_warmup/" in str(result.exception)
