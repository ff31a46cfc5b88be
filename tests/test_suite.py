"""Collecting tests, running them, and the words for what went wrong."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from autograder.alarm import alarm
from autograder.errors import CourseError, TimeLimit
from autograder.report import TestResult
from autograder.submission import Submission, local
from autograder.suite import Suite

TESTS = '''
import pytest, torch
from autograder.testing import close, exercise

@pytest.fixture
def scale():
    return 3.0

@exercise("double")
class TestDouble:
    @pytest.mark.parametrize("n", [1, 4])
    def test_doubles(self, submission, rng, n):
        """Every entry is doubled."""
        x = rng.normal(n)
        close(submission.double(x), 2 * x)

    def test_own_fixture(self, submission, scale):
        """A number works too."""
        close(submission.double(scale), 6.0)

    def test_refuses_text(self, submission):
        """Text is refused with a TypeError."""
        with pytest.raises(TypeError):
            submission.double("a")
        close(submission.double(1), 2)

    def test_gradient(self, submission):
        """The gradient is two."""
        x = torch.ones(2, requires_grad=True)
        (g,) = torch.autograd.grad(submission.double(x).sum(), x)
        close(g, torch.full((2,), 2.0))

    def test_skipped(self):
        """This one is skipped."""
        pytest.skip("no oracle here")
'''


def run(folder: Path, code: str, *, visible: bool = True) -> dict[str, TestResult]:
    path = folder / "test_double.py"
    path.write_text(TESTS)
    namespace: dict[str, object] = {}
    exec(textwrap.dedent(code), namespace)
    suite = Suite({path: visible}, ["double"])
    submission = Submission(local(namespace))
    return {p.name: suite.run(p, submission, seed=1) for p in suite.planned}


RIGHT = """
    def double(x):
        if isinstance(x, str):
            raise TypeError("text")
        return x * 2
"""


def test_a_right_solution_passes_and_a_skip_never_does(tmp_path: Path) -> None:
    results = run(tmp_path, RIGHT)
    skipped = results.pop("test_skipped")
    assert skipped.outcome == "could_not_run"
    assert "no oracle here" in skipped.message
    assert len(results) == 5
    assert {r.outcome for r in results.values()} == {"passed"}
    assert results["test_doubles[1]"].message == "Every entry is doubled."


@pytest.mark.parametrize(
    ("code", "test", "evidence"),
    [
        ("def other(): ...", "test_doubles[1]", "`double` is not defined"),
        ("def double(x): raise NotImplementedError", "test_doubles[1]", "still to do"),
        ("def double(x): return x[0]", "test_doubles[4]", r"of shape \(4,\), got \(\)"),
        ("def double(x): return x", "test_doubles[4]", r"4 of 4 values differ; the first at index \[0\]"),
        ("def double(x): return None", "test_doubles[1]", "got None"),
        ("def double(x): return x.double() * 2", "test_doubles[1]", "of dtype float32, got float64"),
        ("def double(x): return x / 0", "test_doubles[1]", "not finite"),
        ("def double(x): return {}[x]", "test_own_fixture", "Your code raised KeyError: 3.0"),
        ("def double(x): return x * 2", "test_refuses_text", "the contract asks for one"),
        ("def double(x): return x.detach() * 2", "test_gradient", "cut off from its inputs"),
        ("def double(x): return object()", "test_gradient", "has not the form|expected a plain value|object"),
    ],
)
def test_visible_failures_say_what_was_seen(tmp_path: Path, code: str, test: str, evidence: str) -> None:
    result = run(tmp_path, code)[test]
    assert result.outcome == "failed"
    with pytest.raises(AssertionError, match=evidence):
        raise AssertionError(result.evidence)


def test_hidden_failures_hold_no_value(tmp_path: Path) -> None:
    results = run(tmp_path, "def double(x): raise ValueError(f'the input was {x}')", visible=False)
    assert results["test_doubles[4]"].evidence.startswith("Your code raised ValueError")
    assert "the input was" not in results["test_doubles[4]"].message
    wrong = run(tmp_path, "def double(x): return x", visible=False)["test_doubles[4]"]
    assert wrong.evidence == "What differs: wrong values."


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def test_a(): 'x'", "belongs to no exercise"),
        (TESTS.replace('exercise("double")', 'exercise("treble")'), "does not have"),
        (TESTS.replace('"""The gradient is two."""', "pass"), "needs a docstring"),
        ("import nothing_of_this_name", "can't be imported"),
    ],
)
def test_an_authors_mistakes_are_named(tmp_path: Path, source: str, message: str) -> None:
    path = tmp_path / "test_x.py"
    path.write_text(source)
    with pytest.raises(CourseError, match=message):
        Suite({path: True}, ["double"])


def test_the_callers_pytest_settings_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    (tmp_path / "conftest.py").write_text("raise SystemExit")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option")
    assert run(tmp_path, RIGHT)["test_gradient"].outcome == "passed"


FIXTURES = '''
import time
import pytest
from autograder.testing import close, exercise

@pytest.fixture(scope="module")
def stored():
    time.sleep(DELAY)
    return STORED()

@exercise("double")
class TestDouble:
    def test_stored(self, submission, stored):
        """The stored value is doubled."""
        close(submission.double(stored), 2 * stored)
'''


def suite_of(folder: Path, text: str) -> Suite:
    path = folder / "test_double.py"
    path.write_text(text)
    return Suite({path: False}, ["double"])


def test_an_alarm_leaves_no_fixture_half_done_for_the_next_submission(tmp_path: Path) -> None:
    suite = suite_of(tmp_path, FIXTURES.replace("DELAY", "0.3").replace("STORED()", "3.0"))
    (planned,) = suite.planned

    def forever(x: float) -> float:
        while True:
            pass

    slow = Submission(local({"double": forever}, let_through=(TimeLimit,)))
    for seconds in (0.05, 0.35):  # in the middle of the fixture, in the middle of the learner's code
        with alarm(seconds):
            assert suite.run(planned, slow, seed=1).outcome == "failed"
        right = Submission(local({"double": lambda x: 2 * x}))
        assert suite.run(planned, right, seed=1).outcome == "passed"


def test_a_fixture_that_fails_is_nobodys_wrong_answer(tmp_path: Path) -> None:
    suite = suite_of(tmp_path, FIXTURES.replace("DELAY", "0").replace("STORED()", "open('/nowhere')"))
    (planned,) = suite.planned
    result = suite.run(planned, Submission(local({"double": lambda x: 2 * x})), seed=1)
    assert result.outcome == "could_not_run"
    assert "a fixture of test_stored failed: FileNotFoundError" in result.message
