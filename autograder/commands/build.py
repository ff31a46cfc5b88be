"""`autograder build`: generated files from authored ones."""

from __future__ import annotations

import time
from typing import Annotated

import typer

__all__ = ["build"]


def build(
    sections: Annotated[
        list[str] | None, typer.Argument(help="Which sections (default: all).", metavar="SECTION")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; say what is out of date.")] = False,
) -> None:
    """Make release/ and solutions/ from source/.

    Example: autograder build 05_transformers
    """
    from autograder import build as builder
    from autograder.layout import Course
    from autograder.render.terminal import batch_progress

    course = Course.find()
    chosen = _chosen(course.sections(), sections or [])
    started = time.monotonic()
    with batch_progress(len(chosen), "Building") as advance:
        make = builder.stale if check else builder.build
        paths = make(course, chosen, done=advance)
    paths += builder.left_over(course) if not sections else []
    for path in paths:
        typer.echo(f"{'out of date' if check else 'new'}: {path.relative_to(course.root)}")
    if check and paths:
        typer.echo(f"Not what source/ gives; run `{' '.join(['autograder build', *chosen])}`", err=True)
        raise typer.Exit(1)
    typer.echo(f"Up to date: {', '.join(chosen)} ({time.monotonic() - started:.1f} s)")


def _chosen(known: tuple[str, ...], asked: list[str]) -> list[str]:
    if unknown := [name for name in asked if name not in known]:
        raise typer.BadParameter(f"no section {', '.join(unknown)}; there are: {', '.join(known) or 'none'}")
    return sorted(set(asked) or known)
