"""Cheats give values of the right form that know nothing; forbidden names are used where they are seen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from autograder.forbid import violations
from autograder.verify.cheats import cheats

FUNCTION = '''
def both(x, n=2):
    """Doc."""
    if n < 0:
        raise ValueError("n")
    return x * n, [np.ones(2), {"a": 1, "b": True, "c": 2.5}], None
'''.strip()
CLASS = """
class Sum(torch.nn.Module):
    def __init__(self, start):
        super().__init__()
        self.start = start

    def forward(self, x):
        return self.start + x

    def twice(self, x):
        return 2 * self.forward(x)
""".strip()


def run(name: str, solved: str, forbid: tuple[str, ...] = ()) -> dict[str, Any]:
    """What each cheat defines under the name."""
    found = {}
    for label, text in cheats(name, solved, f"def {name}(*_): raise NotImplementedError", forbid):
        namespace: dict[str, Any] = {"torch": torch, "np": np}
        exec(text, namespace)
        found[label] = namespace[name]
    return found


def test_functions() -> None:
    found = run("both", FUNCTION)
    x = torch.arange(3.0)
    with pytest.raises(NotImplementedError):
        found["the untouched stub"](x)
    assert found["an empty body"](x) is None
    assert found["returning the input"](x) is x
    with pytest.raises(ValueError, match="no"):
        found["an exception"](x)
    for label, value in (("zeros", 0.0), ("ones", 1.0), ("a constant", 0.5)):
        first, (array, plain), nothing = found[f"{label} of the right shape"](x, n=3)
        assert torch.equal(first, torch.full((3,), value))
        assert array.tolist() == [value, value]
        assert plain == {"a": int(value == 1), "b": value == 1, "c": value}
        assert nothing is None
    nan = found["NaN of the right shape"](x)
    assert bool(nan[0].isnan().all())
    assert math.isnan(nan[1][1]["c"])
    assert found["a scalar that broadcasts"](x)[0].shape == ()
    with pytest.raises(ValueError, match="n"):  # errors are the solution's own: they alone earn nothing
        found["zeros of the right shape"](x, n=-1)


def test_classes() -> None:
    found = run("Sum", CLASS)
    x = torch.arange(3.0)
    assert found["empty methods"](1)(x) is None
    assert found["methods that return their input"](1).twice(x) is x
    with pytest.raises(ValueError, match="no"):
        found["an exception"](1)
    zeros = found["zeros of the right shape"](4)
    assert zeros.start == 4
    assert torch.equal(zeros(x), torch.zeros(3))
    assert torch.equal(zeros.twice(x), torch.zeros(3))


@pytest.mark.parametrize("entry", ["torch.softmax", "F.softmax", ".sort", "einsum"])
@pytest.mark.parametrize(("name", "solved"), [("both", FUNCTION), ("Sum", CLASS)])
def test_delegation_is_written_where_it_is_found(name: str, solved: str, entry: str) -> None:
    text = dict(cheats(name, solved, "", (entry,)))[f"delegation to {entry}"]
    assert violations(text, (entry,))
    assert not violations(solved, (entry,))
    compile(text, "cheat", "exec")
