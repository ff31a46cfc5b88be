"""A learner's notebook and a newer release of it made into one, cell by cell. Pure: nothing is written.

What the learner never touched becomes what is released now; what they changed, and their own cells, stay. Who
touched a cell is told by the hash of what was given to them. A notebook whose cells can't be told apart or
stand in another order is left alone: the reason is returned in place of a merge.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

__all__ = ["Given", "Merged", "cells_given", "merge"]

NotebookJSON = dict[str, Any]
CellJSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Given:
    """A cell as the learner got it: its id, and a hash of its source."""

    id: str
    digest: str

    @property
    def kind(self) -> str:
        """`text` of text-01; an exercise's cells are named after it and are a kind of their own."""
        name, _, number = self.id.rpartition("-")
        return name if number.isdecimal() else self.id


@dataclass(slots=True)
class Merged:
    """The merged notebook, how many cells were renewed, and which both sides changed (the learner's stay)."""

    notebook: NotebookJSON
    renewed: int = 0
    both: list[str] = field(default_factory=list)

    def to_bytes(self) -> bytes:
        """As JupyterLab would save it."""
        text = json.dumps(self.notebook, ensure_ascii=False, indent=1, sort_keys=True)
        return (text + "\n").encode("utf-8", "replace")


def cells_given(notebook: NotebookJSON) -> tuple[Given, ...]:
    """What must be remembered of a notebook that is handed to a learner."""
    return tuple(Given(cell["id"], _digest(_source(cell))) for cell in notebook["cells"])


def merge(mine: NotebookJSON, given: Sequence[Given], release: NotebookJSON) -> Merged | str:
    """The two in one, or why that can't be."""
    if reason := _why_not(mine, given):
        return reason
    own: dict[str, CellJSON] = {cell["id"]: cell for cell in mine["cells"]}
    old_of = {new: old for old, new in _pairs(given, cells_given(release))}
    gone = {old.id: old for old in given}
    for paired in old_of.values():
        gone.pop(paired.id)
    merged = Merged({**mine, "metadata": _metadata(mine, release)})
    places: dict[str, list[CellJSON]] = {
        "": []
    }  # the cells that come with each released one; first their own
    for cell, now in zip(release["cells"], cells_given(release), strict=True):
        old = old_of.get(now)
        if old is None:
            places[now.id] = [cell]
            merged.renewed += 1
        elif old.id in own:
            places[now.id] = [_one(own[old.id], old, cell, now, merged)]
    new_ids = {old.id: new.id for new, old in old_of.items()}
    anchor = ""
    for cell in mine["cells"]:
        if new_ids.get(cell["id"]) in places:
            anchor = new_ids[cell["id"]]
        elif cell["id"] not in gone:
            places[anchor].append(cell)  # the learner's own
        elif _digest(_source(cell)) != gone[cell["id"]].digest:
            places[anchor].append(
                {**cell, "metadata": {}}
            )  # theirs now: the release has no such cell any more
        else:
            merged.renewed += 1  # gone from the release, and never touched
    merged.notebook["cells"] = [*_with_ids_of_their_own(cell for cells in places.values() for cell in cells)]
    return merged


def _why_not(mine: NotebookJSON, given: Sequence[Given]) -> str:
    cells = mine.get("cells")
    if not isinstance(cells, list) or not all(_is_cell(cell) for cell in cells):
        return "it is no notebook with named cells"
    if not given:
        return "it is not known what you changed in it"
    ids = [cell["id"] for cell in cells]
    if len(set(ids)) < len(ids):
        return "two of its cells have the same name"
    kept = [old.id for old in given if old.id in ids]
    if [cell_id for cell_id in ids if cell_id in kept] != kept:
        return "its cells stand in another order"
    return "" if kept else "none of its cells is of the release"


def _is_cell(cell: object) -> bool:
    return (
        isinstance(cell, dict)
        and isinstance(cell.get("id"), str)
        and isinstance(cell.get("metadata"), dict)
        and isinstance(cell.get("source"), str | list)
    )


def _pairs(given: Sequence[Given], now: Sequence[Given]) -> Iterator[tuple[Given, Given]]:
    """Which cell of the old release is which of the new one: text cells are numbered, and numbers move."""
    old_keys, new_keys = (
        [cell.digest if cell.kind != cell.id else cell.id for cell in s] for s in (given, now)
    )
    for tag, a, b, c, d in SequenceMatcher(None, old_keys, new_keys, autojunk=False).get_opcodes():
        if tag == "equal":
            yield from zip(given[a:b], now[c:d], strict=True)
        elif tag == "replace":
            for kind in dict.fromkeys(cell.kind for cell in given[a:b]):
                yield from zip(
                    [cell for cell in given[a:b] if cell.kind == kind],
                    [cell for cell in now[c:d] if cell.kind == kind],
                    strict=False,
                )


def _one(mine: CellJSON, old: Given, cell: CellJSON, now: Given, merged: Merged) -> CellJSON:
    """The learner's cell where they changed it, the released one where they did not."""
    digest = _digest(_source(mine))
    settings = {"id": now.id, "metadata": {**mine["metadata"], **cell["metadata"]}}
    if digest == now.digest or old.digest == now.digest:
        return {**mine, **settings}
    if digest == old.digest:
        merged.renewed += 1
        return {**cell, **settings}
    merged.both.append(str(cell["metadata"].get("autograder", {}).get("exercise") or now.id))
    return {**mine, **settings}


def _metadata(mine: NotebookJSON, release: NotebookJSON) -> dict[str, Any]:
    """The kernel and the like as the learner has them; what tells which notebook this is from the release."""
    own = mine.get("metadata")
    ours = {key: value for key, value in release["metadata"].items() if key == "autograder"}
    return {**(own if isinstance(own, dict) else release["metadata"]), **ours}


def _with_ids_of_their_own(cells: Iterator[CellJSON]) -> Iterator[CellJSON]:
    taken: set[str] = set()
    for cell in cells:
        name = cell["id"] if cell["id"] not in taken else secrets.token_hex(4)
        taken.add(name)
        yield {**cell, "id": name}


def _source(cell: Mapping[str, Any]) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(map(str, source))


def _digest(source: str) -> str:
    return hashlib.sha256(source.strip().encode("utf-8", "replace")).hexdigest()[:16]
