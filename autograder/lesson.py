"""What a released notebook says about each exercise: the heading it stands under, its contract, the reading.

Only headings are looked for: the contract is the part headed "Contract" before the answer, the reading list
the part whose heading begins with "Reading". A notebook without them gives empty strings. Markdown goes in
and comes out; nothing is rendered here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from autograder.notebooks import Released
from autograder.render.material import Lesson, Passage

__all__ = ["headings", "lesson_of"]

CHAPTER = 2  # the level of the headings exercises stand under
_HEADING = re.compile(r"^(#{1,6}) +(.+?)[ #]*$")
_FENCE = re.compile(r"^ {0,3}(```|~~~)")


@dataclass(frozen=True, slots=True)
class _Part:
    """A heading and the lines up to the next one."""

    level: int
    title: str
    text: str


def lesson_of(released: Released) -> Lesson:
    """The parts of the notebook that help after a failed test."""
    title, chapter, contract, reading = "", "", "", ""
    passages: dict[str, Passage] = {}
    for cell in released.cells:
        if cell.role == "answer":
            passages.setdefault(cell.exercise, Passage(chapter, contract))
        for part in _cut(cell.source) if cell.kind == "markdown" else ():
            name = part.title.casefold()
            title = title or part.title
            if part.level <= CHAPTER:
                chapter, contract = part.title, ""
                reading = part.text if name.startswith("reading") else reading
            contract = part.text if name == "contract" else contract
    return Lesson(title or released.name, f"{released.name}.ipynb", passages, _items(reading))


def headings(source: str) -> Iterator[tuple[int, str]]:
    """Level and text of each heading in a markdown cell."""
    return ((part.level, part.title) for part in _cut(source))


def _cut(source: str) -> Iterator[_Part]:
    """Parts of a markdown text; a # inside a code block is no heading."""
    heading: tuple[int, str] | None = None
    lines: list[str] = []
    fenced = False
    for line in source.splitlines():
        fenced ^= bool(_FENCE.match(line))
        if not fenced and (match := _HEADING.match(line)):
            if heading is not None:
                yield _Part(*heading, "\n".join(lines).strip())
            heading, lines = (len(match[1]), match[2]), []
        else:
            lines.append(line)
    if heading is not None:
        yield _Part(*heading, "\n".join(lines).strip())


def _items(text: str) -> str:
    """The list itself: what stands before and behind it is about the notebook."""
    rows = text.splitlines()
    starts = [i for i, row in enumerate(rows) if row.startswith("- ")]
    if not starts:
        return ""
    end = next((i for i in range(starts[-1] + 1, len(rows)) if not rows[i].startswith(" ")), len(rows))
    return "\n".join(rows[starts[0] : end])
