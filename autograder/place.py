"""Where a check in a kernel finds what it needs: the tests of an exercise, its notebook, and "this" notebook.

A kernel does not know which notebook it runs. Front ends leave a note (Jupyter Server an environment
variable, VS Code a global name); without one the folder and the names defined so far tell. Nothing is run.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from autograder.errors import CourseError
from autograder.layout import Course
from autograder.notebooks import Exercise, Released, load_released

__all__ = ["Place", "exercises_tested_in", "place_of", "this_notebook"]

NOTES = ("__session__", "__vsc_ipynb_file__")  # global names that hold the path of the notebook
VARIABLE = "JPY_SESSION_NAME"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one exercise lives. `notebook` is the learner's file, None if none near the tests has it."""

    exercise: Exercise
    tests: Path
    section: str
    name: str  # of the notebook, as it was released
    notebook: Path | None


def place_of(name: str, namespace: Mapping[str, object], folder: Path | None = None) -> Place:
    """Where exercise `name` is: in `folder`, else the working folder, else its section in the course around.

    One point and the usual time limit if no notebook tells. Raises CourseError if there are no tests for it.
    """
    tests = _test_file(name, folder or _folder(name))
    notebooks = dict.fromkeys([*_noted(namespace), *sorted(tests.parent.glob("*.ipynb"))])
    stem = tests.stem.removeprefix("test_")
    for path in sorted(notebooks, key=lambda path: path.stem != stem):
        released = _read(path)
        for exercise in released.exercises if released else ():
            if released and exercise.name == name:
                return Place(exercise, tests, released.section, released.name, path)
    return Place(Exercise(name, 1.0), tests, tests.parent.name, stem, None)


def this_notebook(namespace: Mapping[str, object]) -> tuple[Path, Released]:
    """The notebook that this kernel runs; raises CourseError that names the choices if nothing tells."""
    here = {path: found for path in sorted(Path.cwd().glob("*.ipynb")) if (found := _with_exercises(path))}
    for path in _noted(namespace):
        if found := _with_exercises(path):
            return path, found
    if len(here) > 1:  # of several, the one most of whose exercises are defined
        counts = {p: sum(e.name in namespace for e in found.exercises) for p, found in here.items()}
        most = max(counts.values())
        best = [path for path, count in counts.items() if count == most]
        copies = len({(here[path].section, here[path].name) for path in best}) == 1
        here = {best[0]: here[best[0]]} if most and copies else here
    if len(here) == 1:
        return next(iter(here.items()))
    if not here:
        raise CourseError(
            "no notebook with exercises here: change into the folder of your notebook, or name an exercise, "
            'as in `check("softmax")`',
            path=Path.cwd(),
        )
    names = ", ".join(path.stem for path in here)
    raise CourseError(
        f"which notebook is this? There are {names}. Run the cells of yours first, or name an exercise: "
        f'`check("{next(iter(here.values())).exercises[0].name}")`',
        path=Path.cwd(),
    )


def exercises_tested_in(path: Path) -> list[str]:
    """Names in `@exercise("...")` of a test module, read without running it."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    marks = [line for line in lines if line.startswith("@exercise(")]
    return [mark.removeprefix("@exercise(").rstrip(")").strip("\"'") for mark in marks]


def _noted(namespace: Mapping[str, object]) -> Iterator[Path]:
    """Where a front end says the notebook is; only what is there (it may have been renamed since)."""
    for note in (*(namespace.get(name) for name in NOTES), os.environ.get(VARIABLE)):
        if isinstance(note, str) and note.endswith(".ipynb"):
            for path in (Path(note), Path.cwd() / Path(note).name):
                if path.is_absolute() and path.is_file():
                    yield path


def _folder(name: str) -> Path:
    """Where the tests of `name` lie: the working folder, else its section in the course around it."""
    here = Path.cwd()
    with contextlib.suppress(CourseError):
        if not _tests_for(name, here):
            course = Course.find(here)
            for section in course.sections():
                if _tests_for(name, course.release / section):
                    return course.release / section
    return here


def _tests_for(name: str, folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("test_*.py")) if name in exercises_tested_in(path)]


def _test_file(name: str, folder: Path) -> Path:
    found = _tests_for(name, folder)
    if found:
        return found[0]
    names = sorted({n for path in folder.glob("test_*.py") for n in exercises_tested_in(path)})
    known = f"the exercises here are {', '.join(names)}" if names else "there are no tests in this folder"
    raise CourseError(f"no tests for an exercise `{name}`: {known}; is the name spelled right?", path=folder)


def _with_exercises(path: Path) -> Released | None:
    found = _read(path)
    return found if found and found.exercises else None


def _read(path: Path) -> Released | None:
    """A notebook of the course; None for anything else, and while it is being written."""
    with contextlib.suppress(OSError, CourseError):
        return _loaded(path, path.stat().st_mtime_ns)
    return None


@lru_cache(maxsize=64)
def _loaded(path: Path, _changed: int) -> Released:
    return load_released(path)
