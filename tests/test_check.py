"""`check` in the learner's own process: the words, the points, the limits, the errors."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from autograder.check import CheckFailed, check, run_check
from autograder.errors import CourseError
from autograder.layout import Course
from autograder.render.card import REPORT_MIME, Card


@pytest.fixture
def folder(tmp_path: Path, course: Course, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A learner's folder: what is released, and nothing of the course around it."""
    place = tmp_path / "work" / "01_warmup"
    shutil.copytree(course.release / "01_warmup", place)
    monkeypatch.chdir(place)
    return place


def namespace(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec("import numpy as np\n" + code, names)
    return names


def test_a_right_answer_has_the_visible_points(folder: Path) -> None:
    result = run_check("double", namespace("def double(x): return x * 2"), folder)
    assert result.outcome == "passed"
    assert (result.score, result.max_score) == (0.6, 2.0)
    assert [t.visible for t in result.tests] == [True, True]


def test_a_wrong_answer_is_told_what_differs(folder: Path) -> None:
    result = run_check("double", namespace("def double(x): return x ** 2"), folder)
    assert result.outcome == "failed"
    assert "[1, 2] becomes [2, 4]" in result.message
    assert "expected: [2, 4]" in result.tests[0].message


def test_changed_inputs_are_seen(folder: Path) -> None:
    code = "def double(x):\n    x *= 2\n    return x"
    failed = [t for t in run_check("double", namespace(code), folder).tests if t.outcome == "failed"]
    assert [t.name for t in failed] == ["test_input_is_not_changed"]


def test_it_shows_text_outside_a_notebook_and_raises_only_for_nbgrader(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "from autograder import check\ndef double(x): return x\ncheck('double')"
    exec(code, {})
    shown = capsys.readouterr()
    assert "double: not yet" in shown.out
    assert shown.err == ""
    monkeypatch.setenv("NBGRADER_EXECUTION", "validate")
    with pytest.raises(CheckFailed, match="double") as failed:
        exec(code, {})
    assert failed.value._render_traceback_() == [str(failed.value)]
    exec(code.replace("return x", "return x * 2"), {})


def test_an_endless_loop_is_stopped(folder: Path) -> None:
    notebook = folder / "tiny.ipynb"
    notebook.write_text(notebook.read_text().replace('"limit": 3.0', '"limit": 0.3'))
    started = time.monotonic()
    result = run_check("double", namespace("def double(x):\n    while True: pass"), folder)
    assert time.monotonic() - started < 3
    assert "time limit" in result.tests[0].message
    assert "used up before" in result.tests[1].message


def test_an_unknown_name_says_which_there_are(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from IPython.core.interactiveshell import InteractiveShell

    with pytest.raises(CourseError, match="the exercises here are Counter, double, scale"):
        check("duoble")
    shell = InteractiveShell()
    shell.run_cell("from autograder import check; check('duoble')")
    shown = capsys.readouterr()
    assert "Error: " in shown.out + shown.err
    assert "the exercises here are Counter, double, scale" in shown.out + shown.err
    assert "Traceback" not in shown.out + shown.err
    for path in folder.glob("test_*.py"):
        path.unlink()
    with pytest.raises(CourseError, match="no tests in this folder"):
        check("double")


def test_after_a_change_of_the_tests_the_new_ones_count(folder: Path) -> None:
    assert run_check("double", namespace("def double(x): return x * 2"), folder).outcome == "passed"
    tests = folder / "test_tiny.py"
    tests.write_text(tests.read_text().replace("[2.0, 4.0]", "[2.0, 5.0]"))
    assert run_check("double", namespace("def double(x): return x * 2"), folder).outcome == "failed"


def test_the_card_has_three_forms_of_one_report(folder: Path) -> None:
    from autograder.report import Report

    result = run_check("double", namespace("def double(x): return x"), folder)
    bundle = Card(
        Report.of("s", "n", exercises=[result], sandbox="", seed=0, verdict_id="")
    )._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain", REPORT_MIME}
    assert "not yet" in str(bundle["text/plain"])
