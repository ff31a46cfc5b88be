"""A smaller input for a visible test whose values came out wrong, and the input in words.

The test runs again with simpler random inputs (numbers of one decimal, the least sizes that still fail). Only
for visible tests: the inputs of a hidden one are never shown. What a test fixes itself (a shape written into
it) stays; `verify` proves that every test holds for the simpler inputs too.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from autograder.record import Call
from autograder.report import TestResult
from autograder.testing import Simpler
from autograder.trace import Trace

__all__ = ["BUDGET_SECONDS", "parameters", "simplest"]

BUDGET_SECONDS = 0.3
MAX_NUMBERS = 40  # shown of an input; a larger one is told by its shape

Run = Callable[[Simpler], tuple[TestResult, Trace]]


def simplest(
    first: tuple[TestResult, Trace],
    run: Run,
    *,
    names: Sequence[str] = (),
    budget: float = BUDGET_SECONDS,
) -> TestResult:
    """The result of the test on the simplest input found that gives wrong values, with that input told.

    Unchanged if the test is hidden, or failed in another way. `run` repeats the test on other inputs, `names`
    are those of the function's parameters.
    """
    result, trace = first
    if not result.visible or not _wrong_values(trace):
        return result
    ends = time.monotonic() + budget
    best, simpler = first, Simpler()
    for attempt in _attempts(trace):
        if time.monotonic() > ends:
            break
        candidate = attempt(simpler)
        found = run(candidate)
        if _wrong_values(found[1]):
            best, simpler = found, candidate
    lines = _lines(best[1].call, names)
    head = "on this input:" if lines == _lines(trace.call, names) else "on this input, the simplest found:"
    return replace(best[0], message="\n".join([best[0].message, head, *lines])) if lines else best[0]


def _wrong_values(trace: Trace) -> bool:
    return trace.ending.kind == "mismatch" and trace.ending.detail.startswith("wrong value")


def _attempts(trace: Trace) -> Iterator[Callable[[Simpler], Simpler]]:
    """Changes to try one after another, each upon what has worked so far."""
    yield lambda simpler: replace(simpler, rounded=True)
    for place, (low, drawn) in enumerate(trace.drawn):
        for value in sorted({low, low + 1, (low + drawn) // 2} - {drawn}, reverse=True):
            yield lambda simpler, place=place, value=value: _with(simpler, place, value)  # type: ignore[misc]


def _with(simpler: Simpler, place: int, value: int) -> Simpler:
    integers = list(simpler.integers) + [None] * (place + 1 - len(simpler.integers))
    integers[place] = value
    return replace(simpler, integers=tuple(integers))


def parameters(sources: Iterable[str], function: str) -> tuple[str, ...]:
    """The names of a function's parameters, from the last of the texts that defines it; () if none does."""
    found: tuple[str, ...] = ()
    for source in sources:
        if f"def {function}(" in source:
            with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
                nodes = [n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef)]
                found = next((_names(n.args) for n in reversed(nodes) if n.name == function), found)
    return found


def _names(arguments: ast.arguments) -> tuple[str, ...]:
    return tuple(argument.arg for argument in (*arguments.posonlyargs, *arguments.args))


def _lines(call: Call | None, names: Sequence[str]) -> list[str]:
    """The arguments of a call, one per line."""
    if call is None:
        return []
    others = (f"argument {n}" for n in itertools.count(len(names) + 1))
    named: list[tuple[str, Any]] = [*zip(itertools.chain(names, others), call.args, strict=False)]
    return [f"  {name}: {_text(value)}" for name, value in [*named, *call.kwargs.items()]]


def _text(value: Any) -> str:
    if isinstance(value, torch.Tensor | np.ndarray):
        dtype = str(value.dtype).removeprefix("torch.")
        count = value.numel() if isinstance(value, torch.Tensor) else value.size
        numbers = f" {_numbers(value.tolist())}" if count <= MAX_NUMBERS else ""
        return f"{dtype} of shape {tuple(value.shape)}{numbers}"
    # A function of the test by its name: where it lies in memory is another place each time.
    text = f"the function {value.__name__}" if inspect.isfunction(value) else repr(value)
    return text if len(text) <= 200 else f"{text[:197]}..."


def _numbers(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_numbers(v) for v in value)}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
