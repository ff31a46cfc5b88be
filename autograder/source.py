"""Authored notebooks (source/<section>/<notebook>.py), read and checked: every cell gets its role.

What is wrong is said with file, line and what to change. It runs no code and writes nothing (`build` does).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autograder.errors import CourseError
from autograder.layout import Course
from autograder.notebooks import DEFAULT_LIMIT, Exercise, PercentCell, read_percent
from autograder.regions import BEGIN, END, MARKER, stub

__all__ = ["Authored", "AuthoredCell", "load_authored", "load_section"]

KEYS = ("points", "topics", "forbid", "limit")
FLAGS = ("bonus", "demo", "[markdown]")
LONGEST_NAME = 50  # `<name>-answer` is a cell id, of at most 64 characters
CHECK = re.compile(r"""check\((["'])(?P<name>\w+)\1\)""")


@dataclass(frozen=True, slots=True)
class AuthoredCell:
    """One cell with its role: text, given, answer, check or demo. Answers and checks have an exercise."""

    role: str
    source: str
    line: int
    exercise: Exercise | None = None


@dataclass(frozen=True, slots=True)
class Authored:
    """An authored notebook that follows the rules."""

    section: str
    name: str
    path: Path
    cells: tuple[AuthoredCell, ...]

    @property
    def checks(self) -> tuple[tuple[Exercise, int], ...]:
        """Each exercise and the line of its check cell."""
        return tuple(
            (cell.exercise, cell.line) for cell in self.cells if cell.role == "check" and cell.exercise
        )


def load_section(course: Course, section: str) -> tuple[Authored, ...]:
    """Every notebook of a section, sorted by name; exercise names must be unique among them."""
    names = course.notebooks(section)
    if not names:
        known = ", ".join(course.sections()) or "none"
        raise CourseError(f"no notebook in this section; sections are: {known}", path=course.source / section)
    loaded = tuple(load_authored(course.source_file(section, name), section) for name in names)
    seen: dict[str, str] = {}
    for notebook in loaded:
        for exercise, line in notebook.checks:
            if exercise.name in seen:
                raise CourseError(
                    f"a second exercise `{exercise.name}`; the first is at {seen[exercise.name]}, "
                    "and names are unique in a section",
                    path=notebook.path,
                    line=line,
                )
            seen[exercise.name] = f"{notebook.path.name}:{line}"
    return loaded


def load_authored(path: Path, section: str) -> Authored:
    """Read one authored notebook and check that it follows the rules."""
    try:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", path.stem):
            raise CourseError("name a notebook with small letters, digits and underscores")
        cells = read_percent(path)
        _check_beginning(cells)
        return Authored(section, path.stem, path, tuple(_with_roles(cells)))
    except CourseError as error:
        error.path = path
        raise


def _check_beginning(cells: tuple[PercentCell, ...]) -> None:
    if not cells or cells[0].kind != "markdown" or not re.match(r"# \S", cells[0].source):
        raise CourseError("the first cell is the title: `# %% [markdown]`, then `# # Title`", line=1)
    first = next((cell for cell in cells if cell.kind == "code"), None)
    if first and not re.search(r"^from autograder import check$", first.source, re.MULTILINE):
        raise CourseError(
            "the first code cell holds the imports and `from autograder import check`", line=first.line
        )


def _with_roles(cells: tuple[PercentCell, ...]) -> Iterator[AuthoredCell]:
    answer: PercentCell | None = None  # its check cell must come next
    for cell in cells:
        flags, values = _header(cell)
        is_check = "points" in values or cell.source.startswith("check(")
        if answer and not is_check:
            break
        if is_check:
            yield from _pair(answer, cell, flags, values)
            answer = None
        elif "bonus" in flags or values.keys() - ({"limit"} if "demo" in flags else set()):
            raise CourseError(
                "settings of an exercise belong into the header of its check cell", line=cell.line
            )
        elif MARKER.search(cell.source):
            _check_regions(cell)
            answer = cell
        elif cell.kind == "markdown":
            yield AuthoredCell("text", cell.source, cell.line)
        else:
            _parse(cell.source, cell.line)
            yield AuthoredCell("demo" if "demo" in flags else "given", cell.source, cell.line)
    if answer:
        raise CourseError(
            'a solution without a check; the next cell must be `# %% points=3` with `check("name")`',
            line=answer.line,
        )


def _header(cell: PercentCell) -> tuple[set[str], dict[str, str]]:
    """The flags and the `key=value` pairs of a cell's header."""
    flags: set[str] = set()
    values: dict[str, str] = {}
    for token in cell.header.split():
        key, equals, value = token.partition("=")
        if equals and key in KEYS and value and key not in values:
            values[key] = value
        elif token in FLAGS:
            flags.add(token)
        else:
            raise CourseError(
                f"`{token}` in a cell's header; it may hold {', '.join(f'{key}=...' for key in KEYS)} "
                "(each once, without spaces) and the words demo, bonus, [markdown]",
                line=cell.line,
            )
    if cell.kind == "markdown" and (values or flags != {"[markdown]"}):
        raise CourseError("a markdown cell with settings; only code cells have them", line=cell.line)
    return flags, values


def _pair(
    answer: PercentCell | None, check: PercentCell, flags: set[str], values: dict[str, str]
) -> tuple[AuthoredCell, AuthoredCell]:
    """The answer cell and the check cell of one exercise."""
    match = CHECK.fullmatch(check.source.strip())
    if match is None:
        raise CourseError('a check cell holds one line, `check("name")`', line=check.line)
    name = match["name"]
    if "demo" in flags:
        raise CourseError("a cell is either a check or a demo", line=check.line)
    if "points" not in values:
        raise CourseError(f'`check("{name}")` without points; write `# %% points=3`', line=check.line)
    if answer is None:
        raise CourseError(
            f'`check("{name}")` without a solution; the cell before it must define `{name}`, '
            f"with `{BEGIN}` and `{END}` in the body",
            line=check.line,
        )
    exercise = _exercise(name, values, bonus="bonus" in flags, line=check.line)
    _check_definition(answer, name)
    return (
        AuthoredCell("answer", answer.source, answer.line, exercise),
        AuthoredCell("check", check.source.strip(), check.line, exercise),
    )


def _exercise(name: str, values: dict[str, str], *, bonus: bool, line: int) -> Exercise:
    if len(name) > LONGEST_NAME or name.startswith("_"):
        raise CourseError(
            f"exercise `{name}`: a name has at most {LONGEST_NAME} characters and no underscore in front",
            line=line,
        )
    numbers = {"points": values["points"], "limit": values.get("limit", str(DEFAULT_LIMIT))}
    for key, text in numbers.items():
        if not re.fullmatch(r"\d+(\.\d+)?", text) or float(text) == 0:
            raise CourseError(f"{key}={text}: expected a positive number, as in {key}=5", line=line)
    topics, forbid = (tuple(filter(None, values.get(key, "").split(","))) for key in ("topics", "forbid"))
    return Exercise(name, float(numbers["points"]), bonus, float(numbers["limit"]), topics, forbid)


def _check_regions(cell: PercentCell) -> None:
    """Markers stand on lines of their own, in pairs, in a code cell."""
    if cell.kind != "code":
        raise CourseError("a solution marker outside a code cell", line=cell.line)
    opened = 0
    for number, line in enumerate(cell.source.splitlines(), cell.line + 1):
        if line.strip() == BEGIN and not opened:
            opened = number
        elif line.strip() == END and opened:
            opened = 0
        elif MARKER.search(line):
            raise CourseError(
                f"`{line.strip()}`: markers are `{BEGIN}` and `{END}`, in pairs, alone on their lines",
                line=number,
            )
    if opened:
        raise CourseError(f"`{BEGIN}` without `{END}`", line=opened)


def _check_definition(answer: PercentCell, name: str) -> None:
    """The answer cell defines the exercise and nothing else, with and without its solution.

    Of a multiple-choice exercise it is a letter, and the empty text without its solution.
    """
    if _letters(answer.source, answer, name) and _letters(stub(answer.source), answer, name) == [""]:
        return
    for text in (answer.source, stub(answer.source)):
        body = _parse(text, answer.line).body
        defined = [getattr(node, "name", ast.unparse(node).splitlines()[0]) for node in body]
        if defined != [name] or not isinstance(body[0], ast.FunctionDef | ast.ClassDef):
            raise CourseError(
                f"the answer cell must define the function or class `{name}` and nothing else; "
                f"it has {', '.join(f'`{what}`' for what in defined) or 'nothing outside its solution'} "
                f'(a multiple-choice exercise begins with `{name} = ""`)',
                line=answer.line,
            )


def _letters(source: str, answer: PercentCell, name: str) -> list[str]:
    """What is assigned to `name`, if the cell does nothing but give it texts; else []."""
    found: list[str] = []
    for node in _parse(source, answer.line).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=ast.Constant(value=str(text))) if (
                target == name
            ):
                found.append(text)
            case _:
                return []
    return found


def _parse(source: str, header_line: int) -> ast.Module:
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise CourseError(
            f"not plain Python: {error.msg} (no magics; markers go inside the body of the definition)",
            line=header_line + (error.lineno or 0),
        ) from None
