"""One released file into a learner's folder: new, renewed, merged, or laid beside what the learner has there.

Decides file by file what may be replaced; never takes anything of the learner's away. Which files there are,
and where, is `workfolder`'s business; the cells of a notebook are `merge`'s.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autograder.merge import Given, cells_given, merge
from autograder.shipping import is_plain_file

__all__ = ["Copy", "Refreshed", "as_object", "put"]


@dataclass(slots=True)
class Refreshed:
    """What became of each file, by its name in the work folder; `notes` are sentences for the learner."""

    new: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Copy:
    """A work folder that is being brought up to date. The record maps names to what was given last."""

    work: Path
    record: dict[str, Any]
    done: Refreshed = field(default_factory=Refreshed)

    def place(self, name: str, content: bytes) -> None:
        """`content` is what is released under `name` now."""
        path = self.work / name
        given = self.record.get(name, {}).get("digest")
        mine = path.read_bytes() if is_plain_file(path) else None
        if mine is None and (path.exists() or path.is_symlink()):
            self.done.kept.append(name)
            self.done.notes.append(f"{name} is a link or a folder in your copy; it was left alone.")
        elif mine == content:
            self._remember(name, content, self.done.kept)
        elif mine is None or _hash(mine) == given:
            put(path, content)
            self._remember(name, content, self.done.new if mine is None else self.done.updated)
        elif _hash(content) == given:
            self.done.kept.append(name)  # the learner's work on what is released still
        elif name.endswith(".ipynb"):
            self._merge(name, mine, content)
        else:
            aside = _free(path.with_name(f"{path.name}.yours"))
            path.rename(aside)
            put(path, content)
            self._remember(name, content, self.done.updated)
            self.done.notes.append(
                f"{name} is new in the release; yours, which differs, is kept as {aside.name}."
            )

    def drop(self, name: str) -> None:
        """What is released no more goes when it was never touched; a notebook stays."""
        path = self.work / name
        if is_plain_file(path) and path.suffix != ".ipynb":
            if _hash(path.read_bytes()) == self.record[name].get("digest"):
                path.unlink()
                self.done.updated.append(name)
            else:
                self.done.notes.append(f"{name} is released no more; yours, which differs, is kept.")
        del self.record[name]

    def _merge(self, name: str, mine: bytes, content: bytes) -> None:
        release, own = json.loads(content), as_object(mine)
        given = [Given(*entry) for entry in self.record.get(name, {}).get("cells", [])]
        if not given and _same_but_answers(own, release):  # a copy made before there was a record
            self._remember(name, content, self.done.kept)
            return
        merged = merge(own, given, release)
        if isinstance(merged, str):
            self.done.kept.append(name)
            self._lay_beside(
                name, content, f"{name} is new in the release, but {merged}: yours stays as it is"
            )
            self.record[name] = {**self.record.get(name, {}), "digest": _hash(content)}
            return
        put(self.work / name, merged.to_bytes())
        self._remember(name, content, self.done.updated)
        if merged.both:
            both = ", ".join(f"`{label}`" for label in merged.both)
            why = f"{name} is updated; you and the release both changed {both}: yours stays"
            self._lay_beside(name, content, why)

    def _lay_beside(self, name: str, content: bytes, why: str) -> None:
        """The released notebook under another name, which `grade` passes over in a folder."""
        beside = (self.work / name).with_suffix(".new.ipynb")
        laid = self.record.get("beside", {})
        if is_plain_file(beside) and _hash(beside.read_bytes()) != laid.get(name):
            beside = _free(beside)  # somebody has worked in the last one
        put(beside, content)
        self.record["beside"] = {**laid, name: _hash(content)}
        self.done.notes.append(f"{why}, and the new one lies beside it as {beside.name}.")

    def _remember(self, name: str, content: bytes, where: list[str]) -> None:
        where.append(name)
        self.record[name] = {"digest": _hash(content)}
        if name.endswith(".ipynb"):
            self.record[name]["cells"] = [[c.id, c.digest] for c in cells_given(json.loads(content))]


def as_object(raw: bytes) -> dict[str, Any]:
    """The JSON object that it is; {} when it is none."""
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def put(path: Path, content: bytes) -> None:
    """All of it or nothing: written aside, then moved into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        aside.write_bytes(content)
        if path.exists():
            shutil.copymode(path, aside)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _same_but_answers(own: dict[str, Any], release: dict[str, Any]) -> bool:
    """Every released cell stands in it as it is, answers aside."""
    given = {cell["id"]: cell for cell in release["cells"]}
    answers = {i for i, c in given.items() if c["metadata"].get("autograder", {}).get("role") == "answer"}
    try:
        mine = {cell.id: cell.digest for cell in cells_given(own)}
    except (KeyError, TypeError, AttributeError):
        return False
    return all(mine.get(c.id) == c.digest for c in cells_given(release) if c.id not in answers)


def _free(path: Path) -> Path:
    """The path, or the first numbered one that is not taken."""
    stem, ending = path.name.rsplit(".", 1)
    names = (path, *(path.with_name(f"{stem}-{n}.{ending}") for n in range(2, 1000)))
    return next(name for name in names if not name.exists() and not name.is_symlink())


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
