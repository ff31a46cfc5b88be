"""The report record: scores, messages, the JSON form and the form for a learner's eyes."""

from __future__ import annotations

import copy
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.report import (
    ExerciseResult,
    Report,
    TestResult,
    compose_message,
    outcome_of,
    score_exercise,
)

OUTCOMES = ["passed", "failed", "could_not_run"]


def results(visible: str, hidden: str = "") -> list[TestResult]:
    """`results("pf", "pc")`: one letter per test: passed, failed, could not run."""
    words = {"p": "passed", "f": "failed", "c": "could_not_run"}
    marks = [(True, mark) for mark in visible] + [(False, mark) for mark in hidden]
    return [TestResult(f"test_{i}", v, words[mark], f"Promise {i}.") for i, (v, mark) in enumerate(marks)]


def report_of(*exercises: ExerciseResult, **changes) -> Report:
    facts = {"sandbox": "full", "seed": 7, "verdict_id": "abc", "notes": ["a note"]} | changes
    return Report.of("05_transformers", "attention", exercises=exercises, **facts)


def example() -> Report:
    core = ExerciseResult.of("softmax", results("pf", "ppf"), points=3, looks_like="No shift.", where="R2.")
    return report_of(core, ExerciseResult.of("stretch", results("p", "f"), points=8, bonus=True))


class TestScore:
    @pytest.mark.parametrize(
        ("visible", "hidden", "score"),
        [
            ("pp", "pp", 10.0),
            ("ff", "ff", 0.0),
            ("pp", "ff", 3.0),
            ("ff", "pp", 7.0),
            ("pf", "pf", 5.0),
            ("pppf", "", 7.5),  # one empty group: the other has all the points
            ("", "pf", 5.0),
            ("p", "pc", 6.5),
        ],
    )
    def test_visible_tests_share_three_tenths_and_hidden_ones_seven(self, visible, hidden, score):
        assert score_exercise(results(visible, hidden), 10) == score

    def test_no_tests_earn_nothing(self):
        assert score_exercise([], 5) == 0.0
        assert outcome_of([]) == "could_not_run"

    @pytest.mark.parametrize("points", [1 / 3, 2 / 3, 0.1 + 0.2, 1e-7, 0.0])
    def test_all_passed_is_full_marks_to_the_last_digit(self, points):
        assert score_exercise(results("ppp", "ppppppp"), points) == points

    @pytest.mark.parametrize("points", [math.nan, math.inf, -1.0])
    def test_points_that_are_none_are_refused(self, points):
        with pytest.raises(ValueError, match="points must be finite and not negative"):
            score_exercise(results("p"), points)

    @given(
        st.lists(st.tuples(st.booleans(), st.sampled_from(OUTCOMES))),
        st.floats(0, 1e6, allow_nan=False),
    )
    def test_a_score_is_finite_and_within_the_points(self, marks, points):
        tests = [TestResult("test_x", visible, outcome, "") for visible, outcome in marks]
        score = score_exercise(tests, points)
        assert isinstance(score, float)
        assert 0 <= score <= points
        assert (score == points) or outcome_of(tests) != "passed"


class TestOutcome:
    def test_one_test_that_could_not_run_decides(self):
        result = ExerciseResult.of("softmax", results("pp", "ppc"), points=3)
        assert result.outcome == "could_not_run"
        assert 0 < result.score < 3
        assert "not your fault" in result.message
        assert report_of(result).outcome == "could_not_run"

    def test_a_report_without_exercises_could_not_run(self):
        assert report_of().outcome == "could_not_run"

    def test_bonus_counts_in_the_score_and_not_in_the_maximum(self):
        core = ExerciseResult.of("core", results("p"), points=3)
        extra = ExerciseResult.of("extra", results("p"), points=2, bonus=True)
        report = report_of(core, extra)
        assert (report.score, report.max_score, report.outcome) == (5.0, 3.0, "graded")

    def test_a_score_outside_its_points_is_refused(self):
        with pytest.raises(ValueError, match=r"softmax: score must lie in \[0, 3\], got 4"):
            ExerciseResult("softmax", 4.0, 3.0, False, "passed", "", ())

    def test_not_a_number_is_refused(self):
        with pytest.raises(ValueError, match="score must lie in"):
            ExerciseResult("softmax", math.nan, 3.0, False, "passed", "", ())
        with pytest.raises(ValueError, match="max_score must be finite"):
            ExerciseResult("softmax", 0.0, math.nan, False, "passed", "", ())

    def test_an_exercise_stands_in_a_report_once(self):
        result = ExerciseResult.of("softmax", results("p"), points=1)
        with pytest.raises(ValueError, match="`softmax` stands in the report more than once"):
            report_of(result, result)


class TestMessage:
    def test_all_passed_needs_no_message(self):
        assert compose_message(results("pp", "p")) == ""

    def test_three_parts(self):
        message = compose_message(results("pf", "ff"), looks_like="Not divided.", where="Rule R2.")
        observed, looks_like, where = message.split("\n\n")
        assert observed == "Not yet: Promise 1 (and 2 more)."
        assert looks_like == "What it looks like: Not divided."
        assert where == "Where to look: Rule R2."

    def test_the_first_failed_visible_test_is_named_even_when_a_hidden_one_failed_before(self):
        hidden, visible = results("f", "f")[::-1]
        assert compose_message([hidden, visible]).startswith(f"Not yet: {visible.sentence.rstrip('.')}")

    def test_what_every_test_ended_in_is_said_once(self):
        end = "`softmax` is not defined: has the cell that defines it been run?"
        tests = [TestResult(f"test_{i}", True, "failed", f"Promise {i}.\n{end}") for i in range(3)]
        assert compose_message(tests) == end

    def test_what_the_grader_observed_comes_first(self):
        assert compose_message(results("f"), observed="The cell stopped.") == "The cell stopped."

    def test_sentence_and_evidence(self):
        test = TestResult("test_rows_sum_to_one", True, "failed", "Rows sum to one.\nexpected: 1\ngot: 2\n")
        assert test.sentence == "Rows sum to one."
        assert test.evidence == "expected: 1\ngot: 2"
        assert TestResult("test_rows_sum_to_one", True, "passed", "").sentence == "rows sum to one"


class TestVisibleCopy:
    SECRET = "0.125"

    def shown(self, outcome: str, message: str, name: str = "test_scale[0.125-4]") -> TestResult:
        tests = [TestResult("test_a", True, "passed", "A."), TestResult(name, False, outcome, message)]
        report = report_of(ExerciseResult.of("softmax", tests, points=3)).visible_copy()
        return report.exercises[0].tests[1]

    def test_hidden_inputs_in_the_name_become_a_number(self):
        assert self.shown("failed", "Scales.").name == "test_scale[1]"

    def test_of_hidden_evidence_only_the_kind_stays(self):
        shown = self.shown("failed", f"Scales.\nWhat differs: wrong values.\nexpected: {self.SECRET}")
        assert shown.message == "Scales.\nWhat differs: wrong values."

    def test_a_traceback_of_ours_is_for_the_operator(self):
        report = report_of(
            ExerciseResult.of("softmax", results("c"), points=3, observed="It stopped.\n/srv/secret.py")
        )
        shown = report.visible_copy()
        assert shown.exercises[0].message == "It stopped."
        assert self.shown("could_not_run", "Scales.\n/srv/secret.py").message == "Scales."

    def test_visible_evidence_and_the_score_stay(self):
        report = example()
        shown = report.visible_copy()
        assert [t for t in shown.exercises[0].tests if t.visible] == [
            t for t in report.exercises[0].tests if t.visible
        ]
        assert (shown.score, shown.outcome, shown.verdict_id) == (report.score, report.outcome, "abc")


class TestJson:
    def test_the_shape_is_exact(self):
        data = example().to_json()
        top = "assignment notebook score max_score outcome exercises sandbox seed verdict_id notes"
        assert list(data) == top.split()
        exercise = data["exercises"][0]
        assert list(exercise) == ["name", "score", "max_score", "bonus", "outcome", "message", "tests"]
        assert list(exercise["tests"][0]) == ["name", "visible", "outcome", "message"]

    def test_there_and_back(self):
        report = example()
        assert Report.from_json(json.loads(json.dumps(report.to_json(), allow_nan=False))) == report

    @pytest.mark.parametrize(
        ("path", "value", "message"),
        [
            (("score",), "9", r"Expected a finite number, got '9' - at `\$\.score`"),
            (("score",), math.nan, r"Expected a finite number, got nan - at `\$\.score`"),
            (("score",), True, r"Expected a finite number, got True - at `\$\.score`"),
            (("seed",), 1.5, r"Expected `int`, got `float` - at `\$\.seed`"),
            (
                ("outcome",),
                "passed",
                r"Expected one of graded, could_not_run; got 'passed' - at `\$\.outcome`",
            ),
            (("notes",), ["a", 3], r"Expected `str`, got `int` - at `\$\.notes\[1\]`"),
            (("exercises", 0, "bonus"), 1, r"Expected `bool`, got `int` - at `\$\.exercises\[0\]\.bonus`"),
            (("exercises", 0, "tests", 1, "outcome"), "ok", r"at `\$\.exercises\[0\]\.tests\[1\]\.outcome`"),
            (("exercises", 1), [], r"Expected `dict`, got `list` - at `\$\.exercises\[1\]`"),
            (("grade",), 1, r"Expected no field but assignment, .*; got `grade` - at `\$`"),
            (("score",), 11.0, r"the totals do not follow from the exercises"),
            (("seed",), 10**400, None),
            (("score",), 10**400, r"Expected a finite number"),
        ],
    )
    def test_what_does_not_fit_is_named(self, path, value, message):
        data = copy.deepcopy(example().to_json())
        place = data
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        if message is None:
            assert Report.from_json(data).seed == value
            return
        with pytest.raises(ValueError, match=message):
            Report.from_json(data)

    def test_a_missing_field_is_named(self):
        data = example().to_json()
        del data["verdict_id"]
        with pytest.raises(ValueError, match=r"Expected the field `verdict_id`, it is missing - at `\$`"):
            Report.from_json(data)

    def test_a_graded_report_holds_nothing_that_could_not_run(self):
        data = report_of(ExerciseResult.of("softmax", results("c"), points=3)).to_json()
        data["outcome"] = "graded"
        with pytest.raises(ValueError, match="an exercise that could not run is not graded"):
            Report.from_json(data)
