"""The solution regions of an answer cell: how they are marked, and the cell without them or with them solved.

It makes texts; whether the markers stand where they may `source` checks.
"""

from __future__ import annotations

import re

__all__ = ["BEGIN", "END", "MARKER", "solved", "stub"]

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
MARKER = re.compile(r"(BEGIN|END) SOLUTION")
PLACEHOLDER = ("# YOUR CODE HERE", "raise NotImplementedError()")  # nbgrader's own words


def stub(source: str) -> str:
    """The answer cell as a learner finds it: each region replaced as nbgrader replaces it.

    One that is not indented is taken out and no more: a question that is not answered yet is no error.
    """
    lines: list[str] = []
    inside = False
    for line in source.split("\n"):
        if line.strip() == BEGIN:
            inside = True
            lines += [line.replace(BEGIN, words) for words in PLACEHOLDER if line != BEGIN]
        elif line.strip() == END:
            inside = False
        elif not inside:
            lines.append(line)
    return "\n".join(lines)


def solved(source: str) -> str:
    """The answer cell without the marker lines."""
    return "\n".join(line for line in source.split("\n") if line.strip() not in (BEGIN, END))
