"""`progress()` in a notebook: the map of the roadmap with what this learner has done.

The command `autograder progress` shows the same. Both read the journal of the work folder around them.
"""

from __future__ import annotations

import os
from pathlib import Path

from autograder.atlas.page import RoadmapCard
from autograder.journal import Journal
from autograder.layout import Course
from autograder.roadmap import load_roadmap
from autograder.standing import Standing, standing_of
from autograder.workfolder import find_work

__all__ = ["look", "progress"]


def progress() -> RoadmapCard:
    """The map, for a notebook or, as text, for a terminal."""
    here = Path.cwd()
    standing, work = look(here)
    return RoadmapCard(standing, notebooks=os.path.relpath(work, here))


def look(start: Path) -> tuple[Standing, Path]:
    """Where the learner of the work folder around `start` stands, and that folder."""
    course = Course.find(start)
    roadmap = load_roadmap(course)
    work = find_work(course, roadmap.folder, start)
    return standing_of(roadmap, Journal.find(work)), work
