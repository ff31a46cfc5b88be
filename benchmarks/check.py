"""What `check("x")` adds to the tests' own time, in a live kernel.

    python benchmarks/check.py [--notebook 05_transformers/attention] [--calls 9]

It copies the released section into a work folder, runs the solved cells in a kernel there, and compares each
check with the test functions called directly (`plain.run_tests`): once with the solution, once with the first
wrong variant of the bank. Times are those of the kernel's own clock around the call, the best of some calls.
Of a wrong answer, what is looked for beside the tests (a simpler input, a known mistake) is counted apart.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from jupyter_client.manager import start_new_kernel
from plain import cells_of

from autograder.bank import load_bank
from autograder.layout import Course
from autograder.notebooks import load_released

HERE = Path(__file__).parent
SETUP = f"""
import json, os, sys, time
from pathlib import Path
sys.path.insert(0, {str(HERE)!r})
os.environ["OMP_NUM_THREADS"] = "1"
"""
MEASURE = """
import contextlib
from plain import run_tests, suite_of
from autograder import check
import autograder.visible  # noqa: F401
_module = sys.modules["autograder.visible"]

def _time(action, calls):
    spent = []
    for _ in range(calls):
        began = time.perf_counter()
        action()
        spent.append(1e3 * (time.perf_counter() - began))
    return min(spent)

def _measure(name, tests, exercises, calls):
    suite = suite_of({tests: True}, exercises)
    own = _time(lambda: list(run_tests(suite, globals(), name)), calls)
    whole = _time(lambda: check(name), calls)
    looking, saved = [], (_module.looks_like, _module._simplest)
    def timed(function):
        def call(*args, **kwargs):
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                looking.append(1e3 * (time.perf_counter() - began))
        return call
    _module.looks_like, _module._simplest = map(timed, saved)
    check(name)
    _module.looks_like, _module._simplest = saved
    return json.dumps([own, whole, sum(looking)])
"""


class Kernel:
    """A kernel in a folder; `ask` gives the value of an expression, a text."""

    def __init__(self, folder: Path) -> None:
        self._manager, self._client = start_new_kernel(cwd=str(folder))

    def run(self, code: str) -> None:
        """Runs a cell; an error in it ends the benchmark."""
        reply = self._client.execute_interactive(code, timeout=300, output_hook=lambda _: None)
        if reply["content"]["status"] != "ok":
            raise SystemExit("\n".join(reply["content"]["traceback"]))

    def ask(self, expression: str) -> Any:
        """The JSON that an expression gives as text."""
        wanted = {"value": expression}
        reply = self._client.execute_interactive(
            "", user_expressions=wanted, timeout=300, output_hook=lambda _: None
        )
        text = reply["content"]["user_expressions"]["value"]["data"]["text/plain"]
        return json.loads(text.strip("'"))

    def close(self) -> None:
        """Ends it."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--notebook", default="05_transformers/attention")
    parser.add_argument("--calls", type=int, default=9)
    options = parser.parse_args()
    section, _, notebook = options.notebook.partition("/")
    course = Course.find(HERE)
    exercises = [e.name for e in load_released(course.released(section, notebook), section).exercises]
    bank = load_bank(course.bank_file(section, notebook))
    wrong = {v.exercise: v.source for v in reversed(bank) if v.kind == "wrong"}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / section
        shutil.copytree(course.release / section, folder)
        kernel = Kernel(folder)
        try:
            kernel.run(SETUP + "import torch\n_began = time.perf_counter()\nfrom autograder import check")
            imported = kernel.ask("json.dumps(time.perf_counter() - _began)")
            for cell in cells_of(course.solved(section, notebook)):
                kernel.run(cell)
            kernel.run(
                "_began = time.perf_counter()\nfrom autograder import check\n" + f"check({exercises[0]!r})"
            )
            first = kernel.ask("json.dumps(time.perf_counter() - _began)")
            kernel.run(MEASURE)
            print(f"`from autograder import check`, with torch at hand: {imported:.2f} s")
            print(f"the first check of the kernel: {first:.2f} s; from here on in ms\n")
            print(f"{'exercise':20} {'answer':8} {'tests':>8} {'check':>8} {'adds':>8} {'looking':>8}")
            tests = str(folder / f"test_{notebook}.py")
            for name in exercises:
                for answer in ("right", "wrong"):
                    if answer == "wrong":
                        kernel.run(wrong[name])
                    call = f"_measure({name!r}, {tests!r}, {exercises!r}, {options.calls})"
                    own, whole, looking = kernel.ask(call)
                    adds = whole - own - looking
                    print(f"{name:20} {answer:8} {own:8.1f} {whole:8.1f} {adds:8.1f} {looking:8.1f}")
        finally:
            kernel.close()


if __name__ == "__main__":
    main()
