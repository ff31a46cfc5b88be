"""One released notebook as a learner works on it: answers go into their cells, files come out.

It knows the solutions and the bank, as no learner does, and grades nothing.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Mapping
from typing import Any, Literal

from autograder.bank import Variant, load_bank
from autograder.layout import Course
from autograder.notebooks import load_released

__all__ = ["Desk", "Expected", "as_file", "code_cell"]

Expected = Literal["full", "nothing", "less"]


class Desk:
    """A released notebook with its solutions (source by exercise) and its known variants."""

    def __init__(self, course: Course, section: str, notebook: str) -> None:
        self.file = f"{notebook}.ipynb"
        self.notebook = notebook
        self.exercises = load_released(course.released(section, notebook), section).exercises
        solved = load_released(course.solved(section, notebook), section)
        self.solutions = {cell.exercise: cell.source for cell in solved.cells if cell.role == "answer"}
        self._bank = load_bank(course.bank_file(section, notebook))
        self._released = json.loads(course.released(section, notebook).read_bytes())

    @property
    def names(self) -> list[str]:
        """The exercises in order."""
        return [exercise.name for exercise in self.exercises]

    def variants(self, kind: Literal["right", "wrong"]) -> list[Variant]:
        """The first one of every exercise, then the second ones, and so on."""
        of = {name: [v for v in self._bank if v.exercise == name and v.kind == kind] for name in self.names}
        most = max(map(len, of.values()), default=0)
        return [variants[i] for i in range(most) for variants in of.values() if i < len(variants)]

    def content(self, answers: Mapping[str, str]) -> dict[str, Any]:
        """The released notebook with these answers; other exercises are as they were released."""
        content: dict[str, Any] = copy.deepcopy(self._released)
        for cell in content["cells"]:
            name = cell["id"].removesuffix("-answer")
            if cell["id"] != name and name in answers:
                cell["source"] = answers[name]
        return content

    def solved(self, **changes: str) -> dict[str, Any]:
        """The notebook with every exercise solved but for these answers."""
        return self.content({**self.solutions, **changes})

    def expected(self, *, nothing: Collection[str] = (), less: Collection[str] = ()) -> dict[str, Expected]:
        """Everything for every exercise but the named ones."""
        return {
            name: "nothing" if name in nothing else "less" if name in less else "full" for name in self.names
        }


def as_file(content: Mapping[str, Any]) -> bytes:
    """A notebook as JupyterLab would save it."""
    return json.dumps(content, indent=1, ensure_ascii=False).encode()


def code_cell(name: str, source: str) -> dict[str, Any]:
    """A cell of the learner's own."""
    code: dict[str, Any] = {"execution_count": None, "outputs": []}
    return {"cell_type": "code", "id": name, "metadata": {}, "source": source, **code}
