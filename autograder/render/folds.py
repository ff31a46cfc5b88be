"""The hints on a card: folds in HTML; in plain text, which has none, the newest is told.

Which hints are open is `autograder.hints`' business.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autograder.render.clean import clean, html_markdown, html_prose, one_line

__all__ = ["OpenHints", "hint_lines", "hints_html"]

WIDTH = 88
LAID_OUT = ("- ", "* ", "  ", "| ")  # beginnings of lines that must stay lines


@dataclass(frozen=True, slots=True)
class OpenHints:
    """The hints of an exercise that may be read now, each a title and its markdown, of `total` there are."""

    opened: Sequence[tuple[str, str]] = ()
    total: int = 0

    @property
    def outlook(self) -> str:
        """How many there are, and how the next one opens."""
        if len(self.opened) == self.total:
            return "All hints are open." if self.total > 1 else ""
        are = "is" if len(self.opened) == 1 else "are"
        return (
            f"{len(self.opened)} of {self.total} hints {are} open; "
            "the next one opens when a check shows something new."
        )


def hints_html(hints: OpenHints) -> str:
    """Native folds, all of them closed: to read a hint is the learner's decision."""
    folds = "".join(
        f"<details><summary>{html_prose(title, limit=100)}</summary>"
        f'<div class="ag-hint">{html_markdown(text)}</div></details>'
        for title, text in hints.opened
    )
    outlook = f'<p class="ag-note">{hints.outlook}</p>' if folds and hints.outlook else ""
    return f'<div class="ag-hints">{folds}{outlook}</div>' if folds else ""


def hint_lines(hints: OpenHints) -> Iterator[str]:
    """The text of the newest, of the others the titles."""
    if not hints.opened:
        return
    *earlier, (title, text) = hints.opened
    yield ""
    for known, _ in earlier:
        yield f"  {one_line(known, limit=100)} (told before; it stands in the notebook, below the check)"
    yield f"  {one_line(title, limit=100)}"
    for paragraph in clean(text).split("\n\n"):
        for line in _reflowed(paragraph.splitlines()):
            yield textwrap.fill(line, WIDTH, initial_indent="    ", subsequent_indent="    ")
    if hints.outlook:
        yield f"  ({hints.outlook})"


def _reflowed(lines: list[str]) -> list[str]:
    """A paragraph as one line; a list, a table or a block of code, without its fences, as it is."""
    kept = [line for line in lines if not line.startswith("```")]
    if len(kept) < len(lines) or any(line.startswith(LAID_OUT) for line in kept):
        return kept
    return [" ".join(kept)]
