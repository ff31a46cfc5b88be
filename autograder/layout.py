"""Where everything of a course lies on disk. The only module that knows folder names.

It looks at names and first lines only: it does not read notebooks and creates nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from autograder.errors import CourseError

__all__ = ["CONFIG", "Course", "is_notebook_source"]

CONFIG = "nbgrader_config.py"  # marks the root of a course
PACKAGE = Path(__file__).resolve().parent
CARRIED = PACKAGE / "course"  # the course inside an installed package; a clone has it around the package
_CELL = re.compile(r"^# ?%%(\s|$)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Course:
    """A course directory: what authors write, what is generated from it, and what grades it."""

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> Course:
        """The course around `start` (default: here), else the one this package stands in or carries."""
        start = (start or Path.cwd()).resolve()
        for folder in (start, *start.parents, PACKAGE.parent, CARRIED):
            if (folder / CONFIG).is_file() and any(
                (folder / name).is_dir() for name in ("source", "release")
            ):
                return cls(folder)
        raise CourseError(
            f"no course at {start} or above it (a course has {CONFIG} beside source/ or release/); "
            "change into the folder of the course"
        )

    @property
    def source(self) -> Path:
        return self.root / "source"

    @property
    def roadmap(self) -> Path:
        """The authored roadmap; its released copy has the same name."""
        return self.source / "roadmap.toml"

    @property
    def welcome(self) -> Path:
        """The authored welcome notebook."""
        return self.source / "welcome.py"

    @property
    def release(self) -> Path:
        return self.root / "release"

    @property
    def solutions(self) -> Path:
        return self.root / "solutions"

    @property
    def hidden(self) -> Path:
        return (PACKAGE if self.root == CARRIED else self.root / "autograder") / "hidden"

    @property
    def build(self) -> Path:
        return self.root / "build"

    def sections(self) -> tuple[str, ...]:
        """Names of the sections, in the order of the roadmap: those of source/, or of release/ without it."""
        folder = self.source if self.source.is_dir() else self.release
        if not folder.is_dir():
            return ()
        return tuple(
            sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] not in "._")
        )

    def notebooks(self, section: str) -> tuple[str, ...]:
        """Names of the notebooks of a section, sorted."""
        folder = self.source / section
        if folder.is_dir():
            paths = [path for path in folder.glob("*.py") if is_notebook_source(path)]
        else:
            paths = list((self.release / section).glob("*.ipynb"))
        return tuple(sorted(path.stem for path in paths))

    def source_file(self, section: str, notebook: str) -> Path:
        return self.source / section / f"{notebook}.py"

    def visible_tests(self, section: str, notebook: str) -> Path:
        return self.release / section / f"test_{notebook}.py"

    def hidden_tests(self, section: str, notebook: str) -> Path:
        return self.hidden / section / f"test_{notebook}.py"

    def bank_file(self, section: str, notebook: str) -> Path:
        return self.hidden / section / f"bank_{notebook}.py"

    def released(self, section: str, notebook: str) -> Path:
        return self.release / section / f"{notebook}.ipynb"

    def solved(self, section: str, notebook: str) -> Path:
        return self.solutions / section / f"{notebook}.ipynb"


def is_notebook_source(path: Path) -> bool:
    """Tell an authored notebook (it has `# %%` cells) from a test module or a helper module beside it."""
    if path.suffix != ".py" or path.name.startswith("test_"):
        return False
    return bool(_CELL.search(path.read_text(encoding="utf-8", errors="replace")))
