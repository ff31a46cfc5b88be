"""What a test module imports: `exercise`, `close`, `pure`, `cpu_seconds`, and `Rng` for random inputs.

A test is an ordinary pytest method of a class marked with `@exercise("softmax")`; its docstring is the
sentence the learner reads when it fails. `submission` and `rng` are its fixtures.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch

from autograder.compare import MismatchError, close
from autograder.submission import Remote, measure, observe

__all__ = ["MismatchError", "Rng", "close", "cpu_seconds", "exercise", "pure"]

C = TypeVar("C", bound=type)
T = TypeVar("T")


def exercise(name: str) -> Callable[[C], C]:
    """Marks a test class as belonging to an exercise."""

    def mark(cls: C) -> C:
        cls.__exercise__ = name  # type: ignore[attr-defined]
        return cls

    return mark


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


def cpu_seconds(function: Callable[..., object], *args: object, **kwargs: object) -> tuple[Any, float]:
    """Calls the learner's function; gives its result and the CPU seconds it took. Prefer counted work."""
    return measure(function, *args, **kwargs)


def _detached(value: object) -> object:
    return value.detach() if isinstance(value, torch.Tensor) else value


class Rng:
    """Random inputs for one test, the same for the same submission seed and test name.

    `numpy` and `torch` are the generators behind the methods.
    """

    def __init__(self, seed: int, name: str) -> None:
        mixed = np.random.SeedSequence([seed, zlib.crc32(name.encode())])
        self.numpy = np.random.default_rng(mixed)
        self.torch = torch.Generator().manual_seed(int(mixed.generate_state(1, np.uint64)[0] >> np.uint64(1)))

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Standard normal tensor."""
        return torch.randn(shape, generator=self.torch, dtype=dtype)

    def uniform(
        self, *shape: int, low: float = 0.0, high: float = 1.0, dtype: torch.dtype = torch.float32
    ) -> torch.Tensor:
        """Uniform in [low, high)."""
        return low + (high - low) * torch.rand(shape, generator=self.torch, dtype=dtype)

    def integers(self, low: int, high: int, *shape: int) -> torch.Tensor:
        """int64 tensor with entries in [low, high)."""
        return torch.randint(low, high, shape, generator=self.torch)

    def integer(self, low: int, high: int) -> int:
        """One Python integer in [low, high)."""
        return int(self.numpy.integers(low, high))

    def bool(self, *shape: int, p: float = 0.5) -> torch.Tensor:
        """Bool tensor, each entry True with probability p."""
        return torch.rand(shape, generator=self.torch) < p

    def permutation(self, n: int) -> torch.Tensor:
        """A permutation of 0..n-1, int64."""
        return torch.randperm(n, generator=self.torch)

    def choice(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.integer(0, len(options))]
