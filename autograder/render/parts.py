"""Pieces of HTML that the card and the page share: the badge, the message, the table of promises.

All text goes through `clean`. The meaning is in words and in the order of the elements, so that it survives
an untrusted notebook, which drops <style>, role and aria-*, and a reader that drops everything but the text.
"""

from __future__ import annotations

from autograder.render.clean import html_prose, html_text
from autograder.render.words import SYMBOLS, Promise, State, paragraphs, promises
from autograder.report import ExerciseResult

__all__ = ["badge", "css_class", "message_html", "promise_table"]

LEFT = "text-align:left;vertical-align:top"  # JupyterLab aligns cells right; an inline style survives there


def css_class(state: State) -> str:
    """`ag-not-yet` for `not yet`."""
    return f"ag-{state.replace(' ', '-')}"


def badge(state: State) -> str:
    """Symbol and word; a screen reader hears the word."""
    symbol = f'<span aria-hidden="true">{SYMBOLS[state][0]}</span>'
    return f'<span class="ag-badge {css_class(state)}">{symbol} {state}</span>'


def message_html(exercise: ExerciseResult) -> str:
    """What we observed, what it looks like, where to look: one paragraph each."""
    rows = []
    for label, text in paragraphs(exercise.message):
        lead = f"<b>{label}:</b> " if label else ""
        rows.append(f"<p>{lead}{html_prose(text)}</p>")
    return f'<div class="ag-message">{"".join(rows)}</div>' if rows else ""


def promise_table(exercise: ExerciseResult) -> str:
    """One row per promise; the evidence of the first open one is unfolded."""
    kept_or_open = promises(exercise)
    first = next((p for p in kept_or_open if p.evidence), None)
    rows = [_row(promise, unfold=promise is first) for promise in kept_or_open]
    return (
        f'<table class="ag-table"><caption>What <code>{html_text(exercise.name, limit=100)}</code> promises'
        f'</caption><thead><tr><th scope="col" style="{LEFT}">Result</th>'
        f'<th scope="col" style="{LEFT}">Promise</th></tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )


def _row(promise: Promise, *, unfold: bool) -> str:
    name = html_text(promise.name, limit=100)
    runs = f" ({promise.passed} of {promise.runs} inputs)" if promise.runs > 1 else ""
    kind = "" if promise.visible else ' <span class="ag-kind">(hidden test)</span>'
    return (
        f'<tr data-test="{name}" data-state="{promise.state}"><td style="{LEFT}">{badge(promise.state)}</td>'
        f'<td style="{LEFT}">{html_prose(promise.sentence)}{runs}{kind}'
        f"{_evidence(promise, unfold=unfold)}</td></tr>"
    )


def _evidence(promise: Promise, *, unfold: bool) -> str:
    """A line as a line, numbers and shapes in a fold."""
    if not promise.evidence:
        return ""
    if promise.options:
        return _options(promise)
    if promise.is_line:
        return f'<div class="ag-evidence">{html_prose(promise.evidence)}</div>'
    opened = " open" if unfold else ""
    title = "What was expected, and what came" if promise.state == "not yet" else "What happened"
    pre = f'<pre class="ag-pre" tabindex="0">{html_text(promise.evidence)}</pre>'
    return f"<details{opened}><summary>{title}</summary>{pre}</details>"


def _options(promise: Promise) -> str:
    """What is said about each option of a question."""
    chosen = f"<p>You chose {promise.chosen}.</p>" if promise.chosen else ""
    rows = "".join(f"<li><b>{letter}</b> {html_prose(text)}</li>" for letter, text in promise.options)
    style = "list-style:none;padding-left:0;margin:.3em 0"
    return f'<div class="ag-options">{chosen}<ul style="{style}">{rows}</ul></div>'
