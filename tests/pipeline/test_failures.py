"""The machine fails in the middle of a batch: nobody's score is lost or zeroed, and the same command again
finishes the rest."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of nbgrader and its libraries

SECTION, FILE = "01_warmup", "tiny.ipynb"
FULL = 6.0


def hand_in(clone: Any, cases: dict[str, Any], word: str, count: int) -> list[str]:
    students = [f"{word}-{number}" for number in range(count)]
    for student in students:
        clone.hand_in(student, cases["perfect"].files)
    return students


def scores(clone: Any, students: list[str]) -> list[float | None]:
    """None for everybody who has no score yet."""
    found: list[float | None] = []
    with clone.gradebook() as gradebook:
        for student in students:
            with contextlib.suppress(Exception):
                submission = gradebook.find_submission(SECTION, student)
                grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
                if grades and all(grade.auto_score is not None for grade in grades):
                    found.append(submission.score)
                    continue
            found.append(None)
    return found


def test_a_killed_command_is_finished_by_the_same_again(clone: Any, cases: dict[str, Any]) -> None:
    students = hand_in(clone, cases, "killed", 6)
    command = [sys.executable, "-m", "nbgrader", "autograde", SECTION, "--student=killed-*"]
    process = subprocess.Popen(command, cwd=clone.course.root, stderr=subprocess.DEVNULL)
    graded = clone.course.root / "autograded"
    patience = time.monotonic() + 120
    while not (graded / students[2]).exists() and time.monotonic() < patience:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert set(scores(clone, students)) <= {FULL, None}
    code, log = clone.autograde("--student=killed-*")
    assert code == 0, log
    assert scores(clone, students) == [FULL] * 6
    assert all(b"2.0" in clone.graded(student).read_bytes() for student in students)


def test_an_interrupted_command_says_so_in_a_sentence(clone: Any, cases: dict[str, Any]) -> None:
    students = hand_in(clone, cases, "interrupted", 6)
    command = [sys.executable, "-m", "nbgrader", "autograde", SECTION, "--student=interrupted-*"]
    process = subprocess.Popen(command, cwd=clone.course.root, stderr=subprocess.PIPE, text=True)
    graded = clone.course.root / "autograded"
    patience = time.monotonic() + 120
    while not (graded / students[2]).exists() and time.monotonic() < patience:
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "[autograder] interrupted; what is finished is kept: run the same command again" in said
    assert "Traceback" not in said
    assert set(scores(clone, students)) <= {FULL, None}
    code, log = clone.autograde("--student=interrupted-*")
    assert code == 0, log
    assert scores(clone, students) == [FULL] * 6


@pytest.mark.parametrize("left", ["nothing", "half a notebook", "no scores"])
def test_a_submission_left_half_graded_is_graded_anew(clone: Any, cases: dict[str, Any], left: str) -> None:
    """What a kill at the worst moment leaves: a notebook cut off, or one without its scores."""
    (student,) = hand_in(clone, cases, left.replace(" ", "-"), 1)
    place = clone.graded(student)
    place.parent.mkdir(parents=True)
    raw = clone.course.solved(SECTION, "tiny").read_bytes()
    place.write_bytes({"nothing": b"", "half a notebook": raw[:900], "no scores": raw}[left])
    shutil.copy(clone.course.root / "submitted" / student / SECTION / "timestamp.txt", place.parent)
    code, log = clone.autograde(f"--student={student}")
    assert code == 0, log
    assert scores(clone, [student]) == [FULL]


def test_a_full_disk_costs_nobody_points(clone: Any, cases: dict[str, Any]) -> None:
    students = hand_in(clone, cases, "full", 4)
    place = clone.course.root / "autograded"
    place.mkdir(exist_ok=True)
    size = 2 * len(cases["perfect"].files[FILE]) // 1024 + 24
    program = 'mount -t tmpfs -o "size=$1" tmpfs "$2" && shift 2 && exec "$@"'
    nbgrader = [sys.executable, "-m", "nbgrader", "autograde", SECTION, "--student=full-*"]
    command = ["unshare", "--mount", "sh", "-c", program, "sh", f"{size}k", str(place), *nbgrader]
    done = subprocess.run(command, cwd=clone.course.root, capture_output=True, text=True, check=False)
    if "permission denied" in done.stderr.casefold() or "not permitted" in done.stderr.casefold():
        pytest.skip("no disk of our own can be mounted here")
    assert done.returncode == 1, done.stderr
    assert "No space left on device" in done.stderr
    assert set(scores(clone, students)) <= {FULL, None}
    code, log = clone.autograde("--student=full-*")
    assert code == 0, log
    assert scores(clone, students) == [FULL] * 4


@pytest.mark.parametrize("when", ["before", "later"])
def test_a_locked_gradebook_costs_nobody_points(
    clone: Any, cases: dict[str, Any], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    students = hand_in(clone, cases, f"locked-{when}", 2)
    if when == "later":  # after what is looked at before a run begins
        monkeypatch.setattr("autograder.nbgrader.batch.problems", lambda *_, **__: [])
    book = clone.course.root / "gradebook.db"
    with contextlib.closing(sqlite3.connect(book, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        code, log = clone.autograde(f"--student=locked-{when}-*", f"--db=sqlite:///{book}?timeout=1")
    assert code != 0
    assert "database is locked" in log
    assert scores(clone, students) == [None, None]
    monkeypatch.undo()
    code, log = clone.autograde(f"--student=locked-{when}-*")
    assert code == 0, log
    assert scores(clone, students) == [FULL] * 2


def test_a_gradebook_that_is_gone_costs_nobody_points(
    clone: Any, cases: dict[str, Any], tmp_path: Path
) -> None:
    students = hand_in(clone, cases, "gone", 1)
    code, log = clone.autograde("--student=gone-*", f"--db=sqlite:///{tmp_path}/nowhere/gradebook.db")
    assert code == 1
    assert "the gradebook can't be opened (unable to open database file)" in log
    assert not os.path.lexists(clone.graded(students[0]))
    assert clone.autograde("--student=gone-*")[0] == 0
    assert scores(clone, students) == [FULL]
