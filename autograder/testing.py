"""What a test module imports: `exercise`, `rule`, `close`, `pure`, `gradients`, `cpu_seconds`, `choice`.

`Rng` gives it random inputs.

A test is an ordinary pytest method of a class marked with `@exercise("softmax")`; its docstring is the
sentence the learner reads when it fails. `submission` and `rng` are its fixtures.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch

from autograder.choices import open_sealed
from autograder.compare import MismatchError, close
from autograder.errors import LearnerError
from autograder.record import Comparison, note_comparison, note_told
from autograder.submission import Remote, measure, observe

__all__ = [
    "MismatchError",
    "Rng",
    "Simpler",
    "choice",
    "close",
    "cpu_seconds",
    "exercise",
    "fixed_inputs",
    "gradients",
    "letter",
    "pure",
    "rule",
]

UNANSWERED = "Unanswered"  # the kind of a learner's error: no option is chosen yet
ANOTHER_OPTION = "another option"  # the kind of a mismatch: the test itself explains all of them
LETTERS = "ABCDEFGH"
C = TypeVar("C", bound=type)
T = TypeVar("T")


def exercise(name: str) -> Callable[[C], C]:
    """Marks a test class as belonging to an exercise."""

    def mark(cls: C) -> C:
        cls.__exercise__ = name  # type: ignore[attr-defined]
        return cls

    return mark


def rule(*names: str) -> Callable[[T], T]:
    """Says which rules of the contract a test (or all tests of a class) rests on: `@rule("R1", "R3")`."""
    if not names or not all(re.fullmatch(r"R\d+", name) for name in names):
        raise ValueError(f"expected rules as in the contract, like R1, got {names}")

    def mark(target: T) -> T:
        target.__rules__ = names  # type: ignore[attr-defined]
        return target

    return mark


def fixed_inputs(test: T) -> T:
    """Marks a test that does not hold for simpler inputs (rounded numbers, least integers)."""
    test.__fixed_inputs__ = True  # type: ignore[attr-defined]
    return test


def pure(function: Callable[..., object], *args: object, **kwargs: object) -> Any:
    """Calls the learner's function, asserts that it changed none of its arguments, and gives the result."""
    value, args_after, kwargs_after = observe(function, *args, **kwargs)
    before = [*enumerate(args), *kwargs.items()]
    after = [*enumerate(args_after), *kwargs_after.items()]
    for (place, old), (_, new) in zip(before, after, strict=True):
        if isinstance(old, Remote) or callable(old):
            continue
        label = f"argument {place + 1}" if isinstance(place, int) else f"argument `{place}`"
        try:
            close(_detached(new), _detached(old), rtol=0.0, atol=0.0, what=label, finite=False)
        except MismatchError as mismatch:
            raise MismatchError(
                "input changed", f"{label} was changed by the call\n{mismatch.detail}"
            ) from None
    return value


def choice(answer: Any, sealed: str) -> None:
    """Asserts that the answer to a multiple-choice exercise is the right option, and explains each of them.

    `sealed` holds the options (`autograder.choices`); `autograder verify` prints it.
    """
    options = open_sealed(sealed)
    chosen = letter(answer, "".join(options.explained))
    right = options.is_right(chosen)
    note_comparison(Comparison(chosen, chosen if right else options.mark, None, None, True))
    note_told(options.lines)
    if not right:
        raise MismatchError(ANOTHER_OPTION, f"You chose {chosen}.")


def letter(answer: Any, letters: str = LETTERS) -> str:
    """The letter that a multiple-choice exercise is answered with: a capital, without white space."""
    text: Any = answer
    try:
        text = text + "" if isinstance(answer, Remote) else text  # to calculate brings a plain value
    except LearnerError as error:
        if error.kind == "NotDefined":
            raise
        text = None
    if text == "":
        raise LearnerError(UNANSWERED, "", "")
    chosen = text.strip().upper() if isinstance(text, str) else ""
    if len(chosen) != 1 or chosen not in letters:
        known = ", ".join(letters[:-1]) + f" or {letters[-1]}"
        got = f"; got {text[:40]!r}" if isinstance(text, str) else ""
        raise MismatchError(
            "not an option", f'expected one letter in quotes: {known}, as in "{letters[0]}"{got}'
        )
    return chosen


def cpu_seconds(function: Callable[..., object], *args: object, **kwargs: object) -> tuple[Any, float]:
    """Calls the learner's function; gives its result and the CPU seconds it took. Prefer counted work."""
    return measure(function, *args, **kwargs)


def gradients(out: torch.Tensor, inputs: Sequence[torch.Tensor], upstream: torch.Tensor) -> tuple[Any, ...]:
    """Gradients of (out * upstream).sum(); one that does not arrive counts as zeros and so is seen.

    `torch.autograd.grad(out, inputs, upstream)` would import sympy first (0.4 s).
    """
    if out.shape != upstream.shape:
        shapes = f"expected a result of shape {tuple(upstream.shape)}, got {tuple(out.shape)}"
        raise MismatchError("wrong shape", shapes)
    found = torch.autograd.grad((out * upstream).sum(), inputs, allow_unused=True)
    return tuple(torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True))


def _detached(value: object) -> object:
    return value.detach() if isinstance(value, torch.Tensor) else value


@dataclass(frozen=True, slots=True)
class Simpler:
    """Makes the inputs of a test easier to read: numbers of one decimal, other values of single integers.

    `integers[i]` takes the place of what the i-th call of `Rng.integer` drew; None keeps it.
    """

    rounded: bool = False
    integers: tuple[int | None, ...] = ()


class Rng:
    """Random inputs for one test, the same for the same submission seed and test name.

    `numpy` and `torch` are the generators behind the methods. `drawn` has the least possible and the drawn
    value of each call of `integer`.
    """

    def __init__(self, seed: int, name: str, simpler: Simpler | None = None) -> None:
        self._seed, self._name = seed, name
        self.drawn: list[tuple[int, int]] = []
        self._simpler = simpler or Simpler()

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Standard normal tensor."""
        x = torch.randn(shape, generator=self.torch, dtype=dtype)
        return (x * 10).round() / 10 if self._simpler.rounded else x

    def uniform(
        self, *shape: int, low: float = 0.0, high: float = 1.0, dtype: torch.dtype = torch.float32
    ) -> torch.Tensor:
        """Uniform in [low, high)."""
        return low + (high - low) * torch.rand(shape, generator=self.torch, dtype=dtype)

    def integers(self, low: int, high: int, *shape: int) -> torch.Tensor:
        """int64 tensor with entries in [low, high)."""
        return torch.randint(low, high, shape, generator=self.torch)

    def integer(self, low: int, high: int) -> int:
        """One Python integer in [low, high); of a failing visible test the least that fails is shown."""
        value = int(self.numpy.integers(low, high))
        wanted = self._simpler.integers[len(self.drawn) :][:1]
        if wanted and wanted[0] is not None and low <= wanted[0] < high:
            value = wanted[0]
        self.drawn.append((low, value))
        return value

    def bool(self, *shape: int, p: float = 0.5) -> torch.Tensor:
        """Bool tensor, each entry True with probability p."""
        return torch.rand(shape, generator=self.torch) < p

    def permutation(self, n: int) -> torch.Tensor:
        """A permutation of 0..n-1, int64."""
        return torch.randperm(n, generator=self.torch)

    def choice(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[int(self.numpy.integers(0, len(options)))]

    @cached_property
    def _mixed(self) -> np.random.SeedSequence:
        return np.random.SeedSequence([self._seed, zlib.crc32(self._name.encode())])

    # Last, for inside the class their names hide the modules'.
    @cached_property
    def numpy(self) -> np.random.Generator:
        return np.random.default_rng(self._mixed)

    @cached_property
    def torch(self) -> torch.Generator:
        state = self._mixed.generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(state >> np.uint64(1)))
