"""`check` in the learner's own process: the words, the points, the limits, the hints, the whole notebook."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from autograder.check import CheckFailed, check, run_check
from autograder.errors import CourseError
from autograder.journal import Journal
from autograder.layout import Course
from autograder.place import this_notebook
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
    started = time.process_time()
    result = run_check("double", namespace("def double(x):\n    while True: pass"), folder)
    assert time.process_time() - started < 3
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


WRONG = "from autograder import check\ndef double(x): return x ** {}\ncheck('double')"


def test_a_failure_that_shows_something_new_opens_a_hint(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exec("from autograder import check\ncheck('double')", {})
    assert "Hint 1" not in capsys.readouterr().out  # to run a check before the answer is no attempt
    exec(WRONG.format(2), {})
    shown = capsys.readouterr().out
    assert "Hint 1: which operator?" in shown
    assert "Numbers and arrays know how to be multiplied." in shown
    exec("from autograder import check\ndef double(x): return x * 2\ncheck('double')", {})
    assert "Hint 1" not in capsys.readouterr().out


def test_every_check_is_noted(folder: Path) -> None:
    for power in (2, 2, 3):
        exec(WRONG.format(power), {})
    attempts = Journal.find(folder, section="01_warmup").attempts()
    assert [(a.section, a.notebook, a.exercise, a.how, a.outcome) for a in attempts] == [
        ("01_warmup", "tiny", "double", "check", "failed")
    ] * 3
    assert len({a.evidence for a in attempts}) == 2
    assert (folder.parent / ".autograder" / "attempts.jsonl").is_file()


SOLVED = """
from autograder import check
def double(x): return x * 2
def scale(x): return x
"""


class TestWholeNotebook:
    def test_it_gives_the_score_so_far(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        names: dict[str, Any] = {}
        exec(SOLVED + "result = check()", names)
        result = names["result"]
        assert (result.score, result.max_score) == (0.6, 5.0)
        assert repr(result) == "Score: 0.6 of 5 points so far"
        shown = capsys.readouterr().out
        assert "0.6 of 5 points, 1 of 2 exercises passed" in shown
        assert "Counter: to do" in shown
        assert "refuses" not in shown  # what nobody has begun stays folded
        noted = Journal.find(folder, section="01_warmup").attempts()
        assert [a.exercise for a in noted] == ["double", "scale"]

    def test_under_validate_an_open_exercise_raises(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NBGRADER_EXECUTION", "validate")
        with pytest.raises(CheckFailed, match="1 of 2 exercises passed"):
            exec(SOLVED + "check()", {})

    def test_its_value_shows_the_card_once(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from IPython.core.interactiveshell import InteractiveShell

        shown: list[object] = []
        monkeypatch.setattr("IPython.display.display", lambda thing, **_: shown.append(thing))
        shell = InteractiveShell.instance()
        try:
            shell.run_cell(SOLVED + "result = check()\nresult", store_history=True)
            assert len(shown) == 1
            shell.run_cell("result", store_history=True)
            assert len(shown) == 2
        finally:
            InteractiveShell.clear_instance()

    def test_the_summary_has_a_row_for_each_exercise(self, folder: Path) -> None:
        names: dict[str, Any] = {}
        exec(SOLVED + "result = check()", names)
        html = names["result"]._card.html()
        assert 'data-notebook="tiny" data-state="not yet"' in html
        assert html.count("<section") == 1
        assert html.count("<article") == 3
        assert html.count("<code>Counter</code></td>") == 1


class TestWhichNotebook:
    def test_the_front_end_says_it(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        copy = Path(shutil.copy(folder / "tiny.ipynb", folder / "mine.ipynb"))
        assert this_notebook({"__vsc_ipynb_file__": str(copy)})[0] == copy
        assert this_notebook({"__session__": str(copy)})[0] == copy
        monkeypatch.setenv("JPY_SESSION_NAME", str(copy))
        path, released = this_notebook({})
        assert (path, released.section, released.name) == (copy, "01_warmup", "tiny")

    @pytest.mark.parametrize("note", ["/no/such.ipynb", "", "kernel-1234", "tiny.py", "relative.ipynb"])
    def test_a_note_that_leads_nowhere_is_passed_over(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, note: str
    ) -> None:
        monkeypatch.setenv("JPY_SESSION_NAME", note)
        assert this_notebook({})[0].name == "tiny.ipynb"

    def test_of_several_the_one_whose_exercises_are_defined(self, folder: Path) -> None:
        other = folder / "other.ipynb"
        text = (folder / "tiny.ipynb").read_text()
        for name in ("double", "Counter", "scale"):
            text = text.replace(f'"{name}', f'"my_{name}')
        other.write_text(text.replace('"notebook": "tiny"', '"notebook": "other"'))
        assert this_notebook({"my_double": 1})[0] == other
        with pytest.raises(CourseError, match=r"which notebook is this\? There are other, tiny"):
            this_notebook({})

    def test_copies_of_one_notebook_are_one(self, folder: Path) -> None:
        shutil.copy(folder / "tiny.ipynb", folder / "tiny-Copy1.ipynb")
        assert this_notebook({"double": 1})[1].name == "tiny"

    def test_without_any_it_says_what_to_do(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "notes.ipynb").write_text('{"cells": []}')
        with pytest.raises(CourseError, match="no notebook with exercises here: change into the folder"):
            this_notebook({})


SLOW = """
import time
def double(x):
    time.sleep(0.9)
    return x * 2
from autograder import check
check("double")
"""


@pytest.mark.slow
def test_in_a_kernel_a_long_check_says_what_it_does_and_leaves_one_output(folder: Path) -> None:
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(cwd=str(folder))
    said: list[tuple[str, str, str]] = []

    def hear(message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] in ("display_data", "update_display_data", "error", "stream"):
            told = content.get("data", {}).get("text/plain", str(content))
            said.append((message["msg_type"], content.get("transient", {}).get("display_id", ""), told))

    try:
        client.execute_interactive(SLOW, output_hook=hear, timeout=60)
        kinds, outputs, texts = zip(*said, strict=True)
        assert kinds[0] == "display_data"
        assert set(kinds[1:]) == {"update_display_data"}
        assert len(set(outputs)) == 1
        assert "of 2 promises tried ... running: " in texts[0]
        assert texts[-1].startswith("✓ double: passed")
        said.clear()
        client.execute_interactive(
            "def double(x):\n    return x.foo\ncheck('double')", output_hook=hear, timeout=60
        )
        assert len(said) == 1
        assert "line 2 of your cell: return x.foo" in " ".join(said[0][2].split())
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
