"""What a course releases beside its assignments: the roadmap, and the welcome notebook that shows it.

Both are authored in source/ and go to release/ only: nbgrader, which reads build/source/, never sees them.
The roadmap must fit the notebooks that are written. A course may do without either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from autograder.errors import CourseError
from autograder.layout import Course
from autograder.notebooks import Cell, PercentCell, read_percent, write_notebook
from autograder.roadmap import Notebook, Roadmap, parse_roadmap
from autograder.source import Authored

__all__ = ["check_roadmap", "front_matter"]

PLACE = "<!-- notebooks -->"  # in the welcome notebook: here comes the table of what there is
MINUTES = re.compile(r"^\*\*Time\.\*\* About (\d+) minutes", re.MULTILINE)


def front_matter(course: Course) -> dict[str, bytes]:
    """Names and contents of the files that stand in release/ itself."""
    files: dict[str, bytes] = {}
    roadmap = parse_roadmap(course.roadmap) if course.roadmap.is_file() else None
    if roadmap:
        files[course.roadmap.name] = course.roadmap.read_bytes()
    if course.welcome.is_file():
        files[f"{course.welcome.stem}.ipynb"] = _welcome(course, roadmap)
    return files


def check_roadmap(course: Course, notebooks: Sequence[Authored]) -> None:
    """Refuses a roadmap that does not name a notebook of the course, or says other things of it."""
    if not course.roadmap.is_file():
        return
    roadmap = parse_roadmap(course.roadmap)
    known = {(n.section, n.name): n for s in roadmap.sections for n in s.notebooks}
    everything = [(section, name) for section in course.sections() for name in course.notebooks(section)]
    for section, name in everything:
        if (section, name) not in known:
            raise CourseError(
                f"the notebook {section}/{name} is missing; add it where it belongs", path=course.roadmap
            )
    for notebook in notebooks:
        _check_notebook(notebook, known[notebook.section, notebook.name], course.roadmap)
        for exercise, line in notebook.checks:
            if unknown := [topic for topic in exercise.topics if topic not in roadmap.topics]:
                raise CourseError(
                    f"topics={unknown[0]}: no such topic under [topics] in {course.roadmap.name}",
                    path=notebook.path,
                    line=line,
                )


def _check_notebook(authored: Authored, told: Notebook, path: Path) -> None:
    """Title and time stand in the notebook as well, for who reads it; they must be the same."""
    first = authored.cells[0].source
    title = first.partition("\n")[0].removeprefix("# ").strip()
    minutes = int(found[1]) if (found := MINUTES.search(first)) else told.minutes
    where = f"notebook {authored.section}/{authored.name}"
    if told.title != title:
        raise CourseError(
            f"{where}: its title is `{title}` in {authored.path.name}, here `{told.title}`", path=path
        )
    if told.minutes != minutes:
        raise CourseError(
            f"{where}: it takes {minutes} minutes in {authored.path.name}, here {told.minutes}", path=path
        )


def _welcome(course: Course, roadmap: Roadmap | None) -> bytes:
    """The authored page as a notebook: text, and code that shows; no exercise."""
    path = course.welcome
    try:
        cells = read_percent(path)
        return write_notebook(
            _cells(cells, "\n".join(_table(course, roadmap))), {"autograder": {"notebook": path.stem}}
        )
    except CourseError as error:
        error.path = path
        raise


def _cells(cells: Sequence[PercentCell], table: str) -> Iterator[Cell]:
    counts: dict[str, int] = {}
    for cell in cells:
        role = "text" if cell.kind == "markdown" else "given"
        if (
            cell.header not in ("", "[markdown]")
            or "SOLUTION" in cell.source
            or cell.source.startswith("check(")
        ):
            raise CourseError("the welcome notebook has no exercises and no settings", line=cell.line)
        counts[role] = counts.get(role, 0) + 1
        source = cell.source.replace(PLACE, table)
        yield Cell(
            f"{role}-{counts[role]:02}",
            cell.kind,
            source,
            {} if role == "text" else {"autograder": {"role": role}},
        )


def _table(course: Course, roadmap: Roadmap | None) -> Iterator[str]:
    """The notebooks that can be opened, each with its assignment and its time."""
    yield "| notebook | assignment | time |"
    yield "|:--|:--|:--|"
    for section in roadmap.sections if roadmap else ():
        for notebook in section.notebooks:
            if course.source_file(section.name, notebook.name).is_file():
                link = f"[{notebook.title}]({section.name}/{notebook.name}.ipynb)"
                time = f"about {notebook.minutes} minutes" if notebook.minutes else ""
                yield f"| {link} | {section.title} | {time} |"
