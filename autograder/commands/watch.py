"""`autograder watch`: the official verdict on what changed, after each save of a notebook."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from autograder.errors import CourseError

__all__ = ["watch"]


def watch(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Notebooks, or folders of notebooks (default: here).", metavar="[PATH]..."),
    ] = None,
    unsafe: Annotated[
        bool, typer.Option("--unsafe", help="Grade also where the walls are weak: your own work only.")
    ] = False,
) -> None:
    """Grade what changed, after each save of a notebook. Keys: run all, hint, next, open, quit.

    It needs no key to work; Ctrl-C ends it as well. On Windows there are no keys.

    Example: autograder watch work/05_transformers/attention.ipynb
    """
    from rich.console import Console

    from autograder.identify import find_notebooks
    from autograder.layout import Course
    from autograder.safety import ensure_safe
    from autograder.watch.session import watch as work

    wanted = paths or [Path()]
    try:
        files = find_notebooks(wanted)
    except CourseError as error:
        raise typer.BadParameter(str(error)) from None
    course = Course.find()
    ensure_safe(unsafe=unsafe)
    with contextlib.suppress(KeyboardInterrupt):
        work(wanted, files, course, Console())
