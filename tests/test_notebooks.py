"""The two notebook formats: what is read, what is written, and what is said when it can't be."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest

from autograder.errors import CourseError
from autograder.layout import Course
from autograder.notebooks import Cell, Exercise, Released, load_released, read_percent, write_notebook


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "a.py"
    path.write_text(text, encoding="utf-8")
    return path


def test_percent_cells_have_kind_header_source_and_line(tmp_path: Path) -> None:
    text = (
        "# %% [markdown]\n# # T\n#\n# x\n\n"
        '# %% points=5 forbid=F.x,.y\ncheck("a")\n\n'
        "# %% demo\n# %matplotlib inline\n"
    )
    cells = read_percent(written(tmp_path, text))
    assert [(c.kind, c.header, c.source, c.line) for c in cells] == [
        ("markdown", "[markdown]", "# T\n\nx", 1),
        ("code", "points=5 forbid=F.x,.y", 'check("a")', 6),
        ("code", "demo", "%matplotlib inline", 9),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "import os\n\n# %%\nx = 1\n",
            "a.py:3: 1 lines begin with `# %%` but the file has 2 cells; begin the file",
        ),
        ("# %%\ns = '''\n# %%\n'''\n", "a.py:1: 2 lines begin with `# %%` .* keep `# %%` out of strings"),
    ],
)
def test_cells_that_do_not_match_their_headers_are_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(CourseError, match=why):
        read_percent(written(tmp_path, text))


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"# %%\n# caf\xe9\n")
    with pytest.raises(CourseError, match=r"a\.py: not stored as utf-8 \(byte 10\); save it as utf-8"):
        read_percent(tmp_path / "a.py")


def test_a_missing_source_is_said(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match=r"a\.py: no such notebook"):
        read_percent(tmp_path / "a.py")


def test_the_released_notebook_knows_its_exercises(released: Released) -> None:
    assert released.exercises == (
        Exercise("double", 2.0, limit=3.0, topics=("S1.1",), forbid=("np.add",)),
        Exercise("Counter", 3.0, limit=3.0, topics=("S1.1", "S1.2")),
        Exercise("scale", 1.0, bonus=True),
    )
    assert [c.role for c in released.cells if c.kind == "code"] == [
        "given", "answer", "check", "demo", "answer", "check", "answer", "check",
    ]  # fmt: skip
    assert {c.exercise for c in released.cells} == {"", "double", "Counter", "scale"}


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"cells": 1}', '{"cells": [{"id": "a"}]}', '{"cells": [1]}']
)
def test_a_file_that_was_not_released_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(content)
    with pytest.raises(CourseError, match=r"a\.ipynb: not a released .*; run `autograder build 01_warmup`"):
        load_released(path, "01_warmup")


def test_a_notebook_not_yet_built_is_said(course: Course) -> None:
    with pytest.raises(CourseError, match=r"none\.ipynb: no such notebook; run `autograder build 01_warmup`"):
        load_released(course.released("01_warmup", "none"), "01_warmup")


def test_what_is_written_is_valid_and_always_the_same() -> None:
    cells = [Cell("a", "markdown", "# é\n\u2028x", {}), Cell("b", "code", "x = 1\n", {"z": 1, "a": [1.5]})]
    one, two = (write_notebook(cells, {"autograder": {"section": "s"}}) for _ in range(2))
    assert one == two
    assert one.endswith(b"}\n")
    notebook = nbformat.reads(one.decode(), as_version=4)
    nbformat.validate(notebook)
    assert [c.source for c in notebook.cells] == ["# é\n\u2028x", "x = 1\n"]
    assert json.loads(one)["metadata"]["autograder"] == {"section": "s"}
    assert nbformat.writes(notebook) + "\n" == one.decode()
