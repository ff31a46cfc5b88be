"""`nbgrader generate_assignment` for a throw-away course: prepared notebooks in, released ones out.

Run as a process of its own: nbgrader changes folders and logs, and takes seconds to import.

    python -m autograder.nbgrader.generate ROOT

reads the names of sections from its input, one per line, makes ROOT/release from ROOT/source and a gradebook
nobody keeps, and prints each name when it is done. It uses nbgrader's own steps (with our
stubs for questions); an instructor's settings have no part in what learners receive.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nbgrader.converters import GenerateAssignment
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

from autograder.nbgrader import release_steps

__all__ = ["generate", "main"]


def generate(root: Path, section: str) -> None:
    """Make root/release/section from root/source/section; raises what nbgrader raises."""
    config = Config()
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.assignment_id = section
    config.CourseDirectory.db_url = f"sqlite:///{root / 'gradebook.db'}"
    config.GenerateAssignment.preprocessors = release_steps()
    GenerateAssignment(coursedir=CourseDirectory(config=config), config=config).start()


def main(root: Path) -> None:
    """Generate every section asked for, one after the other."""
    os.environ["PATH"] += os.pathsep + str(Path(sys.executable).parent)  # nbgrader calls `alembic` by name
    for line in sys.stdin:
        generate(root, line.strip())
        print(line.strip(), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
