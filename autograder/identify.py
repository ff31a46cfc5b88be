"""Which released notebook a file is: by the exercises named in it, else by its name.

Works on files as they come: renamed by a browser, without metadata, broken. It does not repair or grade.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from autograder.errors import CourseError
from autograder.layout import Course
from autograder.notebooks import Released, load_released

__all__ = ["find_notebooks", "identify"]

COPY = re.compile(r"( \(\d+\)|[-_ ]copy\d*|[-_ ]v?\d+)$", re.IGNORECASE)  # "attention (1)", "attention-Copy2"
HIDDEN_FOLDERS = (".ipynb_checkpoints",)
# The welcome page, and what `start` laid beside a learner's own notebook.
NO_WORK = re.compile(r"^welcome\.ipynb$|\.new(-\d+)?\.ipynb$")
GENERATED = {"release", "solutions", "build"}  # in a clone; nobody's work
GRADE_ID = re.compile(rb'"grade_id":\s*"([A-Za-z0-9_-]+)"')
CHECKED = re.compile(rb"check\(\s*\\?[\"']([A-Za-z0-9_]+)\\?[\"']")


def find_notebooks(paths: Iterable[Path]) -> list[Path]:
    """The notebook files among `paths`, folders searched through; raises CourseError for what is no
    notebook."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [p for p in sorted(path.rglob("*.ipynb")) if not _is_aside(p)]
            if not inside:
                raise CourseError("no notebook (*.ipynb) in this folder", path=path)
            found += inside
        elif not path.exists():
            raise CourseError(f"no such file{_instead(path)}", path=path)
        elif path.suffix != ".ipynb":
            raise CourseError("not a notebook: expected a file *.ipynb or a folder", path=path)
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def _instead(path: Path) -> str:
    """Where a notebook of that name, or nearly, lies: beside the path, here, or two folders further in."""
    near = [*path.parent.glob("*.ipynb"), *Path().glob("*.ipynb"), *Path().glob("*/*.ipynb")]
    near += Path().glob("*/*/*.ipynb")
    names = {p.stem: p for p in reversed(near) if not NO_WORK.search(p.name) and not GENERATED & {*p.parts}}
    alike = difflib.get_close_matches(path.stem, names, n=1, cutoff=0.8)
    return f"; there is {names[alike[0]]}" if alike else ""


def identify(path: Path, raw: bytes, course: Course) -> tuple[str, str]:
    """(section, notebook) of a submitted file; raises CourseError if it is of no notebook of this course."""
    names = {m.decode() for m in GRADE_ID.findall(raw)} | {m.decode() for m in CHECKED.findall(raw)}
    stem = COPY.sub("", path.stem)
    best: tuple[int, bool, bool] = (0, False, False)
    chosen = None
    for released in _released(course):
        shared = len(names & {e.name for e in released.exercises})
        rank = (shared, released.name == stem, released.section in path.parts)
        if rank > best:
            best, chosen = rank, released
    if chosen is None:
        known = ", ".join(f"{r.section}/{r.name}" for r in _released(course)) or "none is released yet"
        raise CourseError(
            f"not a notebook of this course ({known}); name it with --as SECTION/NOTEBOOK", path=path
        )
    return chosen.section, chosen.name


def _is_aside(path: Path) -> bool:
    return bool(set(path.parts) & set(HIDDEN_FOLDERS) or NO_WORK.search(path.name))


def _released(course: Course) -> Iterator[Released]:
    for section in course.sections():
        for notebook in course.notebooks(section):
            path = course.released(section, notebook)
            if path.exists():
                yield load_released(path, section)
