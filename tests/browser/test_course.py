"""A learner's day in a course: fetch, solve, validate, submit, and read the feedback, all in JupyterLab.

One user of the operating system plays instructor and learner. The instructor's commands run in the command
line; what the learner does is done in the browser.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from autograder.build import build
from autograder.cohort.desk import Desk
from autograder.layout import CONFIG, Course

SECTION, NOTEBOOK = "01_warmup", "tiny"
TINY = Path(__file__).parents[1] / "course"
COMMANDS = """
import sys
import nbgrader.apps
for name in sys.argv[2:]:
    app = getattr(nbgrader.apps, name)()
    app.initialize([sys.argv[1]])
    app.start()
"""
SHARED = (
    "c.CourseDirectory.course_id = 'tiny'\nc.Exchange.root = {exchange!r}\nc.Exchange.cache = {cache!r}\n"
)


@pytest.fixture(scope="module")
def classroom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course, an exchange and a learner's folder, with nbgrader's settings in them."""
    root = tmp_path_factory.mktemp("classroom")
    shutil.copytree(TINY, root / "course", ignore=shutil.ignore_patterns("__pycache__", "build"))
    for folder in ("exchange", "learner", "jupyter"):
        (root / folder).mkdir()
    build(Course(root / "course"), [SECTION])
    for folder in ("course", "learner"):
        settings = SHARED.format(exchange=str(root / "exchange"), cache=str(root / f"cache-{folder}"))
        with (root / folder / CONFIG).open("a") as config:
            config.write("\n" if folder == "course" else "c = get_config()\n")
            config.write(settings)
    with (root / "course" / CONFIG).open("a") as config:
        config.write("c.ExchangeCollect.check_owner = False\nc.Batch.unsafe = True\n")
    with (root / "learner" / CONFIG).open("a") as config:
        config.write("c.CourseDirectory.student_id = 'ada'\n")
    return root


@pytest.fixture(scope="module")
def server(classroom: Path, serve: Any) -> Iterator[Any]:
    """The learner's own Jupyter."""
    with serve(classroom / "learner", classroom / "jupyter") as server:
        yield server


@pytest.fixture(scope="module")
def instructor(classroom: Path, server: Any) -> Callable[..., None]:
    """nbgrader's commands in the course: in a process of their own, but one for several of them."""

    def run(*apps: str) -> None:
        done = subprocess.run(
            [sys.executable, "-c", COMMANDS, SECTION, *apps],
            cwd=classroom / "course",
            env=server.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return run


class Assignments:
    """nbgrader's Assignment List."""

    def __init__(self, page: Any) -> None:
        self.page = page
        page.evaluate("async () => { await jupyterapp.commands.execute('nbgrader:open-assignment-list'); }")

    def rows(self, which: str) -> Any:
        return self.page.locator(f"#{which}_assignments_list > .list_item").filter(has_text=SECTION)

    def press(self, which: str) -> None:
        self.rows(which).locator(".item_status button").first.click()

    def refresh(self) -> None:
        self.page.locator("#refresh_assignments_list").click()


def validated(notebook: Any) -> str:
    """What Validate says. It saves the notebook itself."""
    notebook.frame.locator("jp-button.validate-button").click()
    dialog = notebook.page.locator(".nbgrader-SuccessDialog, .nbgrader-ErrorDialog")
    text = str(dialog.locator(".jp-Dialog-body").inner_text())
    dialog.locator("button.jp-mod-accept").click()
    dialog.wait_for(state="detached")
    return text


def test_from_fetch_to_feedback(instructor: Any, lab_page: Any, opened: Any, classroom: Path) -> None:
    solutions = Desk(Course(TINY), SECTION, NOTEBOOK).solutions
    instructor("GenerateAssignmentApp", "ReleaseAssignmentApp")
    assignments = Assignments(lab_page)
    assignments.press("released")
    expect(assignments.rows("fetched")).to_have_count(1)

    notebook = opened(f"{SECTION}/{NOTEBOOK}.ipynb")
    notebook.write("double-answer", solutions["double"])
    notebook.page.keyboard.press("Control+Shift+Enter")
    expect(notebook.row("double")).to_contain_text("passed")
    said = validated(notebook)
    assert "still to do" in said
    assert "Counter" in said
    for name in ("Counter", "scale"):
        notebook.write(f"{name}-answer", solutions[name])
    notebook.panel.get_by_role("button", name="Check the whole notebook").click()
    expect(notebook.panel).to_contain_text(re.compile(r"2 of 2 exercises passed\s*1.8 of 5 points"))
    assert "Success! Your notebook passes all the tests." in validated(notebook)
    notebook.close()

    assignments = Assignments(lab_page)
    assignments.refresh()
    assignments.press("fetched")
    expect(assignments.rows("submitted")).to_have_count(1)
    instructor("CollectApp", "AutogradeApp", "GenerateFeedbackApp", "ReleaseFeedbackApp")
    assignments.refresh()
    expect(assignments.rows("submitted")).to_contain_text("feedback available to fetch")
    assignments.press("submitted")
    expect(assignments.rows("submitted")).to_contain_text("view feedback")
    assert len(list((classroom / "learner" / SECTION / "feedback").rglob("*.html"))) == 1


def test_the_feedback_is_read_in_a_browser(classroom: Path, window: Any, axe: Any) -> None:
    (file,) = (classroom / "learner" / SECTION / "feedback").rglob("*.html")
    page = window.new_page()
    page.goto(f"file://{file}")
    for name in ("double", "Counter", "scale"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    expect(page.locator("body")).to_contain_text("passed")
    assert axe(page) == []
    page.close()
