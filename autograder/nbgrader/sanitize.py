"""The notebook that goes on through nbgrader, its settings checked, and stable cell ids in released ones.

nbgrader wants every cell it knows exactly once, in order and with the released settings; `autograder.repair`
finds the learner's answers for them. What can't be read at all goes on as the released notebook, to be graded
as nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import nbformat
from nbformat.v4.nbjson import to_notebook
from nbgrader import utils
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.preprocessors import NbGraderPreprocessor

from autograder.errors import UnreadableNotebook
from autograder.nbgrader.batch import Key
from autograder.notebooks import Cell, Released, as_content
from autograder.repair import repair

__all__ = ["CheckSettings", "RepairSubmission", "StableCellIds"]

SETTINGS = ("nbgrader", "autograder")  # all other metadata of a cell is the learner's front end's


class RepairSubmission(NbGraderPreprocessor):  # type: ignore[misc]
    """The first step of the "sanitize" list: a notebook nbgrader can go on with."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        key, found = Key.of(resources), resources["autograder"]
        batch = self.parent.batch
        cells = _cells(found["raw"], batch.assignment(key).released)
        repaired = to_notebook(as_content(cells, {}))
        batch.remember(key, found["raw"], found["problem"], repaired)
        return repaired, resources


class CheckSettings(NbGraderPreprocessor):  # type: ignore[misc]
    """nbgrader's own check of the cells' settings, once for all notebooks that have the same.

    In a batch that is nearly all of them, for `RepairSubmission` has put the released settings back.
    """

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        settings = [(cell.cell_type, cell.metadata.get("nbgrader")) for cell in nb.cells]
        _check(json.dumps(settings, sort_keys=True))
        return nb, resources


@lru_cache(maxsize=64)
def _check(settings: str) -> None:
    """Raises nbgrader's ValidationError."""
    cells = [
        {"cell_type": kind, "source": "", "metadata": {} if own is None else {"nbgrader": own}}
        for kind, own in json.loads(settings)
    ]
    MetadataValidator().validate_nb(nbformat.from_dict({"cells": cells}))


class StableCellIds(NbGraderPreprocessor):  # type: ignore[misc]
    """The last step of a release: nbgrader's cells are called by their grade_id, others keep or get an id."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        names = [_grade_id(cell) for cell in nb.cells]
        nb.nbformat_minor = max(nb.nbformat_minor, 5)
        taken = {name for name in names if name}
        for number, (cell, name) in enumerate(zip(nb.cells, names, strict=True), 1):
            if not name and (not cell.get("id") or cell.id in taken):
                name = f"cell-{number:03d}"
            cell.id = name or cell.id
            taken.add(cell.id)
        return nb, resources


def _cells(raw: bytes, released: Released) -> Iterable[Cell]:
    try:
        cells = repair(raw, released).notebook
    except UnreadableNotebook:
        return released.cells
    return [
        Cell(c.id, c.kind, c.source, {k: v for k, v in c.metadata.items() if k in SETTINGS}) for c in cells
    ]


def _grade_id(cell: Any) -> str:
    ours = utils.is_grade(cell) or utils.is_solution(cell) or utils.is_locked(cell)
    return str(cell.metadata.nbgrader["grade_id"]) if ours else ""
