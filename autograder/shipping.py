"""What of source/ may ship beside a notebook: an allow-list, and a refusal of everything else.

nbgrader hands out every file it finds beside a notebook, solutions included. So what is not known to be meant
for learners never gets there. Notebooks themselves are made by `build`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from autograder.errors import CourseError
from autograder.layout import Course, is_notebook_source
from autograder.regions import MARKER
from autograder.source import Authored

__all__ = ["JUNK", "is_plain_file", "refuse_strays", "shipped"]

JUNK = {"__pycache__", ".DS_Store", ".ipynb_checkpoints", ".mypy_cache", ".pytest_cache", ".ruff_cache"}


def shipped(course: Course, section: str, notebooks: Sequence[Authored]) -> Iterator[tuple[str, bytes]]:
    """What ships beside the notebooks: visible tests, data/, modules they import. All else is refused."""
    folder = course.source / section
    tests = {f"test_{notebook.name}.py" for notebook in notebooks}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if JUNK & set(name.parts) or (path.is_dir() and not path.is_symlink() and name.parts[0] == "data"):
            continue
        in_data = name.parts[0] == "data"
        if in_data and path.suffix in (".py", ".ipynb"):
            raise CourseError("code in data/; put it beside the notebook", path=path)
        if is_plain_file(path) and (in_data or name.as_posix() in tests or _is_helper(path, folder)):
            yield name.as_posix(), path.read_bytes()
        elif not (is_plain_file(path) and len(name.parts) == 1 and is_notebook_source(path)):
            raise CourseError(
                "does not belong here; a section holds notebooks (*.py with `# %%` cells), "
                "test_<notebook>.py, data/ and modules that a notebook imports",
                path=path,
            )


def is_plain_file(path: Path) -> bool:
    """A file that is no link: a link may lead anywhere."""
    return path.is_file() and not path.is_symlink()


def _is_helper(path: Path, folder: Path) -> bool:
    """A module beside the notebooks that one of the section's files imports."""
    if (
        path.parent != folder
        or path.suffix != ".py"
        or path.stem.startswith("test_")
        or is_notebook_source(path)
    ):
        return False
    if MARKER.search(path.read_text(encoding="utf-8", errors="replace")):
        raise CourseError("solution markers in a module that ships as it is; make it a notebook", path=path)
    if path.stem in sys.stdlib_module_names:
        raise CourseError(f"a module of this name hides Python's own `{path.stem}`; rename it", path=path)
    imports = re.compile(rf"^\s*(from|import)\s+{path.stem}\b", re.MULTILINE)
    others = (other for other in folder.glob("*.py") if other != path)
    return any(imports.search(other.read_text(encoding="utf-8", errors="replace")) for other in others)


def refuse_strays(course: Course) -> None:
    """source/ holds a folder for each section, the roadmap and the welcome notebook, and nothing else."""
    if not course.source.is_dir():
        raise CourseError("there is no source/ in this course: nothing to build from", path=course.root)
    front = [path for path in (course.roadmap, course.welcome) if is_plain_file(path)]
    for path in sorted(course.source.iterdir()):
        is_section = path.is_dir() and re.fullmatch(r"[a-z0-9_]+", path.name)
        if path.name not in JUNK and path not in front and not is_section:
            raise CourseError(
                f"does not belong here; source/ holds a folder for each section, {course.roadmap.name} "
                f"and {course.welcome.name}",
                path=path,
            )
