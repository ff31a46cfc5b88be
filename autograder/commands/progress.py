"""`autograder progress`: the map of the roadmap with what the learner has done."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["progress"]


def progress(
    path: Annotated[
        Path | None,
        typer.Argument(help="The work folder (default: the one around here).", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(help="Write the map as a page into this file.", metavar="FILE", dir_okay=False),
    ] = None,
    rebuild: Annotated[
        bool,
        typer.Option("--rebuild", help="Grade what lies in the work folder first, as after a lost record."),
    ] = False,
    unsafe: Annotated[
        bool, typer.Option("--unsafe", help="With --rebuild: grade also where the walls are weak.")
    ] = False,
) -> None:
    """Show the map of the roadmap: what is done, what is started, what comes next and what it unlocks.

    Example: autograder progress --html map.html
    """
    from autograder.overview import look

    start = path or Path.cwd()
    if not start.is_dir():
        raise typer.BadParameter(f"{start}: no such folder; name the work folder")
    standing, work = look(start)
    if rebuild:
        from autograder.rebuild import rebuild as grade_again
        from autograder.safety import ensure_safe

        ensure_safe(unsafe=unsafe)
        for sentence in grade_again(work):
            typer.echo(sentence, err=True)
        standing, work = look(start)
    if html is not None:
        from autograder.atlas.page import roadmap_page

        _write(html, roadmap_page(standing))
    if as_json:
        from autograder.atlas.data import map_json

        typer.echo(json.dumps({"work": str(work), **map_json(standing)}, ensure_ascii=False))
    elif html is None:
        from autograder.atlas.text import print_map

        print_map(standing, base=os.path.relpath(work))
        if not work.is_dir():
            typer.echo("You have no folder of your own here yet; `autograder start` makes one.")


def _write(file: Path, page: str) -> None:
    from autograder.errors import CourseError

    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise CourseError(f"the page can't be written here: {error.strerror}", path=file) from None
    typer.echo(f"Map: {file}", err=True)
