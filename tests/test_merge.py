"""A learner's notebook and a newer release, cell by cell: nothing of theirs is lost, the rest is new."""

from __future__ import annotations

from typing import Any

import pytest

from autograder.merge import Merged, cells_given, merge

Cells = list[tuple[str, str]]  # id and source


def cell(name: str, source: str, **metadata: Any) -> dict[str, Any]:
    kind = "markdown" if name.startswith("text") else "code"
    content: dict[str, Any] = {
        "cell_type": kind,
        "id": name,
        "metadata": metadata,
        "source": source.splitlines(True),
    }
    return content | ({} if kind == "markdown" else {"outputs": [], "execution_count": None})


def notebook(cells: Cells) -> dict[str, Any]:
    metadata = {"autograder": {"notebook": "n"}, "kernelspec": {"name": "python3"}}
    made = [cell(name, source, autograder={"exercise": name.partition("-")[0]}) for name, source in cells]
    return {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def merged(mine: dict[str, Any], given: Cells, release: Cells) -> Merged:
    result = merge(mine, cells_given(notebook(given)), notebook(release))
    assert isinstance(result, Merged), result
    return result


def sources(result: Merged) -> Cells:
    return [(c["id"], "".join(c["source"])) for c in result.notebook["cells"]]


GIVEN: Cells = [
    ("text-01", "Title"),
    ("text-02", "Contract"),
    ("f-answer", "stub"),
    ("f", "check"),
    ("text-03", "End"),
]


def test_what_was_not_touched_is_renewed_and_an_answer_stays() -> None:
    mine = notebook(GIVEN)
    mine["cells"][2]["source"] = "my answer"
    mine["cells"][2]["outputs"] = [{"output_type": "stream"}]
    release = [(i, s + " 2" if i.startswith("text") else s) for i, s in GIVEN]
    result = merged(mine, GIVEN, release)
    assert sources(result) == [
        ("text-01", "Title 2"), ("text-02", "Contract 2"), ("f-answer", "my answer"), ("f", "check"),
        ("text-03", "End 2"),
    ]  # fmt: skip
    assert (result.renewed, result.both) == (3, [])
    assert result.notebook["cells"][2]["outputs"]


def test_what_both_changed_stays_the_learners_and_is_named() -> None:
    mine = notebook(GIVEN)
    mine["cells"][2]["source"] = "my answer"
    result = merged(mine, GIVEN, [(i, "new stub" if i == "f-answer" else s) for i, s in GIVEN])
    assert dict(sources(result))["f-answer"] == "my answer"
    assert result.both == ["f"]


def test_the_same_change_on_both_sides_is_no_conflict() -> None:
    mine = notebook(GIVEN)
    mine["cells"][0]["source"] = "Better title\n"
    result = merged(mine, GIVEN, [("text-01", "Better title"), *GIVEN[1:]])
    assert (result.renewed, result.both) == (0, [])


def test_own_cells_stay_behind_the_cell_they_followed() -> None:
    mine = notebook(GIVEN)
    mine["cells"].insert(3, cell("a1b2c3", "my try"))
    mine["cells"].insert(0, cell("d4e5f6", "my notes"))
    result = merged(mine, GIVEN, [("text-01", "New"), *GIVEN[1:]])
    assert [name for name, _ in sources(result)] == [
        "d4e5f6",
        "text-01",
        "text-02",
        "f-answer",
        "a1b2c3",
        "f",
        "text-03",
    ]


def test_numbers_of_text_cells_may_move() -> None:
    """A text is put in before an edited one: the edit follows its text, not its number."""
    mine = notebook(GIVEN)
    mine["cells"][4]["source"] = "End, with my notes"
    release = [*GIVEN[:2], ("text-03", "A new paragraph"), *GIVEN[2:4], ("text-04", "End")]
    result = merged(mine, GIVEN, release)
    assert sources(result) == [*release[:-1], ("text-04", "End, with my notes")]
    assert (result.renewed, result.both) == (1, [])


def test_a_cell_that_left_the_release_goes_unless_it_was_touched() -> None:
    release = [c for c in GIVEN if not c[0].startswith("f")]
    assert [i for i, _ in sources(merged(notebook(GIVEN), GIVEN, release))] == [
        "text-01",
        "text-02",
        "text-03",
    ]
    mine = notebook(GIVEN)
    mine["cells"][2]["source"] = "my answer"
    result = merged(mine, GIVEN, release)
    assert sources(result)[2] == ("f-answer", "my answer")
    assert result.notebook["cells"][2]["metadata"] == {}, "it is the learner's own now"


def test_a_deleted_cell_stays_deleted_and_a_new_one_comes() -> None:
    mine = notebook([c for c in GIVEN if c[0] != "text-02"])
    result = merged(mine, GIVEN, [*GIVEN, ("g-answer", "stub"), ("g", "check")])
    assert [i for i, _ in sources(result)] == ["text-01", "f-answer", "f", "text-03", "g-answer", "g"]


def test_settings_are_the_releases_and_the_kernel_is_the_learners() -> None:
    mine = notebook(GIVEN)
    mine["metadata"] = {"kernelspec": {"name": "mine"}, "autograder": {"notebook": "old"}}
    mine["cells"][3]["metadata"] = {"autograder": {"points": 100}, "collapsed": True}
    release = notebook([("text-01", "New"), *GIVEN[1:]])
    result = merge(mine, cells_given(notebook(GIVEN)), release)
    assert isinstance(result, Merged)
    assert result.notebook["metadata"] == {"kernelspec": {"name": "mine"}, "autograder": {"notebook": "n"}}
    assert result.notebook["cells"][3]["metadata"] == {"autograder": {"exercise": "f"}, "collapsed": True}


def test_two_cells_never_get_the_same_id() -> None:
    mine = notebook(GIVEN)
    mine["cells"].append(cell("g-answer", "my own idea of g"))
    result = merged(mine, GIVEN, [*GIVEN, ("g-answer", "stub")])
    names = [name for name, _ in sources(result)]
    assert len(set(names)) == len(names) == 7
    assert {"my own idea of g", "stub"} <= {source for _, source in sources(result)}


def test_the_file_is_written_as_jupyter_writes_it() -> None:
    text = (
        merged(notebook([("text-01", "é \ud800")]), [("text-01", "é")], [("text-01", "é")])
        .to_bytes()
        .decode()
    )
    assert text.startswith('{\n "cells": [')
    assert "é ?" in text


def swapped(content: dict[str, Any]) -> None:
    cells = content["cells"]
    cells[0], cells[1] = cells[1], cells[0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (swapped, "its cells stand in another order"),
        (lambda n: n["cells"].append(n["cells"][0]), "two of its cells have the same name"),
        (lambda n: n["cells"][0].pop("id"), "it is no notebook with named cells"),
        (lambda n: n["cells"].append(7), "it is no notebook with named cells"),
        (lambda n: n.pop("cells"), "it is no notebook with named cells"),
        (lambda n: n["cells"].clear(), "none of its cells is of the release"),
    ],
)
def test_what_cannot_be_merged_is_said(change: Any, why: str) -> None:
    mine = notebook(GIVEN)
    change(mine)
    assert merge(mine, cells_given(notebook(GIVEN)), notebook(GIVEN)) == why


def test_without_a_record_nothing_is_merged() -> None:
    assert merge(notebook(GIVEN), (), notebook(GIVEN)) == "it is not known what you changed in it"
