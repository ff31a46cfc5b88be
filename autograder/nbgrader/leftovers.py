"""What a run that was killed left half done: taken away, so that the next run grades it anew.

nbgrader leaves alone whoever has a folder below autograded/, whatever is in it. Scores are in the gradebook
before a graded notebook is written, so a whole notebook with the results in it is proof.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

__all__ = ["remove_unfinished"]


def remove_unfinished(graded: Path, names: Iterable[str]) -> bool:
    """Removes a submission's folder below autograded/ unless all its notebooks are graded; says whether."""
    if not graded.is_dir() or all(_finished(graded / f"{name}.ipynb") for name in names):
        return False
    shutil.rmtree(graded)
    return True


def _finished(path: Path) -> bool:
    """Whether every cell that is graded by itself holds its result."""
    try:
        cells = json.loads(path.read_bytes())["cells"]
        settings = [(cell, cell["metadata"].get("nbgrader", {})) for cell in cells]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return all(cell.get("outputs") for cell, s in settings if s.get("grade") and not s.get("solution"))
