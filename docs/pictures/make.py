"""Makes the pictures of docs/learner.md anew: a learner's first notebook, in a real browser.

    .venv/bin/python docs/pictures/make.py

It works in a folder of its own that is thrown away, with a Jupyter server of its own (that of the tests in
tests/browser), and writes the PNG files beside this one. Needs Chromium, as those tests do.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import expect, sync_playwright

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "browser"))

from conftest import CHROMIUM, PATIENCE, QUIET, Notebook, Server, running  # noqa: E402

ATTENTION = "05_transformers/attention.ipynb"
COLOURS = 96  # of a picture; enough for text and keeps the files small
# Without the ValueError of the contract: the check passes, and the report shows a hidden test at work.
NOT_SCALED = """def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    weights = scores.softmax(dim=-1).nan_to_num(0.0)
    return weights @ v, weights"""
RIGHT = NOT_SCALED.replace("(-2, -1)", "(-2, -1) / math.sqrt(q.shape[-1])")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        work = home / "work"
        autograder("start", "--to", str(work), "--json")
        with running(work, home) as server, sync_playwright() as playwright:
            flags = [f"--{flag}" for flag in QUIET.split()]
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
            page = browser.new_page(viewport={"width": 1180, "height": 780})
            page.set_default_timeout(PATIENCE * 1000)
            expect.set_options(timeout=PATIENCE * 1000)
            in_the_notebook(page, server)
            the_map(page, server)
            the_page(page, work, home / "report")
            browser.close()


def autograder(*arguments: str) -> None:
    """One command, as typed; that not everything has passed (1) is no mistake here."""
    done = subprocess.run([Path(sys.executable).with_name("autograder"), *arguments], env=os.environ)
    assert done.returncode in (0, 1), arguments


def in_the_notebook(page: Any, server: Server) -> None:
    """A wrong answer with its card, the panel, and the question with its explanation."""
    page.goto(server.address(f"lab/tree/{ATTENTION}?reset"))
    notebook = Notebook(page, ATTENTION)
    notebook.ready()
    notebook.run("application:toggle-left-area")
    notebook.run("autograder:show-panel")
    notebook.row("attention").click()
    notebook.write("attention-answer", NOT_SCALED)
    notebook.button.click()
    expect(notebook.card("attention")).to_have_attribute("data-state", "not yet")
    to_the_top(notebook, "attention-answer")
    take(page, "not-yet")
    hint = notebook.card("attention").locator("details", has_text="Hint 1").last
    hint.evaluate("one => { one.open = true; one.scrollIntoView({ block: 'end' }); }")
    take(page, "hint")
    notebook.write("attention-answer", RIGHT)
    notebook.button.click()
    expect(notebook.card("attention")).to_have_attribute("data-state", "passed")
    notebook.row("why_sqrt_d").click()
    notebook.write("why_sqrt_d-answer", 'why_sqrt_d = "C"')
    notebook.button.click()
    expect(notebook.card("why_sqrt_d")).to_have_attribute("data-state", "passed")
    to_the_top(notebook, "why_sqrt_d-answer")
    take(page, "question")
    page.evaluate("async () => { await jupyterapp.shell.currentWidget.context.save(); }")


def to_the_top(notebook: Notebook, cell: str) -> None:
    notebook.cell(cell).evaluate("one => one.scrollIntoView({ block: 'start' })")


def the_map(page: Any, server: Server) -> None:
    """The welcome notebook with the way so far."""
    page.goto(server.address("lab/tree/welcome.ipynb?reset"))
    notebook = Notebook(page, "welcome.ipynb")
    notebook.ready()
    notebook.run("application:toggle-left-area")
    notebook.run("notebook:run-all-cells")
    found = notebook.frame.locator(".jp-OutputArea", has_text="points").first
    found.wait_for()
    found.evaluate("one => one.scrollIntoView({ block: 'start' })")
    take(page, "map")


def the_page(page: Any, work: Path, report: Path) -> None:
    """What `autograder grade --html` writes."""
    autograder("grade", str(work / ATTENTION), "--html", str(report))
    page.goto(next(report.glob("*attention.html")).as_uri())
    take(page, "report")


def take(page: Any, name: str) -> None:
    """A picture of the window as it is once it has come to rest."""
    page.wait_for_timeout(800)  # scrolling and fading end in no event
    file = HERE / f"{name}.png"
    page.screenshot(path=file)
    Image.open(file).convert("RGB").quantize(COLOURS).save(file, optimize=True)


if __name__ == "__main__":
    main()
