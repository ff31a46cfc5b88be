"""The commands as a user types them: what they print, their exit codes, and what a mistake gets."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autograder.layout import Course

COMMAND = [sys.executable, "-m", "autograder"]


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def work(tmp_path: Path, course: Course) -> Path:
    """Three submissions: solved under a browser's name, untouched, and something else."""
    for learner, source in (("ann", course.solved), ("bob", course.released)):
        (tmp_path / learner).mkdir()
        shutil.copy(source("01_warmup", "tiny"), tmp_path / learner / "tiny (1).ipynb")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "shopping.ipynb").write_text("{}")
    return tmp_path


def test_grade_shows_a_table_writes_pages_and_goes_on_after_a_stranger(work: Path, course: Course) -> None:
    done = run("grade", work, "--html", work / "pages", cwd=course.root)
    assert done.returncode == 1
    assert "6 / 5" in done.stdout
    assert "0 / 5" in done.stdout
    assert "shopping.ipynb: not a notebook of this course (01_warmup/tiny)" in done.stderr
    page = next((work / "pages").glob("*ann*.html")).read_text()
    assert "return x * 2" in re.sub("<[^>]*>", "", page)
    assert (work / "pages" / "index.html").exists()


def test_grade_json_is_one_object_a_line(work: Path, course: Course) -> None:
    done = run("grade", work / "ann", work / "bob", "--json", cwd=course.root)
    assert done.returncode == 0
    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["score"], second["score"]) == (6, 0)
    assert first["assignment"] == "01_warmup"
    assert len(first["verdict_id"]) == 12
    again = run("grade", work / "ann", "--json", "--seed", first["seed"], cwd=course.root)
    assert json.loads(again.stdout)["verdict_id"] == first["verdict_id"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["grade", "no_such.ipynb"], 2, "no_such.ipynb: no such file"),
        (["grade", "nbgrader_config.py"], 2, "not a notebook: expected a file"),
        (["grade", "."], 2, "no notebook"),
        (["grade"], 2, "Missing argument"),
        (["grade", "x.ipynb", "--as", "01_warmup/none"], 2, "no such file"),
        (["grade", "release", "--as", "01_warmup/none"], 2, "no such notebook; there are: 01_warmup/tiny"),
        (["grade", "release", "--as", "01_warmup"], 2, "no such notebook; there are: 01_warmup/tiny"),
        (["grade", "release", "--html", "nbgrader_config.py"], 2, "is a file"),
        (["build", "07_nothing"], 2, "no section 07_nothing; there are: 01_warmup"),
        (["cohort", "demo", "07_nothing"], 2, "there is no section 07_nothing; there are 01_warmup"),
        (["cohort", "demo", "--keep", "source"], 2, "is not empty; name a new folder for --keep"),
        (
            ["cohort", "demo", "--keep", "nbgrader_config.py"],
            1,
            "can't play here: File exists; name a folder",
        ),
        (["cohort", "intake", "07_nothing"], 2, "there is no section 07_nothing; there are 01_warmup"),
        (["cohort", "intake", "01_warmup"], 1, "no submission of 01_warmup; put them into submitted/"),
        (["doctor", "more"], 2, "unexpected extra argument"),
        (["verify", "07_nothing"], 2, "no section or notebook 07_nothing; there are: 01_warmup"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_a_mistake_gets_one_sentence(
    arguments: list[str], code: int, message: str, course: Course, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    arguments = [str(tmp_path / "empty") if a == "." else a for a in arguments]
    done = run(*arguments, cwd=course.root)
    assert done.returncode == code
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_strangers_alone_make_no_table(work: Path, course: Course) -> None:
    done = run("grade", work / "other", cwd=course.root)
    assert done.returncode == 1
    assert "not a notebook of this course" in done.stderr
    assert done.stdout == ""


def test_an_unwritable_folder_is_said_before_anything_is_graded(work: Path, course: Course) -> None:
    (work / "file").write_text("")
    done = run("grade", work / "ann", "--html", work / "file" / "pages", cwd=course.root)
    assert done.returncode == 1
    assert "the pages can't be written here" in done.stderr
    assert done.stdout == ""


def test_weak_walls_are_refused_unless_asked_for(
    work: Path, course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOGRADER_SANDBOX", "none")
    refused = run("grade", work / "ann", "--json", cwd=course.root)
    assert refused.returncode == 1
    assert "--unsafe" in refused.stderr
    assert refused.stdout == ""
    asked = run("grade", work / "ann", "--json", "--unsafe", cwd=course.root)
    assert json.loads(asked.stdout)["sandbox"] == "none"


def test_outside_a_course_the_commands_use_the_installed_one_or_say_so(work: Path) -> None:
    done = run("grade", work / "ann", cwd=work)
    assert done.returncode == 1
    assert "not a notebook of this course" in done.stderr or "no course at" in done.stderr


def test_ctrl_c_is_one_sentence_and_leaves_no_process(work: Path, course: Course) -> None:
    slow = work / "ann" / "tiny (1).ipynb"
    text = slow.read_text().replace("return x * 2", "__import__('time').sleep(99)")
    slow.write_text(text)
    command = [*COMMAND, "grade", str(work / "bob"), str(slow), "--json"]
    marked = {**os.environ, "AUTOGRADER_TEST": str(work)}
    process = subprocess.Popen(
        command,
        cwd=course.root,
        env=marked,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while len(processes_of(work)) < 2:  # the command and its worker
        time.sleep(0.1)
    time.sleep(6)
    process.send_signal(signal.SIGINT)
    shown, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert [json.loads(line)["path"] for line in shown.splitlines()] == [str(work / "bob" / "tiny (1).ipynb")]
    assert "Interrupted" in said
    assert "Traceback" not in said
    ends = time.monotonic() + 10
    while processes_of(work):
        assert time.monotonic() < ends, "a process is left"
        time.sleep(0.1)


def processes_of(work: Path) -> list[Path]:
    """Processes that were started with this test's mark in the environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"AUTOGRADER_TEST={work}".encode() in (process / "environ").read_bytes():
                found.append(process)
    return found


def test_the_command_line_starts_without_torch() -> None:
    heavy = ("torch", "nbformat", "pytest")
    code = f"import sys; import autograder.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "[]"
