"""`autograder build`: reproducible, complete, nothing but what may ship, and never half done."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autograder import build as builder
from autograder.cli import app
from autograder.errors import CouldNotRun, CourseError
from autograder.layout import Course
from autograder.notebooks import load_released
from autograder.regions import solved, stub
from autograder.source import load_section

SECTION = "01_warmup"


def files(*folders: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for folder in folders for p in folder.rglob("*") if p.is_file()}


def no_nbgrader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors of authors come before nbgrader is asked: these tests need not wait for it."""
    monkeypatch.setattr(builder, "GENERATOR", "this")


@pytest.mark.slow
def test_a_build_elsewhere_gives_the_same_bytes_and_a_second_one_changes_nothing(
    course: Course, course_copy: Course
) -> None:
    for path in (course_copy.release, course_copy.solutions):
        path.rename(path.with_suffix(".old"))
    done: list[str] = []
    changed = builder.build(course_copy, [SECTION], done=done.append)
    assert done == [SECTION]
    assert [p.parent for p in changed] == [
        course_copy.build / "source", course_copy.release, course_copy.solutions
    ]  # fmt: skip
    for name in ("release", "solutions"):
        ours, theirs = course_copy.root / name, course.root / name
        assert [*files(ours).values()] == [*files(theirs).values()]
    assert builder.build(course_copy, [SECTION]) == []
    assert [p.name for p in course_copy.build.iterdir()] == ["source"]


def test_learners_receive_exactly_this(course: Course) -> None:
    received = sorted(str(p.relative_to(course.release)) for p in course.release.rglob("*") if p.is_file())
    assert received == [f"{SECTION}/{name}" for name in ("data/numbers.csv", "test_tiny.py", "tiny.ipynb")]
    assert b"SOLUTION" not in b"".join(files(course.release).values())
    assert b"return x * 2" not in b"".join(files(course.release).values())


def test_released_answers_are_stubs_and_solutions_are_solved(course: Course) -> None:
    (tiny,) = load_section(course, SECTION)
    answers = [cell.source for cell in tiny.cells if cell.role == "answer"]
    released = load_released(course.released(SECTION, "tiny"), SECTION)
    assert [c.source for c in released.cells if c.role == "answer"] == [stub(a) for a in answers]
    solution = load_released(course.solved(SECTION, "tiny"), SECTION)
    assert [c.source for c in solution.cells if c.role == "answer"] == [solved(a) for a in answers]
    assert solution.exercises == released.exercises


def test_cells_are_named_after_their_exercises(course: Course) -> None:
    released = load_released(course.released(SECTION, "tiny"), SECTION)
    assert [c.id for c in released.cells] == [
        "text-01", "given-01", "text-02", "double-answer", "double", "demo-01", "text-03",
        "Counter-answer", "Counter", "text-04", "scale-answer", "scale", "text-05",
    ]  # fmt: skip
    points = {c.id: c.metadata["nbgrader"]["points"] for c in released.cells if c.role == "check"}
    assert points == {"double": 2.0, "Counter": 3.0, "scale": 0.0}, (
        "bonus points are not in nbgrader's maximum"
    )


def write(name: str, text: str = "x\n") -> Callable[[Course], None]:
    def change(course: Course) -> None:
        path = course.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return change


def link(name: str) -> Callable[[Course], None]:
    return lambda course: (course.source / name).symlink_to(course.hidden)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            write("notes.txt"),
            r"source/notes\.txt: does not belong here; source/ holds a folder for each section",
        ),
        (write("My Section/a.py"), r"source/My Section: does not belong here"),
        (
            write(f"{SECTION}/notes.txt"),
            r"01_warmup/notes\.txt: does not belong here; a section holds notebooks",
        ),
        (write(f"{SECTION}/tiny.ipynb", "{}"), r"tiny\.ipynb: does not belong here"),
        (write(f"{SECTION}/test_other.py"), r"test_other\.py: does not belong here"),
        (
            write(f"{SECTION}/unused.py"),
            r"unused\.py: does not belong here; .* modules that a notebook imports",
        ),
        (write(f"{SECTION}/more/tiny.py", "# %%\n"), r"more: does not belong here"),
        (write(f"{SECTION}/data/a.py"), r"data/a\.py: code in data/; put it beside the notebook"),
        (write(f"{SECTION}/data/more/a.ipynb"), r"a\.ipynb: code in data/"),
        (link(f"{SECTION}/data/link"), r"data/link: does not belong here"),
        (link(f"{SECTION}/test_tiny.txt"), r"test_tiny\.txt: does not belong here"),
    ],
)
def test_what_may_not_ship_is_refused(
    course_copy: Course, monkeypatch: pytest.MonkeyPatch, change: Callable[[Course], None], why: str
) -> None:
    no_nbgrader(monkeypatch)
    change(course_copy)
    before = files(course_copy.release, course_copy.solutions)
    with pytest.raises(CourseError, match=why):
        builder.build(course_copy, [SECTION])
    assert files(course_copy.release, course_copy.solutions) == before
    assert [*course_copy.build.iterdir()] == []


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("given.py", "### BEGIN SOLUTION\n", r"given\.py: solution markers in a module that ships as it is"),
        ("random.py", "x = 1\n", r"random\.py: a module of this name hides Python's own `random`; rename it"),
    ],
)
def test_a_module_that_must_not_ship_is_refused(
    course_copy: Course, monkeypatch: pytest.MonkeyPatch, name: str, text: str, why: str
) -> None:
    no_nbgrader(monkeypatch)
    write(f"{SECTION}/{name}", text)(course_copy)
    tests = course_copy.source / SECTION / "test_tiny.py"
    tests.write_text(f"import {name.removesuffix('.py')}\n" + tests.read_text())
    with pytest.raises(CourseError, match=why):
        builder.build(course_copy, [SECTION])


@pytest.mark.slow
def test_an_imported_module_and_data_ship_and_leavings_do_not(course_copy: Course) -> None:
    write(f"{SECTION}/given.py", "x = 1\n")(course_copy)
    write(f"{SECTION}/data/deep/a.csv")(course_copy)
    write(f"{SECTION}/__pycache__/given.pyc")(course_copy)
    path = course_copy.source_file(SECTION, "tiny")
    path.write_text(
        path.read_text().replace("import numpy as np\n", "import numpy as np\nfrom given import x\n", 1)
    )
    builder.build(course_copy, [SECTION])
    names = {
        str(p.relative_to(course_copy.release / SECTION))
        for p in course_copy.release.rglob("*")
        if p.is_file()
    }
    assert names == {"data/deep/a.csv", "data/numbers.csv", "given.py", "test_tiny.py", "tiny.ipynb"}
    assert (course_copy.solutions / SECTION / "given.py").is_file()
    assert not (course_copy.solutions / SECTION / "test_tiny.py").exists()


@pytest.mark.slow
def test_every_kind_of_stale_file_is_told(course_copy: Course) -> None:
    released, extra = course_copy.released(SECTION, "tiny"), course_copy.release / SECTION / "extra.txt"
    released.write_text(released.read_text().replace("Twice", "Thrice"))
    extra.write_text("x")
    course_copy.visible_tests(SECTION, "tiny").unlink()
    course_copy.solved(SECTION, "tiny").unlink()
    (course_copy.release / "00_gone").mkdir()
    before = files(course_copy.root)
    paths = builder.stale(course_copy, [SECTION])
    assert [str(p.relative_to(course_copy.root)) for p in paths] == [
        f"release/{SECTION}/extra.txt",
        f"release/{SECTION}/test_tiny.py",
        f"release/{SECTION}/tiny.ipynb",
        f"solutions/{SECTION}/tiny.ipynb",
    ]
    assert files(course_copy.root) == before
    assert builder.left_over(course_copy) == [course_copy.release / "00_gone"]


def test_a_generator_that_fails_is_not_the_authors_fault(
    course_copy: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "GENERATOR", "no_such_module")
    before = files(course_copy.root)
    with pytest.raises(CouldNotRun, match=r"(?s)nothing was changed.*No module named no_such_module"):
        builder.build(course_copy, [SECTION])
    assert files(course_copy.root) == before


def test_a_release_that_is_not_the_stubs_is_never_swapped_in(
    course_copy: Course, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "careless.py").write_text(
        "import shutil, sys\nshutil.copytree(sys.argv[1] + '/source', sys.argv[1] + '/release')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(builder, "GENERATOR", "careless")
    before = files(course_copy.root)
    with pytest.raises(CouldNotRun, match=r"tiny\.ipynb: nbgrader left more or less than the stubs"):
        builder.build(course_copy, [SECTION])
    assert files(course_copy.root) == before


def test_a_swap_that_fails_puts_the_old_folder_back(tmp_path: Path) -> None:
    home = tmp_path / "release" / SECTION
    home.mkdir(parents=True)
    (home / "a").write_text("old")
    with pytest.raises(FileNotFoundError):
        builder._swap(tmp_path / "nothing", home, tmp_path / "aside")
    assert (home / "a").read_text() == "old"


def test_no_room_to_write_is_one_sentence(course_copy: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    course_copy.build.write_text("a file where a folder must be")
    with pytest.raises(
        CourseError, match=r"build: could not read or write \(File exists\); nothing was swapped"
    ):
        builder.build(course_copy, [SECTION])


def test_a_course_without_sources_cannot_be_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_nbgrader(monkeypatch)
    with pytest.raises(CourseError, match="there is no source/ in this course"):
        builder.build(Course(tmp_path), [])


@pytest.mark.slow
def test_the_command_checks_and_builds(course_copy: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(course_copy.root)
    path = course_copy.source_file(SECTION, "tiny")
    path.write_text(path.read_text().replace("Twice the input", "Two times the input"))
    checked = CliRunner().invoke(app, ["build", "--check"])
    assert checked.exit_code == 1
    assert f"out of date: release/{SECTION}/tiny.ipynb" in checked.output
    assert f"run `autograder build {SECTION}`" in checked.output
    built = CliRunner().invoke(app, ["build", SECTION])
    assert built.exit_code == 0
    assert f"new: release/{SECTION}\n" in built.output
    assert re.search(rf"^Up to date: {SECTION} \(\d+\.\d s\)$", built.output, re.MULTILINE)


def test_an_unknown_section_is_wrong_usage(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(course.root)
    result = CliRunner().invoke(app, ["build", "99_none"])
    assert result.exit_code == 2
    assert f"no section 99_none; there are: {SECTION}" in result.output


@pytest.mark.slow
def test_nbgraders_own_command_gives_the_same_release(course: Course, course_copy: Course) -> None:
    """An instructor may run it in the clone: it reads build/source and uses the instructor's gradebook."""
    builder.build(course_copy, [SECTION])
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", SECTION, "--force"]
    subprocess.run(command, cwd=course_copy.root, check=True, capture_output=True)
    released = course.release / SECTION
    assert [*files(course_copy.release / SECTION).values()] == [*files(released).values()]
    assert (course_copy.root / "gradebook.db").is_file()
