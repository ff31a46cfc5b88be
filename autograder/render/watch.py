"""The screen of `autograder watch`: the exercises of one notebook, a status line, the keys, one result.

What may be long stands last, so that a low terminal cuts off nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from autograder.render.terminal import NARROW, Pen, report_details
from autograder.render.words import exercise_state, first_words, points
from autograder.report import ExerciseResult, Report

__all__ = ["Screen", "result_line", "watch_screen"]

KEYS = "Keys: a run all, h hint, n next, o open, q quit"
WITH_POINTS = 40  # columns


@dataclass(frozen=True, slots=True)
class Screen:
    """What is to be shown. `words` (a hint) take the place of the selected exercise's result."""

    title: str
    exercises: Sequence[str]
    results: Mapping[str, ExerciseResult]
    stuck: Mapping[str, str]
    running: Collection[str]
    selected: str
    status: str
    words: str = ""
    with_keys: bool = True


def watch_screen(screen: Screen, *, console: Console) -> RenderableType:
    """The whole screen, for rich to draw."""
    pen = Pen.of(console)
    parts: list[RenderableType] = [pen.text(screen.title, "bold"), _rows(screen, pen), Text()]
    parts.append(pen.text(screen.status))
    if screen.with_keys:
        parts.append(pen.text(KEYS, "dim" if not console.no_color else ""))
    parts += [Text(), *_detail(screen, console, pen)]
    return Group(*parts)


def result_line(exercise: ExerciseResult, *, console: Console) -> Text:
    """One result as one line, where nothing can be drawn over."""
    pen = Pen.of(console)
    line = pen.text(f"{exercise.name}: ")
    line.append_text(pen.state(exercise_state(exercise), f", {_score(exercise)} points"))
    words = first_words(exercise)
    return line.append_text(pen.text(f"; {words}", limit=400)) if words else line


def _rows(screen: Screen, pen: Pen) -> RenderableType:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    longest = max((len(name) for name in screen.exercises), default=0) + len("> ")
    table.add_column(overflow="ellipsis", no_wrap=True, width=min(longest, max(12, pen.width // 3)))
    table.add_column(no_wrap=True, min_width=len("? could not run"))
    if pen.width >= WITH_POINTS:
        table.add_column(justify="right", no_wrap=True, min_width=len("2.12 / 10"))
    if pen.width >= NARROW:  # the rest, which gives way first
        table.add_column(overflow="ellipsis", no_wrap=True, max_width=max(10, pen.width - longest - 36))
    for name in screen.exercises:
        shown = pen.text(name, "bold" if name == screen.selected else "")
        marked = Text("> " if name == screen.selected else "  ").append_text(shown)
        table.add_row(*[marked, *_result(screen, name, pen)][: len(table.columns)])
    return table


def _result(screen: Screen, name: str, pen: Pen) -> list[Text]:
    result = screen.results.get(name)
    if name in screen.running:
        return [Text("grading ..."), Text(""), Text("")]
    if name in screen.stuck:
        return [pen.state("could not run"), Text(""), pen.text(screen.stuck[name])]
    if result is None:
        return [Text("-"), Text(""), Text("")]
    return [pen.state(exercise_state(result)), Text(_score(result)), pen.text(first_words(result))]


def _detail(screen: Screen, console: Console, pen: Pen) -> list[RenderableType]:
    if screen.words:
        return [pen.block(screen.words)]
    result = screen.results.get(screen.selected)
    if result is None or result.outcome == "passed":
        return []
    report = Report.of("", "", exercises=[result], sandbox="", seed=0, verdict_id="")
    return [report_details(report, console=console)]


def _score(exercise: ExerciseResult) -> str:
    return f"{points(exercise.score)} / {points(exercise.max_score)}"
