"""Every renderer shows the same report, in words, and lets nothing of a learner's text through as markup."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from autograder.errors import Crashed, LearnerError, TimeLimit
from autograder.journal import Attempt, How
from autograder.render import style
from autograder.render.card import REPORT_MIME, Card, card_html, card_text
from autograder.render.cell import cell_html, comment_markdown
from autograder.render.clean import clean, html_prose, one_line
from autograder.render.material import Lesson, Material, Passage, Picture
from autograder.render.page import index_page, report_page
from autograder.render.terminal import batch_progress, print_reports
from autograder.render.words import exercise_state, headline, next_step, points, promises, report_state
from autograder.report import ExerciseResult, Report, TestResult
from autograder.suite import _judge

VOID = {"meta", "link", "br", "img", "input", "hr"}
NASTY = (
    "</pre></td></table><script>alert(1)</script><img src=x onerror=alert(2)> `code` "
    "$\\href{javascript:1}{x}$ **bold** _em_ [link](javascript:alert(3)) \x1b[31mred\x1b[0m \x1b]0;title\x07 "
    "\u202edesrever \\(y\\) # head"
)
EVIDENCE = "the result: wrong values\nexpected: [1, 2]\ngot:      [1, 3]"


def exercise(name: str, *marks: tuple[bool, str, str], points: float = 5, **parts) -> ExerciseResult:
    tests = [TestResult(f"test_{i}", *mark) for i, mark in enumerate(marks)]
    return ExerciseResult.of(name, tests, points=points, **parts)


PASSED = exercise("softmax", (True, "passed", "Rows sum to one."), (False, "passed", "Large scores survive."))
FAILED = exercise(
    "attention",
    (True, "failed", f"The worked example comes out.\n{EVIDENCE}"),
    (False, "failed", "A masked position has no influence.\nWhat differs: wrong values."),
    (False, "passed", "float16 comes out as float16."),
    looks_like="The scores are not divided by `sqrt(d_k)`.",
    where="The scale in rule R2.",
)
STUB = "This is still to do: your code raises NotImplementedError."
TO_DO = exercise(
    "causal_mask", (True, "failed", f"It is square.\n{STUB}"), (False, "failed", f"Big.\n{STUB}")
)
ERROR = exercise("heads", (True, "failed", "Heads differ.\nYour code raised TypeError: no (cell 3, line 2)."))
STUCK = exercise(
    "cache", (True, "passed", "It grows."), (False, "could_not_run", "It is quick.\nOSError: 24")
)
BONUS = exercise("stretch", (True, "passed", "It is small."), (False, "failed", "It is fast."), bonus=True)
HOSTILE = exercise(
    "hostile",
    (True, "failed", f"A number comes.\n{NASTY}\n" + f"{NASTY} {'x' * 10_000}\n" * 500),
    (False, "failed", f"{NASTY} {'x' * 10_000}"),
    observed=f"{NASTY} {'x' * 10_000}",
)
EVERY = [PASSED, FAILED, TO_DO, ERROR, STUCK, BONUS, HOSTILE]


def report_of(*exercises: ExerciseResult, notes: tuple[str, ...] = ()) -> Report:
    facts = {"sandbox": "full", "seed": 7, "verdict_id": "3f9a1c"}
    return Report.of("05_transformers", "attention", exercises=exercises, notes=notes, **facts)


FULL = report_of(*EVERY, notes=(f"cell 3 stopped: {NASTY}",))


def attempt(name: str, hour: int, how: How = "check") -> Attempt:
    when = f"2026-01-02T{hour:02}:00:00+00:00"
    return Attempt(when, "05_transformers", "attention", name, how, "failed", 1.0, 5.0, "", "")


KNOWN = Material(
    lesson=Lesson(
        "The *title*",
        "a.ipynb",
        {"attention": Passage("Part 1: `attention`", "- **R1** $\\sqrt d$"), "softmax": Passage("", "")},
        "- A book.",
    ),
    pictures=(Picture("attention", "image/png", "AAAA", 3, 2, "See it: a *curve*", "A *line*."),),
    attempts=(*(attempt("attention", hour) for hour in range(1, 15)), attempt("softmax", 9, "grade")),
)


class Outline(HTMLParser):
    """Tags, attributes and text of a page; complains about a tag that is not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def printed(*reports: Report, width: int = 100, encoding: str = "utf-8", **options) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    print_reports(reports, console=Console(file=file, width=width), **options)
    file.flush()
    return raw.getvalue().decode(encoding)


class TestClean:
    @given(st.text(st.characters() | st.sampled_from("\x1b[]0;m\x9b\x07\r\n\t\u202e\u200f\ud800`$\\<&")))
    def test_what_is_left_is_printable_and_bounded(self, text):
        got = clean(text, limit=50, lines=3)
        assert len(got) <= 50 + len(" ... (shortened)")
        assert got.count("\n") < 3
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", got)
        got.encode("utf-8")

    def test_escapes_vanish_with_their_parameters(self):
        assert (
            clean("\x1b[1;31mred\x1b[0m \x1b]0;title\x07on \x1b]8;;http://x\x1b\\link \x9b2Jup")
            == "red on link up"
        )

    def test_an_escape_without_end_does_not_swallow_the_next_line(self):
        assert clean("\x1b]0;never closed\nnext").endswith("\nnext")

    def test_a_progress_bar_shows_its_last_state(self):
        assert clean(" 1%\r50%\r100%\nok\r\n") == "100%\nok"

    def test_stacked_marks_do_not_reach_the_next_row(self):
        assert clean("z" + "\u0301" * 50) == "z" + "\u0301" * 3

    def test_long_text_ends_with_a_word_about_it(self):
        assert clean("x" * 10_000, limit=10) == "x" * 10 + " ... (shortened)"
        assert clean("a\n" * 100, lines=2) == "a\na ... (shortened)"
        assert one_line("a\n b\t c") == "a b c"

    def test_code_in_backticks_and_a_dollar_that_stays_a_dollar(self):
        assert html_prose("`a<b` costs $5") == "<code>a&lt;b</code> costs <span>$</span>5"


class TestWords:
    def test_each_state_has_its_word(self):
        states = {e.name: exercise_state(e) for e in EVERY}
        assert states == {
            "softmax": "passed",
            "attention": "not yet",
            "causal_mask": "to do",
            "heads": "error",
            "cache": "could not run",
            "stretch": "not yet",
            "hostile": "not yet",
        }
        assert report_state(FULL) == "could not run"
        assert report_state(report_of(PASSED, BONUS)) == "passed"
        assert report_state(report_of(PASSED, TO_DO)) == "not yet"
        assert report_state(report_of(TO_DO)) == "to do"

    @pytest.mark.parametrize("visible", [True, False])
    @pytest.mark.parametrize(
        ("error", "state"),
        [
            (LearnerError("NotImplementedError", "", ""), "to do"),
            (LearnerError("NotDefined", "softmax", ""), "to do"),
            (LearnerError("TypeError", "no", "cell 3, line 2"), "error"),
            (TimeLimit(), "error"),
            (Crashed("signal 9"), "error"),
            (AssertionError("expected 1, got 2"), "not yet"),
        ],
    )
    def test_states_follow_the_words_of_the_suite(self, error, state, visible):
        outcome, evidence = _judge(error, visible=visible)
        test = TestResult("test_x", visible, outcome, f"A promise.\n{evidence}")
        assert promises(ExerciseResult.of("x", [test], points=1))[0].state == state

    def test_points_are_never_rounded_up(self):
        assert [points(x) for x in (3.0, 2.1, 2.999999, 0.005, 0.3 * 7)] == ["3", "2.1", "2.99", "0", "2.1"]

    def test_the_runs_of_a_parametrized_test_are_one_promise_and_hide_their_inputs(self):
        tests = [
            TestResult(f"test_shape[{i}-secret]", False, "failed" if i else "passed", "Any shape.")
            for i in range(3)
        ]
        result = ExerciseResult.of("x", tests, points=1)
        (promise,) = promises(result)
        assert (promise.passed, promise.runs) == (1, 3)
        for shown in (
            card_html(result),
            card_text(result),
            cell_html(result),
            report_page(report_of(result)),
        ):
            assert "(1 of 3 inputs)" in shown
            assert "secret" not in shown

    def test_the_headline_tells_bonus_points(self):
        assert (
            headline(report_of(PASSED, BONUS))
            == "6.5 of 5 points (1.5 of them bonus), 1 of 1 exercise passed"
        )


class TestHostileText:
    @pytest.mark.parametrize("render", [card_html, cell_html], ids=["card", "cell"])
    def test_in_html_it_stays_text(self, render):
        outline = Outline(render(HOSTILE))
        assert outline.tags.isdisjoint({"script", "img"})
        assert "<script>alert(1)</script>" in outline.text
        assert "\x1b" not in outline.text
        assert len(outline.text) < 10_000

    def test_in_the_pages_it_stays_text(self):
        code = {"hostile": f"x = 1  # {NASTY}\n"}
        for page in (
            report_page(FULL, Material(code=code)),
            index_page([FULL], labels=[NASTY], links=['x"><b>']),
        ):
            outline = Outline(page)
            assert outline.tags.isdisjoint({"script", "img"})
            assert not any(name.startswith("on") for name, _ in outline.attributes)
            assert "<script>alert(1)</script>" in outline.text

    def test_names_stay_inside_their_attributes(self):
        odd = exercise('x"onclick="alert(1)', (True, "failed", 'y"><b>'))
        outline = Outline(card_html(odd) + report_page(report_of(odd)))
        assert "onclick" not in {name for name, _ in outline.attributes}

    def test_mathjax_finds_no_formula_outside_code(self):
        for shown in (card_html(HOSTILE), cell_html(HOSTILE), report_page(report_of(HOSTILE))):
            bare = re.sub(
                r"<style>.*?</style>|<(pre|code)\b.*?</\1>|<span>[$\\]+</span>", "", shown, flags=re.S
            )
            assert "$" not in bare
            assert "\\" not in bare

    def test_in_the_terminal_no_escape_arrives(self):
        shown = printed(FULL)
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert "[link](javascript:alert(3))" in " ".join(shown.split())

    def test_in_a_comment_it_is_not_markdown(self):
        markdown2html = pytest.importorskip("nbconvert.filters").markdown2html
        outline = Outline(markdown2html(comment_markdown(HOSTILE)))
        assert outline.tags <= {"p", "pre", "code"}
        assert "**bold** _em_ [link](javascript:alert(3))" in outline.text

    @given(st.text(alphabet="*_[]()#`$\\<>&~|!-+=.:/ax1 \n", max_size=60))
    def test_in_a_comment_nothing_is(self, text):
        from nbconvert.filters import markdown2html

        result = exercise(
            "x", (True, "failed", "It holds."), (True, "passed", "So."), observed=f"Seen: {text}"
        )
        outline = Outline(markdown2html(comment_markdown(result)))
        assert outline.tags <= {"p", "code", "strong"}  # strong: our own label, when the text spells one


class TestCard:
    def test_it_says_result_points_message_promises_and_evidence(self):
        for shown in (Outline(card_html(FAILED)).text, " ".join(card_text(FAILED).split())):
            for words in (
                "attention",
                "not yet",
                "1 of 3 promises kept",
                "1.75 of 5 points",
                "What it looks like: The scores are not divided by",
                "Where to look: The scale in rule R2.",
                "A masked position has no influence. (hidden test)",
                "What differs: wrong values.",
            ):
                assert words in shown
        assert EVIDENCE in Outline(card_html(FAILED)).text

    def test_it_is_a_labelled_region_with_a_unique_id(self):
        first, second = card_html(FAILED), card_html(FAILED)
        (name,) = re.findall(r'aria-labelledby="([^"]+)"', first)
        assert f'id="{name}"' in first
        assert name not in second
        assert 'role="status"' in first
        assert '<progress aria-label="Points for attention"' in first
        assert "<caption>" in first
        assert 'scope="col"' in first
        assert card_html(FAILED, uid="a") == card_html(FAILED, uid="a")

    def test_the_first_evidence_is_unfolded_and_a_passed_card_is_folded(self):
        assert card_html(FAILED).count("<details open>") == 1
        assert "<details><summary>What it promises</summary>" in card_html(PASSED)
        assert "Rows sum to one" not in card_text(PASSED)

    def test_what_all_promises_share_is_said_once(self):
        assert card_html(TO_DO).count("NotImplementedError") == 1
        assert card_text(TO_DO).count("NotImplementedError") == 1

    def test_the_front_end_gets_three_forms_of_the_same_report(self):
        bundle = Card(FULL, note="Not official.")._repr_mimebundle_()
        assert set(bundle) == {"text/html", "text/plain", REPORT_MIME}
        told = Report.from_json(bundle[REPORT_MIME])
        assert [(e.name, e.score, e.outcome, len(e.tests)) for e in told.exercises] == [
            (e.name, e.score, e.outcome, len(e.tests)) for e in FULL.exercises
        ]
        assert told.exercises[1] == FULL.exercises[1]
        assert len(json.dumps(bundle[REPORT_MIME])) < 50_000  # of a hostile report
        for form in ("text/html", "text/plain"):
            assert headline(FULL) in bundle[form]
            assert "Not official." in bundle[form]

    def test_without_its_style_no_meaning_is_lost(self):
        bare = Outline(re.sub(r"<style>.*?</style>", "", Card(FULL).html(), flags=re.S)).text
        for word in ("passed", "not yet", "error", "to do", "could not run"):
            assert word in bare

    def test_plain_lines_fit_a_terminal(self):
        lines = card_text(FAILED).splitlines() + card_text(STUCK).splitlines()
        assert max(map(len, lines)) <= 88


class TestCell:
    def test_it_passes_the_sanitizer_of_nbgrader_unchanged(self):
        clean_html = pytest.importorskip("nbconvert.filters").clean_html
        for result in EVERY:
            cell = cell_html(result)
            assert clean_html(cell) == cell

    def test_it_says_the_result_in_words(self):
        text = Outline(cell_html(FAILED)).text
        assert "not yet: attention, 1.75 of 5 points, 1 of 3 promises kept" in text
        assert "passed: float16 comes out as float16. (hidden test)" in text

    def test_the_comment_has_message_and_evidence(self):
        comment = comment_markdown(FAILED)
        assert comment.startswith("Not yet: The worked example comes out (and 1 more).")
        assert "**What it looks like:** The scores are not divided by 'sqrt(d_k)'." in comment
        assert "    expected: [1, 2]\n    got:      [1, 3]" in comment

    def test_a_passed_exercise_needs_no_comment(self):
        assert comment_markdown(PASSED) == ""


class TestPage:
    def test_it_is_self_contained_and_has_its_landmarks(self):
        page = report_page(FULL, Material(code={"attention": "def attention(q):\n    return q < 1\n"}))
        outline = Outline(page)
        assert {"header", "main", "footer", "h1", "h2", "meter", "caption"} <= outline.tags
        assert outline.tags.isdisjoint({"script", "link", "img", "iframe"})
        assert not re.search(r'(src|href)="(?!#)', page)
        assert "url(" not in page
        assert "@import" not in page
        assert '<html lang="en">' in page
        assert 'href="#main"' in page
        assert "return q < 1" in outline.text
        assert "Not everything could be graded." in outline.text

    def test_every_exercise_has_a_section_the_table_links_to(self):
        page = report_page(FULL)
        links = re.findall(r'href="#(exercise-\d+)"', page)
        assert len(links) == len(EVERY)
        assert all(f'id="{link}"' in page for link in links)

    def test_what_else_is_known_stands_with_its_exercise(self):
        page = report_page(report_of(FAILED, PASSED), KNOWN)
        first, second = page.split('<section class="ag-exercise')[1:3]
        assert "Read again: <b>Part 1: <code>attention</code></b> in <code>a.ipynb</code>" in first
        assert "<msqrt><mi>d</mi></msqrt>" in first
        assert 'alt="Picture from your notebook under the heading “See it: a curve”"' in first
        assert "<figcaption>What to see: A <em>line</em>.</figcaption>" in first
        assert "Your 14 attempts" in first
        assert first.count("check, visible tests only") == 12
        assert first.index("02 Jan 2026, 14:00 UTC") < first.index("02 Jan 2026, 03:00 UTC")
        assert "02 Jan 2026, 02:00" not in first
        assert "Your 1 attempt<" in second
        assert "graded" in second
        assert "Read again" not in second.partition("</section>")[0]
        assert '<h2 id="reading">To read on</h2>' in page
        assert "<h1>The <em>title</em></h1>" in page

    def test_headings_are_in_order_and_one_is_the_first(self):
        page = report_page(report_of(*EVERY, notes=("A note.",)), KNOWN)
        levels = [int(level) for level in re.findall(r"<h([1-6])", page)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))

    @pytest.mark.parametrize(
        ("exercises", "words"),
        [
            ([PASSED], "Everything is right."),
            ([PASSED, BONUS], "All that counts is right. If you like, try the bonus `stretch`."),
            ([PASSED, TO_DO, FAILED], "Go on with `attention`:"),
            ([PASSED, TO_DO, ERROR, FAILED], "Go on with `heads`: your code stops"),
            ([BONUS, TO_DO], "Begin `causal_mask`:"),
            ([FAILED, STUCK], "Grade this notebook again:"),
        ],
    )
    def test_one_sentence_says_what_to_do_next(self, exercises, words):
        assert next_step(report_of(*exercises)).startswith(words)
        assert "<b>Next step.</b>" in report_page(report_of(*exercises))

    def test_the_index_has_a_row_and_a_link_per_report(self):
        page = index_page([report_of(PASSED), FULL], labels=["alice", "bob"], links=["a b#1.html", ""])
        text = Outline(page).text
        assert '<a href="a%20b%231.html">alice</a>' in page
        assert "2 reports" in text
        assert "1 of them could not run" in text

    @pytest.mark.parametrize("palette", [style._LIGHT, style._DARK], ids=["light", "dark"])
    def test_every_text_has_a_contrast_of_four_and_a_half(self, palette):
        colours = dict(re.findall(r"--ag-([\w-]+):(#\w{6})", palette))
        grounds = ["#ffffff"] if palette is style._LIGHT else ["#0f141a", "#111111"]
        pairs = [(colours[c], colours[f"{c}-bg"]) for c in ("good", "open", "bad", "idle")]
        for name in ("text", "muted", "link", "key", "string", "name"):
            pairs += [(colours[name], ground) for ground in (*grounds, colours["soft"])]
        for text, ground in pairs:
            assert contrast(text, ground) >= 4.5, (text, ground)


class TestTerminal:
    def test_one_report_has_its_table_the_details_and_where_it_comes_from(self):
        shown = " ".join(printed(FULL).split())
        for words in (
            "attention ○ not yet 1.75 / 5 The scores are not divided by `sqrt(d_k)`.",
            "stretch (bonus)",
            "What it looks like: The scores are not divided",
            "got: [1, 3]",
            "Note: cell 3 stopped:",
            headline(FULL),
            "isolation full, seed 7, verdict 3f9a1c",
        ):
            assert words in shown

    def test_what_nobody_has_begun_stands_in_the_table_only(self):
        text = printed(report_of(PASSED, FAILED, TO_DO))
        assert "causal_mask" in text
        assert "attention: ○ not yet" in text
        assert "causal_mask: … to do" not in text
        assert "causal_mask: … to do" in printed(report_of(TO_DO))  # alone, it has its promises

    def test_it_says_where_to_read_again(self):
        shown = " ".join(printed(report_of(FAILED, PASSED), lessons=[KNOWN.lesson]).split())
        assert "Read again: Part 1: `attention`, in a.ipynb" in shown
        assert "Next step: Go on with `attention`:" in shown
        assert shown.count("Read again") == 1

    def test_several_reports_have_a_row_each(self):
        shown = printed(report_of(PASSED), FULL, labels=["alice", "bob"])
        assert "alice" in shown
        assert "bob" in shown
        assert "What it looks like" not in shown
        assert "What it looks like" in printed(report_of(PASSED), FULL, details=True)

    @pytest.mark.parametrize("width", [30, 50, 80, 120])
    def test_lines_fit_the_terminal(self, width):
        assert max(map(len, printed(FULL, FULL, width=width, details=True).splitlines())) <= width

    def test_a_terminal_without_unicode_gets_ascii(self):
        shown = printed(FULL, encoding="ascii")
        assert "+ passed" in shown

    def test_no_colour_where_none_is_wanted(self, monkeypatch):
        monkeypatch.setenv("NO_COLOR", "1")
        file = io.StringIO()
        print_reports([FULL], console=Console(file=file, force_terminal=True, width=80))
        assert not re.search(r"\x1b\[[0-9;]*3[0-7]", file.getvalue())

    def test_progress_shows_in_a_terminal_and_nowhere_else(self):
        for terminal in (True, False):
            file = io.StringIO()
            console = Console(file=file, force_terminal=terminal, width=80)
            with batch_progress(2, console=console) as advance:
                advance("alice [bold]\x1b[31m")
                advance("bob")
            assert ("Grading" in file.getvalue()) is terminal


def contrast(first: str, second: str) -> float:
    """WCAG 2 contrast ratio of two #rrggbb colours."""
    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
