"""`autograder doctor`: what the walls of this machine keep in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from autograder.doctor import Examination
    from autograder.layout import Course

__all__ = ["doctor"]


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Try to break the walls around submissions: the level of this machine, what is open, how to get better.

    Example: autograder doctor
    """
    from rich.console import Console

    from autograder.doctor import examine

    with Console(stderr=True).status("Trying to break the walls of this machine ..."):
        examination = examine(_course())
    if as_json:
        typer.echo(json.dumps(examination.to_json(), ensure_ascii=False))
    else:
        _print(examination)
    raise typer.Exit(0 if examination.sound else 1)


def _course() -> Course | None:
    from autograder.errors import CourseError
    from autograder.layout import Course

    try:
        return Course.find()
    except CourseError:
        return None


def _print(examination: Examination) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table("tried", "holds", "what got through, or why not", box=None)
    for finding in examination.findings:
        word = Text("yes", "green") if finding.holds else Text("no", "red")
        table.add_row(Text(finding.subject), word, Text(" ".join((finding.detail, finding.remedy)).strip()))
    console.print(table)
    level = examination.level
    safe = "safe for the work of others" if level.safe else "NOT safe for the work of others"
    for label, text in (
        (f"Level {level.name}", f"{safe}: {level.walls}"),
        ("Open", level.open),
        ("Better", level.better),
    ):
        console.print(Text(f"{label}: {text}"))
