"""The parts of a page: an exercise, a written answer, the pictures, the notebook."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from autograder.journal import Attempt
from autograder.render.clean import html_prose, html_text, one_line
from autograder.render.code import code_html
from autograder.render.material import Excerpt, Mark, Material, Passage, Picture, Written
from autograder.render.parts import badge, css_class, message_html, promise_table
from autograder.render.prose import inline_html, markdown_html
from autograder.render.words import State, exercise_state, kept, points, points_of
from autograder.report import ExerciseResult

__all__ = ["exercise_html", "notebook_html", "pictures_html", "written_html"]

SHOWN = 12  # attempts in a table
HOW = {"check": "check, visible tests only", "grade": "graded"}
STATES: dict[str, State] = {"passed": "passed", "failed": "not yet", "could_not_run": "could not run"}


def exercise_html(exercise: ExerciseResult, place: int, material: Material) -> str:
    """One exercise: result, message, promises, and folded what helps to go on."""
    state, name = exercise_state(exercise), html_text(exercise.name, limit=100)
    mark = material.marking.marks.get(exercise.name) if material.marking else None
    passage = material.lesson.passages.get(exercise.name) if material.lesson else None
    table = promise_table(exercise) if exercise.tests else ""
    if state == "passed":
        table = _fold("What it promises", table, aside=True)
    parts = [
        f'<div class="ag-head"><h2 id="exercise-{place}"><code>{name}</code></h2>{badge(state)}'
        f'<span class="ag-number">{_points(exercise, mark)}, {kept(exercise)}</span></div>',
        message_html(exercise),
        _comment(mark.comment if mark else ""),
        table,
        "".join(_figure(p) for p in material.pictures if p.exercise == exercise.name),
        _fold(f"Your code of <code>{name}</code>", code_html(material.code.get(exercise.name, ""))),
        _passage(passage, material.lesson.file, state) if passage and material.lesson else "",
        _attempts([a for a in material.attempts if a.exercise == exercise.name], name),
    ]
    return (
        f'<section class="ag-exercise {css_class(state)}" aria-labelledby="exercise-{place}">'
        f"{''.join(parts)}</section>\n"
    )


def pictures_html(pictures: Sequence[Picture], exercises: Sequence[ExerciseResult]) -> str:
    """Those that belong to no exercise."""
    known = {exercise.name for exercise in exercises}
    figures = "".join(_figure(picture) for picture in pictures if picture.exercise not in known)
    return _section("pictures", "Pictures from your notebook", figures)


def written_html(answer: Written, place: int) -> str:
    """An answer that a person grades: the task, the answer, the points, the comment."""
    name = html_text(answer.name, limit=100)
    graded = answer.score is not None
    word = "graded by hand" if graded else "not graded yet"
    score = points(answer.score) if answer.score is not None else "?"
    own = code_html(answer.answer) if answer.is_code else _text(answer.answer)
    parts = [
        f'<div class="ag-head"><h2 id="written-{place}"><code>{name}</code></h2>'
        f'<span class="ag-badge">{word}</span>'
        f'<span class="ag-number">{score} of {points(answer.max_score)} points</span></div>',
        _comment(answer.comment),
        f"<p>{html_prose(answer.remark)}</p>" if answer.remark and not answer.comment else "",
        _fold("What was asked, and how it is marked", _text(answer.asked)),
        _fold("Your answer", own),
    ]
    return f'<section class="ag-exercise" aria-labelledby="written-{place}">{"".join(parts)}</section>\n'


def notebook_html(cells: Sequence[Excerpt]) -> str:
    """What the learner wrote, in its order, under the headings of the lesson."""
    shown = []
    for cell in cells:
        if cell.kind == "heading":
            shown.append(f"<h3>{inline_html(cell.source)}</h3>")
        else:
            shown.append(code_html(cell.source) if cell.kind == "code" else _text(cell.source))
    return _section("notebook", "Your notebook", _fold("What you wrote, from top to bottom", "".join(shown)))


def _section(name: str, title: str, content: str) -> str:
    if not content:
        return ""
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{title}</h2>{content}</section>\n'


def _fold(title: str, content: str, *, aside: bool = False) -> str:
    """Closed on the screen; what stands `aside` stays closed on paper."""
    kind = ' class="ag-aside"' if aside else ""
    return f"<details{kind}><summary>{title}</summary>{content}</details>" if content else ""


def _text(markdown: str) -> str:
    return f'<div class="ag-text">{markdown_html(markdown)}</div>' if markdown.strip() else ""


def _points(exercise: ExerciseResult, mark: Mark | None) -> str:
    """What the tests gave; or what a person gave, and both where they differ."""
    if mark is None or not mark.by_hand:
        return points_of(exercise)
    top = mark.max_score or exercise.max_score
    return f"{points(mark.score)} of {points(top)} points, by hand (tests: {points(exercise.score)})"


def _comment(markdown: str) -> str:
    if not markdown.strip():
        return ""
    return f'<div class="ag-comment"><p><b>Your instructor writes:</b></p>{markdown_html(markdown)}</div>'


def _passage(passage: Passage, file: str, state: State) -> str:
    """Where to read again, and the rules themselves. No link: JupyterLab opens no notebook at a heading."""
    if not passage.heading:
        return ""
    where = f"<b>{inline_html(passage.heading)}</b> in <code>{html_text(file, limit=100)}</code>"
    title = f"{'In the lesson' if state == 'passed' else 'Read again'}: {where}"
    rules = _text(passage.contract)
    return _fold(title, rules, aside=True) if rules else f"<p>{title}</p>"


def _figure(picture: Picture) -> str:
    heading = html_text(one_line(re.sub(r"[`*$]", "", picture.heading), limit=200))
    place = f" under the heading “{heading}”" if heading else ""
    caption = f"What to see: {inline_html(picture.caption)}" if picture.caption else f"Drawn{place}."
    return (
        f'<figure><img src="data:{picture.kind};base64,{picture.data}" width="{picture.width}" '
        f'height="{picture.height}" alt="Picture from your notebook{place}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _attempts(attempts: Sequence[Attempt], name: str) -> str:
    """The latest ones in a table, the newest first."""
    if not attempts:
        return ""
    rows = "".join(_attempt(attempt) for attempt in reversed(attempts[-SHOWN:]))
    earlier = len(attempts) - SHOWN
    more = f"<p>and {earlier} earlier</p>" if earlier > 0 else ""
    plural = "attempt" if len(attempts) == 1 else "attempts"
    head = "".join(f'<th scope="col">{title}</th>' for title in ("When", "How", "Result", "Points"))
    table = (
        f'<table class="ag-attempts"><caption>Attempts at <code>{name}</code>, the latest first</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )
    return _fold(f"Your {len(attempts)} {plural}", table + more, aside=True)


def _attempt(attempt: Attempt) -> str:
    try:
        when = f"{datetime.fromisoformat(attempt.when):%d %b %Y, %H:%M}"
    except ValueError:
        when = html_text(attempt.when, limit=40)
    score = f"{points(attempt.score)} / {points(attempt.max_score)}"
    return (
        f'<tr><th scope="row">{when} UTC</th><td>{HOW[attempt.how]}</td>'
        f'<td>{badge(STATES[attempt.outcome])}</td><td class="ag-number">{score}</td></tr>'
    )
