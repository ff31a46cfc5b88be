"""Whether anything of a solution, a hidden test or a bank is in what ships.

It looks for lines and names, not for meanings: a paraphrase of the solution in the prose it cannot see.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from autograder.regions import BEGIN, END
from autograder.verify.material import Sources

__all__ = ["leaks", "shipped_texts"]

LEAK_LENGTH = 16  # shorter lines of a solution stand in any text


def leaks(sources: Sources) -> list[str]:
    """One sentence for each thing in release/ that must not be there."""
    section = sources.released.section
    secrets = _solution_lines(sources)
    names = _test_names(sources.hidden) - _test_names(sources.visible)
    found = []
    for path, text in shipped_texts(sources):
        if path.name.startswith("bank_"):
            found.append(f"{path.name} must not ship: run `autograder build {section}`")
        lines = [line for line in sorted(secrets) if line in text]
        found += [f"a line of the solution is in {path.name}: {line}" for line in lines]
        found += [
            f"the hidden test `{name}` is named in {path.name}" for name in sorted(names) if name in text
        ]
    return found


def shipped_texts(sources: Sources) -> Iterator[tuple[Path, str]]:
    """Every file of the section that ships, and its text."""
    folder = sources.course.release / sources.released.section
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        yield path, _text(path)


def _solution_lines(sources: Sources) -> set[str]:
    """Lines of the authored notebook that stand in its solution regions and nowhere else."""
    inside: set[str] = set()
    outside: set[str] = set()
    current = outside
    for line in sources.authored.read_text(encoding="utf-8").splitlines():
        if line.strip() == BEGIN:
            current = inside
        elif line.strip() == END:
            current = outside
        else:
            current |= {line.strip(), line.strip().removeprefix("# ")}
    return {line for line in inside - outside if len(line) >= LEAK_LENGTH}


def _text(path: Path) -> str:
    text = path.read_text(encoding="utf-8", errors="replace")
    return "\n".join(_cells(text)) if path.suffix == ".ipynb" else text


def _cells(notebook: str) -> Iterator[str]:
    for cell in json.loads(notebook)["cells"]:
        yield "".join(cell["source"])


def _test_names(path: Path) -> set[str]:
    if not path.exists():
        return set()
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return {line.removeprefix("def ").partition("(")[0] for line in lines if line.startswith("def test_")}
