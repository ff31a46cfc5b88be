"""The pictures a learner's notebook file carries: what their own code drew, to be shown on a page.

Taken are PNG and JPEG outputs of demonstration cells behind the first exercise, and of the learner's own
cells. The file is not trusted: an output is a picture only if its bytes begin like one and say a sensible
size, and number and bytes are bounded. No SVG: it is a program's text, not a picture. Nothing is decoded.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from autograder.lesson import headings
from autograder.notebooks import Cell, Released
from autograder.render.material import Picture

__all__ = ["pictures_of"]

MOST = 12  # pictures of a notebook
LARGEST = 400_000  # bytes of one
TOGETHER = 2_000_000  # bytes of all
SIDE = 4_000  # pixels
MAX_FILE = 50 * 2**20
Kind = Literal["image/png", "image/jpeg"]
KINDS: tuple[Kind, ...] = ("image/png", "image/jpeg")


def pictures_of(raw: bytes, released: Released) -> tuple[Picture, ...]:
    """The pictures in the order of the notebook; none of a file that can't be read."""
    found: list[Picture] = []
    room = TOGETHER
    for picture in _pictures(raw, released):
        room -= len(picture.data) * 3 // 4
        if len(found) == MOST or room < 0:
            break
        found.append(picture)
    return tuple(found)


def _pictures(raw: bytes, released: Released) -> Iterator[Picture]:
    places = {cell.id: cell for cell in released.cells}
    below = _captions(released)
    heading, exercise, begun = "", "", False
    for entry in _cells(raw):
        cell = places.get(str(entry.get("id")))
        if cell is not None and cell.kind == "markdown":
            for level, title in headings(cell.source):
                heading = title
                exercise = exercise if level > 2 else ""
        elif cell is not None and cell.role == "answer":
            exercise, begun = cell.exercise, True
        if entry.get("cell_type") == "code" and (cell is None or (begun and cell.role == "demo")):
            for kind, data, size in _images(entry.get("outputs")):
                yield Picture(exercise, kind, data, *size, heading, below.get(cell.id, "") if cell else "")


def _cells(raw: bytes) -> list[dict[str, Any]]:
    if len(raw) > MAX_FILE or b'"image/' not in raw:
        return []
    try:
        cells = json.loads(raw)["cells"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    return [cell for cell in cells if isinstance(cell, dict)] if isinstance(cells, list) else []


def _captions(released: Released) -> dict[str, str]:
    """For each demonstration the line in italics that stands right below it."""
    found = {}
    for cell, following in zip(released.cells, released.cells[1:], strict=False):
        if cell.role == "demo" and following.kind == "markdown":
            found[cell.id] = _caption(following)
    return found


def _caption(cell: Cell) -> str:
    first = cell.source.strip().partition("\n\n")[0]
    inside = first.startswith("*") and first.endswith("*") and not first.startswith("**")
    return first.strip("*") if inside else ""


def _images(outputs: object) -> Iterator[tuple[Kind, str, tuple[int, int]]]:
    for output in outputs if isinstance(outputs, list) else ():
        data = output.get("data") if isinstance(output, dict) else None
        for kind in KINDS:
            content = _decoded(data.get(kind)) if isinstance(data, Mapping) else b""
            size = (_png_size if kind == "image/png" else _jpeg_size)(content)
            if size and min(size) > 0 and max(size) <= SIDE:
                yield kind, base64.b64encode(content).decode(), size
                break


def _decoded(text: object) -> bytes:
    """The bytes of a base64 text; none of one that is not, or is too long."""
    text = "".join(line for line in text if isinstance(line, str)) if isinstance(text, list) else text
    if not isinstance(text, str) or len(text) > 2 * LARGEST:
        return b""
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except (ValueError, binascii.Error):
        return b""
    return content if len(content) <= LARGEST else b""


def _png_size(content: bytes) -> tuple[int, int] | None:
    if content[:8] != b"\x89PNG\r\n\x1a\n" or content[12:16] != b"IHDR" or len(content) < 33:
        return None
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Out of the first frame header; segments before it are passed over."""
    if content[:3] != b"\xff\xd8\xff":
        return None
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return None
