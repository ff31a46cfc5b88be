"""The hints of a notebook, which of them are open, and how a card shows them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from autograder.hints import Hint, hints_of, open_hints
from autograder.journal import Attempt
from autograder.layout import Course
from autograder.notebooks import Cell, write_notebook
from autograder.render.clean import html_markdown
from autograder.render.folds import OpenHints, hint_lines, hints_html

FACTS = {"points": 1, "bonus": False, "limit": 5, "topics": [], "forbid": []}


def fold(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n</details>"


def notebook(path: Path, *cells: Cell) -> Path:
    path.write_bytes(write_notebook(cells, {}))
    return path


def answer(name: str) -> Cell:
    ours = {"role": "answer", "exercise": name}
    return Cell(f"{name}-answer", "code", "pass", {"autograder": ours})


def check(name: str) -> Cell:
    ours = {"role": "check", "exercise": name, **FACTS}
    return Cell(name, "code", f'check("{name}")', {"autograder": ours})


def text(number: int, source: str) -> Cell:
    return Cell(f"text-{number}", "markdown", source, {})


def test_those_of_the_contract_are_found(course: Course) -> None:
    (hint,) = hints_of(course.released("01_warmup", "tiny"), "double")
    assert hint == Hint("Hint 1: which operator?", "Numbers and arrays know how to be multiplied.")


def test_each_exercise_has_its_own_wherever_they_stand(tmp_path: Path) -> None:
    path = notebook(
        tmp_path / "n.ipynb",
        text(1, f"## 1. `a`\n\n{fold('Hint 1: of a', 'one')}"),
        answer("a"),
        check("a"),
        text(2, f"{fold('Hint 2: of a', 'two *words*')}\n\n{fold('A. An option', 'no hint')}"),
        text(3, f"## 2. `b`\n\n{fold('Hint 1: of b', 'three')}"),
        answer("b"),
        check("b"),
        Cell("demo", "code", "1", {"autograder": {"role": "demo"}}),
        text(4, fold("Hint 9: of nobody", "behind code")),
    )
    assert [hint.title for hint in hints_of(path, "a")] == ["Hint 1: of a", "Hint 2: of a"]
    assert [hint.markdown for hint in hints_of(path, "b")] == ["three"]
    assert hints_of(path, "c") == ()


@pytest.mark.parametrize("content", ["", "{", '{"cells": [{}]}'])
def test_a_notebook_that_cannot_be_read_has_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "n.ipynb"
    assert hints_of(path, "a") == ()
    path.write_text(content)
    assert hints_of(path, "a") == ()


def test_a_changed_notebook_is_read_again(tmp_path: Path, course: Course) -> None:
    path = Path(shutil.copy(course.released("01_warmup", "tiny"), tmp_path))
    assert len(hints_of(path, "double")) == 1
    path.write_text(path.read_text().replace("which operator?", "which sign?"))
    assert hints_of(path, "double")[0].title == "Hint 1: which sign?"


def attempt(outcome: str, evidence: str) -> Attempt:
    return Attempt("", "s", "n", "a", "check", outcome, 0.0, 1.0, "", evidence)  # type: ignore[arg-type]


def test_each_new_kind_of_failure_opens_one_more() -> None:
    hints = [Hint(f"Hint {n}", "") for n in (1, 2, 3)]
    attempts = [attempt("failed", "x"), attempt("failed", "x"), attempt("passed", ""), attempt("failed", "y")]
    counts = [len(open_hints(hints, attempts[:n])) for n in range(5)]
    assert counts == [0, 1, 1, 1, 2]
    assert len(open_hints(hints, [attempt("failed", str(n)) for n in range(9)])) == 3
    assert open_hints(hints, [attempt("could_not_run", "z"), attempt("failed", "")]) == ()


class TestShown:
    HINTS = OpenHints((("Hint 1: a question", "Which $x_1 < 2$?"), ("Hint 2", "```\na = b\nc = d\n```")), 3)

    def test_as_closed_folds_with_an_outlook(self) -> None:
        html = hints_html(self.HINTS)
        assert html.count("<details><summary>Hint") == 2
        assert "<details open" not in html
        assert "2 of 3 hints are open; the next one opens when a check shows something new." in html
        assert "Which $x_1 &lt; 2$?" in html

    def test_as_text_the_newest_is_told(self) -> None:
        lines = list(hint_lines(self.HINTS))
        assert "  Hint 1: a question (told before; it stands in the notebook, below the check)" in lines
        assert lines[2:5] == ["  Hint 2", "    a = b", "    c = d"]

    def test_a_paragraph_is_reflowed_and_a_list_is_not(self) -> None:
        shown = list(hint_lines(OpenHints((("Hint 1", "one\ntwo\n\n- a\n- b"),), 1)))
        assert shown == ["", "  Hint 1", "    one two", "    - a", "    - b"]

    def test_without_open_hints_nothing_is_said(self) -> None:
        assert hints_html(OpenHints((), 3)) == ""
        assert list(hint_lines(OpenHints((), 3))) == []

    def test_markdown_is_harmless(self) -> None:
        html = html_markdown(
            "<script>alert(1)</script>\n\nThis <b onclick='x()'>b</b> [l](javascript:x) ![i](x.png)"
        )
        assert "<script" not in html
        assert "onclick" not in html
        assert "javascript:" not in html
        assert "<img" not in html
        assert "<b>b</b>" in html

    def test_formulas_are_left_to_mathjax_and_code_is_not_read(self) -> None:
        html = html_markdown("$a_1 * b_2 * c$ and `$x$`\n\n$$\\sum_i x_i$$")
        assert "$a_1 * b_2 * c$" in html
        assert "<em>" not in html
        assert "<code>$x$</code>" in html
        assert "$$\\sum_i x_i$$" in html
