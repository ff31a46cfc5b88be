"""A failed exercise is told which known misconception it looks like, or nothing."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from autograder.bank import Variant, load_bank
from autograder.errors import TimeLimit
from autograder.fingerprints import looks_like, where_to_look
from autograder.submission import Submission, local
from autograder.suite import Planned, Suite
from autograder.trace import Ending, Trace

TESTS = '''
import pytest, torch
from autograder.testing import close, exercise, pure, rule

@exercise("standardise")
class TestStandardise:
    @rule("R1")
    @pytest.mark.parametrize("n", [3, 8])
    def test_values(self, submission, rng, n):
        """Mean zero and deviation one, in each column."""
        x = 3 * rng.normal(n, 4, dtype=torch.float64) + 1
        close(submission.standardise(x), (x - x.mean(0)) / x.std(0, correction=0))

    @rule("R2", "R3")
    def test_constant_column(self, submission, rng):
        """A constant column becomes zeros."""
        x = rng.normal(5, 2)
        x[:, 1] = 7
        want = (x - x.mean(0)) / x.std(0, correction=0).clamp_min(1e-9)
        close(submission.standardise(x), want)

    def test_argument_is_kept(self, submission, rng):
        """The argument is not changed."""
        x = rng.normal(5, 2)
        close(pure(submission.standardise, x), (x - x.mean(0)) / x.std(0, correction=0))

    def test_refuses_vectors(self, submission, rng):
        """A vector is a ValueError."""
        x = rng.normal(6, 1)
        close(submission.standardise(x), (x - x.mean(0)) / x.std(0, correction=0))
        with pytest.raises(ValueError):
            submission.standardise(x[:, 0])

@exercise("Counter")
class TestCounter:
    def test_counts(self, submission, rng):
        """It counts the calls of a function."""
        seen = []
        counter = submission.Counter(lambda x: seen.append(x) or 2 * x)
        x = rng.integer(1, 50)
        assert counter(x) == 2 * x, f"expected {2 * x}"
        counter(x)
        assert (counter.calls, len(seen)) == (2, 2), f"expected 2 calls, got {counter.calls}, {len(seen)}"
'''

BANK = """
import torch
from autograder.bank import right, wrong

@wrong("standardise", "You divide by n - 1.")
def sample_deviation(x):
    if x.ndim != 2:
        raise ValueError
    return (x - x.mean(0)) / x.std(0).clamp_min(1e-9)

@wrong("standardise", "A constant column is 0/0.")
def divides_by_zero(x):
    if x.ndim != 2:
        raise ValueError
    return (x - x.mean(0)) / x.std(0, correction=0)

@wrong("standardise", "Your statistics are those of the rows.")
def over_rows(x):
    if x.ndim != 2:
        raise ValueError
    return (x - x.mean(1, keepdim=True)) / x.std(1, correction=0, keepdim=True).clamp_min(1e-9)

@wrong("standardise", "You change the argument.")
def in_place(x):
    if x.ndim != 2:
        raise ValueError
    x -= x.mean(0)
    return x / x.std(0, correction=0).clamp_min(1e-9)

@wrong("standardise", "You accept vectors.")
def accepts_vectors(x):
    return (x - x.mean(0)) / x.std(0, correction=0).clamp_min(1e-9)

@right("standardise", uses="R1, F2")
def twice(x):
    if x.ndim != 2:
        raise ValueError
    return (x - x.mean(0)) / x.std(0, correction=0).clamp_min(1e-9)

@wrong("Counter", "You call the function twice.")
class CallsTwice:
    def __init__(self, f):
        self.f, self.calls = f, 0
    def __call__(self, x):
        self.calls += 1
        self.f(x)
        return self.f(x)

@wrong("Counter", "You do not count.")
class DoesNotCount:
    def __init__(self, f):
        self.f, self.calls = f, 0
    def __call__(self, x):
        return self.f(x)
"""

GUARD = "if x.ndim != 2: raise ValueError('2')"


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    path = tmp_path_factory.mktemp("tests") / "test_x.py"
    path.write_text(TESTS)
    return Suite({path: True}, ["standardise", "Counter"])


@pytest.fixture(scope="module")
def variants(tmp_path_factory: pytest.TempPathFactory) -> tuple[Variant, ...]:
    path = tmp_path_factory.mktemp("bank") / "bank_x.py"
    path.write_text(BANK)
    return load_bank(path)


def traces(suite: Suite, exercise: str, code: str, seed: int = 5) -> dict[Planned, Trace]:
    namespace: dict[str, object] = {}
    exec(f"import torch\n{textwrap.dedent(code)}", namespace)
    submission = Submission(local(namespace))
    return {p: suite.trace(p, submission, seed)[1] for p in suite.planned if p.exercise == exercise}


@pytest.fixture
def answer(suite: Suite, variants: tuple[Variant, ...]) -> Callable[..., str]:
    def ask(code: str, exercise: str = "standardise") -> str:
        own = [v for v in variants if v.kind == "wrong" and v.exercise == exercise]
        return looks_like(suite, own, traces(suite, exercise, code), seed=5, budget=5)

    return ask


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("s = ((x - x.mean(0)) ** 2).sum(0) / (len(x) - 1); d = x - x.mean(0)\n"
         "  return torch.where(s > 0, d / s.sqrt().clamp_min(1e-12), 0 * d)", "You divide by n - 1."),
        ("z = x - x.sum(0) / len(x)\n  return z / (z * z).mean(0).sqrt()", "A constant column is 0/0."),
        ("m = x.sum(1, keepdim=True) / x.shape[1]\n"
         "  return (x - m) / ((x - m) ** 2).mean(1, keepdim=True).sqrt().clamp_min(1e-9)",
         "Your statistics are those of the rows."),
        ("x.sub_(x.sum(0) / len(x))\n  return x / (x * x).mean(0).sqrt().clamp_min(1e-9)",
         "You change the argument."),
    ],
)  # fmt: skip
def test_the_same_mistake_written_differently_is_recognised(
    answer: Callable[..., str], body: str, message: str
) -> None:
    assert answer(f"def standardise(x):\n  {GUARD}\n  {body}") == message


def test_a_missing_error_is_recognised(answer: Callable[..., str]) -> None:
    code = "def standardise(x):\n  z = x - x.mean(0)\n  return z / (z * z).mean(0).sqrt().clamp_min(1e-9)"
    assert answer(code) == "You accept vectors."


@pytest.mark.parametrize(
    "body",
    [
        "return x",
        "return None",
        "return x * float('nan')",
        "return x * 0",
        "raise NotImplementedError",
        "return (x - x.mean(0)) / (x.std(0, correction=0) + 0.01)",
    ],
)
def test_what_is_in_no_bank_is_not_given_a_name(answer: Callable[..., str], body: str) -> None:
    assert answer(f"def standardise(x):\n  {GUARD}\n  {body}") == ""


def test_nothing_is_said_of_a_right_solution_or_of_an_undefined_one(answer: Callable[..., str]) -> None:
    right = (
        f"def standardise(x):\n  {GUARD}\n  return (x - x.mean(0)) / x.std(0, correction=0).clamp_min(1e-9)"
    )
    assert answer(right) == answer("other = 1") == ""


def test_of_two_mistakes_the_one_that_explains_more_is_named_and_the_rest_admitted(
    answer: Callable[..., str],
) -> None:
    code = f"def standardise(x):\n  {GUARD}\n  z = x - x.mean(0)\n  return z / z.std(0)"
    said = answer(code)  # divides by n - 1, and by zero in a constant column
    assert said == (
        "You divide by n - 1. This accounts for 4 of the 5 tests that fail; something else is wrong as well"
        ": look at rules R2 and R3, too."
    )


def test_objects_with_state_and_callbacks_are_recognised(answer: Callable[..., str]) -> None:
    code = """
        class Counter:
            calls = 0
            def __init__(self, function): self.function = function
            def __call__(self, x):
                self.calls = self.calls + 1
                return (self.function(x) + self.function(x)) // 2
    """
    assert answer(code, "Counter") == "You call the function twice."
    forgetful = code.replace("+ 1", "").replace(
        "(self.function(x) + self.function(x)) // 2", "self.function(x)"
    )
    assert answer(forgetful, "Counter") == "You do not count."


def test_variants_that_cannot_be_told_apart_are_both_named_and_three_are_not(
    suite: Suite, variants: tuple[Variant, ...]
) -> None:
    from dataclasses import replace

    code = f"def standardise(x):\n  {GUARD}\n  return (x - x.mean(0)) / x.std(0).clamp_min(1e-9)"
    first = variants[0]
    same = [first, replace(first, message="Or so."), replace(first, message="Or thus.")]
    found = traces(suite, "standardise", code)
    assert looks_like(suite, same[:2], found, seed=5, budget=5) == "You divide by n - 1. Or: Or so."
    assert looks_like(suite, same, found, seed=5, budget=5) == ""


def test_when_the_time_is_over_nothing_is_said(suite: Suite, variants: tuple[Variant, ...]) -> None:
    def endless(x: object) -> None:
        while True:
            pass

    from dataclasses import replace

    found = traces(suite, "standardise", "def standardise(x):\n  return x")
    slow = [replace(variants[0], object=endless)]
    started = time.monotonic()
    assert looks_like(suite, slow, found, seed=5, budget=0.2) == ""
    assert looks_like(suite, slow, found, seed=5, budget=0.0) == ""
    assert time.monotonic() - started < 10


def test_an_endless_learner_is_like_nobody(suite: Suite, variants: tuple[Variant, ...]) -> None:
    found = traces(suite, "standardise", "def standardise(x):\n  return x")
    stuck = {planned: Trace.unfinished() for planned in found}
    assert looks_like(suite, variants, stuck, seed=5, budget=5) == ""
    assert where_to_look(stuck) == ""


def test_where_to_look_names_the_rules_of_the_first_failed_test(suite: Suite) -> None:
    wrong = traces(suite, "standardise", "def standardise(x):\n  return x")
    assert where_to_look(wrong) == "rule R1 of the contract"
    zero = f"def standardise(x):\n  {GUARD}\n  return (x - x.mean(0)) / x.std(0, correction=0)"
    assert where_to_look(traces(suite, "standardise", zero)) == "rules R2 and R3 of the contract"
    assert (
        where_to_look(traces(suite, "standardise", "def standardise(x):\n  raise NotImplementedError")) == ""
    )
    assert where_to_look(traces(suite, "Counter", "def Counter(f):\n  return f")) == ""  # it names none


def test_a_bank_tells_the_freedoms_a_right_variant_uses(variants: tuple[Variant, ...]) -> None:
    assert [v.uses for v in variants if v.kind == "right"] == [("R1", "F2")]


def test_time_limits_leave_the_code_they_stop() -> None:
    from autograder.alarm import alarm

    with pytest.raises(TimeLimit), alarm(0.05):
        time.sleep(5)


def test_a_test_that_measured_time_counts_only_where_nothing_else_failed(
    suite: Suite, variants: tuple[Variant, ...]
) -> None:
    code = f"def standardise(x):\n  {GUARD}\n  return (x - x.mean(0)) / x.std(0).clamp_min(1e-9)"
    found = traces(suite, "standardise", code)
    last = list(found)[-1]
    slow = Trace((), Ending("assertion", "too slow", 1), timed=True)
    assert looks_like(suite, variants, {**found, last: slow}, seed=5, budget=5) == "You divide by n - 1."
    alone = {planned: slow if planned is last else Trace.passing() for planned in found}
    assert looks_like(suite, variants, alone, seed=5, budget=5) == ""


def test_measuring_time_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "test_work.py"
    path.write_text(
        "from autograder.testing import cpu_seconds, exercise\n\n"
        '@exercise("work")\nclass TestWork:\n'
        '    def test_quick(self, submission):\n        """It is quick."""\n'
        "        assert cpu_seconds(submission.work)[1] < 5\n"
    )
    suite = Suite({path: False}, ["work"])
    submission = Submission(local({"work": lambda: 1}))
    assert suite.trace(suite.planned[0], submission, 1)[1].timed
