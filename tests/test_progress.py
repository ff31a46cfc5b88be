"""Where a learner stands: from journal and roadmap to the map in a terminal, on a page and in a notebook."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

import autograder
from autograder.atlas.page import RoadmapCard, roadmap_page
from autograder.atlas.text import map_text, print_map
from autograder.cli import app
from autograder.journal import Attempt, Journal, code_hash
from autograder.layout import Course
from autograder.notebooks import Exercise
from autograder.rebuild import rebuild
from autograder.roadmap import Notebook, Roadmap, Section
from autograder.standing import Standing, standing_of
from autograder.workfolder import refresh

STUB = "def f(): raise NotImplementedError()"


def notebook(section: str, name: str, *names: str, bonus: str = "") -> Notebook:
    exercises = tuple(Exercise(n, 2.0, n == bonus, topics=("S1",)) for n in names)
    return Notebook(section, name, name.title(), 60, exercises or None, dict.fromkeys(names, STUB))


ONE = notebook("01_b", "one", "f", "g", "h", bonus="h")
THREE = notebook("02_d", "three", "f")
ROADMAP = Roadmap(
    "A course",
    "w",
    (
        Section("00_a", "Alpha", "See.", needs=(), notebooks=(notebook("00_a", "unwritten"),)),
        Section("01_b", "Beta", "Do.", needs=("00_a",), notebooks=(ONE,)),
        Section("02_c", "Gamma", "Go on.", needs=("01_b",), notebooks=(notebook("02_c", "two", "f"),)),
        Section("02_d", "Delta", "Aside.", needs=("01_b",), notebooks=(THREE, notebook("02_d", "four"))),
    ),
    {"S1": "Beginnings <1>"},
)  # fmt: skip


class Told:
    """A journal that was kept: attempts in order, a minute each."""

    def __init__(self, *attempts: tuple[str, str, str, str] | tuple[str, str, str, str, str]) -> None:
        self.lines = [self.attempt(i, *told) for i, told in enumerate(attempts)]

    @staticmethod
    def attempt(i: int, section: str, exercise: str, how: str, outcome: str, code: str = "mine") -> Attempt:
        score = {"passed": 2.0 if how == "grade" else 0.6, "failed": 0.5, "could_not_run": 0.0}[outcome]
        when = f"2026-01-01T10:{i:02}:00+00:00"
        return Attempt(when, section, "", exercise, how, outcome, score, 2.0, code_hash(code), "")  # type: ignore[arg-type]

    def attempts(self) -> tuple[Attempt, ...]:
        return tuple(self.lines)


def stand(*attempts: tuple[str, ...]) -> Standing:
    return standing_of(ROADMAP, Told(*attempts))  # type: ignore[arg-type]


def states(standing: Standing) -> dict[str, str]:
    return {section.section.name: section.state for section in standing.sections}


def exercise(standing: Standing, name: str = "f") -> tuple[str, float]:
    (one,) = standing.sections[1].notebooks
    return next((e.state, e.score) for e in one.exercises if e.name == name)


# From attempts to states


def test_nothing_tried_is_nothing_begun() -> None:
    standing = stand()
    assert states(standing) == {
        "00_a": "coming",
        "01_b": "not begun",
        "02_c": "not begun",
        "02_d": "not begun",
    }
    assert (standing.score, standing.max_score) == (0.0, 8.0)
    assert standing.next is not None
    assert (standing.next.action, standing.next.notebook) == ("begin", "one")
    assert standing.next.reason == "it is the first notebook of the roadmap that is written"


@pytest.mark.parametrize(
    ("attempts", "state", "score"),
    [
        ([("check", "failed")], "started", 0.5),
        ([("check", "failed"), ("check", "passed")], "checked", 0.6),
        ([("check", "passed"), ("check", "failed")], "started", 0.5),
        ([("grade", "passed")], "done", 2.0),
        ([("grade", "passed"), ("check", "failed")], "done", 2.0),
        ([("grade", "passed"), ("grade", "failed")], "started", 0.5),
        ([("check", "passed"), ("grade", "failed")], "started", 0.5),
        ([("grade", "failed"), ("check", "passed")], "checked", 0.5),
        ([("grade", "could_not_run")], "not begun", 0.0),
        ([("grade", "passed"), ("grade", "could_not_run")], "done", 2.0),
        ([("check", "failed", STUB)], "not begun", 0.0),
    ],
)
def test_the_latest_verdict_beats_the_check(
    attempts: list[tuple[str, ...]], state: str, score: float
) -> None:
    assert exercise(stand(*(("01_b", "f", *rest) for rest in attempts))) == (state, score)


def test_an_exercise_of_the_same_name_elsewhere_is_another() -> None:
    assert states(stand(("02_c", "f", "grade", "passed")))["01_b"] == "not begun"


def test_bonus_is_not_needed_but_counts() -> None:
    standing = stand(
        ("01_b", "f", "grade", "passed"), ("01_b", "g", "grade", "passed"), ("01_b", "h", "grade", "passed")
    )
    beta = standing.sections[1]
    assert (beta.state, beta.score, beta.max_score) == ("done", 6.0, 4.0)
    assert states(stand(("01_b", "h", "grade", "passed")))["01_b"] == "started"


def test_what_is_not_written_is_in_nobodys_way() -> None:
    ready = {s.section.name: s.is_ready for s in stand().sections}
    assert ready == {"00_a": True, "01_b": True, "02_c": False, "02_d": False}
    done = stand(("01_b", "f", "grade", "passed"), ("01_b", "g", "grade", "passed"))
    assert [s.is_ready for s in done.sections] == [True] * 4
    assert [u.name for u in done.sections[1].unlocks] == ["02_c", "02_d"]


BEGUN = "you have begun this notebook"
READY = "all that it needs, as far as it is written, is done"
BETA = (("01_b", "f", "grade", "passed"), ("01_b", "g", "grade", "passed"))


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ([("01_b", "g", "check", "failed")], ("go on", "one", "g", f"{BEGUN}: 0 of 2 exercises are passed")),
        ([("01_b", "f", "check", "passed")], ("go on", "one", "g", f"{BEGUN}: 1 of 2 exercises are passed")),
        (
            [("01_b", "f", "check", "passed"), ("01_b", "g", "check", "passed")],
            ("grade", "one", "", "every check in it passes; the hidden tests are still to come"),
        ),
        (BETA, ("begin", "two", "", READY)),
        ([("02_c", "f", "check", "failed"), *BETA],
         ("go on", "two", "f", f"{BEGUN}: 0 of 1 exercises are passed")),
        ([("02_c", "f", "grade", "passed")], ("begin", "one", "", READY)),
    ],
)  # fmt: skip
def test_one_suggestion_with_a_reason(attempts: list[tuple[str, ...]], expected: tuple[str, ...]) -> None:
    todo = stand(*attempts).next
    assert todo is not None
    assert (todo.action, todo.notebook, todo.exercise, todo.reason) == expected


def test_when_all_that_is_written_is_done_nothing_is_suggested() -> None:
    standing = stand(*BETA, ("02_c", "f", "grade", "passed"), ("02_d", "f", "grade", "passed"))
    assert standing.next is None
    assert "Everything that is written is done." in map_text(standing)
    assert "Everything that is written is done." in roadmap_page(standing)


def test_a_damaged_record_breaks_nothing(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path)
    assert journal.file is not None
    good = Told(("01_b", "f", "grade", "passed")).lines[0]
    line = json.dumps({field: getattr(good, field) for field in good.__dataclass_fields__})
    endless = line.replace("2.0", "NaN", 1).replace('"f"', '"g"')
    journal.file.write_text(f'{{"half": \n\x00\x00\n[]\n{line}\n{endless}\n{line[: len(line) // 2]}')
    standing = standing_of(ROADMAP, journal)
    assert exercise(standing) == ("done", 2.0)
    assert standing.score == standing.score, "no NaN gets through"


# The map


def console(width: int, **settings: object) -> Console:
    return Console(file=io.StringIO(), width=width, force_jupyter=False, **settings)  # type: ignore[arg-type]


def shown(standing: Standing, where: Console) -> str:
    print_map(standing, console=where)
    assert isinstance(where.file, io.StringIO)
    return where.file.getvalue()


def test_the_map_in_words() -> None:
    standing = stand(*BETA, ("01_b", "h", "grade", "passed"), ("02_d", "f", "check", "passed"))
    assert (
        map_text(standing)
        == """\
A course
6.6 of 8 points (2 of them bonus); 1 of 3 notebooks done.
2 more notebooks of the roadmap are not yet written.

… Alpha  not yet written (1 notebook)
✓ Beta  done, 6 of 4 points (2 of them bonus)
    ✓ One  done  2 of 2 passed  6 of 4 points (2 of them bonus)
    Unlocked: Gamma and Delta
· Gamma  not begun, 0 of 2 points
    · Two  not begun  0 of 1 passed  0 of 2 points
◐ Delta  checks pass, 0.6 of 2 points
    ◐ Three  checks pass  1 of 1 passed  0.6 of 2 points
    Not yet written: Four

Next: Get the official verdict on Three (Delta).
  Every check in it passes; the hidden tests are still to come.
  autograder grade 02_d/three.ipynb"""
    )


@pytest.mark.parametrize("width", [40, 60, 71, 72, 100, 160])
def test_every_width_holds_every_word(width: int) -> None:
    text = shown(stand(("01_b", "f", "check", "failed")), console(width))
    assert all(len(line.rstrip()) <= width for line in text.splitlines())
    words = " ".join(text.split())
    for sentence in (
        "One",
        "started",
        "0.5 of 4 points",
        "Finishing it unlocks: Gamma and Delta",
        "01_b/one.ipynb",
    ):
        assert sentence in words


def test_colour_only_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    standing = stand(("01_b", "f", "check", "failed"))
    assert "\x1b" not in shown(standing, console(80))
    assert "\x1b[33m" in shown(standing, console(120, force_terminal=True, color_system="standard"))
    monkeypatch.setenv("NO_COLOR", "1")
    text = shown(standing, console(120, force_terminal=True, color_system="standard"))
    assert not re.search(r"\x1b\[[\d;]*3\d", text)


def test_a_terminal_of_ascii_gets_ascii() -> None:
    class Ascii(io.StringIO):
        encoding = "ascii"

    where = Console(file=Ascii(), width=120, force_jupyter=False)
    print_map(stand(*BETA), console=where)
    assert isinstance(where.file, io.StringIO)
    text = where.file.getvalue()
    assert text.isascii()
    assert "+ Beta  done" in text
    assert "- Alpha  not yet written" in text


class Page(HTMLParser):
    """Collects what an accessible, self-contained page must have."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "path", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.parametrize("form", ["page", "notebook"])
def test_the_page_is_whole_and_can_be_read_by_all(form: str) -> None:
    standing = stand(*BETA, ("02_d", "f", "check", "failed"))
    text = roadmap_page(standing) if form == "page" else RoadmapCard(standing, notebooks="..").html()
    page = Page(text)
    assert page.open == []
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.tags}
    assert "http" not in text.replace("http-equiv", "")
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert all(section["aria-labelledby"] in ids for section in page.all("section"))
    assert all(bar["aria-label"] for bar in page.all("progress"))
    assert all(svg["aria-hidden"] == "true" for svg in page.all("svg"))
    assert "Beginnings &lt;1&gt;" in text
    assert len(page.all("section")) == 4
    assert "Comes after: Beta." in text
    if form == "page":
        assert [tag for tag, _ in page.tags if tag in ("h1", "h2", "h3")] == ["h1", *["h2"] * 5]
        targets = [str(a["href"]).removeprefix("#") for a in page.all("a")]
        assert targets == ["main", "stop-00_a", "stop-01_b", "stop-02_c", "stop-02_d"]
        assert set(targets) <= set(ids)
    else:
        assert {a["href"] for a in page.all("a")} == {
            f"../{p}" for p in ("01_b/one.ipynb", "02_c/two.ipynb", "02_d/three.ipynb")
        }


def test_assignments_side_by_side_are_drawn_side_by_side() -> None:
    text = roadmap_page(stand())
    assert re.findall(r'class="(ag-stop(?: ag-side)?)" style="([^"]*)"', text) == [
        ("ag-stop", "grid-row:1;grid-column:1/span 2"),
        ("ag-stop", "grid-row:2;grid-column:1/span 2"),
        ("ag-stop ag-side", "grid-row:3;grid-column:1/span 1"),
        ("ag-stop ag-side", "grid-row:3;grid-column:2/span 1"),
    ]
    assert re.findall(r'"ag-curve" d="(M\S+)', text) == ["M50", "M100", "M0"]
    dots = re.findall(r'class="ag-dot [^"]*" style="([^"]*)"', text)
    assert dots == [
        f"grid-column:{place}"
        for place in (
            "1;grid-row:1/span 2",
            "2;grid-row:1/span 2",
            "3;grid-row:1/span 1",
            "3;grid-row:2/span 1",
        )
    ]
    assert re.findall(r'path d="(M0 \S+?)C', text) == ["M0 50", "M0 100", "M0 0"]


def test_a_notebook_gets_the_map_in_two_forms(course_copy: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(course_copy.root)
    bundle = autograder.progress()._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert "<style>" in bundle["text/html"]
    assert bundle["text/plain"].startswith("The course\n0 of 5 points; 0 of 1 notebook done.")


# The command


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    monkeypatch.chdir(folder)
    return CliRunner().invoke(app, ["progress", *words])


@pytest.fixture
def work(course_copy: Course) -> Path:
    folder = course_copy.root / "work"
    refresh(course_copy, folder, ["01_warmup"])
    return folder


def solve(work: Path, course: Course) -> None:
    path = work / "01_warmup" / "tiny.ipynb"
    solved = {c["id"]: c for c in json.loads(course.solved("01_warmup", "tiny").read_text())["cells"]}
    content = json.loads(path.read_text())
    for cell in content["cells"]:
        if cell["id"] in ("double-answer", "Counter-answer"):
            cell["source"] = solved[cell["id"]]["source"]
    path.write_text(json.dumps(content))


def test_the_command_shows_the_map_of_the_folder_around(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(work / "01_warmup", monkeypatch)
    assert result.exit_code == 0
    assert "0 of 3 passed" not in result.output
    assert "· tiny  not begun  0 of 2 passed  0 of 5 points" in result.output
    assert "Next: Begin tiny (01_warmup)." in result.output
    assert result.output.endswith("  ../01_warmup/tiny.ipynb\n")


def test_without_a_folder_of_ones_own_it_says_how_to_get_one(
    course_copy: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "You have no folder of your own here yet; `autograder start` makes one."
    assert run(course_copy.root, monkeypatch).output.endswith(f"  work/01_warmup/tiny.ipynb\n{said}\n")


def test_json_is_one_object(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = json.loads(run(work, monkeypatch, "--json").output)
    assert told["work"] == str(work)
    assert told["next"]["notebook"] == "tiny"
    assert [e["name"] for e in told["assignments"][0]["notebooks"][0]["exercises"]] == [
        "double",
        "Counter",
        "scale",
    ]


def test_the_page_is_written_where_it_is_wanted(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(work, monkeypatch, "--html", "map.html")
    assert (result.exit_code, result.output) == (0, "Map: map.html\n")
    assert (work / "map.html").read_text().startswith("<!DOCTYPE html>")
    failed = run(work, monkeypatch, "--html", "no/map.html")
    assert failed.exit_code == 1
    assert "no/map.html: the page can't be written here: No such file" in str(failed.exception)


def test_a_folder_that_is_none_is_wrong_usage(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(work, monkeypatch, "nowhere")
    assert result.exit_code == 2
    assert "nowhere: no such folder" in result.output


@pytest.mark.slow
def test_a_lost_record_is_made_again_from_the_notebooks(
    work: Path, course_copy: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    solve(work, course_copy)
    (work / "01_warmup" / "tiny-Copy1.ipynb").write_text("{}")
    (work / ".autograder" / "attempts.jsonl").write_text("\x00 nothing but noise")
    result = run(work, monkeypatch, "--rebuild", "--unsafe")
    assert result.exit_code == 0
    assert (
        "Skipped 01_warmup/tiny-Copy1.ipynb: only notebooks where `autograder start` puts them"
        in result.output
    )
    assert "✓ tiny  done  2 of 2 passed  5 of 5 points" in result.output
    attempts = Journal.find(work).attempts()
    assert [(a.exercise, a.how, a.outcome) for a in attempts] == [
        ("double", "grade", "passed"),
        ("Counter", "grade", "passed"),
    ]


def test_what_cannot_be_graded_is_said_and_stops_nothing(work: Path, course_copy: Course) -> None:
    path = work / "01_warmup" / "tiny.ipynb"
    assert rebuild(work) == [], "untouched: nothing to grade"
    path.write_text('{"cells": [')
    assert rebuild(work) == [
        "Skipped 01_warmup/tiny.ipynb: the file ends in the middle (line 1): it was not saved or copied "
        "completely; open it in JupyterLab, clear all outputs, save it and hand it in again"
    ]
    other = work / "elsewhere"
    path.rename(other)
    path.symlink_to(other)
    assert rebuild(work) == ["Skipped 01_warmup/tiny.ipynb: it is a link, not a file"]
    path.unlink()
    assert rebuild(work) == []
    assert Journal.find(work).attempts() == ()
