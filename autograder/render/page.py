"""A report as one self-contained HTML file, and an index page for a batch.

The same page is what `autograder grade --html` writes and what nbgrader gives back as feedback: the second
has a `Marking`. Light and dark follow the reader's system; it can be mailed, printed and archived. It shows
what the report holds: for a learner of a cohort, give it `Report.visible_copy()`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote

from autograder.render.clean import html_prose, html_text
from autograder.render.document import document
from autograder.render.material import Lesson, Marking, Material, Written
from autograder.render.parts import badge
from autograder.render.prose import inline_html, markdown_html
from autograder.render.section import exercise_html, notebook_html, pictures_html, written_html
from autograder.render.words import (
    exercise_state,
    first_words,
    headline,
    next_step,
    points,
    report_state,
)
from autograder.report import ExerciseResult, Report

__all__ = ["index_page", "report_page"]

NOTHING = Material()


def report_page(report: Report, material: Material = NOTHING) -> str:
    """The page of one graded notebook; `material` is what else is known about it."""
    lesson, marking = material.lesson, material.marking
    name = html_text(report.notebook, limit=100)
    title = inline_html(lesson.title) if lesson else name
    header = (
        f'<p class="ag-course">{html_text(report.assignment, limit=100)} / {name}</p>'
        f"<h1>{title}</h1>{_score_line(report, marking)}"
    )
    written = marking.written if marking else ()
    parts = [
        _explanation(report),
        f'<p class="ag-next"><b>Next step.</b> {html_prose(next_step(report))}</p>',
        _notes(report.notes),
        _summary(report, marking),
        *(exercise_html(e, i, material) for i, e in enumerate(report.exercises, 1)),
        *(written_html(answer, i) for i, answer in enumerate(written, 1)),
        pictures_html(material.pictures, report.exercises),
        notebook_html(material.notebook),
        _reading(lesson),
    ]
    return document(
        f"{report.notebook}, {report.assignment}", header=header, main="".join(parts), footer=_facts(report)
    )


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
    header = f"<h1>{len(reports)} {plural}</h1>"
    return document("Reports", header=header, main=note + _table("Submission", rows))


def _score_line(report: Report, marking: Marking | None) -> str:
    score, top = (marking.score, marking.max_score) if marking else (report.score, report.max_score)
    words = headline(report, score=score, max_score=top) if marking else headline(report)
    late = ""
    if marking and marking.late_penalty:
        before, off = points(marking.score + marking.late_penalty), points(marking.late_penalty)
        lost = f"{off} point is" if off == "1" else f"{off} points are"
        late = f'<p class="ag-late">Handed in late: {lost} taken off the {before} you reached.</p>'
    state = badge(report_state(report)) if report.exercises else ""
    line = f"{state} <strong>{words}</strong> {_meter(score, top)}"
    return f'<p class="ag-score">{line}</p>{late}'


def _meter(score: float, max_score: float) -> str:
    """The label says what the bar shows; the text inside is for readers without <meter>."""
    top = max(max_score, score, 1e-9)
    words = f"{points(score)} of {points(max_score)} points"
    return f'<meter min="0" max="{top:g}" value="{score:g}" aria-label="{words}">{words}</meter>'


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


def _summary(report: Report, marking: Marking | None) -> str:
    rows = [_summary_row(e, i, marking) for i, e in enumerate(report.exercises, 1)]
    rows += [_written_row(answer, i) for i, answer in enumerate(marking.written if marking else (), 1)]
    return _table("Exercise", "".join(rows))


def _table(first: str, rows: str) -> str:
    columns = (("", first), ("", "Result"), ("", "Points"), (' class="ag-look"', "What to look at first"))
    head = "".join(f'<th scope="col"{kind}>{title}</th>' for kind, title in columns)
    return (
        f'<table class="ag-summary"><caption>{first}s</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _summary_row(exercise: ExerciseResult, place: int, marking: Marking | None) -> str:
    mark = marking.marks.get(exercise.name) if marking else None
    score = mark.score if mark else exercise.score
    more = (" bonus" if exercise.bonus else "") + (" by hand" if mark and mark.by_hand else "")
    return _row(
        f"#exercise-{place}",
        exercise.name,
        badge(exercise_state(exercise)),
        f"{points(score)} / {points(exercise.max_score)}{more}",
        html_prose(first_words(exercise), limit=240),
    )


def _written_row(answer: Written, place: int) -> str:
    graded = answer.score is not None
    word = f'<span class="ag-badge">{"graded by hand" if graded else "not graded yet"}</span>'
    score = points(answer.score) if answer.score is not None else "?"
    return _row(
        f"#written-{place}",
        answer.name,
        word,
        f"{score} / {points(answer.max_score)}",
        "Your instructor wrote a comment." if answer.comment.strip() else "",
    )


def _row(link: str, name: str, result: str, score: str, look: str) -> str:
    return (
        f'<tr><th scope="row" class="ag-name"><a href="{link}"><code>{html_text(name, limit=100)}</code></a>'
        f'</th><td>{result}</td><td class="ag-number">{score}</td><td class="ag-look">{look}</td></tr>'
    )


def _index_row(report: Report, label: str, link: str) -> str:
    name = html_text(label, limit=200)
    name = f'<a href="{quote(link)}">{name}</a>' if link else name
    first = next((e for e in report.exercises if e.outcome != "passed"), None)
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


def _reading(lesson: Lesson | None) -> str:
    if lesson is None or not lesson.reading:
        return ""
    return (
        '<section aria-labelledby="reading"><h2 id="reading">To read on</h2>'
        f'<div class="ag-text">{markdown_html(lesson.reading)}</div></section>'
    )


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
