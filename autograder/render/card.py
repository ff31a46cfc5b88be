"""What `check("softmax")` shows: one exercise as a card in a notebook, as plain text in a terminal.

Both forms say the same. The HTML needs no script; without its <style> (untrusted notebook) it is still a
table with words. `Card` offers both to the front end, and the report as JSON to tools. It runs no test.
"""

from __future__ import annotations

import secrets
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import replace

from autograder.render.clean import clean, html_prose, html_text, one_line
from autograder.render.folds import OpenHints, hint_lines, hints_html
from autograder.render.parts import LEFT, badge, css_class, message_html, promise_table
from autograder.render.style import CARD_CSS
from autograder.render.words import (
    SYMBOLS,
    Promise,
    exercise_state,
    first_words,
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
LONGEST_MESSAGE = 4_000  # characters of one message in the JSON form


NO_HINTS: Mapping[str, OpenHints] = {}


class Card:
    """The display form of a report of one or more exercises; the front end takes the form it can show.

    `note` is a sentence that stands below, such as whether this result is official. `hints` maps exercises to
    what may be read of their hints.
    """

    def __init__(self, report: Report, *, note: str = "", hints: Mapping[str, OpenHints] = NO_HINTS) -> None:
        self.report = report
        self.note = note
        self.hints = hints

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        return {
            "text/html": self.html(),
            "text/plain": str(self),
            REPORT_MIME: _bounded(self.report).to_json(),
        }

    def html(self) -> str:
        """One section per exercise, a summary above when there are several."""
        several = len(self.report.exercises) > 1
        cards = [
            card_html(exercise, hints=self._hints(exercise), fold=several)
            for exercise in self.report.exercises
        ]
        if several:
            cards.insert(0, _summary(self.report))
        notes = [*self.report.notes, self.note]
        lines = "".join(f'<p class="ag-note">{html_prose(n)}</p>' for n in notes if n)
        return f'<style>{CARD_CSS}</style><div class="ag-cards">{"".join(cards)}{lines}</div>'

    def __str__(self) -> str:
        """The plain form, for IPython in a terminal and for saved text output."""
        several = len(self.report.exercises) > 1
        parts = [card_text(e, hints=self._hints(e), fold=several) for e in self.report.exercises]
        if several:
            parts.insert(0, headline(self.report))
        parts += [textwrap.fill(one_line(note), WIDTH) for note in (*self.report.notes, self.note) if note]
        return "\n\n".join(parts)

    __repr__ = __str__

    def _hints(self, exercise: ExerciseResult) -> OpenHints:
        return self.hints.get(exercise.name, OpenHints())


def card_html(
    exercise: ExerciseResult, *, uid: str = "", hints: OpenHints | None = None, fold: bool = False
) -> str:
    """One exercise as a <section>; `uid` makes its id unique on the page (random when left out).

    `fold`: it is one of several. Where nothing has been tried yet, the table is folded; and it is no landmark
    of the page, since its own check is one of the same name.
    """
    tag = "article" if fold else "section"
    state = exercise_state(exercise)
    title = f"ag-{uid or secrets.token_hex(4)}"
    name = html_text(exercise.name, limit=100)
    table = promise_table(exercise) if exercise.tests else ""
    if state == "passed" or (fold and state == "to do"):
        opened = " open" if any(promise.options for promise in promises(exercise)) else ""
        table = f"<details{opened}><summary>What it promises</summary>{table}</details>"
    bar = f'value="{exercise.score:g}" max="{exercise.max_score or 1:g}"'
    return (
        f'<{tag} class="ag-card {css_class(state)}" aria-labelledby="{title}" lang="en" '
        f'data-exercise="{name}" data-state="{state}">'
        f'<p class="ag-title" id="{title}"><b><code>{name}</code></b></p>'
        f'<p class="ag-status" role="status">{badge(state)} '
        f"<span>{kept(exercise)}, {points_of(exercise)}</span> "
        f'<progress aria-label="Points for {name}" {bar}></progress></p>'
        f"{message_html(exercise)}{table}{hints_html(hints or OpenHints())}</{tag}>"
    )


def card_text(exercise: ExerciseResult, *, hints: OpenHints | None = None, fold: bool = False) -> str:
    """The same in plain text: a heading, the message, one line per promise with its evidence, the hints.

    Text has no folds: what would be folded is left out; of the open hints the newest is told, of the others
    their titles.
    """
    state = exercise_state(exercise)
    symbol = SYMBOLS[state][0]
    name = one_line(exercise.name, limit=100)
    lines = [f"{symbol} {name}: {state}, {kept(exercise)}, {points_of(exercise)}"]
    for label, text in paragraphs(exercise.message):
        lead = f"{label}: " if label else ""
        lines.append(textwrap.fill(lead + text, WIDTH, initial_indent="  ", subsequent_indent="  "))
    folded = state == "passed" or (fold and state == "to do")
    shown = [promise for promise in promises(exercise) if not folded or promise.options]
    if shown:
        width = max((len(promise.state) for promise in shown), default=0)
        lines.append("")
        for promise in shown:
            lines.extend(_promise_lines(promise, width))
    lines.extend(hint_lines(hints or OpenHints()))
    return "\n".join(lines)


def _summary(report: Report) -> str:
    """The whole notebook: its points, and a row for each exercise."""
    title = f"ag-{secrets.token_hex(4)}"
    rows = "".join(
        f'<tr><td style="{LEFT}">{badge(exercise_state(e))}</td>'
        f'<td style="{LEFT}"><code>{html_text(e.name, limit=100)}</code></td>'
        f'<td style="{LEFT}">{points_of(e)}</td>'
        f'<td style="{LEFT}">{html_prose(first_words(e), limit=200)}</td></tr>'
        for e in report.exercises
    )
    head = "".join(
        f'<th scope="col" style="{LEFT}">{name}</th>'
        for name in ("Result", "Exercise", "Points", "What to look at first")
    )
    state = report_state(report)
    return (
        f'<section class="ag-card ag-summary {css_class(state)}" aria-labelledby="{title}" lang="en" '
        f'data-notebook="{html_text(report.notebook, limit=100)}" data-state="{state}">'
        f'<p class="ag-title" id="{title}"><b>{html_text(report.notebook, limit=100)}, all exercises</b></p>'
        f'<p class="ag-status" role="status">{badge(state)} <span>{headline(report)}</span></p>'
        f'<table class="ag-table"><caption>Exercises</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></section>"
    )


def _bounded(report: Report) -> Report:
    """The report with no message longer than tools can be asked to take."""
    exercises = (
        replace(
            exercise,
            message=_cut(exercise.message),
            tests=tuple(replace(test, message=_cut(test.message)) for test in exercise.tests),
        )
        for exercise in report.exercises
    )
    return replace(report, exercises=tuple(exercises))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]} ... (shortened)"


def _promise_lines(promise: Promise, width: int) -> Iterator[str]:
    mark = f"  {SYMBOLS[promise.state][0]} {promise.state:<{width}}  "
    runs = f" ({promise.passed} of {promise.runs} inputs)" if promise.runs > 1 else ""
    kind = "" if promise.visible else " (hidden test)"
    indent = " " * len(mark)
    words = f"{one_line(promise.sentence)}{runs}{kind}"
    yield textwrap.fill(words, WIDTH, initial_indent=mark, subsequent_indent=indent)
    hanging = f"{indent}   " if promise.options else indent
    wraps = promise.options or promise.is_line
    for line in clean(promise.evidence).splitlines():
        whole = f"{indent}{line}"
        yield textwrap.fill(line, WIDTH, initial_indent=indent, subsequent_indent=hanging) if wraps else whole
