"""Runs a learner's cells in one namespace and answers what a test asks of them.

The same class serves a socket in the sandbox and, through a loopback, `check()` in the learner's own kernel.
It judges nothing.
"""

from __future__ import annotations

import builtins
import io
import itertools
import linecache
import operator
import random
import sys
import time
import traceback
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from autograder.wire.endpoint import StandIn

__all__ = ["Callback", "Host", "NotDefined"]

PROBE = (1, 2.5, "text")  # what a process that works answers when it is asked for it
MAX_OUTPUT = 20_000  # characters kept of what the cells print
MAX_ITEMS = 10_000
UNARY = ("neg", "pos", "abs", "invert")
BINARY = (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "lshift",
    "rshift",
    "and_",
    "or_",
    "xor",
)
OTHER = ("getitem", "setitem", "delitem", "contains")
OPERATORS: dict[str, Callable[..., object]] = {
    name: getattr(operator, name) for name in (*UNARY, *BINARY, *OTHER)
}
OPERATORS["len"] = len


class NotDefined(Exception):
    """The name a test asks for is not defined by the notebook."""


class Callback(StandIn):
    """A test's function in the learner's hands."""

    __slots__ = ()

    def __call__(self, *args: object, **kwargs: object) -> Any:
        return self._endpoint.request("call", self, list(args), kwargs)


class BoundedText(io.TextIOBase):
    """A stream that keeps its first characters and forgets the rest."""

    def __init__(self) -> None:
        self.text = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if len(self.text) < MAX_OUTPUT:
            self.text += str(text)[: MAX_OUTPUT - len(self.text)]
        return len(text)


class Host:
    """The learner's namespace and the operations a test may ask for.

    `capture=False` leaves standard output alone (the learner's own kernel).
    """

    def __init__(self, namespace: dict[str, Any], *, capture: bool = True) -> None:
        self.namespace = namespace
        self.printed = BoundedText()
        self._capture = capture
        self._clock = time.process_time  # bound now: a cell may patch the module
        self._labels: dict[str, str] = {}

    @property
    def operations(self) -> Mapping[str, Callable[..., object]]:
        """What the other end may ask for, by name."""
        return {
            "run": self.run,
            "get": self.get,
            "set": setattr,
            "call": self.call,
            "invoke": self.invoke,
            "observe": self.observe,
            "operator": self.operator,
            "items": self.items,
            "seed": self.seed,
            "probe": self.probe,
            "printed": lambda: self.printed.text,
            "cpu": self._clock,
        }

    def run(self, label: str, source: str) -> None:
        """Executes one cell; what it raises goes to the caller."""
        name = f"<{label}>"
        self._labels[name] = label
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        code = compile(source, name, "exec", dont_inherit=True)  # a syntax error is raised here
        with self._quiet():
            exec(code, self.namespace)

    def look_up(self, name: str) -> object:
        """The object a cell bound to `name`."""
        if name not in self.namespace:
            raise NotDefined(name)
        return self.namespace[name]

    def get(self, target: object, name: str) -> object:
        with self._quiet():
            return getattr(target, name)

    def call(self, target: Callable[..., object], args: list[object], kwargs: dict[str, object]) -> object:
        with self._quiet():
            return target(*args, **kwargs)

    def invoke(self, target: object, name: str, args: list[object], kwargs: dict[str, object]) -> object:
        """A method's result."""
        with self._quiet():
            return getattr(target, name)(*args, **kwargs)

    def observe(
        self, target: Callable[..., object], args: list[object], kwargs: dict[str, object]
    ) -> tuple[object, list[object], dict[str, object]]:
        """The result of a call, and its arguments as the call left them."""
        return self.call(target, args, kwargs), args, kwargs

    def operator(self, name: str, operands: list[object]) -> object:
        with self._quiet():
            return OPERATORS[name](*operands)

    def items(self, target: Any) -> list[object]:
        """The first items of an iterable."""
        with self._quiet():
            return list(itertools.islice(target, MAX_ITEMS))

    def seed(self, number: int) -> None:
        """Seeds the generators a learner's code may draw from, so that a run can be repeated.

        On the CPU only: `torch.manual_seed` also leaves a note for each kind of accelerator, 80 us a test.
        """
        torch.default_generator.manual_seed(number)
        np.random.seed(number % 2**32)
        random.seed(number)

    def probe(self) -> tuple[object, ...]:
        """A value of each kind that crosses: what a cell has done to this process shows in it."""
        return self.probe, PROBE, torch.ones(2)

    def locate(self, error: BaseException) -> str:
        """Where in the learner's cells an error arose: `cell 3, line 2: return x / y`."""
        if isinstance(error, SyntaxError) and error.filename in self._labels:
            return f"{self._labels[error.filename]}, line {error.lineno}: {(error.text or '').strip()}"
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in self._labels]
        if not frames:
            return ""
        last = frames[-1]
        return f"{self._labels[last.filename]}, line {last.lineno}: {(last.line or '').strip()}"

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        if not self._capture:
            yield
            return
        sys.stdout = sys.stderr = self.printed
        try:
            yield
        finally:
            sys.stdout = sys.stderr = self.printed


def fresh_namespace() -> dict[str, Any]:
    """The namespace of a new `__main__`, with the names a notebook expects."""
    module = types.ModuleType("__main__")
    module.__dict__["__builtins__"] = builtins
    module.__dict__["display"] = lambda *_, **__: None
    module.__dict__["get_ipython"] = lambda: None
    sys.modules["__main__"] = module
    return module.__dict__
