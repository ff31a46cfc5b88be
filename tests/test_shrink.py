"""A failed visible test shows the simplest input that fails; a hidden one shows none."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import NoReturn

from autograder.report import TestResult
from autograder.shrink import parameters, simplest
from autograder.submission import Submission, local
from autograder.suite import Suite
from autograder.testing import Simpler
from autograder.trace import Trace

TESTS = '''
import numpy as np, torch
from autograder.testing import close, exercise, fixed_inputs

@exercise("largest")
class TestLargest:
    def test_random(self, submission, rng):
        """The largest number comes out."""
        x = rng.normal(rng.integer(1, 30))
        close(submission.largest(x, scale=1), x.max())

    @fixed_inputs
    def test_fixed(self, submission, rng):
        """The largest of many comes out."""
        x = rng.normal(60)
        close(submission.largest(x.numpy()), x.max().item())

    def test_nothing_random(self, submission):
        """The largest of three comes out."""
        close(submission.largest([3.0, 1.0, 2.0]), 3.0)

    def test_function(self, submission):
        """The largest by a key comes out."""
        def as_it_is(x):
            return x

        close(submission.largest([3.0, 1.0], key=as_it_is), 1.0)

    def test_object(self, submission):
        """The largest so far is kept."""
        kept = submission.largest(3.0)
        kept.add(2.0)
        close(kept.best, 3.0)
'''


def no_run(_simpler: Simpler) -> NoReturn:
    raise AssertionError("nothing is random here")


def traced(folder: Path, code: str, test: str) -> tuple[TestResult, Trace]:
    path = folder / "test_largest.py"
    path.write_text(TESTS)
    namespace: dict[str, object] = {}
    exec(code, namespace)
    suite = Suite({path: True}, ["largest"])
    return suite.trace(next(p for p in suite.planned if p.name == test), Submission(local(namespace)), 1)


def run(folder: Path, code: str, test: str, *, visible: bool = True) -> TestResult:
    path = folder / "test_largest.py"
    path.write_text(TESTS)
    namespace: dict[str, object] = {}
    exec(textwrap.dedent(code), namespace)
    suite = Suite({path: visible}, ["largest"])
    submission = Submission(local(namespace))
    planned = next(p for p in suite.planned if p.name == test)
    again = suite.trace(planned, submission, 1)
    return simplest(again, lambda simpler: suite.trace(planned, submission, 1, simpler=simpler))


def test_the_size_shrinks_to_the_least_that_fails_and_numbers_are_short(tmp_path: Path) -> None:
    smallest = run(tmp_path, "def largest(x, scale): return x.sum()", "test_random").message
    shown = r"the simplest found:\n  argument 1: float32 of shape \(2,\) \[-?\d\.\d, -?\d\.\d\]\n  scale: 1$"
    assert re.search(shown, smallest)


def test_what_fails_in_another_way_is_left_as_it_is(tmp_path: Path) -> None:
    for code in ("def largest(x, scale): return [1, 2]", "def largest(x, scale): raise KeyError(1)"):
        assert "input" not in run(tmp_path, code, "test_random").message
    assert run(tmp_path, "def largest(x, scale): return x.max()", "test_random").outcome == "passed"


def test_no_input_of_a_hidden_test_is_shown(tmp_path: Path) -> None:
    result = run(tmp_path, "def largest(x, scale): return x.sum()", "test_random", visible=False)
    assert result.evidence == "What differs: wrong values."


def test_an_input_without_chance_is_shown_as_it_is(tmp_path: Path) -> None:
    message = run(tmp_path, "def largest(x): return x[-1]", "test_nothing_random").message
    assert message.endswith("on this input:\n  argument 1: [3.0, 1.0, 2.0]")


def test_a_large_input_is_told_by_its_shape(tmp_path: Path) -> None:
    message = run(tmp_path, "def largest(x): return float(x[0]) + 9", "test_fixed").message
    assert message.endswith("  argument 1: float32 of shape (60,)")


def test_a_function_is_told_by_its_name_and_not_by_its_address(tmp_path: Path) -> None:
    message = run(tmp_path, "def largest(x, key): return key(x[0])", "test_function").message
    assert message.endswith("  argument 1: [3.0, 1.0]\n  key: the function as_it_is")


def test_arguments_have_the_names_of_the_parameters(tmp_path: Path) -> None:
    code = "def largest(x, /, y=0, *, scale): pass\nx = largest"
    assert parameters(["def largest(a): pass", "x = (", code, "largest(3)"], "largest") == ("x", "y")
    assert parameters(["def largest(x: pass", "class largest: pass"], "largest") == ()
    first = traced(tmp_path, "def largest(x): return x[-1]", "test_nothing_random")
    found = simplest(first, no_run, names=["x"], budget=0)
    assert found.message.endswith("on this input:\n  x: [3.0, 1.0, 2.0]")


def test_neither_the_making_of_an_object_nor_a_method_without_result_is_an_input(tmp_path: Path) -> None:
    code = """
    class largest:
        def __init__(self, start): self.best = start
        def add(self, x): self.best = x
    """
    message = run(tmp_path, code, "test_object").message
    assert "got:      2" in message
    assert "input" not in message
