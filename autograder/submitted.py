"""The cells of a notebook as it was handed in, whatever state it is in: bytes to plain records.

Tolerant where the meaning is clear (byte order marks, broken characters, old formats, wrong types), with one
sentence for each liberty taken; a clear UnreadableNotebook where it is not. Outputs are dropped unread. It
does not know which cell is which (`repair` does). No nbformat: it refuses what we must read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autograder.errors import UnreadableNotebook

__all__ = ["SubmittedCell", "read_submission"]

MAX_BYTES = 50 * 2**20
MAX_CELLS = 2000
MAX_SOURCE = 2**20  # characters of all cells together
AGAIN = "open it in JupyterLab, clear all outputs, save it and hand it in again"
OTHER_FILES = {
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF file",
    b"<": "a web page",
}


@dataclass(frozen=True, slots=True)
class SubmittedCell:
    """One cell as it came. `grading` is what nbgrader calls its metadata, `ours` is metadata.autograder."""

    id: str
    kind: str
    source: str
    grading: Mapping[str, Any]
    ours: Mapping[str, Any]


def read_submission(raw: bytes) -> tuple[list[SubmittedCell], list[str]]:
    """The cells in order, and a note for each thing that had to be guessed."""
    notes: list[str] = []
    content = _json(_text(raw, notes))
    cells = [cell for entry in _entries(content, notes) if (cell := _cell(entry, notes)) is not None]
    if len(cells) > MAX_CELLS or sum(len(cell.source) for cell in cells) > MAX_SOURCE:
        raise UnreadableNotebook(
            f"the notebook is too long ({len(cells)} cells); at most {MAX_CELLS} cells and "
            f"{MAX_SOURCE // 2**20} million characters are read; remove what is not part of the exercises"
        )
    return cells, list(dict.fromkeys(notes))


def _text(raw: bytes, notes: list[str]) -> str:
    if len(raw) > MAX_BYTES:
        raise UnreadableNotebook(
            f"the file has {len(raw) / 2**20:.0f} MB, at most {MAX_BYTES // 2**20} are read; {AGAIN}"
        )
    if not raw.strip():
        raise UnreadableNotebook("the file is empty; hand in the notebook again")
    for start, what in OTHER_FILES.items():
        if raw.startswith(start):
            raise UnreadableNotebook(f"the file is {what}, not a notebook; hand in the .ipynb file itself")
    encoding = json.detect_encoding(raw)
    text = raw.decode(encoding, "replace")
    if encoding not in ("utf-8", "utf-8-sig"):
        notes.append(f"The file was stored as {encoding}, not as utf-8; it was read all the same.")
    elif "\N{REPLACEMENT CHARACTER}" in text and "\N{REPLACEMENT CHARACTER}".encode() not in raw:
        notes.append("Some characters of the file were damaged (not utf-8); they were replaced.")
    return text


def _json(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except RecursionError:
        raise UnreadableNotebook(f"the file is nested too deeply to be a notebook; {AGAIN}") from None
    except ValueError as error:
        raise UnreadableNotebook(_why_not_json(text, error)) from None
    if not isinstance(content, dict) or not content.keys() & {"cells", "worksheets"}:
        raise UnreadableNotebook(
            "the file is not a notebook: it has no cells; hand in the .ipynb file itself"
        )
    return content


def _why_not_json(text: str, error: ValueError) -> str:
    if "<<<<<<<" in text and ">>>>>>>" in text:
        return "the file holds the marks of an unfinished git merge (<<<<<<<); finish it and hand it in again"
    line = getattr(error, "lineno", 1)
    if getattr(error, "pos", 0) >= len(text.rstrip()) - 1 or "Unterminated" in str(error):
        return f"the file ends in the middle (line {line}): it was not saved or copied completely; {AGAIN}"
    return (
        f"the file is damaged at line {line} ({str(error).partition(':')[0]}): it is not valid JSON; {AGAIN}"
    )


def _entries(content: Mapping[str, Any], notes: list[str]) -> Iterator[object]:
    """The raw cells of any format version."""
    version = content.get("nbformat", 4)
    if "cells" not in content:
        notes.append("The notebook has an old format (nbformat 3); it was read all the same.")
        sheets = content["worksheets"] if isinstance(content["worksheets"], list) else []
        lists = [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)]
    else:
        if isinstance(version, int | float) and version > 4:
            notes.append(
                f"The notebook has a format of the future (nbformat {version}); what is known was read."
            )
        lists = [content["cells"]]
    if not lists or not all(isinstance(cells, list) for cells in lists):
        raise UnreadableNotebook(f"the notebook's cells are not a list; {AGAIN}")
    for cells in lists:
        yield from cells or ()


def _cell(entry: object, notes: list[str]) -> SubmittedCell | None:
    if not isinstance(entry, dict):
        notes.append("Something in the list of cells was no cell; it was left out.")
        return None
    kind, metadata = entry.get("cell_type"), _mapping(entry.get("metadata"))
    return SubmittedCell(
        id=entry["id"] if isinstance(entry.get("id"), str) else "",
        kind=kind if kind in ("code", "raw") else "markdown",
        source=_source(entry.get("source", entry.get("input", "")), notes),
        grading=_mapping(metadata.get("nbgrader")),
        ours=_mapping(metadata.get("autograder")),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _source(value: object, notes: list[str]) -> str:
    """Text, or a list of lines; only what can be written out again as utf-8."""
    lines = value if isinstance(value, list) else [value]
    text = "".join(line for line in lines if isinstance(line, str))
    if not all(isinstance(line, str) for line in lines):
        notes.append("A cell's source was not text; what was text in it was kept.")
    clean = text.encode("utf-8", "replace").decode()
    if clean != text:
        notes.append("Some characters of the file were damaged (half a character); they were replaced.")
    return clean.replace("\r\n", "\n").replace("\r", "\n")
