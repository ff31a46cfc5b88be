"""From the bytes a learner handed in to the code that is graded: every cell finds its place again.

Cells are recognised by cell id, then by their grading settings, then by what they hold. All settings come
from the released notebook, none from the submission. Pure: nothing is run or written. What cannot be read at
all is an UnreadableNotebook; guessing at half a file would be worse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from autograder.magics import without_magics
from autograder.notebooks import Cell, Released
from autograder.submitted import SubmittedCell, read_submission

__all__ = ["CodeCell", "Repaired", "repair"]

SETTINGS = ("grade", "solution", "locked", "task", "points", "grade_id", "schema_version")
_DEFINED = re.compile(r"^(?:(?:async\s+)?def|class)\s+(\w+)|^(\w+)\s*(?::[^=\n]+)?=(?!=)", re.MULTILINE)
_CHECK = re.compile(r"""\s*check\(\s*(["'])(?P<name>\w+)\1\s*\)\s*""")


@dataclass(frozen=True, slots=True)
class CodeCell:
    """Code to run. `role` is given, answer or extra; `exercise` is the answer's; `label` is for messages."""

    label: str
    role: str
    exercise: str | None
    source: str


@dataclass(frozen=True, slots=True)
class Repaired:
    """`cells` is what is graded, in order; `notes` says in plain sentences what was repaired.

    `notebook` is all of it, everything in its place and with the released settings, as nbgrader wants it.
    """

    cells: tuple[CodeCell, ...]
    notes: tuple[str, ...]
    notebook: tuple[Cell, ...]

    @property
    def answers(self) -> dict[str, str]:
        """What the learner wrote for each exercise."""
        return {cell.exercise: cell.source for cell in self.cells if cell.exercise}


@dataclass(slots=True, eq=False)
class _Placed:
    """A submitted cell in its place: `cell` is the released one it is, None for the learner's own."""

    kind: str
    source: str
    cell: Cell | None = None
    put_back: bool = False

    @property
    def role(self) -> str:
        return self.cell.role if self.cell else "extra"

    @property
    def is_untouched(self) -> bool:
        return self.cell is not None and self.source.strip() == self.cell.source.strip()


def repair(raw: bytes, released: Released) -> Repaired:
    """Put a submission in order; raises UnreadableNotebook when nothing of it can be read."""
    submitted, notes = read_submission(raw)
    matches = _match(submitted, released)
    placed = [_Placed(found.kind, found.source, cell) for found, cell in zip(submitted, matches, strict=True)]
    notes += _settings(submitted, matches)
    notes += _turn_back(placed)
    notes += _single_out(placed)
    notes += _put_back(placed, released)
    cells, magics = _code(placed)
    return Repaired(tuple(cells), (*notes, *magics), tuple(_notebook(placed)))


def _match(submitted: Sequence[SubmittedCell], released: Released) -> list[Cell | None]:
    """The released cell that each submitted one is. An answer or check may come more than once (copies)."""
    by_id = {cell.id: cell for cell in released.cells}
    exercises = {exercise.name for exercise in released.exercises}
    matches: list[Cell | None] = [None] * len(submitted)
    taken: set[str] = set()
    for claims in (_by_id, _by_settings, _by_content):
        for i, found in enumerate(submitted):
            if matches[i] is not None:
                continue
            for claim in claims(found, released, exercises):
                cell = by_id.get(claim)
                is_copy = claim in taken
                if cell and (not is_copy or (claims is not _by_id and _may_be_copied(cell, found))):
                    matches[i] = cell
                    taken.add(claim)
                    break
    return matches


def _by_id(found: SubmittedCell, released: Released, exercises: set[str]) -> Iterator[str]:
    yield found.id


def _by_settings(found: SubmittedCell, released: Released, exercises: set[str]) -> Iterator[str]:
    """What nbgrader's or our metadata says, unless the cell defines other exercises than that."""
    named, defined = found.ours.get("exercise"), _defined(found.source) & exercises
    claims = [found.grading.get("grade_id")]
    claims += [f"{named}-answer"] if found.ours.get("role") == "answer" else []
    claims += [named] if found.ours.get("role") == "check" else []
    for claim in claims:
        if isinstance(claim, str) and (not defined or claim.removesuffix("-answer") in defined):
            yield claim


def _by_content(found: SubmittedCell, released: Released, exercises: set[str]) -> Iterator[str]:
    if match := _CHECK.fullmatch(found.source):
        yield match["name"]
    yield from (f"{name}-answer" for name in sorted(_defined(found.source) & exercises))
    yield from (cell.id for cell in released.cells if cell.source.strip() == found.source.strip())


def _may_be_copied(cell: Cell, found: SubmittedCell) -> bool:
    """A check, or an answer with its settings and its name; any other repetition is the learner's own."""
    if cell.role == "answer":
        return bool(found.grading or found.ours) and cell.exercise in _defined(found.source)
    return cell.role == "check"


def _defined(source: str) -> set[str]:
    return {match[1] or match[2] for match in _DEFINED.finditer(source)}


def _settings(submitted: Sequence[SubmittedCell], matches: Sequence[Cell | None]) -> Iterator[str]:
    """Notes on grading settings that are not the released ones."""
    changed: dict[str, None] = {}
    for found, cell in zip(submitted, matches, strict=True):
        right = cell.metadata.get("nbgrader", {}) if cell else {}
        if cell and {k: found.grading.get(k) for k in SETTINGS} != {k: right.get(k) for k in SETTINGS}:
            changed[f"`{cell.exercise}`" if cell.exercise else "a cell without points"] = None
        elif cell is None and found.grading.get("grade"):
            name = str(found.grading.get("grade_id"))[:60]
            yield f"A graded cell `{name}` is not of this notebook; it counts nothing."
    if changed:
        yield f"Grading settings were changed or lost ({', '.join(changed)}); the released ones count."


def _turn_back(placed: Iterable[_Placed]) -> Iterator[str]:
    """Code cells that had become text are code again; text that has become code is the learner's own."""
    for entry in placed:
        if entry.cell is None or entry.kind == entry.cell.kind:
            continue
        if entry.cell.kind == "code" or entry.is_untouched:
            entry.kind = entry.cell.kind
            yield f"{_sentence(_label(entry))} had been turned into another kind of cell; it was turned back."
        else:
            entry.cell = None


def _single_out(placed: list[_Placed]) -> Iterator[str]:
    """Of copied cells one keeps the place: the last one worked on, as in Jupyter it counts."""
    groups: dict[str, list[_Placed]] = {}
    for entry in placed:
        if entry.cell is not None:
            groups.setdefault(entry.cell.id, []).append(entry)
    for copies in groups.values():
        worked_on = [entry for entry in copies if not entry.is_untouched]
        keeper = (worked_on or copies)[-1]
        label = _sentence(_label(keeper))
        if keeper.role == "check":
            if any(not _CHECK.fullmatch(entry.source) for entry in copies):
                yield f"{label} had been changed; what it held was not run."
            placed[:] = [entry for entry in placed if entry is copies[0] or entry not in copies]
            copies[0].source = copies[0].cell.source if copies[0].cell else ""
        elif len(copies) > 1:
            yield f"{label} was there {len(copies)} times; the last one that was worked on counts."
            placed[:] = [
                entry for entry in placed if entry is keeper or entry not in copies or entry in worked_on
            ]
            for entry in worked_on[:-1]:
                entry.cell = None


def _put_back(placed: list[_Placed], released: Released) -> Iterator[str]:
    """Missing cells return behind the cell they followed; text and demonstrations are not missed."""
    before = -1
    defined = {name for entry in placed if entry.kind == "code" for name in _defined(entry.source)}
    for cell in released.cells:
        at = next((i for i, entry in enumerate(placed) if entry.cell is cell), None)
        if at is not None:
            before = at
            entry = placed[at]
            if cell.role == "given" and cell.source.strip() and not entry.source.strip():
                entry.source = cell.source
                yield f"{_sentence(_label(entry))} had been emptied; its text was put back."
        elif cell.role in ("given", "answer", "check"):
            before += 1
            placed.insert(before, _Placed(cell.kind, cell.source, cell, put_back=True))
            label = _sentence(_label(placed[before]))
            if cell.role != "answer":
                yield f"{label} was missing; it was put back."
            elif cell.exercise in defined:
                yield f"{label} was missing; `{cell.exercise}` was found in another cell."
            else:
                yield f"{label} was missing, and nothing else defines it."


def _code(placed: Iterable[_Placed]) -> tuple[list[CodeCell], list[str]]:
    """The code to run: not checks and demonstrations, nor answers nobody handed in."""
    cells: list[CodeCell] = []
    notes: list[str] = []
    extra = 0
    for entry in placed:
        if (
            entry.kind != "code"
            or entry.role in ("check", "demo")
            or (entry.role == "answer" and entry.put_back)
        ):
            continue
        extra += entry.role == "extra"
        label = _label(entry, extra)
        source, taken = without_magics(entry.source)
        if taken:
            shown = f"`{taken[0][:60]}`" + (f" and {len(taken) - 1} more" if len(taken) > 1 else "")
            notes.append(f"{_sentence(label)} holds {shown}: Jupyter commands are not run when grading.")
        if source.strip():
            exercise = entry.cell.exercise if entry.cell and entry.role == "answer" else None
            cells.append(CodeCell(label, entry.role, exercise, source))
    return cells, notes


def _notebook(placed: Iterable[_Placed]) -> Iterator[Cell]:
    extra = 0
    for entry in placed:
        if entry.cell is None:
            extra += 1
            yield Cell(f"extra-{extra:02}", entry.kind, entry.source, {})
        else:
            yield Cell(entry.cell.id, entry.cell.kind, entry.source, entry.cell.metadata)


def _label(entry: _Placed, extra: int = 0) -> str:
    if entry.cell is None:
        return f"extra cell {extra}"
    names = {"answer": f"cell `{entry.cell.exercise}`", "check": f"check cell of `{entry.cell.exercise}`"}
    kind, _, number = entry.cell.id.partition("-")
    return names.get(entry.role, f"{kind} cell {number.lstrip('0')}")


def _sentence(label: str) -> str:
    return f"The {label}" if "extra" not in label else label[0].upper() + label[1:]
