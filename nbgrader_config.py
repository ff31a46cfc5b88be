"""Makes this folder an nbgrader course. Settings only; what they plug in lives in autograder/nbgrader/."""

import os
from pathlib import Path

from autograder import configure

here = Path(__file__).resolve().parent
c = get_config()  # noqa: F821 - nbgrader provides it

c.CourseDirectory.course_id = "ml"
c.CourseDirectory.root = str(here)
c.CourseDirectory.db_url = f"sqlite:///{here}/gradebook.db?timeout=30"  # seconds to wait for other writers

c.CourseDirectory.source_directory = "build/source"  # never source/ itself: it holds the solutions
c.CourseDirectory.release_directory = "release"
c.CourseDirectory.submitted_directory = "submitted"
c.CourseDirectory.autograded_directory = "autograded"
c.CourseDirectory.feedback_directory = "feedback"
c.CourseDirectory.solution_directory = "solutions"

c.Exchange.root = os.environ.get("NBGRADER_EXCHANGE", f"{here}/exchange")  # one folder for all users
c.Exchange.timezone = "UTC"

configure(c)
