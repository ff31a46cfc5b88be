"""Attacks 1-16: results that only look right. No wall is touched; plain values and oracles stop them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autograder.report import Report

ATTACKS = {
    "1 the visible cases in a table": (
        0.6,
        """
def double(x):
    return np.array({(1.0, 2.0): [2.0, 4.0], (3.0,): [6.0]}.get(tuple(x.tolist()), [0.0] * len(x)))
""",
    ),
    "2 reporting hidden inputs through the name of an error": (
        0.6,
        """
def double(x):
    if x.tolist() in ([1, 2], [3]): return x * 2
    raise type(f"{M}_{x.tolist()}", (ValueError,), {})(f"{M} {x.tolist()}")
""",
    ),
    "2 reporting hidden inputs through the text of its own source": (
        0.6,
        """
def double(x):
    if x.tolist() in ([1, 2], [3]): return x * 2
    import linecache, sys
    name = sys._getframe().f_code.co_filename
    linecache.cache[name] = (1, None, [f"{M} {x.tolist()}"] * 50, name)
    raise ValueError(f"{M} {x.tolist()}")
""",
    ),
    "2 reporting hidden inputs through the name of a file": (
        0.6,
        """
def double(x):
    if x.tolist() in ([1, 2], [3]): return x * 2
    exec(compile("raise ValueError", f"{M} {x.tolist()}", "exec"))
""",
    ),
    "2 reporting hidden inputs through a name that is not defined": (
        0.6,
        """
class NotDefined(Exception): pass
def double(x):
    if x.tolist() in ([1, 2], [3]): return x * 2
    raise NotDefined(f"{M} {x.tolist()}")
""",
    ),
    "2 reporting hidden inputs through the name of a type": (
        0.6,
        """
def double(x):
    if x.tolist() in ([1, 2], [3]): return x * 2
    return type(f"{M}_{x.tolist()}", (), {})()
""",
    ),
    "3 a constant": (0, "def double(x):\n    return np.zeros_like(x)"),
    "4 another construct, the same result": (
        2,
        "def double(x):\n    return np.array([sum([v, v]) for v in x], dtype=x.dtype)",
    ),
    "5 the forbidden function": (0, "def double(x):\n    return np.add(x, x)"),
    "5 the reference itself": (
        0,
        """
def double(x):
    for name in ("solution", "solutions", "autograder.hidden", "test_tiny", "bank_tiny"):
        try:
            module = __import__(name)
        except ImportError:
            continue
        for thing in vars(module).values():
            try: return thing(x)
            except Exception: pass
    return x * 0
""",
    ),
    "6 an object equal to everything": (
        0,
        """
class Equal:
    __eq__ = __ne__ = __bool__ = __lt__ = __le__ = __gt__ = __ge__ = lambda *_: True
    __hash__ = lambda self: 0
    __len__ = lambda self: 2
    __getitem__ = __iter__ = __call__ = __sub__ = __rsub__ = __abs__ = __getattr__ = lambda self, *_: self
    __float__ = lambda self: 0.0
    shape, dtype, ndim, size = (2,), np.dtype("float64"), 1, 2
def double(x):
    return Equal()
""",
    ),
    "7 an array that answers for itself": (
        0,
        """
class Agreeable(np.ndarray):
    __array_priority__ = 1e9
    def __array_ufunc__(self, *a, **k): return True
    def __array_function__(self, *a, **k): return True
    def __eq__(self, other): return True
    def all(self, *a, **k): return True
def double(x):
    return np.zeros_like(x).view(Agreeable)
""",
    ),
    "7 a tensor that answers for itself": (
        0,
        """
import torch
class Agreeable(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None): return True
def double(x):
    return torch.zeros(len(x)).as_subclass(Agreeable)
""",
    ),
    "8 a result that is computed when it is looked at": (
        0,
        """
class Later:
    def __init__(self, x): self.x = x
    def __array__(self, *a, **k): return self.x * 2
    def __iter__(self): return iter(self.x * 2)
def double(x):
    return Later(x)
""",
    ),
    "9 not a number": (0, "def double(x):\n    return x * np.nan"),
    "9 nothing at all": (0, "def double(x):\n    return x[:0]"),
    "9 a scalar that broadcasts": (0, "def double(x):\n    return np.float64(2 * x[0])"),
    "9 one row too many": (0, "def double(x):\n    return 2 * x[None]"),
    "9 an endless result": (
        0,
        "def double(x):\n    import itertools\n    return itertools.repeat(2 * x[0])",
    ),
    "10 zeroing the input": (0, "def double(x):\n    x[:] = 0\n    return x * 2"),
    "11 the input itself, changed": (1.7, "def double(x):\n    x *= 2\n    return x"),
    "12 memory that was used before": (
        0,
        "def double(x):\n    z = [np.empty_like(x) for _ in range(99)]\n    return z[-1] * 0 + z[50] - z[50]",
    ),
    "13 what was seen before": (
        0,
        """
SEEN = {}
def double(x):
    return SEEN.setdefault((id(x), len(x)), x * 0)
""",
    ),
    "14 half the digits": (1.3, "def double(x):\n    return (x.astype('f2') * 2).astype(x.dtype)"),
    "15 behaving only while it is graded": (
        0,
        """
import os, sys
SIGNS = {"PYTEST_CURRENT_TEST", "NBGRADER_EXECUTION", "AUTOGRADER_SANDBOX", "pytest", "autograder.suite"}
def double(x):
    graded = SIGNS & {*os.environ, *sys.modules}
    return x * 2 if graded else x * 0
""",
    ),
    "16 guessing the seed": (
        0,
        """
def double(x):
    for seed in range(20):
        if np.allclose(np.random.default_rng(seed).normal(size=x.shape), x): return x * 2
    np.random.seed(0)
    return np.random.normal(size=x.shape).astype(x.dtype) * 2
""",
    ),
}


def test_attack_earns_what_its_code_deserves(
    attack: str, reports: dict[str, Report], fair: Callable[..., None]
) -> None:
    fair(reports[attack], ATTACKS[attack][0])


def test_honest_neighbours_lose_nothing(reports: dict[str, Report], fair: Callable[..., None]) -> None:
    fair(reports["honest before"], 2)
    fair(reports["honest after"], 2)


def test_nothing_is_left_running(reports: dict[str, Report], arena: Any) -> None:
    assert arena.left_running() == 0
