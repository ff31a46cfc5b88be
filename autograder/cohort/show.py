"""A play in the terminal: its steps while they run, then a row for every learner and where to look."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from autograder.cohort.play import Stage
from autograder.cohort.verdict import Verdict
from autograder.render.clean import one_line

__all__ = ["print_places", "print_verdicts", "steps"]

SENTENCE = 70  # characters of a message in the table
_ESCAPE = re.compile(r"\\([^\w\s])")  # the gradebook's comments are markdown


def steps(console: Console) -> Callable[[str], contextlib.AbstractContextManager[None]]:
    """Prints each step with its seconds when it is done; shows those that run, in any thread."""
    running: list[str] = []
    lock, status = threading.Lock(), console.status("")

    def change(name: str, *, begins: bool) -> None:
        with lock:
            (running.append if begins else running.remove)(name)
            status.update(", ".join(running))
            (status.start if running else status.stop)()

    @contextlib.contextmanager
    def step(name: str) -> Iterator[None]:
        began = time.monotonic()
        change(name, begins=True)
        try:
            yield
        finally:
            change(name, begins=False)
        console.print(f"{time.monotonic() - began:6.1f} s  {name}", highlight=False)

    return step


def print_verdicts(console: Console, verdicts: Sequence[Verdict]) -> None:
    """The table of all learners."""
    table = Table(title="Every learner, and what was due")
    for name in ("learner", "handed in", "due", "got", "seconds", "", "first words of the feedback"):
        table.add_column(name, justify="right" if name in ("got", "seconds") else "left")
    for row in verdicts:
        fine = Text("ok", "green") if not row.wrong else Text("WRONG", "bold red")
        words = "; ".join(row.wrong) or one_line(_ESCAPE.sub(r"\1", row.message), limit=SENTENCE)
        table.add_row(
            row.learner.name,
            Text(row.learner.story),
            row.due,
            f"{row.score:g}",
            "-" if row.seconds is None else f"{row.seconds:.1f}",
            fine,
            Text(words),
        )
    console.print(table)


def print_places(console: Console, stage: Stage, leaks: Sequence[tuple[Path, str]]) -> None:
    """Problems, leaks, and the files to look at."""
    for problem in stage.problems:
        console.print(Text(problem, "red"))
    for path, line in leaks:
        console.print(Text(f"code of a hidden test stands in {path}: {line}", "red"))
    if not leaks:
        console.print("Code of hidden tests: in no released, graded or feedback file.")
    console.print(f"Feedback pages: {stage.course.root / 'feedback'}", soft_wrap=True)
    console.print(f"As fetched by learners: {stage.root / 'learners'}", soft_wrap=True)
    console.print(f"Grades: {stage.grades}", soft_wrap=True)
