"""`autograder grade`: the official verdict on notebooks anywhere on disk."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Set
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autograder.errors import CouldNotRun, CourseError

if TYPE_CHECKING:
    from autograder.assignment import Assignment
    from autograder.layout import Course
    from autograder.render.material import Material
    from autograder.report import Report

__all__ = ["grade"]


def grade(
    paths: Annotated[
        list[Path], typer.Argument(help="Notebooks, or folders to search for them.", metavar="PATH")
    ],
    as_: Annotated[
        str,
        typer.Option(
            "--as", help="Which notebook they are, if that can't be told.", metavar="SECTION/NOTEBOOK"
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per notebook and line.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(help="Write a page per notebook into this folder.", metavar="DIR", file_okay=False),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Repeat a run with its recorded seed.", min=0, metavar="N")
    ] = None,
    unsafe: Annotated[
        bool, typer.Option("--unsafe", help="Grade also where the walls are weak: your own work only.")
    ] = False,
    jobs: Annotated[
        int | None, typer.Option(help="Submissions at a time (default: one per core).", min=1, metavar="N")
    ] = None,
) -> None:
    """Grade notebooks in isolation: what is right, what is not yet, and why.

    Example: autograder grade work/05_transformers/attention.ipynb --html reports
    """
    from autograder.commands.pages import material_of, write_pages
    from autograder.identify import find_notebooks
    from autograder.layout import Course
    from autograder.safety import ensure_safe

    try:
        files = find_notebooks(paths)
    except CourseError as error:
        raise typer.BadParameter(str(error)) from None
    course = Course.find()
    if as_ and as_ not in (known := [f"{s}/{n}" for s in course.sections() for n in course.notebooks(s)]):
        raise typer.BadParameter(f"--as {as_}: no such notebook; there are: {', '.join(known) or 'none'}")
    if html is not None:
        _make_folder(html)
    ensure_safe(unsafe=unsafe)
    chosen, problems = _assignments(files, as_, course, named=set(paths))
    reports, stopped, interrupted = _grade_all(chosen, seed=seed, jobs=jobs)
    problems.update(stopped)
    material = {
        path: material_of(path, *chosen[path], report, pages=html is not None)
        for path, report in reports.items()
    }
    _show(reports, material, problems, as_json=as_json)
    if html is not None:
        write_pages(html, reports, material)
    if interrupted:
        raise KeyboardInterrupt
    raise typer.Exit(1 if problems or any(r.outcome == "could_not_run" for r in reports.values()) else 0)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CourseError(f"the pages can't be written here: {error.strerror}", path=folder) from None


def _assignments(
    files: list[Path], name: str, course: Course, *, named: Set[Path]
) -> tuple[dict[Path, tuple[bytes, Assignment]], dict[Path, str]]:
    """What each file is, and one sentence for each that can't be graded; those don't stop the others.

    A link is followed only where the user named it: in a folder it may lead to somebody else's work.
    """
    from autograder.assignment import Assignment
    from autograder.identify import identify
    from autograder.nbgrader.plainfile import Refused, read_plain

    known: dict[tuple[str, str], Assignment] = {}
    chosen: dict[Path, tuple[bytes, Assignment]] = {}
    problems: dict[Path, str] = {}
    for path in files:
        try:
            raw = read_plain(path.resolve() if path in named else path)
            section, _, notebook = name.partition("/")
            key = (section, notebook) if name else identify(path, raw, course)
            if key not in known:
                known[key] = Assignment.load(course, *key)
            chosen[path] = (raw, known[key])
        except Refused as refused:
            problems[path] = f"can't be graded: it is {refused}, not an ordinary file"
        except OSError as error:
            problems[path] = f"can't be read: {error.strerror}"
        except CourseError as error:
            problems[path] = error.message
    return chosen, problems


def _grade_all(
    chosen: dict[Path, tuple[bytes, Assignment]], *, seed: int | None, jobs: int | None
) -> tuple[dict[Path, Report], dict[Path, str], bool]:
    """Reports, a sentence for each that could not run, and whether Ctrl-C came before the end."""
    from autograder.grader import Grader
    from autograder.render.terminal import batch_progress

    reports: dict[Path, Report] = {}
    problems: dict[Path, str] = {}
    with Grader(jobs=jobs) as grader, batch_progress(len(chosen)) as advance:
        futures = {
            path: grader.submit(raw, assignment, seed=seed) for path, (raw, assignment) in chosen.items()
        }
        try:
            for path, future in futures.items():
                try:
                    reports[path] = future.result()
                except (CouldNotRun, CourseError) as error:
                    problems[path] = f"could not run: {error}"
                advance(path.name)
        except KeyboardInterrupt:
            return reports, problems, True
    return reports, problems, False


def _show(
    reports: dict[Path, Report], material: dict[Path, Material], problems: dict[Path, str], *, as_json: bool
) -> None:
    from autograder.render.terminal import print_reports

    if as_json:
        for path, report in reports.items():
            typer.echo(json.dumps({"path": str(path), **report.to_json()}, ensure_ascii=False))
    elif reports:
        lessons = [material[path].lesson for path in reports]
        print_reports(list(reports.values()), labels=[str(path) for path in reports], lessons=lessons)
    for path, problem in problems.items():
        typer.echo(f"{path}: {problem}", err=True)
