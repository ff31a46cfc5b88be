"""Multiple-choice exercises: sealed, answered, explained, and found by the builder like any other."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from autograder.bank import load_bank, load_options, options
from autograder.choices import open_sealed, seal
from autograder.compare import MismatchError
from autograder.errors import CourseError, LearnerError
from autograder.fingerprints import looks_like
from autograder.nbgrader.stubs import ClearSolutions
from autograder.regions import stub
from autograder.render.card import card_html, card_text
from autograder.render.cell import cell_html
from autograder.report import ExerciseResult, Report
from autograder.source import load_authored
from autograder.submission import Submission, local
from autograder.suite import Suite
from autograder.testing import choice, letter
from autograder.verify.cheats import cheats
from autograder.verify.material import Sources
from autograder.verify.questions import question_problems

EXPLAINED = {"A": "No. It is less.", "B": "Yes. Two and two make four.", "C": "No. It is more."}
SEALED = seal("B", EXPLAINED)

BANK = f"""
from autograder.bank import options
two_and_two = options("two_and_two", right="B", explained={EXPLAINED!r}, uses="F1")
"""
TESTS = f"""
from autograder.testing import choice, exercise
@exercise("two_and_two")
class TestTwoAndTwo:
    def test_right_option(self, submission):
        \"\"\"The letter is the right one.\"\"\"
        choice(submission.two_and_two, {SEALED!r})
"""


def test_a_seal_keeps_the_answer_and_the_texts_from_a_glance() -> None:
    assert "less" not in SEALED
    assert open_sealed(SEALED).explained == EXPLAINED
    assert [letter for letter in "ABC" if open_sealed(SEALED).is_right(letter)] == ["B"]
    assert seal("B", EXPLAINED) == SEALED
    assert seal("A", EXPLAINED) != SEALED


@pytest.mark.parametrize("text", ["", "abc", "B", seal("B", EXPLAINED)[:-9], "é"])
def test_what_is_not_sealed_is_refused(text: str) -> None:
    with pytest.raises(
        ValueError, match="not a sealed text of options; `autograder verify` prints the right one"
    ):
        open_sealed(text)


@pytest.mark.parametrize(
    ("right", "explained", "why"),
    [
        ("D", EXPLAINED, "with 'D' among them"),
        ("A", {"A": "x", "C": "y"}, "expected the letters A, B, C"),
        ("A", {"A": "x", "B": " "}, "each option needs a sentence"),
    ],
)
def test_options_that_make_no_question_are_refused(right: str, explained: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        options("q", right=right, explained=explained)


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    path = tmp_path / "bank_n.py"
    path.write_text(BANK)
    return path


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    path = tmp_path / "test_n.py"
    path.write_text(TESTS)
    return Suite({path: True}, ["two_and_two"])


def test_the_options_are_the_variants_of_the_bank(bank: Path) -> None:
    variants = load_bank(bank)
    assert [(v.name, v.kind, v.object) for v in variants] == [
        ("option_A", "wrong", "A"),
        ("option_C", "wrong", "C"),
        ("small_letter", "right", " b"),
    ]
    assert variants[0].message == "No. It is less."
    assert variants[0].source == 'two_and_two = "A"\n'
    assert variants[2].uses == ("F1",)
    assert load_options(bank)["two_and_two"].sealed == SEALED
    assert load_options(bank.with_name("none.py")) == {}


def result_of(suite: Suite, answer: object) -> ExerciseResult:
    names = {} if answer is None else {"two_and_two": answer}
    found = [suite.run(planned, Submission(local(names)), 1) for planned in suite.planned]
    return ExerciseResult.of("two_and_two", found, points=1)


@pytest.mark.parametrize("answer", ["B", "b", " b\n"])
def test_the_right_letter_passes_and_every_option_is_explained(suite: Suite, answer: str) -> None:
    result = result_of(suite, answer)
    assert result.outcome == "passed"
    for shown in (card_text(result), card_html(result), cell_html(result)):
        assert all(text in shown for text in EXPLAINED.values())
    assert "<details open>" in card_html(result)


def test_a_wrong_letter_is_told_so_and_every_option_is_explained(suite: Suite, bank: Path) -> None:
    result = result_of(suite, "A")
    assert result.outcome == "failed"
    for shown in (card_text(result), card_html(result), cell_html(result)):
        assert "You chose" in shown
        assert all(text in shown for text in EXPLAINED.values())
    (planned,) = suite.planned
    traces = {planned: suite.trace(planned, Submission(local({"two_and_two": "A"})), 1)[1]}
    assert looks_like(suite, load_bank(bank), traces, seed=1, budget=1) == "No. It is less."
    told = ExerciseResult.of("two_and_two", result.tests, points=1, looks_like="No. It is less.")
    assert "What it looks like" not in told.message  # it stands among the options


def test_no_answer_is_still_to_do(suite: Suite) -> None:
    for answer in ("", None):
        result = result_of(suite, answer)
        assert card_text(result).startswith("… two_and_two: to do")
        assert "less" not in card_text(result)
    assert "put the letter of your answer between the quotes" in card_text(result_of(suite, ""))


@pytest.mark.parametrize("answer", ["D", "AB", "four", 4, ["B"], object(), "B" * 10_000])
def test_what_is_no_option_is_told_which_there_are(suite: Suite, answer: object) -> None:
    shown = card_text(result_of(suite, answer))
    assert "one letter in quotes: A, B or C, as in" in " ".join(shown.split())
    assert "less" not in shown
    assert len(shown) < 1000


def test_letter_reads_plain_answers_as_well() -> None:
    assert letter(" c ") == "C"
    with pytest.raises(LearnerError):
        letter("")
    with pytest.raises(MismatchError, match="A, B, C, D, E, F, G or H"):
        letter(None)
    choice("b", SEALED)
    with pytest.raises(MismatchError, match="You chose A"):
        choice("A", SEALED)


CELL = 'two_and_two = ""  # a letter\n### BEGIN SOLUTION\ntwo_and_two = "B"\n### END SOLUTION'
NOTEBOOK = f"""# %% [markdown]
# # T

# %%
from autograder import check

# %%
{CELL}

# %% points=1
check("two_and_two")
"""


def test_the_builder_takes_it_for_an_exercise(tmp_path: Path) -> None:
    path = tmp_path / "n.py"
    path.write_text(NOTEBOOK)
    assert [exercise.name for exercise, _ in load_authored(path, "s").checks] == ["two_and_two"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('two_and_two = ""', 'two_and_two = "A"'),
        ('two_and_two = ""', 'other = ""'),
        ('two_and_two = "B"', 'other = "B"'),
        ('two_and_two = "B"', "two_and_two = 2"),
        ('two_and_two = ""  # a letter\n', ""),
    ],
)
def test_an_answer_that_is_not_empty_at_first_is_refused(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "n.py"
    path.write_text(NOTEBOOK.replace(old, new))
    with pytest.raises(CourseError, match=r'a multiple-choice exercise begins with `two_and_two = ""`'):
        load_authored(path, "s")


def test_learners_find_an_empty_text_and_no_error() -> None:
    assert stub(CELL) == 'two_and_two = ""  # a letter'
    cell = SimpleNamespace(source=CELL, cell_type="code")
    assert ClearSolutions()._replace_solution_region(cell, "python") is True
    assert cell.source == stub(CELL)
    function = "def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION"
    cell = SimpleNamespace(source=function, cell_type="code")
    assert ClearSolutions()._replace_solution_region(cell, "python") is True
    assert cell.source == stub(function) == "def f():\n    # YOUR CODE HERE\n    raise NotImplementedError()"


def test_no_cheat_chooses_an_option(suite: Suite) -> None:
    tried = dict(cheats("two_and_two", CELL, stub(CELL), ()))
    assert len(tried) == 6
    for what, source in tried.items():
        names: dict[str, Any] = {}
        exec(source, names)
        (planned,) = suite.planned
        assert suite.run(planned, Submission(local(names)), 1).outcome == "failed", what


class TestVerify:
    @pytest.fixture
    def sources(self, tmp_path: Path, bank: Path, suite: Suite) -> Sources:
        (tmp_path / "release" / "s").mkdir(parents=True)
        course, released = SimpleNamespace(release=tmp_path / "release"), SimpleNamespace(section="s")
        facts: dict[str, Any] = dict.fromkeys(Sources.__slots__, None)
        facts |= {"course": course, "released": released, "bank": bank, "visible": tmp_path / "test_n.py"}
        return cast(Sources, SimpleNamespace(**facts))

    def test_what_agrees_is_fine(self, sources: Sources) -> None:
        assert list(question_problems(sources)) == []

    def test_another_bank_prints_what_the_test_should_hold(self, sources: Sources) -> None:
        sources.bank.write_text(BANK.replace("It is less.", "It is far less."))
        (problem,) = question_problems(sources)
        wanted = seal("B", {**EXPLAINED, "A": "No. It is far less."})
        assert problem.endswith(f"the second argument of `choice` is {wanted}")
        assert "the options of `two_and_two` in test_n.py are not those of the bank" in problem

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("two_and_two='b'", "the answer to `two_and_two` is in notes.md"),
            ("No. It is more.", "the explanation of option C of `two_and_two` is in notes.md"),
        ],
    )
    def test_a_released_text_that_tells_is_found(self, sources: Sources, text: str, why: str) -> None:
        (sources.course.release / "s" / "notes.md").write_text(text)
        assert list(question_problems(sources)) == [why]


def test_the_report_of_a_question_survives_json(suite: Suite) -> None:
    report = Report.of("s", "n", exercises=[result_of(suite, "A")], sandbox="", seed=0, verdict_id="")
    assert Report.from_json(report.to_json()) == report
    assert "A: No. It is less." in report.visible_copy().exercises[0].tests[0].message
