"""`autograder verify`: the proof that the exercises of a course are sound."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from autograder.layout import Course
    from autograder.verify import NotebookProof

__all__ = ["verify"]


def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Sections or SECTION/NOTEBOOK; default: all.", metavar="[SECTION[/NOTEBOOK]]..."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per notebook and line.")] = False,
    jobs: Annotated[
        int | None, typer.Option(help="Gradings at a time (default: one per core).", min=1)
    ] = None,
) -> None:
    """Prove every exercise: solution passes, stub fails, wrong variants are caught, right ones accepted,
    no leak.

    Example: autograder verify 05_transformers/attention
    """
    from autograder.build import stale
    from autograder.layout import Course

    course = Course.find()
    chosen = _chosen(course, names or [])
    outdated = stale(course, sorted({section for section, _ in chosen}))
    started = time.monotonic()
    proofs = _prove(course, chosen, jobs=jobs)
    if as_json:
        for proof in proofs:
            typer.echo(json.dumps(proof.to_json(), ensure_ascii=False))
    else:
        _print(proofs, time.monotonic() - started)
    for path in outdated:
        typer.echo(f"{path} is not current: run `autograder build`", err=True)
    raise typer.Exit(0 if all(p.sound for p in proofs) and not outdated else 1)


def _chosen(course: Course, names: list[str]) -> list[tuple[str, str]]:
    everything = [(s, n) for s in course.sections() for n in course.notebooks(s)]
    if not names:
        return everything
    chosen = [(s, n) for s, n in everything if s in names or f"{s}/{n}" in names]
    known = {s for s, _ in everything} | {f"{s}/{n}" for s, n in everything}
    if unknown := [name for name in names if name not in known]:
        listed = ", ".join(sorted(known)) or "none"
        raise typer.BadParameter(f"no section or notebook {', '.join(unknown)}; there are: {listed}")
    return chosen


def _prove(course: Course, chosen: list[tuple[str, str]], *, jobs: int | None) -> list[NotebookProof]:
    from autograder.grader import Grader
    from autograder.render.terminal import batch_progress
    from autograder.verify import verify_notebook

    with Grader(jobs=jobs) as grader:
        started = [verify_notebook(course, section, notebook, grader) for section, notebook in chosen]
        proofs = [proof for _, own in started for proof in own]
        with batch_progress(len(proofs), "Proving") as advance:
            for proof in proofs:
                proof.finish()
                advance(proof.result.notebook)
    return [result for result, _ in started]


def _print(proofs: list[NotebookProof], seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("exercise", "tests (visible + hidden)", "wrong caught", "right accepted", "sound", box=None)
    for proof in proofs:
        for e in proof.exercises.values():
            name = f"{proof.section}/{proof.notebook}: {e.name}"
            tests, wrong, right = (
                f"{e.visible} + {e.hidden}",
                f"{e.caught}/{e.wrong}",
                f"{e.accepted}/{e.right}",
            )
            table.add_row(name, tests, wrong, right, "no" if e.problems else "yes")
    console.print(table)
    for proof in proofs:
        own = [(proof.notebook, text) for text in proof.problems]
        own += [(e.name, text) for e in proof.exercises.values() for text in e.problems]
        for name, text in own:
            console.print(f"{name}: {text}", style="red", markup=False, highlight=False)
    count = sum(len(p.exercises) for p in proofs)
    sound = sum(not e.problems for p in proofs for e in p.exercises.values())
    console.print(f"{sound} of {count} exercises sound, {seconds:.1f} s", highlight=False)
