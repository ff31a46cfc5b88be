"""Broken submissions are put in order, with a plain sentence for each repair."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.errors import UnreadableNotebook
from autograder.layout import Course
from autograder.notebooks import Released, write_notebook
from autograder.repair import Repaired, repair

Notebook = dict[str, Any]

DOUBLE = "def double(x):\n    return 2 * x"
COUNTER = "class Counter:\n    pass"
SCALE = "def scale(x, low=0.0, high=1.0):\n    return x"


@pytest.fixture
def work(course: Course) -> Notebook:
    """The released notebook with every answer filled in."""
    notebook = json.loads(course.released("01_warmup", "tiny").read_text())
    for name, source in (("double", DOUBLE), ("Counter", COUNTER), ("scale", SCALE)):
        cell(notebook, f"{name}-answer")["source"] = source
    return notebook


def cell(notebook: Notebook, name: str) -> Notebook:
    return next(entry for entry in notebook["cells"] if entry["id"] == name)


def repaired(notebook: Notebook, released: Released) -> Repaired:
    return repair(json.dumps(notebook).encode(), released)


def answers(result: Repaired) -> dict[str | None, str]:
    return {c.exercise: c.source for c in result.cells if c.role == "answer"}


ALL = {"double": DOUBLE, "Counter": COUNTER, "scale": SCALE}


def test_a_sound_notebook_needs_no_repair(work: Notebook, released: Released) -> None:
    result = repaired(work, released)
    assert result.notes == ()
    assert answers(result) == ALL
    assert [c.label for c in result.cells] == [
        "given cell 1",
        "cell `double`",
        "cell `Counter`",
        "cell `scale`",
    ]
    assert [c.id for c in result.notebook] == [c.id for c in released.cells]


def test_the_released_notebook_itself_is_sound(course: Course, released: Released) -> None:
    result = repair(course.released("01_warmup", "tiny").read_bytes(), released)
    assert result.notes == ()
    assert result.notebook == released.cells


def test_extra_cells_are_the_learners_own_and_keep_their_place(work: Notebook, released: Released) -> None:
    extra = {"cell_type": "code", "id": "abc", "metadata": {}, "source": "def helper():\n    return 1"}
    work["cells"].insert(3, extra)
    result = repaired(work, released)
    assert [(c.role, c.label) for c in result.cells][1:3] == [
        ("extra", "extra cell 1"),
        ("answer", "cell `double`"),
    ]
    assert result.notes == ()
    assert [c.id for c in result.notebook if c.id.startswith("extra")] == ["extra-01"]


def strip_metadata(notebook: Notebook) -> None:
    for entry in notebook["cells"]:
        entry["metadata"] = {}


def strip_everything(notebook: Notebook) -> None:
    strip_metadata(notebook)
    for entry in notebook["cells"]:
        del entry["id"]


def flip_flags(notebook: Notebook) -> None:
    for entry in notebook["cells"]:
        if "nbgrader" in entry["metadata"]:
            settings = entry["metadata"]["nbgrader"]
            settings["grade"], settings["solution"] = settings["solution"], settings["grade"]


def swap_grade_ids(notebook: Notebook) -> None:
    one, two = (cell(notebook, f"{name}-answer")["metadata"] for name in ("double", "Counter"))
    one["nbgrader"]["grade_id"], two["nbgrader"]["grade_id"] = "Counter-answer", "double-answer"


def swap_grade_ids_and_strip_cell_ids(notebook: Notebook) -> None:
    swap_grade_ids(notebook)
    for entry in notebook["cells"]:
        del entry["id"]
        entry["metadata"].pop("autograder", None)


@pytest.mark.parametrize(
    ("damage", "note"),
    [
        (strip_metadata, r"changed or lost \(`double`, `Counter`, `scale`\)"),
        (strip_everything, r"changed or lost \(`double`, `Counter`, `scale`\)"),
        (flip_flags, r"changed or lost"),
        (swap_grade_ids, r"changed or lost \(`double`, `Counter`\)"),
        (swap_grade_ids_and_strip_cell_ids, r"changed or lost \(`double`, `Counter`\)"),
        (lambda n: cell(n, "double")["metadata"]["nbgrader"].update(points=100), r"lost \(`double`\)"),
        (lambda n: cell(n, "double")["metadata"]["nbgrader"].pop("points"), r"lost \(`double`\)"),
        (lambda n: cell(n, "double")["metadata"]["nbgrader"].update(schema_version=99), r"lost \(`double`\)"),
        (lambda n: cell(n, "double").update(metadata=3), r"lost \(`double`\)"),
        (lambda n: cell(n, "double-answer")["metadata"].update(nbgrader="x"), r"lost \(`double`\)"),
    ],
)
def test_settings_come_from_the_release(
    work: Notebook, released: Released, damage: Callable[[Notebook], None], note: str
) -> None:
    damage(work)
    result = repaired(work, released)
    assert answers(result) == ALL
    assert len(result.notes) == 1
    assert [c.metadata for c in result.notebook] == [c.metadata for c in released.cells]
    assert re.search(note, result.notes[0])


@pytest.mark.parametrize("kind", ["markdown", "raw", "heading", None])
def test_an_answer_turned_into_text_is_code_again(work: Notebook, released: Released, kind: str) -> None:
    cell(work, "double-answer")["cell_type"] = kind
    result = repaired(work, released)
    assert answers(result) == ALL
    assert result.notes == (
        "The cell `double` had been turned into another kind of cell; it was turned back.",
    )


def test_prose_turned_into_code_is_prose_again(work: Notebook, released: Released) -> None:
    cell(work, "text-02")["cell_type"] = "code"
    result = repaired(work, released)
    assert result.notes == ("The text cell 2 had been turned into another kind of cell; it was turned back.",)
    assert len(result.cells) == 4


def test_code_written_in_a_prose_cell_is_the_learners_own(work: Notebook, released: Released) -> None:
    cell(work, "text-02").update(cell_type="code", source="y = 1")
    result = repaired(work, released)
    assert ("extra", "y = 1") in [(c.role, c.source) for c in result.cells]


def test_a_deleted_check_cell_is_put_back(work: Notebook, released: Released) -> None:
    work["cells"].remove(cell(work, "double"))
    result = repaired(work, released)
    assert result.notes == ("The check cell of `double` was missing; it was put back.",)
    assert [c.id for c in result.notebook] == [c.id for c in released.cells]
    assert answers(result) == ALL


def test_a_deleted_answer_is_told_and_not_run(work: Notebook, released: Released) -> None:
    work["cells"].remove(cell(work, "double-answer"))
    result = repaired(work, released)
    assert result.notes == ("The cell `double` was missing, and nothing else defines it.",)
    assert "double" not in answers(result)
    assert [c.id for c in result.notebook] == [c.id for c in released.cells]


def test_an_answer_in_a_cell_of_its_own_is_found(work: Notebook, released: Released) -> None:
    work["cells"].remove(cell(work, "double-answer"))
    work["cells"].append({"cell_type": "code", "id": "x", "metadata": {}, "source": DOUBLE})
    result = repaired(work, released)
    assert answers(result) == ALL
    assert result.notes == ("Grading settings were changed or lost (`double`); the released ones count.",)


def test_two_answers_in_one_cell_are_found(work: Notebook, released: Released) -> None:
    work["cells"].remove(cell(work, "double-answer"))
    cell(work, "scale-answer")["source"] = f"{SCALE}\n\n{DOUBLE}"
    result = repaired(work, released)
    assert result.notes == ("The cell `double` was missing; `double` was found in another cell.",)


def test_deleted_and_emptied_given_cells_are_put_back(work: Notebook, released: Released) -> None:
    emptied = copy.deepcopy(work)
    work["cells"].remove(cell(work, "given-01"))
    cell(emptied, "given-01")["source"] = [" \n"]
    for notebook, what in ((work, "was missing; it"), (emptied, "had been emptied; its text")):
        result = repaired(notebook, released)
        assert result.notes == (f"The given cell 1 {what} was put back.",)
        assert result.cells[0].source.startswith("import numpy as np")


def test_changed_given_cells_stay_as_the_learner_left_them(work: Notebook, released: Released) -> None:
    cell(work, "given-01")["source"] = "import numpy as np\nimport math"
    result = repaired(work, released)
    assert result.cells[0].source == "import numpy as np\nimport math"
    assert result.notes == ()


@pytest.mark.parametrize("fresh_id", [True, False])
def test_the_last_copy_worked_on_counts(work: Notebook, released: Released, fresh_id: bool) -> None:
    second = copy.deepcopy(cell(work, "double-answer"))
    second["source"] = DOUBLE.replace("2 * x", "x + x")
    if fresh_id:
        second["id"] = "f00"
    work["cells"].append(second)
    result = repaired(work, released)
    assert answers(result)["double"] == second["source"]
    assert [c.source for c in result.cells if c.role == "extra"] == [DOUBLE]
    assert result.notes == ("The cell `double` was there 2 times; the last one that was worked on counts.",)


def test_an_untouched_copy_of_an_answer_does_not_undo_it(work: Notebook, released: Released) -> None:
    second = copy.deepcopy(cell(work, "double-answer"))
    second["source"] = next(c.source for c in released.cells if c.id == "double-answer")
    work["cells"].append(second)
    result = repaired(work, released)
    assert answers(result)["double"] == DOUBLE
    assert all(c.role != "extra" for c in result.cells)


def test_a_copied_check_counts_once(work: Notebook, released: Released) -> None:
    work["cells"].insert(6, copy.deepcopy(cell(work, "double")) | {"id": "f00"})
    result = repaired(work, released)
    assert [c.id for c in result.notebook] == [c.id for c in released.cells]
    assert answers(result) == ALL


def test_a_changed_check_is_told_and_not_run(work: Notebook, released: Released) -> None:
    cell(work, "double")["source"] = "print('6 passed')"
    result = repaired(work, released)
    assert result.notes == ("The check cell of `double` had been changed; what it held was not run.",)
    assert next(c.source for c in result.notebook if c.id == "double") == 'check("double")'


def test_an_invented_graded_cell_counts_nothing(work: Notebook, released: Released) -> None:
    settings = {"grade": True, "grade_id": "free_points", "points": 1000, "solution": False}
    work["cells"].append({"cell_type": "code", "id": "n", "metadata": {"nbgrader": settings}, "source": "1"})
    result = repaired(work, released)
    assert result.notes == ("A graded cell `free_points` is not of this notebook; it counts nothing.",)
    assert result.notebook[-1].metadata == {}


def test_duplicate_cell_ids_are_told_apart_by_what_the_cells_hold(work: Notebook, released: Released) -> None:
    for entry in work["cells"]:
        entry["id"] = "same"
    assert answers(repaired(work, released)) == ALL


def test_a_syntax_error_in_one_cell_leaves_it_recognised(work: Notebook, released: Released) -> None:
    strip_everything(work)
    next(e for e in work["cells"] if e["source"] == DOUBLE)["source"] = "def double(x:\n    return"
    assert answers(repaired(work, released))["double"] == "def double(x:\n    return"


@pytest.mark.parametrize(
    ("source", "read"),
    [
        (["def double(x):\n", "    return 2 * x"], DOUBLE),
        (DOUBLE.replace("\n", "\r\n"), DOUBLE),
        ("s = '\ud800'", "s = '?'"),
    ],
)
def test_sources_of_many_shapes_are_read(work: Notebook, released: Released, source: Any, read: str) -> None:
    cell(work, "double-answer")["source"] = source
    assert answers(repaired(work, released))["double"] == read


@pytest.mark.parametrize("source", [None, 7, {"a": 1}, [1, None]])
def test_a_source_that_is_no_text_is_empty(work: Notebook, released: Released, source: Any) -> None:
    cell(work, "double-answer")["source"] = source
    result = repaired(work, released)
    assert "double" not in answers(result)
    assert "A cell's source was not text; what was text in it was kept." in result.notes


def test_entries_that_are_no_cells_are_left_out(work: Notebook, released: Released) -> None:
    work["cells"][0:0] = [None, 3, "text"]
    result = repaired(work, released)
    assert answers(result) == ALL
    assert result.notes == ("Something in the list of cells was no cell; it was left out.",)


def test_jupyter_commands_are_told_and_not_run(work: Notebook, released: Released) -> None:
    cell(work, "double-answer")["source"] = f"%matplotlib inline\n!pip install torch\n{DOUBLE}"
    work["cells"].append({"cell_type": "code", "id": "b", "metadata": {}, "source": "%%bash\nls"})
    result = repaired(work, released)
    assert answers(result)["double"] == f"# %matplotlib inline\n# !pip install torch\n{DOUBLE}"
    assert result.notes == (
        "The cell `double` holds `%matplotlib inline` and 1 more: Jupyter commands are not run when grading.",
        "Extra cell 1 holds `%%bash`: Jupyter commands are not run when grading.",
    )
    assert len(result.cells) == 4


def test_format_3_is_read(released: Released) -> None:
    cells = [{"cell_type": "code", "input": text, "language": "python"} for text in (DOUBLE, COUNTER, SCALE)]
    old = {"nbformat": 3, "worksheets": [{"cells": [{"cell_type": "heading", "source": "T"}, *cells]}]}
    result = repaired(old, released)
    assert answers(result) == ALL
    assert result.notes[0] == "The notebook has an old format (nbformat 3); it was read all the same."


@pytest.mark.parametrize(("version", "minor", "notes"), [(4, 99, 0), (4, 2, 0), (5, 0, 1), ("x", None, 0)])
def test_other_versions_are_read(
    work: Notebook, released: Released, version: object, minor: object, notes: int
) -> None:
    work |= {"nbformat": version, "nbformat_minor": minor}
    result = repaired(work, released)
    assert answers(result) == ALL
    assert len(result.notes) == notes


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_are_read(work: Notebook, released: Released, encoding: str) -> None:
    assert answers(repair(json.dumps(work).encode(encoding), released)) == ALL


def test_broken_characters_are_replaced(work: Notebook, released: Released) -> None:
    cell(work, "double-answer")["source"] = DOUBLE + "  # caf@"
    result = repair(json.dumps(work).encode().replace(b"caf@", b"caf\xe9"), released)
    assert answers(result)["double"] == DOUBLE + "  # caf\N{REPLACEMENT CHARACTER}"
    assert result.notes == ("Some characters of the file were damaged (not utf-8); they were replaced.",)


def test_outputs_are_dropped_however_many(work: Notebook, released: Released) -> None:
    cell(work, "double-answer")["outputs"] = [{"output_type": "stream", "text": "x"}] * 10_000
    assert answers(repaired(work, released)) == ALL


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "the file is empty"),
        (b" \n\t", "the file is empty"),
        (b"{", "the file ends in the middle"),
        (b'{"cells": [{"source": "abc', "the file ends in the middle"),
        (b'{"cells": [}, "nbformat": 4}', r"the file is damaged at line 1 \(Expecting value\)"),
        (b"not json", "the file is damaged at line 1"),
        (b"[1, 2]", "the file is not a notebook: it has no cells"),
        (b"3", "the file is not a notebook"),
        (b'{"a": 1}', "the file is not a notebook"),
        (b'{"cells": 3}', "the notebook's cells are not a list"),
        (b'{"cells": {"a": 1}}', "the notebook's cells are not a list"),
        (b'{"worksheets": 3}', "the notebook's cells are not a list"),
        (b'{"worksheets": [{"cells": null}]}', "the notebook's cells are not a list"),
        (b"PK\x03\x04 ...", "the file is a zip archive"),
        (b"%PDF-1.7", "the file is a PDF file"),
        (b"<!doctype html>", "the file is a web page"),
        (b"\x1f\x8b\x08", "the file is a gzip archive"),
        (b'{"cells": [\n<<<<<<< ours\n{}\n>>>>>>> theirs\n]}', "unfinished git merge"),
        (b'{"cells": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"cells": [' + b"{}," * 2_500 + b"{}]}", "the notebook is too long"),
        (b'{"cells": [{"source": "' + b"x" * (2**21 + 1) + b'"}]}', "the notebook is too long"),
        (b" " * (50 * 2**20 + 1), "the file has 50 MB, at most 50 are read; .* clear all outputs"),
    ],
)
def test_what_is_beyond_reading_is_said_clearly(released: Released, raw: bytes, why: str) -> None:
    with pytest.raises(UnreadableNotebook, match=why):
        repair(raw, released)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """Every place inside some JSON."""
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in entries:
        yield (*path, key)
        yield from places(inner, *path, key)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.data())
def test_whatever_is_broken_it_is_read_or_refused(
    course: Course, released: Released, data: st.DataObject
) -> None:
    """Nothing but UnreadableNotebook ever comes out, and what comes out can be written again."""
    notebook = json.loads(course.released("01_warmup", "tiny").read_text())
    for _ in range(data.draw(st.integers(1, 5))):
        *path, last = data.draw(st.sampled_from([*places(notebook)]))
        holder = notebook
        for key in path:
            holder = holder[key]
        holder[last] = data.draw(JUNK)
        if not [*places(notebook)]:
            break
    raw = json.dumps(notebook).encode()
    if data.draw(st.booleans()):
        cut = data.draw(st.integers(0, len(raw)))
        raw = raw[:cut] + data.draw(st.binary(max_size=6)) + raw[cut + data.draw(st.integers(0, 6)) :]
    with suppress(UnreadableNotebook):
        result = repair(raw, released)
        write_notebook(result.notebook, {})
        assert len({c.label for c in result.cells}) == len(result.cells)
        assert len({c.id for c in result.notebook}) == len(result.notebook)
        assert {c.id for c in result.notebook} >= {c.id for c in released.cells if c.role not in ("", "demo")}
