"""`close` accepts equal values and nothing that only looks like them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from autograder.compare import MismatchError, close
from autograder.testing import Rng

ACCEPTED = [
    (torch.ones(2, 3), torch.ones(2, 3)),
    (torch.ones(3) * (1 + 1e-6), torch.ones(3)),
    (torch.ones(3, requires_grad=True), torch.ones(3)),
    (torch.tensor([1, 2]), torch.tensor([1, 2])),
    ([1.0, 2.0], np.array([1.0, 2.0])),
    ([1, 2], np.array([1.0, 2.0])),
    (1.0, np.array(1.0)),
    (np.float64(2.0), 2.0),
    (torch.tensor(2.0), 2.0),
    (2, 2.0),
    (np.int64(3), 3),
    ((1, [2.0, "a"]), [1, (2.0, "a")]),
    ({"a": 1, "b": torch.ones(1)}, {"b": torch.ones(1), "a": 1}),
    (None, None),
    (np.zeros((0, 3)), np.zeros((0, 3))),
]

REFUSED = [
    (1.0, torch.ones(2, 2), "wrong type"),
    (torch.tensor(1.0), torch.ones(2, 2), "wrong shape"),
    (torch.ones(1, 3), torch.ones(5, 3), "wrong shape"),
    (torch.ones(3, 1), torch.ones(3), "wrong shape"),
    (torch.ones(0), torch.tensor(1.0), "wrong shape"),
    (torch.ones(3), torch.ones(3, dtype=torch.float64), "wrong dtype"),
    (np.ones(3, np.float32), np.ones(3), "wrong dtype"),
    (torch.ones(3, dtype=torch.int64), torch.ones(3), "wrong dtype"),
    (1.5, 1, "wrong dtype"),
    (True, 1, "wrong dtype"),
    (torch.full((2,), torch.nan), torch.full((2,), torch.nan), "not finite"),
    (torch.tensor([1.0, torch.inf]), torch.tensor([1.0, 2.0]), "not finite"),
    (torch.full((2,), 1e-9), torch.zeros(2, dtype=torch.float64).float() + 1e-3, "wrong values"),
    (np.array([1e-8]), np.array([0.0]), "wrong values"),
    (None, torch.ones(1), "wrong type"),
    ("a", 1.0, "wrong type"),
    ([], np.array([1.0]), "wrong shape"),
    ([[1.0], [2.0, 3.0]], np.ones((2, 2)), "wrong type"),
    ((1, 2, 3), (1, 2), "wrong length"),
    (torch.ones(2), (1, 2), "wrong type"),
    ({"a": 1}, {"a": 1, "b": 2}, "wrong keys"),
    ([1], {"a": 1}, "wrong type"),
    ("b", "a", "wrong value"),
]


@pytest.mark.parametrize(("got", "want"), ACCEPTED)
def test_equal_values_are_accepted(got: Any, want: Any) -> None:
    close(got, want)


@pytest.mark.parametrize(("got", "want", "kind"), REFUSED)
def test_what_only_looks_equal_is_refused(got: Any, want: Any, kind: str) -> None:
    with pytest.raises(MismatchError) as caught:
        close(got, want)
    assert caught.value.kind == kind


def test_the_message_says_where_and_what() -> None:
    want = torch.arange(6.0).reshape(2, 3)
    got = want.clone()
    got[1, 1] = 9
    with pytest.raises(
        MismatchError, match=r"1 of 6 values differ; the first at index \[1, 1\]: expected 4, got 9"
    ):
        close(got, want)
    with pytest.raises(MismatchError, match=r"expected weights of shape \(2, 3\), got \(3,\)"):
        close(got[0], want, what="weights")
    with pytest.raises(MismatchError, match=r"a value in the result\[1\] is not finite: nan at the only"):
        close((1.0, torch.tensor(torch.nan)), (1.0, torch.tensor(2.0)))


def test_tolerances_follow_the_dtype_and_can_be_set() -> None:
    close(torch.tensor([1.00005]), torch.ones(1))
    with pytest.raises(MismatchError):
        close(torch.tensor([1.00005], dtype=torch.float64), torch.ones(1, dtype=torch.float64))
    close(torch.tensor([1.1]), torch.ones(1), rtol=0.2)
    close(torch.tensor([torch.inf, torch.nan]), torch.tensor([torch.inf, torch.nan]), finite=False)


def test_random_inputs_repeat_with_the_seed_and_differ_between_tests() -> None:
    first, again, other = Rng(7, "a"), Rng(7, "a"), Rng(7, "b")
    draws = [
        (r.normal(3), r.uniform(2, low=1, high=2), r.integers(0, 9, 4), r.integer(0, 99))
        for r in (first, again)
    ]
    close(draws[0], draws[1])
    assert not torch.equal(other.normal(3), Rng(7, "a").normal(3))
    assert first.bool(1000, p=0.9).float().mean() > 0.8
    assert sorted(first.permutation(5).tolist()) == [0, 1, 2, 3, 4]
    assert first.choice("abc") in "abc"
    assert first.normal(2, dtype=torch.float64).dtype == torch.float64
