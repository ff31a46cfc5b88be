"""One released notebook with its tests and its bank: all that decides a score but the submission."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from autograder.layout import Course
from autograder.notebooks import Released, load_released

__all__ = ["Assignment", "digest"]

WARMABLE = (
    "torch.optim",
    "torch.nn",
    "matplotlib.pyplot",
    "numpy",
    "math",
    "re",
    "collections",
    "dataclasses",
)


@dataclass(frozen=True)
class Assignment:
    """One released notebook with its tests: all that decides a score but the submission."""

    course: Course
    released: Released

    @classmethod
    def load(cls, course: Course, section: str, notebook: str) -> Assignment:
        """Reads the released notebook; raises CourseError if there is none."""
        return cls(course, load_released(course.released(section, notebook), section))

    @cached_property
    def files(self) -> dict[str, bool]:
        """Test modules and whether they are visible."""
        r = self.released
        visible, hidden = (
            self.course.visible_tests(r.section, r.name),
            self.course.hidden_tests(r.section, r.name),
        )
        return {str(path): shown for path, shown in ((visible, True), (hidden, False)) if path.exists()}

    @cached_property
    def tests_hash(self) -> str:
        """Of the tests and the bank, byte for byte."""
        bank = Path(self.bank).read_bytes() if self.bank else b""
        return digest(*(Path(path).read_bytes() for path in self.files), bank)

    @cached_property
    def bank(self) -> str:
        """The file of the known variants, or '' if there is none."""
        path = self.course.bank_file(self.released.section, self.released.name)
        return str(path) if path.exists() else ""

    @cached_property
    def warm(self) -> list[str]:
        """Modules the released cells import: touched once before any submission is loaded."""
        text = "\n".join(c.source for c in self.released.cells if c.role in ("given", "answer"))
        return [name for name in WARMABLE if name in text]

    @cached_property
    def folder(self) -> str:
        """What is shipped beside the notebook, for cells that read it."""
        return str(self.course.released(self.released.section, self.released.name).parent)


def digest(*parts: bytes) -> str:
    """A hash of parts that tells where one ends and the next begins."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()
