"""Does code of the hidden tests stand anywhere a learner or a grader's page can show it?

It looks for whole lines of the hidden test modules. A test's sentence may be told: it is what a learner reads
when the test fails.
"""

from __future__ import annotations

import ast
import hashlib
import html
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from autograder.layout import Course

__all__ = ["find_leaks", "secret_lines"]

SHORTEST = 25  # characters of a line that says something
_WORD = re.compile(r"\w+")
_TAG = re.compile(r"<[^<>]*>")


def secret_lines(course: Course, section: str) -> frozenset[str]:
    """Lines of code of a section's hidden tests that no released file, solution or variant has."""
    told = [*course.release.rglob("*"), *course.solutions.rglob("*"), *course.hidden.rglob("bank_*.py")]
    elsewhere = "\n".join(_text(path) for path in told if path.is_file())
    lines: set[str] = set()
    for path in (course.hidden / section).glob("test_*.py"):
        lines |= set(_code(path.read_text(encoding="utf-8")))
    return frozenset(line for line in lines if line not in elsewhere)


def find_leaks(lines: Iterable[str], folders: Iterable[Path]) -> list[tuple[Path, str]]:
    """Files below these folders that show such a line, each with the first one."""
    inner = {line: frozenset(_WORD.findall(line)[1:-1]) for line in sorted(lines)}
    shown: dict[bytes, str | None] = {}  # what was found by content: most files have copies
    found = []
    for path in sorted(p for folder in folders for p in folder.rglob("*") if p.is_file()):
        content = hashlib.sha256(path.read_bytes()).digest()
        if content not in shown:
            text = _text(path)
            words = frozenset(_WORD.findall(text))  # a text that lacks a word of a line does not show it
            likely = (line for line, own in inner.items() if own <= words)
            shown[content] = next((line for line in likely if line in text), None)
        if line := shown[content]:
            found.append((path, line))
    return found


def _code(source: str) -> Iterator[str]:
    """Lines that are neither docstring nor comment, stripped."""
    told = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            told |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    for number, line in enumerate(source.splitlines(), 1):
        line = line.strip()
        if number not in told and len(line) >= SHORTEST and not line.startswith(("#", "import ", "from ")):
            yield line


def _text(path: Path) -> str:
    """What a reader sees of a file: of a notebook all its texts, of a page what is not markup."""
    raw = path.read_bytes().decode("utf-8", "replace")
    if path.suffix == ".html":
        return html.unescape(_TAG.sub("", raw))
    if path.suffix == ".ipynb":
        try:
            return "\n".join(_strings(json.loads(raw)))
        except ValueError:
            return raw
    return raw


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        joined = all(isinstance(item, str) for item in value)
        yield from ["".join(value)] if joined else (text for item in value for text in _strings(item))
