"""`autograder start`: a folder of one's own, kept current, in which nothing is ever lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from autograder import lab
from autograder.cli import app
from autograder.copying import Refreshed, put
from autograder.errors import CouldNotRun, CourseError
from autograder.identify import find_notebooks
from autograder.layout import Course
from autograder.workfolder import find_work, refresh

SECTION = "01_warmup"
NAME = f"{SECTION}/tiny.ipynb"
TESTS = f"{SECTION}/test_tiny.py"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "work"


def content(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


def edit(path: Path, **cells: str) -> None:
    """New sources for cells, by id with - as _."""
    notebook = content(path)
    for cell in notebook["cells"]:
        cell["source"] = cells.get(cell["id"].replace("-", "_"), cell["source"])
    path.write_text(json.dumps(notebook))


def source(path: Path, name: str) -> str:
    return "".join(next(c["source"] for c in content(path)["cells"] if c["id"] == name))


# Copying and bringing up to date


def test_everything_that_is_released_is_copied_once(course: Course, work: Path) -> None:
    first = refresh(course, work, [SECTION])
    assert first.new == [f"{SECTION}/data/numbers.csv", TESTS, NAME]
    assert (work / NAME).read_bytes() == course.released(SECTION, "tiny").read_bytes()
    again = refresh(course, work, [SECTION])
    assert again == Refreshed(kept=first.new)
    assert sorted(p.name for p in (work / ".autograder").iterdir()) == ["given.json"]


def test_work_is_kept_while_the_release_stands_still(course: Course, work: Path) -> None:
    refresh(course, work, [SECTION])
    edit(work / NAME, double_answer="def double(x): return x + x", text_01="# My tiny notebook")
    (work / TESTS).write_text("# mine")
    before = {p: p.read_bytes() for p in work.rglob("*") if p.is_file()}
    assert refresh(course, work, [SECTION]).updated == []
    assert {p: p.read_bytes() for p in work.rglob("*") if p.is_file()} == before


def test_an_updated_release_is_merged_cell_by_cell(course_copy: Course, work: Path) -> None:
    refresh(course_copy, work, [SECTION])
    edit(work / NAME, double_answer="def double(x): return x + x")
    edit(course_copy.released(SECTION, "tiny"), text_01="# A new title", demo_01="print('new')")
    done = refresh(course_copy, work, [SECTION])
    assert (done.updated, done.notes) == ([NAME], [])
    assert source(work / NAME, "text-01") == "# A new title"
    assert source(work / NAME, "demo-01") == "print('new')"
    assert source(work / NAME, "double-answer") == "def double(x): return x + x"
    assert refresh(course_copy, work, [SECTION]).updated == []
    edit(course_copy.released(SECTION, "tiny"), text_01="# A newer title")  # and once more
    assert refresh(course_copy, work, [SECTION]).updated == [NAME]
    assert source(work / NAME, "text-01") == "# A newer title"


def test_what_both_changed_is_kept_and_the_new_one_lies_beside(course_copy: Course, work: Path) -> None:
    refresh(course_copy, work, [SECTION])
    edit(work / NAME, double_answer="def double(x): return x + x")
    edit(course_copy.released(SECTION, "tiny"), double_answer="def double(x, y): ...", text_01="# New")
    done = refresh(course_copy, work, [SECTION])
    assert done.notes == [
        f"{NAME} is updated; you and the release both changed `double`: yours stays, "
        "and the new one lies beside it as tiny.new.ipynb."
    ]
    assert source(work / NAME, "double-answer") == "def double(x): return x + x"
    assert source(work / NAME, "text-01") == "# New"
    assert source(work / SECTION / "tiny.new.ipynb", "double-answer") == "def double(x, y): ..."
    assert find_notebooks([work]) == [work / NAME], "a whole folder is graded without it"
    assert refresh(course_copy, work, [SECTION]).notes == []


def test_the_welcome_page_is_no_work_to_grade(course_copy: Course, work: Path) -> None:
    (course_copy.release / "welcome.ipynb").write_text('{"cells": [], "metadata": {}}')
    assert refresh(course_copy, work, [SECTION]).new[0] == "welcome.ipynb"
    assert find_notebooks([work]) == [work / NAME]
    assert find_notebooks([work / "welcome.ipynb"]) == [work / "welcome.ipynb"], (
        "named, it is told what it is"
    )


def test_what_cannot_be_merged_stays_and_the_new_one_lies_beside(course_copy: Course, work: Path) -> None:
    refresh(course_copy, work, [SECTION])
    (work / NAME).write_text("{ half a file")
    edit(course_copy.released(SECTION, "tiny"), text_01="# New")
    done = refresh(course_copy, work, [SECTION])
    assert (work / NAME).read_text() == "{ half a file"
    assert done.notes == [
        f"{NAME} is new in the release, but it is no notebook with named cells: yours stays as it is, "
        "and the new one lies beside it as tiny.new.ipynb."
    ]
    assert refresh(course_copy, work, [SECTION]).notes == []
    (work / SECTION / "tiny.new.ipynb").write_text("somebody worked here")
    edit(course_copy.released(SECTION, "tiny"), text_01="# Newer")
    (note,) = refresh(course_copy, work, [SECTION]).notes
    assert note.endswith("as tiny.new-2.ipynb.")
    assert (work / SECTION / "tiny.new.ipynb").read_text() == "somebody worked here"


def test_files_beside_a_notebook_are_renewed_and_a_changed_one_is_kept_aside(
    course_copy: Course, work: Path
) -> None:
    refresh(course_copy, work, [SECTION])
    (work / TESTS).write_text("# mine")
    course_copy.visible_tests(SECTION, "tiny").write_text("# new tests")
    (course_copy.release / SECTION / "data" / "numbers.csv").write_text("1,2")
    done = refresh(course_copy, work, [SECTION])
    assert done.updated == [f"{SECTION}/data/numbers.csv", TESTS]
    assert done.notes == [
        f"{TESTS} is new in the release; yours, which differs, is kept as test_tiny.py.yours."
    ]
    assert (work / TESTS).read_text() == "# new tests"
    assert (work / SECTION / "test_tiny.py.yours").read_text() == "# mine"
    assert (work / SECTION / "data" / "numbers.csv").read_text() == "1,2"
    (work / TESTS).write_text("# mine again")
    course_copy.visible_tests(SECTION, "tiny").write_text("# newer tests")
    refresh(course_copy, work, [SECTION])
    assert (work / SECTION / "test_tiny.py.yours").read_text() == "# mine"


def test_what_is_released_no_more_goes_when_it_was_never_touched(course_copy: Course, work: Path) -> None:
    extra = course_copy.release / SECTION / "given.py"
    for changed in (False, True):
        extra.write_text("x = 1")
        refresh(course_copy, work, [SECTION])
        copy = work / SECTION / "given.py"
        if changed:
            copy.write_text("x = 2")
        extra.unlink()
        done = refresh(course_copy, work, [SECTION])
        assert copy.exists() == changed
        assert (
            done.notes
            == [f"{SECTION}/given.py is released no more; yours, which differs, is kept."] * changed
        )


def test_a_lost_record_costs_nothing_but_merges(course_copy: Course, work: Path) -> None:
    """As in a folder of the time before there was one: it is taken as it is while only answers differ."""
    refresh(course_copy, work, [SECTION])
    edit(work / NAME, double_answer="def double(x): return x + x")
    (work / ".autograder" / "given.json").write_text('{"01_warmup/tiny.ipynb": {"cells": [7]}, "x": ')
    done = refresh(course_copy, work, [SECTION])
    assert (done.updated, done.notes) == ([], [])
    edit(course_copy.released(SECTION, "tiny"), text_01="# New")
    assert refresh(course_copy, work, [SECTION]).updated == [NAME], "from here on it is known again"
    (work / ".autograder" / "given.json").write_text("[]")
    edit(course_copy.released(SECTION, "tiny"), text_01="# Newer")
    (note,) = refresh(course_copy, work, [SECTION]).notes
    assert "but it is not known what you changed in it: yours stays" in note
    assert source(work / NAME, "double-answer") == "def double(x): return x + x"


def test_a_link_is_left_alone(course: Course, work: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere.py"
    other.write_text("mine")
    (work / SECTION).mkdir(parents=True)
    (work / TESTS).symlink_to(other)
    done = refresh(course, work, [SECTION])
    assert done.notes == [f"{TESTS} is a link or a folder in your copy; it was left alone."]
    assert other.read_text() == "mine"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(0o640)
    put(path, b"new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o640)

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        put(path, b"newer")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "new"


def test_a_run_that_is_stopped_is_finished_by_the_next(
    course: Course, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autograder import copying

    def stop(path: Path, content: bytes) -> None:
        if path.name == "tiny.ipynb":
            raise KeyboardInterrupt
        put(path, content)

    monkeypatch.setattr(copying, "put", stop)
    with pytest.raises(KeyboardInterrupt):
        refresh(course, work, [SECTION])
    monkeypatch.undo()
    assert refresh(course, work, [SECTION]).new == [NAME]


# Where to work


def test_in_a_clone_it_is_work_and_elsewhere_a_folder_of_the_courses_name(
    course: Course, tmp_path: Path
) -> None:
    assert find_work(course, "ml-course", course.source / SECTION) == course.root / "work"
    assert find_work(course, "ml-course", tmp_path) == tmp_path / "ml-course"
    assert find_work(course, "ml-course", tmp_path, to=tmp_path / "x") == tmp_path / "x"


def test_inside_a_work_folder_it_is_that_one(course: Course, work: Path, tmp_path: Path) -> None:
    refresh(course, work, [SECTION])
    assert find_work(course, "ml-course", work / SECTION) == work
    (tmp_path / ".autograder").mkdir()  # a journal of notebooks that came another way makes no such folder
    assert find_work(course, "ml-course", tmp_path) == tmp_path / "ml-course"


@pytest.mark.parametrize("inside", [".", "release", "source/01_warmup", "autograded/alice"])
def test_a_copy_is_not_mixed_up_with_a_course(course_copy: Course, inside: str) -> None:
    with pytest.raises(CourseError, match="belongs to an nbgrader course, which a learner's copy must not"):
        find_work(course_copy, "w", course_copy.root, to=course_copy.root / inside)
    assert (
        find_work(course_copy, "w", course_copy.root, to=course_copy.root / "mine")
        == course_copy.root / "mine"
    )


def test_a_file_is_no_folder(course: Course, tmp_path: Path) -> None:
    (tmp_path / "ml-course").write_text("x")
    with pytest.raises(
        CourseError, match=r"ml-course: is a file; the notebooks need a folder: name another one with --to"
    ):
        find_work(course, "ml-course", tmp_path)


def test_a_folder_that_cannot_be_written_is_said(
    course: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CourseError, match="the work folder can't be made here: Not a directory"):
        refresh(course, tmp_path / "file" / "work", [SECTION])

    def refused(path: Path, content: bytes) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("autograder.workfolder.put", refused)
    with pytest.raises(
        CourseError, match="can't be written: Permission denied; name another folder with --to DIR"
    ):
        refresh(course, tmp_path / "work", [SECTION])


def test_without_a_release_there_is_nothing_to_copy(tmp_path: Path, work: Path) -> None:
    with pytest.raises(CourseError, match=r"release: nothing is released here yet; run `autograder build`"):
        refresh(Course(tmp_path), work, [SECTION])
    assert not work.exists()


# The command


def start(course: Course, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    monkeypatch.chdir(course.root)
    for name in ("JUPYTER_SERVER_ROOT", "JUPYTERHUB_SERVICE_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    return CliRunner().invoke(app, ["start", *words])


def test_json_says_what_was_done_and_starts_nothing(
    course_copy: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = start(course_copy, monkeypatch, "--json")
    told = json.loads(result.output)
    assert told["work"] == str(course_copy.root / "work")
    assert told["new"] == [f"{SECTION}/data/numbers.csv", TESTS, NAME]


def test_lines_for_new_updated_kept_and_nothing_else(
    course_copy: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    monkeypatch.setattr(lab, "open_lab", lambda *args, **kwargs: opened.append((args, kwargs)) or 0)
    first = start(course_copy, monkeypatch, "warm", "--no-browser", "--port=9999")
    assert (first.exit_code, first.output) == (0, "New in work: 1 notebook and 2 files beside them.\n")
    ((work, page, options), settings) = opened[0]
    assert (work, page, options) == (course_copy.root / "work", "", ["--port=9999"])
    assert settings["browser"] is False
    assert start(course_copy, monkeypatch).output == "Kept as they are: 1 notebook and 2 files beside them.\n"
    edit(course_copy.released(SECTION, "tiny"), text_01="# New")
    updated = start(course_copy, monkeypatch).output
    assert updated == f"Updated, your answers kept: {NAME}.\nKept as they are: 2 files.\n"


def test_where_jupyterlab_runs_already_none_is_started(
    course_copy: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    (course_copy.release / "welcome.ipynb").write_text('{"cells": []}')
    monkeypatch.setattr("autograder.lab.running_in_jupyter", lambda: True)
    result = start(course_copy, monkeypatch)
    assert result.output.endswith(
        "JupyterLab is running already: open work/welcome.ipynb in its file browser.\n"
    )


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["99_none"], f"no assignment 99_none; there are: {SECTION}"),
        (["02"], "02_later is not written yet; there are: 01_warmup"),
        (
            [SECTION, "02_more"],
            "one assignment at a time, and options as in --port=9999; got 01_warmup, 02_more",
        ),
    ],
)
def test_wrong_words_are_wrong_usage(
    course_copy: Course, monkeypatch: pytest.MonkeyPatch, words: list[str], why: str
) -> None:
    later = '[[assignment]]\nname = "02_later"\ntitle = "L"\ngoal = "G"\nnotebooks = []\n'
    (course_copy.release / "roadmap.toml").write_text(f'title = "A"\n{later}')
    result = start(course_copy, monkeypatch, *words)
    assert result.exit_code == 2
    assert why in " ".join(result.output.split())


def test_another_nbgrader_course_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "release" / "ps1").mkdir(parents=True)
    (tmp_path / "release" / "ps1" / "p1.ipynb").write_text('{"cells": []}')
    (tmp_path / "nbgrader_config.py").write_text("")
    result = start(Course(tmp_path), monkeypatch)
    assert "this is another nbgrader course; change into a folder outside of it" in str(result.exception)
    assert not (tmp_path / "work").exists()


# JupyterLab


@pytest.mark.parametrize(
    ("environment", "display", "jupyter"),
    [
        ({}, False, False),
        ({"DISPLAY": ":0"}, True, False),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True, False),
        ({"JUPYTER_SERVER_ROOT": "/home/me"}, False, True),
        ({"JUPYTERHUB_SERVICE_PREFIX": "/user/me/"}, False, True),
    ],
)
def test_what_the_environment_tells(environment: dict[str, str], display: bool, jupyter: bool) -> None:
    assert lab.has_display(environment, "linux") == display
    assert lab.has_display(environment, "darwin")
    assert lab.running_in_jupyter(environment) == jupyter


def test_a_missing_jupyterlab_is_said(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        CouldNotRun, match=r"JupyterLab is not installed beside .*; run `pip install jupyterlab`"
    ):
        lab.open_lab(work, "", [], browser=False, say=print)


RUN = """
import sys
from pathlib import Path
from autograder.lab import open_lab

say = lambda line: print(line, flush=True)
sys.exit(open_lab(Path(sys.argv[1]), "welcome.ipynb", sys.argv[2:], browser=False, say=say))
"""


def run_lab(work: Path, *options: str) -> subprocess.Popen[str]:
    (work / ".autograder").mkdir(parents=True)
    (work / "welcome.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    places = {
        name: str(work / name.lower()) for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "HOME")
    }
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(work), *options],
        env={**os.environ, **places},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_jupyterlab_says_its_address_and_ends_with_us(work: Path) -> None:
    with run_lab(work, "--port=0") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("JupyterLab: http://localhost:"), line
        assert "/lab/tree/welcome.ipynb?token=" in line
        (server,) = (work / "jupyter_runtime_dir").glob("jpserver-[0-9]*.json")
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    ends = time.monotonic() + 10
    while server.exists() and time.monotonic() < ends:
        time.sleep(0.1)
    assert not server.exists(), "the server has ended as well"


@pytest.mark.slow
def test_a_jupyterlab_that_does_not_start_says_why(work: Path) -> None:
    process = run_lab(work, "--ServerApp.port=nonsense")
    with process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "JupyterLab did not start" in said
    assert "nonsense" in said


def test_a_jupyterlab_that_runs_in_the_folder_is_not_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as server:
        told = {"pid": os.getpid(), "hostname": "127.0.0.1", "port": server.getsockname()[1], "token": "t"}
        told |= {"url": "http://127.0.0.1/", "root_dir": str(tmp_path.resolve())}
        (tmp_path / "jpserver-7.json").write_text(json.dumps(told))
        assert (
            lab.already_open(tmp_path, "welcome.ipynb") == "http://127.0.0.1/lab/tree/welcome.ipynb?token=t"
        )
        assert lab.already_open(tmp_path / "another", "") == ""
    assert lab.already_open(tmp_path, "") == "", "it has ended and left its file behind"


def test_a_notebook_that_is_not_there_is_looked_for_nearby(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("work", "release", "solutions"):
        (tmp_path / folder / "05_transformers").mkdir(parents=True)
        (tmp_path / folder / "05_transformers" / "attention.ipynb").write_text("{}")
    monkeypatch.chdir(tmp_path)
    there = r"no such file; there is work/05_transformers/attention\.ipynb$"
    for asked in ("attention.ipynb", "05_transformers/attention.ipynb", "work/atention.ipynb"):
        with pytest.raises(CourseError, match=there):
            find_notebooks([Path(asked)])
    with pytest.raises(CourseError, match=r"no such file$"):
        find_notebooks([Path("shopping.ipynb")])
