"""A folder with a submission made ready for grading, with a line in words for everything that was done.

What was handed in is never changed or removed: a renamed notebook gets a copy under its own name, a timestamp
nobody can read is put aside, links and such are left out. It does not look at what stands in a notebook.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbgrader.utils import parse_utc

from autograder.errors import CourseError
from autograder.identify import identify
from autograder.layout import Course
from autograder.nbgrader.plainfile import Refused, kind_of, read_plain

__all__ = ["Prepared", "prepare_folder", "read_submitted", "student_of", "submissions"]

TIMESTAMP = "timestamp.txt"
UNREADABLE = "timestamp.txt.unreadable"
DEEPEST = 3  # folders below the submission's own in which a notebook is looked for
MOST_FILES = 2_000  # names looked at in one submission


@dataclass(frozen=True, slots=True)
class Prepared:
    """Notebooks to grade (a missing one counts as empty), names nbgrader must not copy, what was done."""

    notebooks: tuple[Path, ...]
    refused: tuple[str, ...]
    lines: tuple[str, ...]


def prepare_folder(folder: Path, course: Course, section: str) -> Prepared:
    """Make one submission ready. Raises OSError when the folder can't be read or written."""
    plain, refused = _entries(folder)
    lines = [f"`{name}` is left out: it is {reason}" for name, reason in refused.items()]
    wanted = {name: folder / f"{name}.ipynb" for name in course.notebooks(section)}
    others = [p for p in plain if p not in wanted.values() and ".ipynb" in p.name.casefold()]
    missing = {name: path for name, path in wanted.items() if path not in plain and path.name not in refused}
    for name, path in missing.items():
        found = _renamed((section, name), others, course)
        if found is None:
            lines.append(f"`{path.name}` was not handed in: it counts as empty")
        else:
            path.write_bytes(read_plain(found))
            lines.append(f"`{found.relative_to(folder)}` is graded as `{path.name}`")
    lines += _check_timestamp(folder)
    left_out = (glob.escape(Path(name).name) for name in refused)
    return Prepared(tuple(wanted.values()), tuple(left_out), tuple(lines))


def submissions(course: Course, section: str) -> list[Path]:
    """Folders of all learners, where nbgrader expects them."""
    return sorted(path for path in course.root.glob(f"submitted/*/{section}") if path.is_dir())


def student_of(coursedir: Any, step: str, folder: str) -> str:
    """Whose folder this is; `step` is nbgrader's word for the directory it lies in."""
    directory = getattr(coursedir, f"{step}_directory")
    pattern = coursedir.format_path(directory, "(?P<student>.*)", coursedir.assignment_id, escape=True)
    match = re.match(pattern, folder)
    return match["student"] if match else Path(folder).parent.name


def read_submitted(path: Path) -> tuple[bytes, str]:
    """The bytes of a submitted notebook and '', or nothing and the reason in words."""
    try:
        return read_plain(path), ""
    except FileNotFoundError:
        return b"", f"There is no notebook `{path.name}` in what you handed in."
    except Refused as error:
        return b"", f"`{path.name}` can't be graded: it is {error}, not an ordinary file."


def _entries(folder: Path) -> tuple[list[Path], dict[str, str]]:
    """Plain files, and the names that are refused with the reason."""
    plain: list[Path] = []
    refused: dict[str, str] = {}
    for path, status in _walk(folder, DEEPEST):
        if reason := kind_of(status):
            refused[str(path.relative_to(folder))] = reason
        else:
            plain.append(path)
    return plain, refused


def _walk(folder: Path, depth: int) -> Iterator[tuple[Path, os.stat_result]]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name)[:MOST_FILES]:
        if entry.is_dir(follow_symlinks=False):
            if depth and not entry.name.startswith("."):
                yield from _walk(Path(entry.path), depth - 1)
        else:
            yield Path(entry.path), entry.stat(follow_symlinks=False)


def _renamed(wanted: tuple[str, str], files: Iterable[Path], course: Course) -> Path | None:
    """The newest file that is the wanted notebook under another name."""
    alike = [path for path in files if _is_copy(path, wanted, course)]
    return max(alike, key=lambda path: path.stat().st_mtime, default=None)


def _is_copy(path: Path, wanted: tuple[str, str], course: Course) -> bool:
    try:
        return identify(Path(path.name), read_plain(path), course) == wanted  # its folder says nothing
    except (CourseError, Refused):
        return False


def _check_timestamp(folder: Path) -> list[str]:
    """nbgrader can't go on with a timestamp it can't read; without one it takes the work as in time."""
    path = folder / TIMESTAMP
    try:
        text = read_plain(path).decode().strip()
        if text:
            parse_utc(text)
        return []
    except FileNotFoundError:
        return []
    except (Refused, ValueError, OverflowError) as error:
        path.replace(folder / UNREADABLE)
        return [f"`{TIMESTAMP}` can't be read ({error}); it is kept as `{UNREADABLE}` and no time counts"]
