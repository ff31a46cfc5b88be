"""What nbgrader shows: the output of a grade cell, and the comment below the learner's answer.

nbgrader's sanitizer keeps class and id and a few tags and prints the others as text (also the tbody that its
parser puts into every table), so the cell is built from div, ul, li, b, span, code and pre alone. Its pages
run MathJax and a markdown renderer, so learner's text stands where neither reads it. Words, not colour. The
score that nbgrader reads is not written here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from autograder.render.clean import clean, html_prose, html_text, one_line
from autograder.render.words import SYMBOLS, Promise, exercise_state, kept, paragraphs, points_of, promises
from autograder.report import ExerciseResult

__all__ = ["cell_html", "comment_markdown"]

SHOWN = 3  # promises with evidence in a comment
_MARKDOWN = re.compile(r"([*\[\]~|#!])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def cell_html(exercise: ExerciseResult) -> str:
    """The report of one exercise as the grade cell's text/html."""
    state = exercise_state(exercise)
    name = html_text(exercise.name, limit=100)
    head = f"<b>{SYMBOLS[state][0]} {state}</b>: <code>{name}</code>, {points_of(exercise)}, {kept(exercise)}"
    message = "".join(
        f"<div>{f'<b>{label}:</b> ' if label else ''}{html_prose(text)}</div>"
        for label, text in paragraphs(exercise.message)
    )
    rows = "".join(_row(promise) for promise in promises(exercise))
    table = f'<ul class="autograder-promises">{rows}</ul>' if rows else ""
    return f'<div class="autograder-report"><div>{head}</div>{message}{table}</div>'


def comment_markdown(exercise: ExerciseResult) -> str:
    """The message, then the evidence of the first open promises; '' when all is well.

    Markdown in which no text of the learner is read as markdown, HTML or mathematics. It also reads well raw:
    the formgrader shows it in a text box.
    """
    blocks = []
    for label, text in paragraphs(exercise.message):
        blocks.append(f"**{label}:** {_escape(text)}" if label else _escape(text))
    shown = [p for p in promises(exercise) if p.state != "passed" and p.visible and p.evidence][:SHOWN]
    for promise in shown:
        blocks.append(_escape(one_line(promise.sentence)))
        blocks.append("\n".join(f"    {line}" for line in _lines(promise)))
    return "\n\n".join(blocks)


def _row(promise: Promise) -> str:
    runs = f" ({promise.passed} of {promise.runs} inputs)" if promise.runs > 1 else ""
    kind = "" if promise.visible else " (hidden test)"
    evidence = f"<pre>{html_text(promise.evidence)}</pre>" if promise.evidence else ""
    if promise.evidence and promise.is_line:
        evidence = f"<div>{html_prose(promise.evidence)}</div>"
    if promise.options:
        told = [("You chose", promise.chosen), *promise.options] if promise.chosen else promise.options
        evidence = "".join(f"<div><b>{html_prose(lead)}</b> {html_prose(text)}</div>" for lead, text in told)
    result = f"<b>{SYMBOLS[promise.state][0]} {promise.state}</b>"
    words = f"{result}: {html_prose(promise.sentence)}{runs}{kind}{evidence}"
    return f'<li class="autograder-{promise.state.replace(" ", "-")}">{words}</li>'


def _lines(promise: Promise) -> Iterator[str]:
    """An indented block ends at nothing but a line that is not indented, so every line is."""
    yield from clean(promise.evidence, limit=800, lines=12).splitlines()


def _escape(text: str) -> str:
    r"""One paragraph of text that markdown shows as it is.

    Backticks become apostrophes; dollar and backslash go into code, where MathJax does not look.
    """
    text = text.replace("`", "'").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = _MARKDOWN.sub(r"\\\g<0>", re.sub(r"[$\\]+", "\0\\g<0>\0", text)) if "\0" not in text else ""
    text = re.sub(r"\0([^\0]*)\0", r"`\1`", text).replace("://", ":\\//")
    return re.sub(r"^([-+=])|^(\d+)([.)])", lambda m: f"\\{m[1]}" if m[1] else f"{m[2]}\\{m[3]}", text)
