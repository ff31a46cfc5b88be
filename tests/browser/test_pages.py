"""Report, index and feedback page in a real browser: no violation axe-core knows, in light and in dark."""

from __future__ import annotations

import base64
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autograder.journal import Attempt
from autograder.layout import Course
from autograder.lesson import lesson_of
from autograder.notebooks import load_released
from autograder.render.material import Excerpt, Mark, Marking, Material, Picture, Written
from autograder.render.page import index_page, report_page
from autograder.report import ExerciseResult, Report, TestResult

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: see [dev]")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="see [dev] in pyproject.toml")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
]
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

NASTY = (
    "</pre></td></table><script>document.documentElement.dataset.taken = 1</script><h1>mine</h1>"
    "<img src=x onerror='document.documentElement.dataset.taken = 1'><svg onload=alert(1)> \x1b[31mred "
    "\u202e # head\n\n# head\n\n[x](javascript:alert(1)) ![](http://127.0.0.1/x.png) "
    "$\\text{<script>}$ <a>x</a>"
)
EVIDENCE = "the result: wrong values\nexpected: [1, 2]\ngot:      [1, 3]"
STUB = "This is still to do: your code raises NotImplementedError."
RAISED = "Your code raised TypeError: no (cell 3, line 2)."
CODE = '''@dataclass
class A(B):
    """What it does."""

    def f(self, x: int) -> str:  # why
        return f"{x + 0x1F:.2f}\\n"
'''


def exercise(name: str, *marks: tuple[bool, str, str], **more: Any) -> ExerciseResult:
    tests = [TestResult(f"test_{i}", *mark) for i, mark in enumerate(marks)]
    return ExerciseResult.of(name, tests, points=5, **more)


def untouched(name: str) -> ExerciseResult:
    return exercise(name, (True, "failed", f"It is square.\n{STUB}"), (False, "failed", f"Big.\n{STUB}"))


PASSED = exercise("double", (True, "passed", "Rows sum to one."), (False, "passed", "Large scores survive."))
HALF = exercise(
    "Counter",
    (True, "failed", f"The worked example comes out.\n{EVIDENCE}"),
    (True, "failed", "Zero is refused.\nexpected 1, got 2"),
    (False, "failed", "A masked position has no influence.\nWhat differs: wrong values."),
    looks_like="The scores are not divided by `sqrt(d)`.",
    where="Rule R2.",
)
ERROR = exercise("scale", (True, "failed", f"Heads differ.\n{RAISED}"), bonus=True)
STUCK = exercise("Counter", (True, "could_not_run", "It is quick.\nOSError: 24"))
HOSTILE = exercise("Counter", (True, "failed", f"A number.\n{NASTY}\n{'x' * 3000}"), observed=NASTY)


def report(*exercises: ExerciseResult, notes: tuple[str, ...] = ()) -> Report:
    facts = {"sandbox": "A", "seed": 7, "verdict_id": "3f9a1c"}
    return Report.of("01_warmup", "tiny", exercises=exercises, notes=notes, **facts)


def picture(exercise: str, caption: str = "") -> Picture:
    """A white square, as PNG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    rows = zlib.compress((b"\x00" + b"\xff" * 24) * 8)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    raw = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    data = base64.b64encode(raw).decode()
    return Picture(exercise, "image/png", data, 8, 8, "See `it`: *work*", caption)


def attempt(how: str, outcome: str, score: float) -> Attempt:
    when = "2026-11-27T08:09:10+00:00"
    return Attempt(when, "01_warmup", "tiny", "Counter", how, outcome, score, 5.0, "", "")  # type: ignore[arg-type]


def material(course: Course, **more: Any) -> Material:
    return Material(
        code={"double": CODE, "Counter": CODE + f"# {NASTY}"},
        lesson=lesson_of(load_released(course.released("01_warmup", "tiny"), "01_warmup")),
        pictures=(picture("Counter", "The *white* square."), picture("")),
        attempts=(attempt("check", "failed", 0), attempt("grade", "could_not_run", 1)),
        **more,
    )


def marking(comment: str) -> Marking:
    marks = {"double": Mark(5, 5), "Counter": Mark(3, 5, comment, by_hand=True)}
    written = (
        Written(
            "essay", None, 4, "Why?\n\n**Mark scheme**\n\n- 2", "Because $x^2$.", False, "", "No response."
        ),
        Written("proof", 2.5, 4, "", CODE, True, comment),
    )
    return Marking(9.5, 18, 1.0, marks, written)


CELLS = (Excerpt("heading", "1. `double`"), Excerpt("code", CODE), Excerpt("text", f"# Mine\n\n- a\n{NASTY}"))
REPORTS = {
    "all passed": report(PASSED, exercise("Counter", (True, "passed", "It counts."))),
    "half done": report(PASSED, HALF, ERROR, notes=("The cell `double` was there 2 times.",)),
    "could not run": report(PASSED, STUCK),
    "untouched": report(untouched("double"), untouched("Counter")),
    "hostile": report(PASSED, HOSTILE, notes=(NASTY,)),
}


@pytest.fixture(scope="module")
def pages(course: Course) -> dict[str, str]:
    """Every kind of page in every state."""
    made = {f"report, {state}": report_page(r, material(course)) for state, r in REPORTS.items()}
    made["report, nothing else known"] = report_page(REPORTS["half done"])
    for state in ("half done", "hostile"):
        comment = (
            "Well *done*: $\\frac{1}{2}$ is `0.5`, see <https://example.org>."
            if state != "hostile"
            else NASTY
        )
        marked = material(course, marking=marking(comment), notebook=CELLS)
        made[f"feedback, {state}"] = report_page(REPORTS[state], marked)
    labels = [*[*REPORTS][:-1], NASTY]
    made["index"] = index_page([*REPORTS.values()], labels=labels, links=["a b.html"] * len(REPORTS))
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(params=["light", "dark"])
def tab(browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    context = browser.new_context(color_scheme=request.param)
    yield context.new_page()
    context.close()


NAMES = [*(f"report, {state}" for state in REPORTS), "report, nothing else known"]
NAMES += ["feedback, half done", "feedback, hostile", "index"]


@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_nothing(name: str, pages: dict[str, str], tab: Any, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(pages[name], encoding="utf-8")
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(f"file://{tmp_path}/page.html")
    for opened in (False, True):
        if opened:
            tab.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
        found = axe.Axe().run(tab, options={"runOnly": RULES, "resultTypes": ["violations"]})
        assert found.violations_count == 0, found.generate_report()
    assert tab.evaluate("document.documentElement.dataset.taken") is None
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert tab.locator("h1").count() == 1


def test_the_rules_are_those_of_wcag_2_2(tab: Any) -> None:
    tab.set_content("<p>")
    tab.evaluate(axe.Axe().axe_script)
    assert tab.evaluate("axe.getRules(['wcag22aa']).map(rule => rule.ruleId)") == ["target-size"]


@pytest.mark.parametrize("width", [320, 1200])
def test_nothing_is_wider_than_the_window(
    width: int, pages: dict[str, str], browser: Any, tmp_path: Path
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800})
    tab = context.new_page()
    for page in pages.values():
        (tmp_path / "page.html").write_text(page, encoding="utf-8")
        tab.goto(f"file://{tmp_path}/page.html")
        tab.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_by_keyboard_the_first_stop_skips_to_the_results(
    pages: dict[str, str], tab: Any, tmp_path: Path
) -> None:
    (tmp_path / "page.html").write_text(pages["report, half done"], encoding="utf-8")
    tab.goto(f"file://{tmp_path}/page.html")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the results"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "main"
