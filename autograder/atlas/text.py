"""The map of the roadmap in a terminal, and as plain text where there is nothing else.

rich decides about colour (NO_COLOR, not a terminal) and width; below 72 columns the table becomes a list.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import PurePath

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from autograder.atlas.words import (
    MARKS,
    action,
    count_of,
    exercises_of,
    headline,
    points_of_all,
    still_coming,
    unlocking,
    word_of,
)
from autograder.render.terminal import NARROW
from autograder.standing import NotebookStanding, SectionStanding, Standing, State

__all__ = ["map_text", "print_map"]

STYLES: dict[State, str] = {
    "done": "green",
    "checked": "cyan",
    "started": "yellow",
    "not begun": "",
    "coming": "dim",
}
BAR, WIDE = 12, 100


def print_map(standing: Standing, *, console: Console | None = None, base: str = ".") -> None:
    """The assignments with their notebooks, what is done, what comes next; `base` is the work folder."""
    console = console or Console()
    plain = console.options.ascii_only
    console.print(Text(standing.roadmap.title, "bold"))
    console.print(Text(f"{headline(standing)}."))
    if coming := still_coming(standing):
        console.print(Text(f"{coming}.", "dim"))
    console.print()
    for section in standing.sections:
        console.print(_section(section, width=console.width, plain=plain))
    console.print(Group(Text(), *_next(standing, base)))


def map_text(standing: Standing, *, width: int = 88, base: str = ".") -> str:
    """The same as plain text."""
    console = Console(file=io.StringIO(), width=width, color_system=None, force_jupyter=False)
    print_map(standing, console=console, base=base)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def _section(section: SectionStanding, *, width: int, plain: bool) -> RenderableType:
    """One line where nothing is written; else the notebooks, and what finishing it unlocks."""
    head = _mark(section.state, plain)
    head.append(section.section.title, "dim" if section.state == "coming" else "bold")
    coming = [n.notebook.title for n in section.notebooks if n.state == "coming"]
    if section.state == "coming":
        return head.append(f"  {word_of('coming')} ({count_of(len(coming), 'notebook')})", "dim")
    head.append(f"  {word_of(section.state)}, {points_of_all(section)}", STYLES[section.state])
    parts: list[RenderableType] = [head]
    if width < NARROW:
        parts += [_indent(line) for notebook in section.written for line in _lines(notebook, plain)]
    else:
        parts.append(_indent(_table(section, wide=width >= WIDE, plain=plain)))
    if coming:
        parts.append(_indent(Text(f"Not yet written: {'; '.join(coming)}", "dim")))
    if words := unlocking(section):
        parts.append(_indent(Text(words, "dim")))
    return Group(*parts)


def _table(section: SectionStanding, *, wide: bool, plain: bool) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for justify in ("left", "left", "right", "right"):
        table.add_column(justify=justify, no_wrap=bool(table.columns))  # the title alone may fold
    for notebook in section.written:
        state = notebook.state
        bar = [ProgressBar(len(notebook.core) or 1, notebook.passed, BAR)] if wide and not plain else []
        table.add_row(
            _mark(state, plain).append(notebook.notebook.title),
            Text(word_of(state), STYLES[state]),
            Text(f"{notebook.passed} of {len(notebook.core)} passed"),
            Text(points_of_all(notebook)),
            *bar,
        )
    return table


def _lines(notebook: NotebookStanding, plain: bool) -> Iterator[Text]:
    """The row of the table as lines."""
    state = notebook.state
    yield _mark(state, plain).append(notebook.notebook.title).append(f": {word_of(state)}", STYLES[state])
    yield Text(f"  {exercises_of(notebook)}, {points_of_all(notebook)}")


def _indent(part: RenderableType) -> Padding:
    return Padding(part, (0, 0, 0, 4), expand=False)


def _next(standing: Standing, base: str) -> Iterator[Text]:
    """The suggestion, why, and what to open or run."""
    if standing.next is None:
        yield Text("Everything that is written is done.", "bold")
        return
    path = PurePath(base, standing.next.section, f"{standing.next.notebook}.ipynb").as_posix()
    yield Text.assemble(("Next: ", "bold"), (f"{action(standing, standing.next)}.", "bold"))
    yield Text(f"  {standing.next.reason[0].upper()}{standing.next.reason[1:]}.")
    yield Text(f"  autograder grade {path}" if standing.next.action == "grade" else f"  {path}", "cyan")


def _mark(state: State, plain: bool) -> Text:
    return Text(f"{MARKS[state][plain]} ", STYLES[state])
