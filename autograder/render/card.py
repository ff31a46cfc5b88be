"""What `check("softmax")` shows: one exercise as a card in a notebook, as plain text in a terminal.

Both forms say the same. The HTML needs no script; without its <style> (untrusted notebook) it is still a
table with words. `Card` offers both to the front end, and the report as JSON to tools. It runs no test.
"""

from __future__ import annotations

import secrets
import textwrap
from collections.abc import Iterator

from autograder.render.clean import clean, html_prose, html_text, one_line
from autograder.render.parts import badge, css_class, message_html, promise_table
from autograder.render.style import CARD_CSS
from autograder.render.words import (
    SYMBOLS,
    Promise,
    exercise_state,
    headline,
    kept,
    paragraphs,
    points_of,
    promises,
    report_state,
)
from autograder.report import ExerciseResult, Report

__all__ = ["REPORT_MIME", "Card", "card_html", "card_text"]

REPORT_MIME = "application/vnd.autograder.report+json"
WIDTH = 88


class Card:
    """The display form of a report of one or more exercises; the front end takes the form it can show.

    `note` is a sentence that stands below, such as whether this result is official.
    """

    def __init__(self, report: Report, *, note: str = "") -> None:
        self.report = report
        self.note = note

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        return {"text/html": self.html(), "text/plain": str(self), REPORT_MIME: self.report.to_json()}

    def html(self) -> str:
        """One section per exercise, a summary above when there are several."""
        cards = [card_html(exercise) for exercise in self.report.exercises]
        if len(cards) > 1:
            status = f"{badge(report_state(self.report))} <b>{headline(self.report)}</b>"
            cards.insert(0, f'<p class="ag-status" role="status">{status}</p>')
        notes = [*self.report.notes, self.note]
        lines = "".join(f'<p class="ag-note">{html_prose(n)}</p>' for n in notes if n)
        return f'<style>{CARD_CSS}</style><div class="ag-cards">{"".join(cards)}{lines}</div>'

    def __str__(self) -> str:
        """The plain form, for IPython in a terminal and for saved text output."""
        parts = [card_text(exercise) for exercise in self.report.exercises]
        if len(parts) > 1:
            parts.insert(0, headline(self.report))
        parts += [textwrap.fill(one_line(note), WIDTH) for note in (*self.report.notes, self.note) if note]
        return "\n\n".join(parts)

    __repr__ = __str__


def card_html(exercise: ExerciseResult, *, uid: str = "") -> str:
    """One exercise as a <section>; `uid` makes its id unique on the page (random when left out)."""
    state = exercise_state(exercise)
    title = f"ag-{uid or secrets.token_hex(4)}"
    name = html_text(exercise.name, limit=100)
    table = promise_table(exercise) if exercise.tests else ""
    if state == "passed":
        table = f"<details><summary>What it promises</summary>{table}</details>"
    bar = f'value="{exercise.score:g}" max="{exercise.max_score or 1:g}"'
    return (
        f'<section class="ag-card {css_class(state)}" aria-labelledby="{title}" lang="en" '
        f'data-exercise="{name}" data-state="{state}">'
        f'<p class="ag-title" id="{title}"><b><code>{name}</code></b></p>'
        f'<p class="ag-status" role="status">{badge(state)} '
        f"<span>{kept(exercise)}, {points_of(exercise)}</span> "
        f'<progress aria-label="Points for {name}" {bar}></progress></p>'
        f"{message_html(exercise)}{table}</section>"
    )


def card_text(exercise: ExerciseResult) -> str:
    """The same in plain text: a heading, the message, one line per promise with its evidence."""
    state = exercise_state(exercise)
    symbol = SYMBOLS[state][0]
    name = one_line(exercise.name, limit=100)
    lines = [f"{symbol} {name}: {state}, {kept(exercise)}, {points_of(exercise)}"]
    for label, text in paragraphs(exercise.message):
        lead = f"{label}: " if label else ""
        lines.append(textwrap.fill(lead + text, WIDTH, initial_indent="  ", subsequent_indent="  "))
    if state != "passed":
        shown = promises(exercise)
        width = max((len(promise.state) for promise in shown), default=0)
        lines.append("")
        for promise in shown:
            lines.extend(_promise_lines(promise, width))
    return "\n".join(lines)


def _promise_lines(promise: Promise, width: int) -> Iterator[str]:
    mark = f"  {SYMBOLS[promise.state][0]} {promise.state:<{width}}  "
    runs = f" ({promise.passed} of {promise.runs} inputs)" if promise.runs > 1 else ""
    kind = "" if promise.visible else " (hidden test)"
    indent = " " * len(mark)
    words = f"{one_line(promise.sentence)}{runs}{kind}"
    yield textwrap.fill(words, WIDTH, initial_indent=mark, subsequent_indent=indent)
    for line in clean(promise.evidence).splitlines():
        yield f"{indent}{line}"
