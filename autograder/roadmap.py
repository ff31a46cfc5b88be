"""The roadmap of a course: assignments and notebooks in order, what needs what, and what is written of it.

`source/roadmap.toml` says what no notebook can say (order, titles, goals, needs); exercises, points and
topics are those of the released notebooks. A course without that file gets a plain map of what it has
released. What a learner has done is `standing`'s business.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from autograder.errors import CourseError
from autograder.layout import Course
from autograder.notebooks import Exercise, load_released

__all__ = ["Notebook", "Roadmap", "Section", "load_roadmap", "parse_roadmap"]

TITLE, FOLDER = "The course", "work"  # where no file says better
# What a table may hold, of which type, and whether it must.
COURSE_KEYS = {
    "title": (str, True),
    "folder": (str, False),
    "assignment": (list, True),
    "topics": (dict, False),
}
SECTION_KEYS = {
    "name": (str, True),
    "title": (str, True),
    "goal": (str, True),
    "phases": (list, False),
    "needs": (list, False),
    "notebooks": (list, True),
}
NOTEBOOK_KEYS = {"name": (str, True), "title": (str, True), "minutes": (int, False)}


@dataclass(frozen=True, slots=True)
class Notebook:
    """One notebook. `exercises` is None as long as it is not written; `stubs` are the answers to fill in."""

    section: str
    name: str
    title: str
    minutes: int | None = None
    exercises: tuple[Exercise, ...] | None = None
    stubs: Mapping[str, str] = field(default_factory=dict)

    @property
    def topics(self) -> tuple[str, ...]:
        """The roadmap topics its exercises cover, in the order in which they come."""
        return tuple(dict.fromkeys(topic for e in self.exercises or () for topic in e.topics))


@dataclass(frozen=True, slots=True)
class Section:
    """One assignment. `needs` names those that come before it."""

    name: str
    title: str
    goal: str = ""
    phases: tuple[int, ...] = ()
    needs: tuple[str, ...] = ()
    notebooks: tuple[Notebook, ...] = ()

    @property
    def written(self) -> tuple[Notebook, ...]:
        return tuple(notebook for notebook in self.notebooks if notebook.exercises is not None)


@dataclass(frozen=True, slots=True)
class Roadmap:
    """The whole way. `folder` is what a learner's copy is called outside of a clone of the course."""

    title: str
    folder: str
    sections: tuple[Section, ...]
    topics: Mapping[str, str]

    def section(self, name: str) -> Section:
        return next(section for section in self.sections if section.name == name)

    def unlocks(self, name: str) -> tuple[Section, ...]:
        """The assignments that need this one."""
        return tuple(section for section in self.sections if name in section.needs)


def load_roadmap(course: Course) -> Roadmap:
    """The roadmap as released, with the exercises of every notebook that is."""
    path = course.release / course.roadmap.name
    roadmap = parse_roadmap(path) if path.is_file() else Roadmap(TITLE, FOLDER, (), {})
    sections = {section.name: section for section in roadmap.sections}
    for name in course.sections():
        sections.setdefault(name, Section(name, name))
    return replace(roadmap, sections=tuple(_as_released(course, s) for s in sections.values()))


def _as_released(course: Course, section: Section) -> Section:
    """With exercises where there are any, and with notebooks the file does not name at the end."""
    notebooks = {notebook.name: notebook for notebook in section.notebooks}
    for name in course.notebooks(section.name):
        if (path := course.released(section.name, name)).is_file():
            found = load_released(path, section.name)
            known = notebooks.get(name) or Notebook(section.name, name, name)
            stubs = {cell.exercise: cell.source for cell in found.cells if cell.role == "answer"}
            notebooks[name] = replace(known, exercises=found.exercises, stubs=stubs)
    return replace(section, notebooks=tuple(notebooks.values()))


def parse_roadmap(path: Path) -> Roadmap:
    """The file alone; raises CourseError for what is wrong with it."""
    try:
        return _roadmap(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CourseError(f"not a TOML file: {error}", path=path) from None
    except CourseError as error:
        error.path = path
        raise


def _roadmap(table: Mapping[str, Any]) -> Roadmap:
    _check_keys(table, COURSE_KEYS, "the file")
    topics = table.get("topics", {})
    if bad := next((key for key, name in topics.items() if not isinstance(name, str)), None):
        raise CourseError(f'topic {bad} without a name; write `"{bad}" = "its name"`')
    sections = tuple(_section(entry) for entry in table["assignment"])
    _once([section.name for section in sections], "assignment")
    for section in sections:
        _once([notebook.name for notebook in section.notebooks], f"in {section.name}: notebook")
    _check_needs(sections)
    folder = table.get("folder", FOLDER)
    if not re.fullmatch(r"[\w-]+", folder):
        raise CourseError(f'folder = "{folder}": expected one plain name, as in folder = "ml-course"')
    return Roadmap(table["title"], folder, sections, topics)


def _section(table: object) -> Section:
    where = f"assignment `{table.get('name', '?')}`" if isinstance(table, dict) else "an assignment"
    entry = _check_keys(table, SECTION_KEYS, where)
    for key, kind in (("phases", int), ("needs", str)):
        if bad := [item for item in entry.get(key, []) if type(item) is not kind]:
            raise CourseError(f"{where}: {key} holds {bad[0]!r}, expected {_article(kind)}")
    notebooks = tuple(_notebook(item, entry["name"], where) for item in entry["notebooks"])
    phases, needs = tuple(entry.get("phases", ())), tuple(entry.get("needs", ()))
    return Section(entry["name"], entry["title"], entry["goal"], phases, needs, notebooks)


def _notebook(table: object, section: str, where: str) -> Notebook:
    name = table.get("name", "?") if isinstance(table, dict) else "?"
    entry = _check_keys(table, NOTEBOOK_KEYS, f"{where}, notebook `{name}`")
    return Notebook(section, entry["name"], entry["title"], entry.get("minutes"))


def _check_keys(table: object, keys: Mapping[str, tuple[type, bool]], where: str) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise CourseError(f"{where}: expected a table, got {table!r}")
    if unknown := [key for key in table if key not in keys]:
        raise CourseError(f"{where}: unknown key `{unknown[0]}`; it may hold {', '.join(keys)}")
    for key, (kind, needed) in keys.items():
        if key not in table and needed:
            raise CourseError(f"{where}: `{key}` is missing")
        if key in table and type(table[key]) is not kind:
            raise CourseError(f"{where}: {key} = {table[key]!r}, expected {_article(kind)}")
    return table


def _article(kind: type) -> str:
    return {str: "a text in quotes", int: "a whole number", list: "a list", dict: "a table"}[kind]


def _once(names: Sequence[str], what: str) -> None:
    if repeated := next((name for i, name in enumerate(names) if name in names[:i]), None):
        raise CourseError(f"{what} `{repeated}` stands twice; name it once")


def _check_needs(sections: Sequence[Section]) -> None:
    """What is needed exists, comes before, and nothing needs itself in the end."""
    places = {section.name: place for place, section in enumerate(sections)}
    for section in sections:
        if unknown := [need for need in section.needs if need not in places]:
            known = ", ".join(places)
            raise CourseError(
                f"assignment `{section.name}` needs `{unknown[0]}`, which does not exist; there are: {known}"
            )
    try:
        TopologicalSorter({section.name: section.needs for section in sections}).prepare()
    except CycleError as error:
        raise CourseError(
            f"assignments that need each other in a circle: {' -> '.join(error.args[1])}"
        ) from None
    for section in sections:
        if later := [need for need in section.needs if places[need] > places[section.name]]:
            raise CourseError(
                f"assignment `{section.name}` needs `{later[0]}`, which comes later; move that up"
            )
