"""Marks the root of the little course that the tests of the package use."""

from autograder import configure

c = get_config()  # noqa: F821 - nbgrader provides it
c.CourseDirectory.course_id = "tiny"
c.CourseDirectory.source_directory = "build/source"
configure(c)
