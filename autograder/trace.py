"""What one run of a test showed: the values it compared, and how it ended.

Two codes with the same trace of a test behave alike as far as the test can see: the base of fingerprints.
How far a comparison was from failing is the base of margins. Nothing here decides an outcome.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from autograder.compare import TOLERANCES, close
from autograder.record import Call, Comparison
from autograder.wire.endpoint import StandIn

__all__ = ["Ending", "Trace", "alike", "distance"]

UNWRITTEN = ("NotDefined", "NotImplementedError", "Unanswered")  # kinds of a learner's error


@dataclass(frozen=True, slots=True)
class Ending:
    """How a test ended: `kind` is passed, mismatch, raised, assertion, form or unfinished.

    `line` is the line of the test file it ended in, 0 if it passed.
    """

    kind: str
    detail: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Trace:
    """The comparisons of one run of one test in order; the last one is what failed, if a mismatch did."""

    comparisons: tuple[Comparison, ...]
    ending: Ending
    drawn: tuple[tuple[int, int], ...] = ()  # single integers among its inputs: the least possible, the drawn
    call: Call | None = None  # the last one
    timed: bool = False  # it measured time: another run may end in another way

    @property
    def passed(self) -> bool:
        """Whether the test passed."""
        return self.ending.kind == "passed"

    @property
    def unwritten(self) -> bool:
        """Whether there was nothing to test yet."""
        return self.ending.kind == "raised" and self.ending.detail in UNWRITTEN

    @classmethod
    def passing(cls, *, timed: bool = False) -> Trace:
        """Of a test that passed; what it compared is not kept."""
        return cls((), Ending("passed"), timed=timed)

    @classmethod
    def unfinished(cls) -> Trace:
        """Of a test that did not run to any end."""
        return cls((), Ending("unfinished"))

    def distance(self) -> float | None:
        """How far the worst comparison was from the right value, in tolerances; None if all were exact.

        Of a failed test the one that failed counts, and infinity if something else than values was wrong.
        """
        if self.passed:
            found = [distance(c) for c in self.comparisons]
            return max((d for d in found if d is not None), default=None)
        compared = self.ending.kind == "mismatch" and self.comparisons  # `gradients` looks at a shape before
        return distance(self.comparisons[-1]) if compared else math.inf

    def shows_values(self) -> bool:
        """Whether it holds finite numbers that are not all the same: a zero or a NaN proves little."""
        return any(_tells(value) for c in self.comparisons for value, _ in _pairs(c.got, c.got))


def alike(one: Trace, other: Trace) -> bool:
    """Whether two runs of the same test with the same inputs can't be told apart, within the tolerances."""
    return (
        one.ending == other.ending
        and one.ending.kind != "unfinished"
        and len(one.comparisons) == len(other.comparisons)
        and all(_same(a, b) for a, b in zip(one.comparisons, other.comparisons, strict=True))
    )


def _same(one: Comparison, other: Comparison) -> bool:
    if isinstance(one.got, StandIn) or isinstance(other.got, StandIn):
        return isinstance(one.got, StandIn) and isinstance(other.got, StandIn)
    try:  # a tolerance of 0 is for the right answer; two codes that err alike round differently
        close(one.got, other.got, rtol=one.rtol or None, atol=one.atol or None, finite=False)
    except Exception:
        return False
    return True


def distance(comparison: Comparison) -> float | None:
    """The largest error as a multiple of what was tolerated: up to 1 is accepted.

    Infinite where the form differs, a value is not finite, or what must be exact is not; None where
    everything is exact and equal.
    """
    got, want = comparison.got, comparison.want
    try:
        close(got, want, rtol=0.0, atol=math.inf, finite=comparison.finite)
        found = [_leaf_distance(g, w, comparison) for g, w in _pairs(got, want)]
    except Exception:
        return math.inf
    return max((d for d in found if d is not None), default=None)


def _pairs(got: Any, want: Any) -> Iterator[tuple[Any, Any]]:
    """Numbers, arrays and tensors at the same place of two values of the same form."""
    if isinstance(want, Mapping):
        for key in want:
            yield from _pairs(got[key], want[key])
    elif isinstance(want, tuple | list) and isinstance(got, tuple | list):
        for g, w in zip(got, want, strict=True):
            yield from _pairs(g, w)
    elif want is not None and not isinstance(want, str | bytes):
        yield got, want


def _leaf_distance(got: Any, want: Any, comparison: Comparison) -> float | None:
    g, w = _tensor(got), _tensor(want)
    default_r, default_a = TOLERANCES.get(w.dtype, (0.0, 0.0))
    rtol = default_r if comparison.rtol is None else comparison.rtol
    atol = default_a if comparison.atol is None else comparison.atol
    wide = torch.complex128 if w.dtype.is_complex or g.dtype.is_complex else torch.float64
    g, w = g.to(wide), w.to(wide)
    error = torch.where((g == w) | (g.isnan() & w.isnan()), 0.0, (g - w).abs())
    if not w.numel() or not (rtol or atol):
        return math.inf if bool((error > 0).any()) else None
    return float(torch.where(error > 0, error / (atol + rtol * w.abs()), 0.0).max())


def _tensor(value: Any) -> torch.Tensor:
    return value.detach() if isinstance(value, torch.Tensor) else torch.from_numpy(np.array(value))


def _tells(value: Any) -> bool:
    try:
        numbers = _tensor(value).reshape(-1)
    except (TypeError, ValueError):
        return False
    return bool(numbers.isfinite().all()) and bool((numbers != numbers[:1]).any())
