"""`autograder cohort`: what an instructor does with many submissions, beside nbgrader's own commands."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from autograder.errors import CourseError

__all__ = ["cohort"]

cohort = typer.Typer(no_args_is_help=True, help="Make submissions ready; play a made-up cohort.")


@cohort.command()
def intake(
    section: Annotated[
        str, typer.Argument(help="The assignment, such as 05_transformers.", metavar="SECTION")
    ],
) -> None:
    """Make the folders below submitted/ ready for autograding, and say what was done for whom.

    `nbgrader collect` and `nbgrader autograde` do this themselves; use it for submissions that came
    another way.

    Example: autograder cohort intake 05_transformers
    """
    from autograder.layout import Course
    from autograder.nbgrader.intake import prepare_folder, submissions

    course = Course.find()
    folders = submissions(course, _known(section, course.sections()))
    if not folders:
        raise CourseError(f"no submission of {section}; put them into submitted/LEARNER/{section}/")
    for folder in folders:
        try:
            said = "; ".join(prepare_folder(folder, course, section).lines) or "ready"
        except OSError as error:
            said = f"could not be made ready: {error.strerror}"
        typer.echo(f"{folder.parent.name}: {said}")


@cohort.command()
def demo(
    sections: Annotated[
        list[str] | None, typer.Argument(help="Sections to play (default: all).", metavar="SECTION")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(help="Play in this new folder (default: build/demo, made anew).", metavar="DIR"),
    ] = None,
) -> None:
    """Play a made-up cohort through nbgrader and compare every score with what is due.

    Example: autograder cohort demo --keep /tmp/cohort
    """
    from rich.console import Console

    from autograder.cohort.leaks import find_leaks, secret_lines
    from autograder.cohort.learners import make_learners
    from autograder.cohort.play import play, set_up
    from autograder.cohort.show import print_places, print_verdicts, steps
    from autograder.cohort.verdict import Judge
    from autograder.layout import Course

    course = Course.find()
    chosen = [_known(section, course.sections()) for section in sections or course.sections()]
    root = _empty_folder(course.build / "demo" if keep is None else keep.resolve(), asked=keep is not None)
    console = Console(highlight=False)
    step = steps(console)
    stage = set_up(course, root, chosen, step)
    with step("make the learners"):
        learners = [learner for section in chosen for learner in make_learners(stage.course, section)]
    play(stage, learners, step)
    with step("compare with what is due"):
        judge = Judge(stage, learners)
        verdicts = [judge.verdict(learner) for learner in learners]
        secrets = {line for section in chosen for line in secret_lines(stage.course, section)}
        leaks = find_leaks(secrets, stage.shown)
    print_verdicts(console, verdicts)
    print_places(console, stage, leaks)
    wrong = sum(bool(verdict.wrong) for verdict in verdicts)
    console.print(f"{len(verdicts) - wrong} of {len(verdicts)} learners got exactly what is due.")
    raise typer.Exit(1 if wrong or leaks or stage.problems else 0)


def _known(section: str, sections: tuple[str, ...]) -> str:
    if section not in sections:
        raise typer.BadParameter(f"there is no section {section}; there are {', '.join(sections) or 'none'}")
    return section


def _empty_folder(folder: Path, *, asked: bool) -> Path:
    """A folder to play in: what an earlier play left in the usual one is removed."""
    try:
        if not asked:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise typer.BadParameter(f"{folder} is not empty; name a new folder for --keep")
    except OSError as error:
        raise CourseError(
            f"the cohort can't play here: {error.strerror}; name a folder for --keep", path=folder
        ) from None
    return folder
