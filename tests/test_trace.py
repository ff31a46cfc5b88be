"""How far a comparison was from failing, and which two runs of a test are alike."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from autograder.compare import MismatchError, close
from autograder.record import Comparison, recording
from autograder.testing import exercise, rule
from autograder.trace import Ending, Trace, alike, distance

ONES = torch.ones(3, dtype=torch.float64)


def comparison(got: Any, want: Any, *, rtol: Any = None, atol: Any = None, finite: bool = True) -> Comparison:
    return Comparison(got, want, rtol, atol, finite)


@pytest.mark.parametrize(
    ("got", "want", "tolerance", "expected"),
    [
        (ONES, ONES, {}, 0.0),
        (ONES * (1 + 1.01e-7), ONES, {}, 1.0),
        (ONES + 0.5, ONES, {"rtol": 0.0, "atol": 0.05}, 10.0),
        ({"a": (1.0, ONES + 2)}, {"a": [1.0, ONES]}, {"rtol": 0.0, "atol": 1.0}, 2.0),
        ([[1.0, 2.0]], np.array([[1.0, 2.5]]), {"rtol": 0.0, "atol": 0.25}, 2.0),
        (ONES.long(), ONES.long(), {}, None),
        ("a", "a", {}, None),
        ([b"a"], [b"a"], {}, None),
        (ONES, ONES, {"rtol": 0.0, "atol": 0.0}, None),
        (ONES.long() + 1, ONES.long(), {}, math.inf),
        (ONES + 1e-9, ONES, {"rtol": 0.0, "atol": 0.0}, math.inf),
        (ONES.float(), ONES, {}, math.inf),
        (ONES[:2], ONES, {}, math.inf),
        (None, ONES, {}, math.inf),
        (ONES * math.nan, ONES, {}, math.inf),
        (ONES * math.inf, ONES * math.inf, {"finite": False}, 0.0),
    ],
)
def test_distance_is_measured_in_tolerances(got: Any, want: Any, tolerance: Any, expected: Any) -> None:
    found = distance(comparison(got, want, **tolerance))
    assert found == expected if expected in (None, math.inf) else found == pytest.approx(expected, rel=0.02)


def trace(*values: Any, ending: Ending | None = None) -> Trace:
    kept = tuple(comparison(value, ONES) for value in values)
    return Trace(kept, ending or Ending("mismatch", "wrong values", 7))


def test_alike_means_the_same_values_the_same_end_and_the_same_place() -> None:
    assert alike(trace(ONES + 1), trace(ONES + 1 + 1e-9))
    assert alike(trace(ONES * math.nan), trace(ONES * math.nan))
    assert not alike(trace(ONES + 1), trace(ONES + 1.1))
    assert not alike(trace(ONES + 1), trace(ONES + 1, ONES))
    assert not alike(trace(ONES + 1), trace((ONES + 1).float()))
    assert not alike(trace(ONES), trace(ONES, ending=Ending("mismatch", "wrong values", 8)))
    assert not alike(Trace.unfinished(), Trace.unfinished())


def test_a_failed_trace_is_as_far_as_its_last_comparison() -> None:
    assert trace(ONES, ONES + 2e-7).distance() == pytest.approx(2 / 1.01)
    assert trace(ONES, ending=Ending("raised", "KeyError")).distance() == math.inf
    assert trace(ONES, ending=Ending("passed")).distance() == 0.0
    assert Trace.passing().distance() is None


def test_only_finite_numbers_that_differ_tell_something() -> None:
    assert trace(torch.arange(3.0)).shows_values()
    assert trace((1, torch.arange(3.0))).shows_values()
    for dull in (ONES, ONES * math.nan, None, "text", 3.0, object()):
        assert not trace(dull).shows_values()


def test_what_is_compared_is_noted_only_while_somebody_records() -> None:
    close(1, 1)
    with recording() as log:
        close((1, ONES), (1, ONES), rtol=0.5)
        with pytest.raises(MismatchError):
            close(1, 2)
    close(1, 1)
    assert [(c.want, c.rtol) for c in log.comparisons] == [((1, ONES), 0.5), (2, None)]


def test_a_named_step_is_said_before_the_numbers_and_survives_in_hidden_tests() -> None:
    with pytest.raises(
        MismatchError, match="the first that differs is: scores\nthe result: wrong values"
    ) as caught:
        close(ONES, ONES + 1, step="scores")
    assert caught.value.kind == "wrong values at the step: scores"
    close(ONES, ONES, step="scores")


def test_rules_are_written_like_rules() -> None:
    with pytest.raises(ValueError, match="expected rules as in the contract, like R1, got"):
        rule("1")
    with pytest.raises(ValueError, match="expected rules"):
        rule()
    assert exercise("x")(rule("R1", "R2")(type("T", (), {}))).__rules__ == ("R1", "R2")


def test_a_mismatch_before_any_comparison_is_no_matter_of_tolerance() -> None:
    assert Trace((), Ending("mismatch", "wrong shape", 3)).distance() == math.inf
