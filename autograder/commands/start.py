"""`autograder start`: the learner's copy of the notebooks, and JupyterLab on it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from autograder.copying import Refreshed
    from autograder.layout import Course
    from autograder.roadmap import Roadmap, Section

__all__ = ["start"]

WELCOME = "welcome.ipynb"


def start(
    context: typer.Context,
    assignment: Annotated[
        str,
        typer.Argument(help="Copy this one only (default: all).", metavar="[ASSIGNMENT]", show_default=False),
    ] = "",
    to: Annotated[
        Path | None,
        typer.Option(
            help="The folder to work in (default: work/ in a clone, else ./ml-course).", metavar="DIR"
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Start JupyterLab, open no browser.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Only copy, start nothing; say what was done as one JSON object.")
    ] = False,
) -> None:
    """Copy the notebooks into a folder of your own and open JupyterLab on them.

    Nothing you wrote is ever overwritten; run it again to get what is new in the course. Other options are
    handed on to JupyterLab, as in --port=9999.

    Example: autograder start 05_transformers
    """
    from autograder.lab import already_open, has_display, open_lab, running_in_jupyter
    from autograder.layout import Course
    from autograder.roadmap import load_roadmap
    from autograder.workfolder import find_work, refresh

    words = [word for word in (assignment, *context.args) if word]
    options = [word for word in words if word.startswith("-")]
    names = [word for word in words if not word.startswith("-")]
    if len(names) > 1:
        raise typer.BadParameter(
            f"one assignment at a time, and options as in --port=9999; got {', '.join(names)}"
        )
    course = Course.find()
    _refuse_another(course)
    roadmap = load_roadmap(course)
    sections = _chosen(roadmap, names[0] if names else "")
    work = find_work(course, roadmap.folder, Path.cwd(), to=to)
    done = refresh(course, work, [section.name for section in sections])
    if as_json:
        typer.echo(json.dumps({"work": str(work), **asdict(done)}, ensure_ascii=False))
        return
    shown = os.path.relpath(work) if work.is_relative_to(Path.cwd()) else str(work)
    for line in _lines(done, shown):
        typer.echo(line)
    page = WELCOME if (work / WELCOME).is_file() else ""
    if running_in_jupyter():
        typer.echo(f"JupyterLab is running already: open {shown}/{page} in its file browser.")
        return
    browser = not no_browser and has_display()
    if not options and (address := already_open(work, page)):
        typer.echo(f"JupyterLab is running in {shown} already: {address}")
        if browser:
            typer.launch(address)
        return
    raise typer.Exit(open_lab(work, page, options, browser=browser, say=typer.echo))


def _refuse_another(course: Course) -> None:
    """Here may be an nbgrader course that has nothing to do with us."""
    from autograder.errors import CourseError

    released = [path.read_bytes() for path in course.release.glob("*/*.ipynb")]
    if released and not any(b'"autograder"' in content for content in released):
        raise CourseError(
            "this is another nbgrader course; change into a folder outside of it", path=course.root
        )


def _chosen(roadmap: Roadmap, asked: str) -> list[Section]:
    """All assignments with notebooks, or the one that is asked for by its name or the beginning of it."""
    written = [section for section in roadmap.sections if section.written]
    if not asked:
        return written
    asked = asked.strip("/").lower()
    found = [s for s in roadmap.sections if s.name == asked] or [
        s for s in roadmap.sections if s.name.startswith(asked) or s.name.partition("_")[2].startswith(asked)
    ]
    known = ", ".join(section.name for section in written) or "none"
    if len(found) != 1:
        raise typer.BadParameter(f"no assignment {asked}; there are: {known}")
    if not found[0].written:
        raise typer.BadParameter(f"{found[0].name} is not written yet; there are: {known}")
    return found


def _lines(done: Refreshed, work: str) -> Iterator[str]:
    """What was new, updated, kept: a line each; then what a learner must know."""
    if done.new:
        yield f"New in {work}: {_counted(done.new)}."
    if done.updated:
        yield f"Updated, your answers kept: {', '.join(done.updated)}."
    if done.kept:
        yield f"Kept as they are: {_counted(done.kept)}."
    yield from done.notes


def _counted(names: list[str]) -> str:
    """`5 notebooks and 14 other files`."""
    notebooks = sum(name.endswith(".ipynb") for name in names)
    counts = {"notebook": notebooks, "file beside them" if notebooks else "file": len(names) - notebooks}
    parts = [
        f"{n} {what if n == 1 else what.replace('file', 'files').replace('notebook', 'notebooks')}"
        for what, n in counts.items()
        if n
    ]
    return " and ".join(parts)
