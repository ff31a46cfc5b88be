"""A report as one self-contained HTML file, and an index page for a batch.

No script, no network, no font or picture from elsewhere: the file can be mailed, printed and archived. Light
and dark follow the reader's system. It shows what the report holds: for a learner of a cohort, give it
`Report.visible_copy()`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from autograder.render.clean import clean, html_prose, html_text
from autograder.render.parts import badge, css_class, message_html, promise_table
from autograder.render.style import PAGE_CSS
from autograder.render.words import (
    exercise_state,
    first_words,
    headline,
    kept,
    points,
    points_of,
    report_state,
)
from autograder.report import ExerciseResult, Report

__all__ = ["index_page", "report_page"]

CODE_LIMIT = 20_000
CODE_LINES = 1_000
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def report_page(report: Report, *, code: Mapping[str, str] | None = None) -> str:
    """The page of one graded notebook; `code` maps exercise names to the learner's source."""
    title = f"{report.notebook}, {report.assignment}"
    header = (
        f'<p class="ag-course">{html_text(report.assignment, limit=100)}</p>'
        f"<h1>{html_text(report.notebook, limit=100)}</h1>{_score_line(report)}"
    )
    sections = [_exercise(e, i, (code or {}).get(e.name, "")) for i, e in enumerate(report.exercises, 1)]
    main = f"{_explanation(report)}{_notes(report.notes)}{_summary(report)}{''.join(sections)}"
    return _page(title, header, main, _facts(report))


def index_page(
    reports: Sequence[Report], *, labels: Sequence[str] | None = None, links: Sequence[str] | None = None
) -> str:
    """One row per report; `labels` name the submissions, `links` are the paths of their pages."""
    names = labels or [f"{r.assignment}/{r.notebook}" for r in reports]
    targets = links or [""] * len(reports)
    rows = "".join(_index_row(*row) for row in zip(reports, names, targets, strict=True))
    plural = "report" if len(reports) == 1 else "reports"
    stuck = sum(r.outcome == "could_not_run" for r in reports)
    note = f"<p>{stuck} of them could not run; that is not a score. Grade these again.</p>" if stuck else ""
    return _page("Reports", f"<h1>{len(reports)} {plural}</h1>", note + _table("Submission", rows), "")


def _page(title: str, header: str, main: str, footer: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{html_text(title, limit=200)}</title>\n<style>{PAGE_CSS}</style>\n</head>\n<body>\n"
        f'<a class="ag-skip" href="#main">Skip to the results</a>\n<header>{header}</header>\n'
        f'<main id="main" tabindex="-1">\n{main}</main>\n{f"<footer>{footer}</footer>" if footer else ""}\n'
        "</body>\n</html>\n"
    )


def _score_line(report: Report) -> str:
    words = f"{badge(report_state(report))} <strong>{headline(report)}</strong>"
    return f'<p class="ag-score">{words} {_meter(report)}</p>'


def _meter(report: Report) -> str:
    """The label says what the bar shows; the text inside is for readers without <meter>."""
    top = max(report.max_score, report.score, 1e-9)
    words = f"{points(report.score)} of {points(report.max_score)} points"
    return f'<meter min="0" max="{top:g}" value="{report.score:g}" aria-label="{words}">{words}</meter>'


def _explanation(report: Report) -> str:
    if report.outcome == "graded":
        return ""
    words = (
        "That is not your fault and not a zero. The points are those of the tests that ran; grade it again."
    )
    return f'<div class="ag-message"><p><b>Not everything could be graded.</b> {words}</p></div>'


def _notes(notes: Iterable[str]) -> str:
    items = "".join(f"<li>{html_prose(note)}</li>" for note in notes)
    if not items:
        return ""
    return (
        f'<section aria-labelledby="notes"><h2 id="notes">About this notebook</h2>'
        f'<ul class="ag-notes">{items}</ul></section>'
    )


def _summary(report: Report) -> str:
    rows = "".join(_summary_row(e, i) for i, e in enumerate(report.exercises, 1))
    return _table("Exercise", rows)


def _table(first: str, rows: str) -> str:
    columns = (("", first), ("", "Result"), ("", "Points"), (' class="ag-look"', "What to look at first"))
    head = "".join(f'<th scope="col"{kind}>{title}</th>' for kind, title in columns)
    return f"<table><caption>{first}s</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _summary_row(exercise: ExerciseResult, place: int) -> str:
    bonus = " bonus" if exercise.bonus else ""
    name = html_text(exercise.name, limit=100)
    return (
        f'<tr><th scope="row" class="ag-name"><a href="#exercise-{place}"><code>{name}</code></a></th>'
        f"<td>{badge(exercise_state(exercise))}</td>"
        f'<td class="ag-number">{points(exercise.score)} / {points(exercise.max_score)}{bonus}</td>'
        f'<td class="ag-look">{html_prose(first_words(exercise), limit=240)}</td></tr>'
    )


def _index_row(report: Report, label: str, link: str) -> str:
    name = html_text(label, limit=200)
    name = f'<a href="{quote(link)}">{name}</a>' if link else name
    open_exercises = [e for e in report.exercises if e.outcome != "passed"]
    first = open_exercises[0] if open_exercises else None
    look = (
        f"<code>{html_text(first.name, limit=100)}</code>: {html_prose(first_words(first), limit=240)}"
        if first
        else ""
    )
    score = f"{points(report.score)} / {points(report.max_score)}"
    return (
        f'<tr><th scope="row">{name}</th><td>{badge(report_state(report))}</td>'
        f'<td class="ag-number">{score}</td><td class="ag-look">{look}</td></tr>'
    )


def _exercise(exercise: ExerciseResult, place: int, source: str) -> str:
    state = exercise_state(exercise)
    name = html_text(exercise.name, limit=100)
    head = (
        f'<div class="ag-head"><h2 id="exercise-{place}"><code>{name}</code></h2>{badge(state)}'
        f'<span class="ag-number">{points_of(exercise)}, {kept(exercise)}</span></div>'
    )
    table = promise_table(exercise) if exercise.tests else ""
    return (
        f'<section class="ag-exercise {css_class(state)}" aria-labelledby="exercise-{place}">{head}'
        f"{message_html(exercise)}{table}{_code(source, name)}</section>\n"
    )


def _code(source: str, name: str) -> str:
    if not source.strip():
        return ""
    return (
        f"<details><summary>Your code of {name}</summary>"
        f'<pre tabindex="0"><code>{_highlight(source)}</code></pre></details>'
    )


def _highlight(source: str) -> str:
    """Escaped Python with classes for colour."""
    from pygments import highlight  # type: ignore[import-untyped]
    from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
    from pygments.lexers import PythonLexer  # type: ignore[import-untyped]

    text = clean(source, limit=CODE_LIMIT, lines=CODE_LINES)
    return str(highlight(text, PythonLexer(stripnl=False), HtmlFormatter(nowrap=True, classprefix="t-")))


def _facts(report: Report) -> str:
    facts = {
        "Isolation": report.sandbox,
        "Seed of the random inputs": str(report.seed),
        "Verdict id": report.verdict_id or "none (not an official result)",
    }
    rows = "".join(
        f"<dt>{name}</dt><dd><code>{html_text(v, limit=100)}</code></dd>" for name, v in facts.items()
    )
    hint = "The same verdict id means the same score, on any machine."
    return f"<h2>How this was graded</h2><dl>{rows}</dl><p>{hint}</p>"
