"""The learner's copy of the released files: made, and brought up to date without losing work.

Beside the journal lies `.autograder/given.json`: hashes of what was handed out. It alone can say what a
learner touched: nbgrader's checksums are of locked cells only, of no text, test or data, and say what the
release is, not what this learner once got. Files are put in place whole, one after the other; a run that is
stopped loses nothing and the next one goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from autograder.copying import Copy, Refreshed, as_object, put
from autograder.errors import CourseError
from autograder.journal import Journal
from autograder.layout import CONFIG, Course
from autograder.shipping import JUNK, is_plain_file

__all__ = ["find_work", "refresh"]

RECORD = Path(".autograder") / "given.json"
WORK = "work"  # in a clone of the course
# Folders of a course that a learner's copy must not be mixed up with.
TAKEN = (
    "autograded",
    "autograder",
    "build",
    "feedback",
    "release",
    "solutions",
    "source",
    "submitted",
    "tests",
)


def find_work(course: Course, folder: str, start: Path, *, to: Path | None = None) -> Path:
    """Where the learner works: `to`, else the work folder around `start`, else where one would be expected.

    That is work/ in a clone of the course, elsewhere a folder of the course's name. Raises CourseError where
    there can be none.
    """
    start = start.resolve()
    around = (start, *start.parents)
    default = start / folder
    if course.source.is_dir() and course.root in around:
        default = course.root / WORK
        around = around[: around.index(course.root)]
    known = (path for path in around if (path / RECORD).is_file())
    work = to.expanduser().resolve() if to else next(known, default)
    if work.exists() and not work.is_dir():
        raise CourseError("is a file; the notebooks need a folder: name another one with --to DIR", path=work)
    around_it = next((above for above in (work, *work.parents) if _is_course(above)), None)
    inside = work.relative_to(around_it).parts if around_it else ("elsewhere",)
    if not inside or inside[0] in TAKEN:
        raise CourseError(
            "belongs to an nbgrader course, which a learner's copy must not be mixed up with; "
            "name another folder with --to DIR",
            path=work,
        )
    return work


def refresh(course: Course, work: Path, sections: Sequence[str]) -> Refreshed:
    """Bring the sections' files, and those that stand beside them, to what is released now."""
    if not course.release.is_dir() or not any(course.release.glob("*/*.ipynb")):
        raise CourseError("nothing is released here yet; run `autograder build`", path=course.release)
    Journal.create(work)
    _try_to_write(work)
    copy = Copy(work, _read(work / RECORD))
    try:
        released = dict(_released(course, sections))
        for name, path in released.items():
            copy.place(name, path.read_bytes())
        for name in [n for n in copy.record if n.partition("/")[0] in sections and n not in released]:
            copy.drop(name)
    finally:
        put(work / RECORD, json.dumps(copy.record, indent=1, sort_keys=True).encode())
    return copy.done


def _is_course(folder: Path) -> bool:
    return (folder / CONFIG).is_file() and any((folder / name).is_dir() for name in ("source", "release"))


def _released(course: Course, sections: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Names and paths of what learners get: pages beside the sections, then the sections."""
    pages = [path for path in sorted(course.release.glob("*.ipynb")) if is_plain_file(path)]
    inside = (path for section in sections for path in sorted((course.release / section).rglob("*")))
    for path in (*pages, *inside):
        name = path.relative_to(course.release)
        if is_plain_file(path) and not JUNK & set(name.parts):
            yield name.as_posix(), path


def _read(path: Path) -> dict[str, Any]:
    """The record; an empty one when it is missing or damaged: then nothing is known to be untouched."""
    record = as_object(path.read_bytes()) if path.is_file() else {}
    return {name: entry for name, entry in record.items() if isinstance(entry, dict) and _is_sound(entry)}


def _is_sound(entry: dict[str, Any]) -> bool:
    cells = entry.get("cells", [])
    return isinstance(cells, list) and all(
        isinstance(cell, list) and len(cell) == 2 and all(isinstance(part, str) for part in cell)
        for cell in cells
    )


def _try_to_write(work: Path) -> None:
    try:
        put(work / RECORD.parent / "probe", b"")
        (work / RECORD.parent / "probe").unlink()
    except OSError as error:
        raise CourseError(
            f"can't be written: {error.strerror}; name another folder with --to DIR", path=work
        ) from None
