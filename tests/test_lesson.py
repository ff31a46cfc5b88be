"""What a page says of the lesson, and which pictures of a learner's notebook it shows."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from autograder.lesson import headings, lesson_of
from autograder.notebooks import Cell, Exercise, Released
from autograder.pictures import LARGEST, MOST, pictures_of
from autograder.render.prose import inline_html, markdown_html, math_html

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + (300).to_bytes(4) + (200).to_bytes(4) + bytes(20)
JPEG = (
    b"\xff\xd8\xff\xe0\x00\x04ab" + b"\xff\xc0\x00\x11\x08" + (90).to_bytes(2) + (160).to_bytes(2) + bytes(12)
)
TEXTS = (
    "# The title\n\nWords.",
    "## First part\n\n### Contract\n\n`f(x)` gives:\n\n- **R1** $x^2$\n\n```\n# no heading\n```\n\n"
    "### Example\n\nOne.",
    "### See it: a *curve*\n",
    "*A line\nthat rises.*\n\nMore.",
    "## Second part\n\nNo contract here.",
    "## Reading list\n\nBefore:\n\n- A, *Book*: chapter 1,\n  and more.\n- B.\n\nLicences.",
)


def cell(cell_id: str, source: str = "pass", **ours: Any) -> Cell:
    return Cell(cell_id, "code" if ours else "markdown", source, {"autograder": ours} if ours else {})


RELEASED = Released(
    "01_warmup",
    "notes",
    (
        cell("t1", TEXTS[0]),
        cell("demo-0", role="demo"),
        cell("t2", TEXTS[1]),
        cell("f-answer", role="answer", exercise="f"),
        cell("f", role="check", exercise="f"),
        cell("t3", TEXTS[2]),
        cell("demo-1", role="demo"),
        cell("t4", TEXTS[3]),
        cell("t5", TEXTS[4]),
        cell("g-answer", role="answer", exercise="g"),
        cell("t6", TEXTS[5]),
        cell("demo-2", role="demo"),
    ),
    (Exercise("f", 2.0), Exercise("g", 2.0)),
)


class TestLesson:
    def test_each_exercise_has_its_heading_and_its_contract(self):
        lesson = lesson_of(RELEASED)
        assert (lesson.title, lesson.file) == ("The title", "notes.ipynb")
        assert lesson.passages["f"].heading == "First part"
        assert lesson.passages["f"].contract.startswith("`f(x)` gives:")
        assert "# no heading" in lesson.passages["f"].contract
        assert "One." not in lesson.passages["f"].contract
        assert (lesson.passages["g"].heading, lesson.passages["g"].contract) == ("Second part", "")

    def test_of_the_reading_list_the_list(self):
        assert lesson_of(RELEASED).reading == "- A, *Book*: chapter 1,\n  and more.\n- B."

    def test_a_notebook_without_any_of_it(self):
        bare = Released("s", "bare", (cell("f-answer", role="answer", exercise="f"),), (Exercise("f", 1.0),))
        lesson = lesson_of(bare)
        assert (lesson.title, lesson.reading) == ("bare", "")
        assert lesson.passages["f"].heading == ""

    def test_a_comment_in_code_is_no_heading(self):
        assert list(headings("# A\n```python\n# B\n```\n## C #\n####### D")) == [(1, "A"), (2, "C")]


def notebook(*cells: tuple[str, Any], kind: str = "image/png") -> bytes:
    found = []
    for cell_id, content in cells:
        data = {kind: content if isinstance(content, str | list) else base64.b64encode(content).decode()}
        outputs = [{"output_type": "display_data", "data": data}] if content else []
        source = next((c for c in RELEASED.cells if c.id == cell_id), None)
        cell_type = source.kind if source else "code"
        found.append({"id": cell_id, "cell_type": cell_type, "source": "", "outputs": outputs})
    return json.dumps({"cells": found}).encode()


ORDER = ("t1", "demo-0", "t2", "f-answer", "f", "t3", "demo-1", "t4", "t5", "g-answer", "t6", "demo-2")


class TestPictures:
    def test_each_is_where_it_was_drawn(self):
        raw = notebook(*((name, PNG if name.startswith("demo") else "") for name in ORDER), ("mine", PNG))
        first, second, own = pictures_of(raw, RELEASED)  # demo-0 stands before the first exercise
        assert (first.exercise, first.heading) == ("f", "See it: a *curve*")
        assert first.caption == "A line\nthat rises."
        assert (first.width, first.height, first.kind) == (300, 200, "image/png")
        assert (second.exercise, second.caption) == ("", "")
        assert own.heading == "Reading list"

    def test_a_jpeg_says_its_size(self):
        (found,) = pictures_of(notebook(("mine", JPEG), kind="image/jpeg"), RELEASED)
        assert (found.width, found.height, found.kind) == (160, 90, "image/jpeg")

    @pytest.mark.parametrize(
        ("content", "kind"),
        [
            ("<svg onload=alert(1)/>", "image/svg+xml"),
            (base64.b64encode(b"<svg/>" * 20).decode(), "image/png"),
            ('"><script>alert(1)</script>', "image/png"),
            (PNG[:20], "image/png"),
            (PNG.replace((300).to_bytes(4), (30_000).to_bytes(4)), "image/png"),
            (PNG.replace((300).to_bytes(4), bytes(4)), "image/png"),
            (PNG + bytes(LARGEST), "image/png"),
            (PNG, "image/jpeg"),
            (JPEG, "image/png"),
            (JPEG[:9], "image/jpeg"),
            (b"\xff\xd8\xff\xe0\x00\x00" + bytes(50), "image/jpeg"),
            ([1, {"a": 2}], "image/png"),
            (PNG, "image/gif"),
        ],
    )
    def test_what_is_no_picture_is_none(self, content, kind):
        assert pictures_of(notebook(("mine", content), kind=kind), RELEASED) == ()

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b'"image/',
            b'{"image/": 1}',
            b'{"cells": 3, "x": "image/png"}',
            b'{"cells": [1, {"cell_type": "code", "outputs": 5}, {"cell_type": "code", "outputs": [1, '
            b'{"data": 2}]}, {"cell_type": "code", "id": [], "outputs": [{"data": {"image/png": 7}}]}]}',
            b"[" * 100_000 + b'"image/png"',
        ],
    )
    def test_a_file_that_is_no_notebook_has_none(self, raw):
        assert pictures_of(raw, RELEASED) == ()

    def test_they_are_bounded_in_number_and_in_size(self):
        assert len(pictures_of(notebook(*[("mine", PNG)] * 50), RELEASED)) == MOST
        large = PNG + bytes(LARGEST - len(PNG) - 10)
        assert len(pictures_of(notebook(*[("mine", large)] * 10), RELEASED)) == 5


class TestProse:
    def test_formulas_become_mathml(self):
        assert "<msub><mi>q</mi><mi>i</mi></msub>" in markdown_html("The score $q_i$ counts.")
        assert '<math display="block">' in markdown_html("$$\n\\frac{1}{2}\n$$")

    def test_a_formula_may_go_on_in_the_next_line_and_a_price_is_none(self):
        assert "<mi>a</mi><mo>=</mo><mi>b</mi>" in markdown_html("So $a =\nb$.")
        assert "<mo>=</mo>" in markdown_html("So $c = $ `x`.")
        assert "<mtext>a_b</mtext>" in markdown_html(r"$\text{a\_b}$")
        assert markdown_html("From $5 to $6.") == "<p>From $5 to $6.</p>\n"

    @pytest.mark.parametrize(
        "tex",
        [
            r"\href{javascript:alert(1)}{x}",
            r"\text{<script>alert(1)</script>}",
            r"\text{</mtext></math><img src=x onerror=alert(1)>}",
            r"\class{a}{b}",
            r"\style{position:fixed}{b}",
            r"\text{&lol;}",
            "{{{",
            "x" * 3_000,
        ],
    )
    def test_what_is_more_than_a_formula_is_shown_as_it_is(self, tex):
        shown = math_html(tex)
        assert shown.startswith("<code>")
        assert "<" not in shown[6:-7]

    @pytest.mark.parametrize(
        ("text", "html"),
        [
            ("a <script>x</script> b", "<p>a x b</p>\n"),
            ("<div onclick=x>a</div>", "<p>a</p>\n"),
            ("[a](javascript:x) [b](x.html)", "<p>a b</p>\n"),
            ("[a](https://x.org)", '<p><a href="https://x.org" rel="noreferrer">a</a></p>\n'),
            ("![a](https://x.org/x.png)", "<p><em>(picture: a)</em></p>\n"),
            ("# a", '<p class="ag-heading"><strong>a</strong></p>\n'),
            ("a &lt;b> `<c>`", "<p>a &lt;b&gt; <code>&lt;c&gt;</code></p>\n"),
        ],
    )
    def test_markdown_is_harmless(self, text, html):
        assert markdown_html(text) == html

    def test_a_heading_is_one_line(self):
        assert inline_html("1. `f`\n# x") == "1. <code>f</code> # x"
