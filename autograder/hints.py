"""The hints of an exercise: the folded `<details>` of its notebook whose summary begins with "Hint".

They stand behind the check cell or with the contract, and nowhere else: the card shows what the notebook has.
Which of them are open follows from the journal. Their text is markdown; showing it is `render`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from autograder.errors import CourseError
from autograder.journal import Attempt
from autograder.notebooks import Cell, load_released

__all__ = ["Hint", "hints_of", "open_hints"]

FOLD = re.compile(
    r"<details\b[^>]*>\s*<summary>\s*(?P<title>Hint\b.*?)\s*</summary>(?P<text>.*?)</details>",
    re.DOTALL | re.IGNORECASE,
)


class Hint(NamedTuple):
    """One fold: its summary (`Hint 1: a question`) and its text in markdown."""

    title: str
    markdown: str


def hints_of(notebook: Path, exercise: str) -> tuple[Hint, ...]:
    """The hints of an exercise in a notebook as learners have it, from vague to concrete; () if none."""
    try:
        changed = notebook.stat().st_mtime_ns
        return _hints(notebook, changed).get(exercise, ())
    except (OSError, CourseError):
        return ()


def open_hints(hints: Sequence[Hint], attempts: Iterable[Attempt]) -> tuple[Hint, ...]:
    """One more for each failure that showed something new; `attempts` are those at the exercise."""
    shown = {attempt.evidence for attempt in attempts if attempt.outcome == "failed"}
    return tuple(hints[: len(shown - {""})])


@lru_cache(maxsize=16)
def _hints(notebook: Path, _changed: int) -> dict[str, tuple[Hint, ...]]:
    cells = load_released(notebook).cells
    found: dict[str, list[Hint]] = {}
    for place, cell in enumerate(cells):
        if cell.role == "answer":
            found.setdefault(cell.exercise, []).extend(_folds(_before(cells[:place])))
        elif cell.role == "check":
            found.setdefault(cell.exercise, []).extend(_folds(_behind(cells[place + 1 :])))
    return {exercise: tuple(hints) for exercise, hints in found.items()}


def _before(cells: Sequence[Cell]) -> list[Cell]:
    """The contract: the text before the answer cell, from the last cell that begins with a heading."""
    text: list[Cell] = []
    for cell in reversed(cells):
        if cell.kind != "markdown":
            break
        text.insert(0, cell)
        if _begins_anew(cell):
            break
    return text


def _behind(cells: Sequence[Cell]) -> list[Cell]:
    """The text behind the check cell, up to the next code or heading."""
    text: list[Cell] = []
    for cell in cells:
        if cell.kind != "markdown" or _begins_anew(cell):
            break
        text.append(cell)
    return text


def _begins_anew(cell: Cell) -> bool:
    return cell.source.lstrip().startswith("#")


def _folds(cells: Iterable[Cell]) -> Iterator[Hint]:
    for cell in cells:
        for fold in FOLD.finditer(cell.source):
            yield Hint(" ".join(fold["title"].split()), fold["text"].strip())
