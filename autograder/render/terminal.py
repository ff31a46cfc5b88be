"""Reports in a terminal: a table, the details of what is open, a progress bar for a batch.

rich decides about colour (NO_COLOR, not a terminal) and width. Words carry the meaning; where the terminal's
encoding has no such character, an ASCII one stands in. Below 72 columns a table becomes a list.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from autograder.render.clean import clean, one_line
from autograder.render.material import Lesson
from autograder.render.words import (
    SYMBOLS,
    Promise,
    State,
    exercise_state,
    first_words,
    headline,
    kept,
    next_step,
    paragraphs,
    points,
    points_of,
    promises,
    report_state,
)
from autograder.report import ExerciseResult, Report

__all__ = [
    "STYLES",
    "Pen",
    "batch_progress",
    "batch_table",
    "print_reports",
    "report_details",
    "report_table",
]

NARROW = 72
STYLES: dict[State, str] = {
    "passed": "green",
    "not yet": "yellow",
    "error": "red",
    "to do": "cyan",
    "could not run": "magenta",
}


def print_reports(
    reports: Sequence[Report],
    *,
    labels: Sequence[str] | None = None,
    lessons: Sequence[Lesson | None] | None = None,
    console: Console | None = None,
    details: bool | None = None,
) -> None:
    """One report: its table, then what is open in detail. Several: a row each, details only on request."""
    lessons = lessons or [None] * len(reports)
    console = console or Console()
    names = labels or _names(reports)
    if len(reports) != 1:
        console.print(batch_table(reports, labels=names, console=console))
    if details is None:
        details = len(reports) == 1
    for name, report, lesson in zip(names, reports, lessons, strict=True):
        if details or len(reports) == 1:
            console.print()
            console.print(Pen.of(console).text(name, "bold"))
            console.print(report_table(report, console=console))
        if details:
            console.print(report_details(report, console=console, lesson=lesson))
        if details or len(reports) == 1:
            console.print(_facts(report, Pen.of(console)))


@contextlib.contextmanager
def batch_progress(
    total: int, what: str = "Grading", *, console: Console | None = None
) -> Iterator[Callable[[str], None]]:
    """Gives a function to call with a label whenever one item is done. Shows nothing where nobody watches."""
    console = console or Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[label]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(what, total=total, label="")
        yield lambda label: progress.update(bar, advance=1, label=one_line(label, limit=40))


def report_table(report: Report, *, console: Console) -> RenderableType:
    """One row per exercise: name, result, points, what to look at first."""
    rows = [
        _Row(_name(e), exercise_state(e), _score(e.score, e.max_score), first_words(e))
        for e in report.exercises
    ]
    return _table("Exercise", rows, Pen.of(console))


def batch_table(
    reports: Sequence[Report], *, labels: Sequence[str] | None = None, console: Console
) -> RenderableType:
    """One row per report; `labels` name the submissions."""
    rows = []
    for name, report in zip(labels or _names(reports), reports, strict=True):
        first = next((e for e in report.exercises if e.outcome != "passed"), None)
        words = f"{first.name}: {first_words(first)}" if first else ""
        rows.append(_Row(name, report_state(report), _score(report.score, report.max_score), words))
    return _table("Submission", rows, Pen.of(console))


def report_details(report: Report, *, console: Console, lesson: Lesson | None = None) -> RenderableType:
    """Of each exercise that is not passed: its message, where to read again, every promise with evidence.

    Of several, those that nobody has begun are left to the table: their promises would bury the others.
    """
    pen = Pen.of(console)
    parts: list[RenderableType] = []
    for exercise in report.exercises:
        begun = len(report.exercises) == 1 or exercise_state(exercise) != "to do"
        if exercise.outcome == "passed" or not begun:
            continue
        head = pen.text(f"{exercise.name}:", "bold").append(" ")
        head.append_text(pen.state(exercise_state(exercise), f", {kept(exercise)}, {points_of(exercise)}"))
        parts += [Text(), head]
        for label, text in paragraphs(exercise.message):
            parts.append(_indent(pen.text(f"{label}: {text}" if label else text, limit=600)))
        if passage := lesson and lesson.passages.get(exercise.name):
            parts.append(_indent(pen.text(f"Read again: {passage.heading}, in {lesson.file}", limit=600)))
        shown = promises(exercise)
        width = max((len(promise.state) for promise in shown), default=0) + len("? ")
        for promise in shown:
            parts += _promise(promise, width, pen)
    return Group(*parts)


@dataclass(frozen=True, slots=True)
class Pen:
    """Makes rich texts that this terminal can show."""

    width: int
    ascii_only: bool

    @classmethod
    def of(cls, console: Console) -> Pen:
        return cls(console.width, console.options.ascii_only)

    def text(self, text: str, style: str = "", *, limit: int = 200) -> Text:
        return self._text(one_line(text, limit=limit), style)

    def block(self, text: str) -> Text:
        return self._text(clean(text, limit=1_500, lines=20), "")

    def state(self, state: State, more: str = "") -> Text:
        symbol = SYMBOLS[state][1 if self.ascii_only else 0]
        return Text.assemble((f"{symbol} {state}", STYLES[state]), more)

    def _text(self, text: str, style: str) -> Text:
        return Text(text.encode("ascii", "replace").decode() if self.ascii_only else text, style=style)


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    state: State
    score: str
    words: str


def _table(first: str, rows: Iterable[_Row], pen: Pen) -> RenderableType:
    if pen.width < NARROW:
        return Group(*(part for row in rows for part in _stacked(row, pen)))
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(first, overflow="fold", max_width=pen.width // 3)
    table.add_column("Result", no_wrap=True)
    table.add_column("Points", justify="right", no_wrap=True)
    table.add_column("What to look at first", overflow="fold", ratio=1)
    for row in rows:
        table.add_row(pen.text(row.name), pen.state(row.state), Text(row.score), pen.text(row.words))
    return table


def _stacked(row: _Row, pen: Pen) -> Iterator[RenderableType]:
    yield pen.text(row.name, "bold")
    yield _indent(pen.state(row.state, f", {row.score} points"))
    if row.words:
        yield _indent(pen.text(row.words))


def _promise(promise: Promise, width: int, pen: Pen) -> Iterator[RenderableType]:
    runs = f" ({promise.passed} of {promise.runs} inputs)" if promise.runs > 1 else ""
    kind = "" if promise.visible else " (hidden test)"
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_column(width=width, no_wrap=True)
    line.add_column(ratio=1, overflow="fold")
    line.add_row(pen.state(promise.state), pen.text(f"{promise.sentence}{runs}{kind}", limit=400))
    if promise.evidence:
        line.add_row("", pen.block(promise.evidence))
    yield _indent(line)


def _indent(part: RenderableType) -> Padding:
    return Padding(part, (0, 0, 0, 2), expand=False)


def _facts(report: Report, pen: Pen) -> RenderableType:
    notes = [pen.text(f"Note: {note}", limit=400) for note in report.notes]
    official = f", verdict {report.verdict_id}" if report.verdict_id else ""
    return Group(
        Text(),
        *notes,
        pen.text(headline(report), "bold"),
        pen.text(f"Next step: {next_step(report)}", limit=400),
        pen.text(f"isolation {report.sandbox}, seed {report.seed}{official}"),
    )


def _name(exercise: ExerciseResult) -> str:
    return f"{exercise.name} (bonus)" if exercise.bonus else exercise.name


def _score(score: float, max_score: float) -> str:
    return f"{points(score)} / {points(max_score)}"


def _names(reports: Sequence[Report]) -> list[str]:
    return [f"{report.assignment}/{report.notebook}" for report in reports]
