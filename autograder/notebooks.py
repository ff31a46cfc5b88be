"""Notebooks as data: reading authored py:percent files and released .ipynb files, writing .ipynb files.

The only module that knows the notebook formats. It does not judge what stands in a notebook (`source` does)
and does not read what learners hand in (`repair` does: there nothing can be relied upon).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.errors import CourseError

__all__ = [
    "Cell",
    "Exercise",
    "PercentCell",
    "Released",
    "as_content",
    "load_released",
    "read_percent",
    "write_notebook",
]

HEADER = re.compile(r"^# ?%%(?:\s+(?P<rest>.*))?$")
DEFAULT_LIMIT = 10.0  # seconds for all tests of an exercise


@dataclass(frozen=True, slots=True)
class Exercise:
    """What the header of a check cell says about its exercise."""

    name: str
    points: float
    bonus: bool = False
    limit: float = DEFAULT_LIMIT
    topics: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of an .ipynb file; outputs do not concern us. `kind` is "code" or "markdown"."""

    id: str
    kind: str
    source: str
    metadata: Mapping[str, Any]

    @property
    def role(self) -> str:
        """answer, check, demo or given; "" for markdown."""
        return str(self.metadata.get("autograder", {}).get("role", ""))

    @property
    def exercise(self) -> str:
        """The exercise an answer or check cell belongs to, else ""."""
        return str(self.metadata.get("autograder", {}).get("exercise", ""))


@dataclass(frozen=True, slots=True)
class Released:
    """A notebook as learners receive it: the truth about its cells and exercises."""

    section: str
    name: str
    cells: tuple[Cell, ...]
    exercises: tuple[Exercise, ...]


@dataclass(frozen=True, slots=True)
class PercentCell:
    """One cell of an authored notebook; `header` is what stands behind `# %%`, in line `line`."""

    kind: str
    header: str
    source: str
    line: int


def read_percent(path: Path) -> tuple[PercentCell, ...]:
    """The cells of a py:percent file. Headers are left as they were written: no JSON is expected in them."""
    import jupytext

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CourseError("no such notebook", path=path) from None
    except UnicodeDecodeError as error:
        raise CourseError(f"not stored as utf-8 (byte {error.start}); save it as utf-8", path=path) from None
    headers = [
        (number, (match["rest"] or "").strip())
        for number, line in enumerate(text.splitlines(), 1)
        if (match := HEADER.match(line))
    ]
    cells = jupytext.reads(text, fmt="py:percent").cells
    if len(cells) != len(headers):
        line = headers[0][0] if headers else 1
        raise CourseError(
            f"{len(headers)} lines begin with `# %%` but the file has {len(cells)} cells; "
            "begin the file with `# %% [markdown]` and keep `# %%` out of strings",
            path=path,
            line=line,
        )
    return tuple(
        PercentCell(cell.cell_type, header, cell.source, line)
        for cell, (line, header) in zip(cells, headers, strict=True)
    )


def load_released(path: Path, section: str = "") -> Released:
    """Read a released notebook; its name is the file's.

    Without `section` it may be a learner's copy anywhere on disk: section and name are those it was released
    under, as its metadata say.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        cells = tuple(
            Cell(cell["id"], cell["cell_type"], "".join(cell["source"]), cell["metadata"])
            for cell in content["cells"]
        )
        exercises = tuple(_exercise(cell.metadata["autograder"]) for cell in cells if cell.role == "check")
        origin = {} if section else content["metadata"].get("autograder", {})
        section = section or str(origin.get("section", path.parent.name))
        name = str(origin.get("notebook", path.stem))
    except FileNotFoundError:
        raise CourseError(f"no such notebook; run `autograder build {section}`", path=path) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CourseError(
            f"not a released notebook ({type(error).__name__}: {error}); run `autograder build {section}`",
            path=path,
        ) from error
    return Released(section, name, cells, exercises)


def write_notebook(cells: Iterable[Cell], metadata: Mapping[str, Any]) -> bytes:
    """The one .ipynb file these cells make: `as_content` with its keys sorted."""
    content = as_content(cells, metadata)
    return (json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def as_content(cells: Iterable[Cell], metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in the .ipynb file these cells make: nbformat 4.5, Python kernel, no outputs.

    `metadata` is the notebook's own, beside the kernel's.
    """
    return {
        "cells": [_as_json(cell) for cell in cells],
        "metadata": {
            **metadata,
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _as_json(cell: Cell) -> dict[str, Any]:
    code: dict[str, Any] = {"execution_count": None, "outputs": []} if cell.kind == "code" else {}
    lines = cell.source.splitlines(keepends=True)
    return {"cell_type": cell.kind, "id": cell.id, "metadata": dict(cell.metadata), "source": lines, **code}


def _exercise(facts: Mapping[str, Any]) -> Exercise:
    return Exercise(
        name=facts["exercise"],
        points=float(facts["points"]),
        bonus=bool(facts["bonus"]),
        limit=float(facts["limit"]),
        topics=tuple(facts["topics"]),
        forbid=tuple(facts["forbid"]),
    )
