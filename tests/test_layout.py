"""Where things lie: finding a course, its sections and its notebooks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from autograder.errors import CourseError
from autograder.layout import Course, is_notebook_source

OWN = Path(__file__).parents[1]


def test_a_course_is_found_from_inside_it(course_copy: Course) -> None:
    assert Course.find(course_copy.source / "01_warmup" / "data") == Course(course_copy.root.resolve())


def test_from_elsewhere_the_course_around_the_package_is_found(tmp_path: Path) -> None:
    assert Course.find(tmp_path) == Course(OWN)


def test_here_is_the_default(course_copy: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(course_copy.release)
    assert Course.find().root == course_copy.root.resolve()


def test_without_any_course_the_message_says_what_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autograder.layout.CONFIG", "no_such_file.py")
    with pytest.raises(CourseError, match=r"no course at .* or above it .* change into the folder"):
        Course.find(tmp_path)


def test_names_come_from_source_or_else_from_release(course_copy: Course) -> None:
    assert course_copy.sections() == ("01_warmup",)
    assert course_copy.notebooks("01_warmup") == ("tiny",)
    shutil.rmtree(course_copy.source)
    assert course_copy.sections() == ("01_warmup",)
    assert course_copy.notebooks("01_warmup") == ("tiny",)
    shutil.rmtree(course_copy.release)
    assert course_copy.sections() == ()
    assert course_copy.notebooks("01_warmup") == ()


def test_every_file_of_the_tiny_course_is_where_it_is_looked_for(course: Course) -> None:
    name = ("01_warmup", "tiny")
    for place in ("source_file", "visible_tests", "hidden_tests", "bank_file", "released", "solved"):
        assert getattr(course, place)(*name).is_file(), place


@pytest.mark.parametrize(
    ("name", "text", "notebook"),
    [
        ("a.py", "# %% [markdown]\n# # A\n", True),
        ("a.py", "x = 1\n#%%\n", True),
        ("a.py", "x = 1\n# %%time\n", False),
        ("test_a.py", "# %%\n", False),
        ("a.txt", "# %%\n", False),
        ("a.py", "s = ' # %%'\n", False),
    ],
)
def test_a_notebook_is_known_by_its_cells(tmp_path: Path, name: str, text: str, notebook: bool) -> None:
    (tmp_path / name).write_text(text)
    assert is_notebook_source(tmp_path / name) is notebook
