"""Attacks 17-34: ending, patching or imitating the program that runs the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autograder.report import Report

WRONG = "\ndef double(x):\n    return x * 0\n"


def cells(notebook: dict[str, Any], role: str) -> list[dict[str, Any]]:
    return [c for c in notebook["cells"] if c["metadata"].get("autograder", {}).get("role") == role]


def more_points(notebook: dict[str, Any]) -> None:
    """Every number and hash in the metadata is the learner's to change, and counts nothing."""
    for cell in notebook["cells"]:
        if "nbgrader" in cell["metadata"]:
            cell["metadata"]["nbgrader"] |= {"points": 500, "checksum": "0" * 32, "schema_version": 99}
        if "points" in cell["metadata"].get("autograder", {}):
            cell["metadata"]["autograder"] |= {"points": 500, "bonus": True, "limit": 1e9, "forbid": []}


def no_checks(notebook: dict[str, Any]) -> None:
    notebook["cells"] = [c for c in notebook["cells"] if c not in cells(notebook, "check")]


def many_checks(notebook: dict[str, Any]) -> None:
    notebook["cells"] += cells(notebook, "check") * 3
    for number, cell in enumerate(cells(notebook, "check")):
        cell["metadata"]["nbgrader"] = {
            **cell["metadata"]["nbgrader"],
            "grade_id": f"extra{number}",
            "points": 9,
        }


def checks_that_lie(notebook: dict[str, Any]) -> None:
    notebook["cells"].insert(1, {**cells(notebook, "given")[0], "id": "mine", "source": "check = print"})
    cells(notebook, "answer")[0]["source"] = WRONG
    for cell in cells(notebook, "check"):
        cell["source"] = "print('all tests passed')"
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "score: 2 of 2"}]


def swapped_answers(notebook: dict[str, Any]) -> None:
    """The ids of two answers exchanged: the code still defines both names."""
    one, two = cells(notebook, "answer")[:2]
    one["id"], two["id"] = two["id"], one["id"]
    one["metadata"], two["metadata"] = two["metadata"], one["metadata"]


ATTACKS = {
    "17 leaving at once": (0, "import os, sys\nsys.exit(0)" + WRONG),
    "17 leaving in the cell, for good": (0, "import os\nos._exit(0)" + WRONG),
    "17 leaving in a call": (0, "def double(x):\n    import sys\n    sys.exit(0)"),
    "17 leaving in a call, for good": (0, "def double(x):\n    import os\n    os._exit(0)"),
    "18 leaving with a clean exit code": (
        0,
        "import atexit, os\natexit.register(os._exit, 0)\ndef double(x):\n    raise SystemExit(0)",
    ),
    "19 skipping": (0, "import pytest\ndef double(x):\n    pytest.skip('later')"),
    "19 expecting to fail": (0, "import pytest\ndef double(x):\n    pytest.xfail('of course')"),
    "19 skipping with unittest": (0, "import unittest\ndef double(x):\n    raise unittest.SkipTest"),
    "19 skipping the cell": (
        0,
        "import pytest\npytest.skip('all', allow_module_level=True)\npytest.importorskip('x')" + WRONG,
    ),
    "20 an interrupt": (0, "def double(x):\n    raise KeyboardInterrupt"),
    "20 the end of a generator": (0, "def double(x):\n    raise GeneratorExit"),
    "20 the end of the session": (0, "import pytest\ndef double(x):\n    pytest.exit('done', returncode=0)"),
    "20 an exception below Exception": (
        0,
        "class Passed(BaseException): pass\ndef double(x):\n    raise Passed",
    ),
    "20 a stop of the iteration": (0, "def double(x):\n    raise StopIteration(x * 2)"),
    "21 patching pytest": (
        0,
        """
import _pytest.reports, _pytest.python, _pytest.runner, unittest
_pytest.reports.TestReport.passed = property(lambda self: True)
_pytest.python.Function.runtest = lambda self: None
_pytest.runner.runtestprotocol = lambda *a, **k: []
unittest.TestCase.run = lambda *a, **k: None
"""
        + WRONG,
    ),
    "22 patching what tests compare with": (
        0,
        """
import math, numpy.testing, torch, time
for module in (np.testing, np, math, torch, torch.testing, time):
    for name in ("assert_allclose", "allclose", "array_equal", "isclose", "equal", "assert_close"):
        setattr(module, name, lambda *a, **k: True)
"""
        + WRONG,
    ),
    "23 files that pytest reads": (
        0,
        """
import pathlib, sys
for place in (".", "..", "/", "/tmp", "{course}", *sys.path):
    for name in ("conftest.py", "pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg"):
        try: pathlib.Path(place, name).write_text("def pytest_runtest_call(item): return True")
        except OSError: pass
"""
        + WRONG,
    ),
    "24 modules in the way of others": (
        0,
        """
import pathlib, site, sys
for place in (".", *sys.path, site.getusersitepackages(), *site.getsitepackages()):
    for name in ("sitecustomize.py", "usercustomize.py", "numpy.py", "pytest.py", "evil.pth"):
        try: pathlib.Path(place, name).write_text("raise SystemExit(0)")
        except OSError: pass
import os
os.environ |= {"PYTHONPATH": os.getcwd(), "PYTEST_ADDOPTS": "--collect-only", "PYTHONSTARTUP": "numpy.py"}
"""
        + WRONG,
    ),
    "25 hooks of IPython": (
        0,
        """
import IPython, ast
shell = get_ipython() or IPython.get_ipython()
if shell is not None:
    shell.ast_transformers.append(lambda tree: ast.Pass())
    shell.events.register("post_run_cell", print)
"""
        + WRONG,
    ),
    "26 a display that shows a full score": (
        0,
        """
import builtins, sys
sys.displayhook = lambda value: print("2.0")
builtins.repr = lambda value: "2.0"
class Full(float):
    __repr__ = __str__ = __format__ = _repr_html_ = _repr_markdown_ = lambda self, *a: "2.0"
    _repr_mimebundle_ = lambda self, *a, **k: {"text/plain": "2.0", "text/html": "<b>2.0</b>"}
def double(x):
    return Full(0.0)
""",
    ),
    "27 names the tests use": (
        0,
        """
def close(*a, **k): return True
def exercise(*a, **k): return lambda c: c
submission = rng = pure = check = pytest = close
"""
        + WRONG,
    ),
    "28 more points in the metadata": (2, more_points),
    "28 no check cells": (2, no_checks),
    "28 copied check cells": (2, many_checks),
    "28 check cells that lie": (0, checks_that_lie),
    "28 two answers exchanged": (2, swapped_answers),
    "29 swapping the code of the tests": (
        0,
        """
import gc, sys, types
def always(*a, **k): return None
def double(x):
    frame = sys._getframe()
    while frame:
        for thing in list(frame.f_locals.values()) + gc.get_objects():
            if isinstance(thing, types.FunctionType) and thing.__name__.startswith("test_"):
                thing.__code__ = always.__code__
        frame = frame.f_back
    return x * 0
""",
    ),
    "30 tracing": (
        0,
        """
import sys, threading
def trace(frame, event, arg):
    for name in ("expected", "want", "wanted"):
        if name in frame.f_locals: raise AssertionError(M + repr(frame.f_locals[name]))
    return trace
threading.settrace(trace); sys.settrace(trace); sys.setprofile(trace)
"""
        + WRONG,
    ),
    "31 looking for the expected value": (
        0,
        """
import gc, inspect
def double(x):
    wanted = x * 2
    for thing in gc.get_objects():
        if isinstance(thing, np.ndarray) and thing.shape == x.shape and thing is not wanted:
            if np.array_equal(thing, wanted): return thing
    for place in inspect.stack():
        for value in place.frame.f_locals.values():
            if value is not wanted and np.array_equal(value, wanted): return value
    return x * 0
""",
    ),
    "32 patching the interpreter": (
        0,
        """
import builtins, sys
builtins.AssertionError = type("Fine", (Exception,), {})
builtins.isinstance = lambda *a: True
builtins.all = builtins.any = lambda *a: True
for name in [n for n in sys.modules if n.startswith("autograder")]:
    for attribute, value in list(vars(sys.modules[name]).items()):
        if callable(value) and name.endswith(("frames", "encode", "endpoint")) and attribute[0].islower():
            try: setattr(sys.modules[name], attribute, lambda *a, **k: True)
            except Exception: pass
"""
        + WRONG,
    ),
    "33 a forbidden name spelled otherwise": (
        2,  # not closed: the rule is read from the code, and what is right stays right
        "def double(x):\n    return getattr(np, 'a' + 'dd')(x, x)",
    ),
    "33 builtins by way of a tuple": (
        0,
        """
def double(x):
    for kind in ().__class__.__base__.__subclasses__():
        if kind.__name__ in ("catch_warnings", "_wrap_close"):
            names = kind.__init__.__globals__
            names.get("sys", __import__("sys")).modules.get("os", __import__("os")).system("true")
    return x * 0
""",
    ),
    "34 writing to the interpreter's memory": (
        0,
        """
import ctypes
def double(x):
    try: open("/proc/self/mem", "r+b").write(bytes(8))
    except OSError: pass
    ctypes.memset(id(x), 0, 64)
    return x
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
