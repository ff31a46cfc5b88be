"""The floor: a notebook's cells and tests executed directly, in one process, isolating nothing.

Used by `grading.py` in a warm process and inside the kernels of stock nbgrader. It calls the test functions
themselves; pytest only lists them, once.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from autograder.suite import Planned, Suite
from autograder.testing import Rng

__all__ = ["cells_of", "execute", "run_tests", "suite_of"]

SKIPPED = ("check", "demo")


def cells_of(path: Path) -> list[str]:
    """The code cells of a notebook that grading executes."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [
        "".join(cell["source"])
        for cell in cells
        if cell["cell_type"] == "code" and cell["metadata"].get("autograder", {}).get("role") not in SKIPPED
    ]


def execute(cells: list[str]) -> dict[str, Any]:
    """A namespace in which the cells ran; a cell that raises does not stop the next."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for source in cells:
        with contextlib.suppress(Exception):
            exec(compile(source, "<cell>", "exec", dont_inherit=True), namespace)
    return namespace


def suite_of(files: dict[str, bool], exercises: list[str]) -> Suite:
    """The tests, collected."""
    return Suite({Path(path): visible for path, visible in files.items()}, exercises)


def run_tests(
    suite: Suite, namespace: dict[str, Any], exercise: str | None = None
) -> Iterator[tuple[str, bool]]:
    """(name, passed) of each test, called as a plain function."""
    submission = SimpleNamespace(**namespace)
    for planned, item in suite._items.items():
        if exercise not in (None, planned.exercise):
            continue
        yield planned.name, _passes(planned, item, submission)


def _passes(planned: Planned, item: Any, submission: SimpleNamespace) -> bool:
    given = {"submission": submission, "rng": Rng(1, planned.name)}
    given |= getattr(getattr(item, "callspec", None), "params", {})
    try:
        getattr(item.cls(), item.originalname)(**{name: given[name] for name in item.fixturenames})
    except (Exception, pytest.fail.Exception):
        return False
    return True


def main(root: str, section: str, notebook: str, folder: str) -> None:
    """Grades every notebook below `folder` in this process, the way `grading.py` calls the floor."""
    import torch

    from autograder.assignment import Assignment
    from autograder.layout import Course

    torch.set_num_threads(1)
    assignment = Assignment.load(Course(Path(root)), section, notebook)
    suite = suite_of(assignment.files, [e.name for e in assignment.released.exercises])
    for path in sorted(Path(folder).rglob("*.ipynb")):
        with contextlib.chdir(assignment.folder):
            passed = [ok for _, ok in run_tests(suite, execute(cells_of(path)))]
        print(path.parts[-3], sum(passed), "of", len(passed))


if __name__ == "__main__":
    main(*sys.argv[1:])
