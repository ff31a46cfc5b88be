"""`autograder verify`: the proof that the exercises of a course are sound."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from autograder.layout import Course
    from autograder.verify import ExerciseProof, NotebookProof, Settings

__all__ = ["verify"]

SEEDS, QUICK_SEEDS = 20, 3

WIDTH = 140  # columns where there is no terminal


def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Sections or SECTION/NOTEBOOK; default: all.", metavar="SECTION[/NOTEBOOK]"),
    ] = None,
    mutants: Annotated[
        bool, typer.Option("--mutants", help="Edit the solutions as well; the tests must notice each edit.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help=f"{QUICK_SEEDS} random seeds instead of {SEEDS}.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per notebook and line.")] = False,
    jobs: Annotated[
        int | None, typer.Option(help="Gradings at a time (default: one per core).", min=1, metavar="N")
    ] = None,
) -> None:
    """Prove every exercise: right answers get full marks, wrong ones lose points and hear why, cheats get
    nothing, nothing leaks. Only what has changed is proven again.

    Example: autograder verify 05_transformers/attention --mutants
    """
    from autograder.layout import Course
    from autograder.verify import Settings
    from autograder.verify.currency import outdated
    from autograder.verify.page import page

    course = Course.find()
    chosen = _chosen(course, names or [])
    old = outdated(course, sorted({section for section, _ in chosen}))
    started = time.monotonic()
    settings = Settings(seeds=QUICK_SEEDS if quick else SEEDS, mutants=mutants)
    proofs = _prove(course, chosen, settings, jobs=jobs)
    written = course.build / "verify" / "index.html"
    written.write_text(page(proofs), encoding="utf-8")
    if as_json:
        for proof in proofs:
            typer.echo(json.dumps(proof.to_json(), ensure_ascii=False))
    else:
        _print(proofs, f"{time.monotonic() - started:.1f} s; page: {written.relative_to(course.root)}")
    for path in old:
        typer.echo(f"{path.relative_to(course.root)} is not current: run `autograder build`", err=True)
    raise typer.Exit(0 if all(proof.sound for proof in proofs) and not old else 1)


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


def _prove(
    course: Course, chosen: list[tuple[str, str]], settings: Settings, *, jobs: int | None
) -> list[NotebookProof]:
    from autograder.grader import Grader
    from autograder.render.terminal import batch_progress
    from autograder.verify import NotebookRun

    with Grader(jobs=jobs) as grader:
        runs = [NotebookRun.start(course, section, name, grader, settings) for section, name in chosen]
        total = sum(len(run.claims) for run in runs)
        with batch_progress(total, "Proving") as advance:
            for run in runs:
                for claim in run.claims:
                    claim.settle()
                    advance(f"{run.proof.notebook}: {claim.exercise}")
        return [run.finish() for run in runs]


def _print(proofs: Sequence[NotebookProof], ending: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from autograder.verify.page import COLUMNS, row
    from autograder.verify.proof import summary

    console = Console()
    if not console.is_terminal:  # a file or a pipe has no edge
        console = Console(width=WIDTH)
    for proof in proofs:
        console.print(f"{proof.section}/{proof.notebook}", style="bold", highlight=False)
        headers = [name.replace(" ", "\n") for name in COLUMNS]
        table = Table(*headers, box=None, header_style="dim", padding=(0, 2, 0, 0))
        for exercise in proof.exercises.values():
            table.add_row(*row(exercise), style="red" if exercise.problems else "")
        console.print(table)
        for text in proof.problems:
            console.print(text, style="red", markup=False, highlight=False)
        for exercise in proof.exercises.values():
            _print_problems(exercise, console)
    console.print(f"{summary(proofs)}, {ending}", highlight=False)


def _print_problems(exercise: ExerciseProof, console: Console) -> None:
    """Each problem; of a surviving mutant the diff, and the contract once beside them."""
    from rich.text import Text

    for text in exercise.problems:
        console.print(Text(f"{exercise.name}: {text}", style="red"))
    for survivor in exercise.survivors:
        console.print(Text(f"\n{survivor.diff}"))
    if exercise.survivors:
        console.print(Text("\nThe contract:"))
        for name, rule in exercise.contract.items():
            console.print(Text(f"  {name} {rule}"))
