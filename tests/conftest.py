"""The tiny course that the tests of the package use, and a copy of it to change."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from autograder.layout import Course
from autograder.notebooks import Released, load_released

collect_ignore = ["course"]  # its tests are for learners' code

TINY = Path(__file__).parent / "course"
SECTION, NOTEBOOK = "01_warmup", "tiny"

# A shell's background jobs ignore Ctrl-C, and so would every command that is started here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def course() -> Course:
    """The tiny course as it is. Change nothing in it."""
    return Course(TINY)


@pytest.fixture
def course_copy(tmp_path: Path) -> Course:
    """A copy of the tiny course, without what is built."""
    root = tmp_path / "course"
    shutil.copytree(TINY, root, ignore=shutil.ignore_patterns("build", "__pycache__"))
    return Course(root)


@pytest.fixture(scope="session")
def released(course: Course) -> Released:
    """The tiny notebook as learners receive it."""
    return load_released(course.released(SECTION, NOTEBOOK), SECTION)
