"""The record of one graded notebook: tests, exercises, report, and their JSON form.

One record, several renderers: the terminal table, the HTML pages, the card of `check`, the nbgrader cells
and the files of a cohort run all read `Report`. Pure data and arithmetic: no torch, no pytest, no rendering.
It does not clean text for a display (`autograder.render.clean` does) and does not decide a test's outcome.

A test's message is its sentence on the first line and, for a visible test that did not pass, the evidence
(expected, got, where) on the lines below it. An exercise's message has up to three paragraphs: what we
observed, what it looks like, where to look.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Literal, cast, get_args

from autograder.schema import check_shape

__all__ = [
    "DIGITS",
    "LOOKS_LIKE",
    "SIMPLER",
    "WHERE",
    "ExerciseResult",
    "Outcome",
    "Report",
    "ReportOutcome",
    "TestResult",
    "compose_message",
    "outcome_of",
    "score_exercise",
]

Outcome = Literal["passed", "failed", "could_not_run"]
ReportOutcome = Literal["graded", "could_not_run"]

VISIBLE_SHARE = 0.3
DIGITS = 6
LOOKS_LIKE = "What it looks like: "
WHERE = "Where to look: "
RAISED = "Your code raised "
SIMPLER = " with simpler inputs"  # in the name of a test: of its second run, in an author's proof


@dataclass(frozen=True, slots=True)
class TestResult:
    """What one test found; `message` is the test's sentence, then the evidence."""

    __test__: ClassVar[bool] = False  # the name begins like a test class; pytest must not collect it

    name: str
    visible: bool
    outcome: Outcome
    message: str

    @property
    def sentence(self) -> str:
        """The promise in words: the message's first line, or the test's name read aloud."""
        first = self.message.strip().partition("\n")[0].strip()
        return first or self.name.removeprefix("test_").replace("_", " ")

    @property
    def evidence(self) -> str:
        """Expected, got and where: the message without its first line."""
        return self.message.strip().partition("\n")[2].strip("\n")


@dataclass(frozen=True, slots=True)
class ExerciseResult:
    """What one exercise earned, and the one message the learner reads first."""

    name: str
    score: float
    max_score: float
    bonus: bool
    outcome: Outcome
    message: str
    tests: tuple[TestResult, ...]

    def __post_init__(self) -> None:
        if not (math.isfinite(self.max_score) and self.max_score >= 0):
            raise ValueError(
                f"{self.name}: max_score must be finite and not negative, got {self.max_score!r}"
            )
        if not (math.isfinite(self.score) and 0 <= self.score <= self.max_score):
            raise ValueError(f"{self.name}: score must lie in [0, {self.max_score:g}], got {self.score!r}")

    @classmethod
    def of(
        cls,
        name: str,
        tests: Iterable[TestResult],
        *,
        points: float,
        bonus: bool = False,
        observed: str = "",
        looks_like: str = "",
        where: str = "",
    ) -> ExerciseResult:
        """Score the tests and compose the message; `observed` replaces the first failed test's sentence."""
        tests = tuple(tests)
        message = compose_message(tests, observed=observed, looks_like=looks_like, where=where)
        score = score_exercise(tests, points)
        return cls(name, score, float(points), bonus, outcome_of(tests), message, tests)

    @property
    def ordered_tests(self) -> tuple[TestResult, ...]:
        """Visible tests first, each group in the order it ran."""
        return tuple(sorted(self.tests, key=lambda test: not test.visible))


@dataclass(frozen=True, slots=True)
class Report:
    """One graded notebook. Build it with `Report.of`, which derives the totals and the outcome."""

    assignment: str
    notebook: str
    score: float
    max_score: float
    outcome: ReportOutcome
    exercises: tuple[ExerciseResult, ...]
    sandbox: str
    seed: int
    verdict_id: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        repeated = [name for name, n in Counter(e.name for e in self.exercises).items() if n > 1]
        if repeated:
            raise ValueError(f"exercise `{repeated[0]}` stands in the report more than once")
        score, max_score = _totals(self.exercises)
        if (self.score, self.max_score) != (score, max_score):
            raise ValueError(
                f"the totals do not follow from the exercises: expected {score:g} of {max_score:g}, "
                f"got {self.score:g} of {self.max_score:g}"
            )
        if self.outcome == "graded" and any(e.outcome == "could_not_run" for e in self.exercises):
            raise ValueError("a report with an exercise that could not run is not graded")

    @classmethod
    def of(
        cls,
        assignment: str,
        notebook: str,
        *,
        exercises: Iterable[ExerciseResult],
        sandbox: str,
        seed: int,
        verdict_id: str,
        notes: Iterable[str] = (),
        could_not_run: bool = False,
    ) -> Report:
        """Sum the exercises; one that could not run (or `could_not_run=True`) makes the report so."""
        exercises = tuple(exercises)
        score, max_score = _totals(exercises)
        stuck = could_not_run or not exercises or any(e.outcome == "could_not_run" for e in exercises)
        outcome: ReportOutcome = "could_not_run" if stuck else "graded"
        return cls(
            assignment,
            notebook,
            score,
            max_score,
            outcome,
            exercises,
            sandbox,
            seed,
            verdict_id,
            tuple(notes),
        )

    def of_only(self, names: Container[str]) -> Report:
        """The report of these exercises alone."""
        return Report.of(
            self.assignment,
            self.notebook,
            exercises=[exercise for exercise in self.exercises if exercise.name in names],
            sandbox=self.sandbox,
            seed=self.seed,
            verdict_id=self.verdict_id,
        )

    def visible_copy(self) -> Report:
        """The form shown to a learner of a cohort: no hidden input or value, no traceback of ours."""
        exercises = (
            replace(e, message=_public_message(e), tests=_public_tests(e.tests)) for e in self.exercises
        )
        return replace(self, exercises=tuple(exercises))

    def to_json(self) -> dict[str, object]:
        """Plain data in the shape every program reads; `Report.from_json` is its inverse."""
        data = asdict(self)
        return cast(dict[str, object], _lists(data))

    @classmethod
    def from_json(cls, data: object) -> Report:
        """Read what `to_json` wrote. Raises ValueError that says what was expected, what came, and where."""
        check_shape(data, _REPORT)
        fields = dict(cast(dict[str, Any], data))
        fields["exercises"] = tuple(
            ExerciseResult(**{**exercise, "tests": tuple(TestResult(**test) for test in exercise["tests"])})
            for exercise in fields["exercises"]
        )
        fields["notes"] = tuple(fields["notes"])
        return cls(**fields)


def score_exercise(tests: Sequence[TestResult], points: float) -> float:
    """Points earned: visible tests share 30 %, hidden ones 70 %, equally inside each group.

    When one group is empty the other has all the points. A test that could not run earns nothing here;
    `outcome_of` says that the exercise as a whole could not run.
    """
    if not (math.isfinite(points) and points >= 0):
        raise ValueError(f"points must be finite and not negative, got {points!r}")
    if tests and all(test.outcome == "passed" for test in tests):
        return float(points)
    groups = [[t.outcome == "passed" for t in tests if t.visible is visible] for visible in (True, False)]
    shares = [VISIBLE_SHARE, 1 - VISIBLE_SHARE] if all(groups) else [1.0, 1.0]
    fraction = sum(
        share * sum(group) / len(group) for share, group in zip(shares, groups, strict=True) if group
    )
    return min(max(round(fraction * float(points), DIGITS), 0.0), float(points))


def outcome_of(tests: Sequence[TestResult]) -> Outcome:
    """Passed when every test passed; could not run when any test could not, or when there is none."""
    if not tests or any(test.outcome == "could_not_run" for test in tests):
        return "could_not_run"
    return "passed" if all(test.outcome == "passed" for test in tests) else "failed"


def compose_message(
    tests: Sequence[TestResult], *, observed: str = "", looks_like: str = "", where: str = ""
) -> str:
    """Three paragraphs: what we observed, what it looks like, where to look. Empty when all passed.

    Without `observed`, the first paragraph is the sentence of the first test that did not pass (one that
    could not run, then visible ones, then hidden ones) "and N more"; or, when all visible tests ended in the
    same error, or nothing passed and they ended in the same line, that line.
    """
    outcome = outcome_of(tests)
    if not observed and outcome == "could_not_run":
        first = next((test.sentence for test in tests if test.outcome == outcome), "")
        observed = f"This exercise could not be graded; that is not your fault. It stopped at: {first}"
        if not first:
            observed = "This exercise could not be graded; that is not your fault. It has no tests."
    elif not observed and outcome == "failed":
        failed = sorted((t for t in tests if t.outcome == "failed"), key=lambda t: not t.visible)
        more = f" (and {len(failed) - 1} more)." if len(failed) > 1 else "."
        first = f"Not yet: {failed[0].sentence.rstrip('.')}{more}"
        end = _same_end(failed) if all(test in failed for test in tests if test.visible) else ""
        observed = end if end.startswith(RAISED) or len(failed) == len(tests) else ""
        observed = observed or first
    if looks_like and any(looks_like in test.evidence for test in tests):
        looks_like = ""  # a question's own test explains every option
    parts = [("", observed), (LOOKS_LIKE, looks_like), (WHERE, where)]
    return "\n\n".join(f"{label}{text.strip()}" for label, text in parts if text.strip())


def _same_end(failed: Sequence[TestResult]) -> str:
    """The one line of evidence that all visible tests (all tests, when none is visible) share, or ''.

    Of errors of the same kind, and of lines that differ in numbers only, it is the first.
    """
    shown = [test.evidence for test in failed if test.visible] or [test.evidence for test in failed]
    ends = {end.partition(":")[0] if end.startswith(RAISED) else re.sub(r"\d+", "0", end) for end in shown}
    end = shown[0] if len(ends) == 1 else ""
    return "" if "\n" in end else f"{end[:1].upper()}{end[1:]}"


def _totals(exercises: Iterable[ExerciseResult]) -> tuple[float, float]:
    """(score with the bonus, maximum without it)."""
    exercises = tuple(exercises)
    score = round(math.fsum(e.score for e in exercises), DIGITS)
    return score, round(math.fsum(e.max_score for e in exercises if not e.bonus), DIGITS)


def _public_message(exercise: ExerciseResult) -> str:
    """What stands below the first line of a could-not-run message is for the operator."""
    if exercise.outcome != "could_not_run":
        return exercise.message
    return exercise.message.partition("\n")[0]


def _public_tests(tests: Sequence[TestResult]) -> tuple[TestResult, ...]:
    """A parametrized hidden test's name carries its inputs in brackets: number the runs instead.

    Of a hidden test's evidence one line stays: the suite writes there what kind of thing differs, no values.
    """
    runs: Counter[str] = Counter()
    public = []
    for test in tests:
        kept = test.evidence if test.visible else test.evidence.partition("\n")[0]
        kept = "" if test.outcome == "could_not_run" else kept
        base, bracket, _ = test.name.partition("[")
        runs[base] += 1
        name = test.name if test.visible or not bracket else f"{base}[{runs[base]}]"
        public.append(replace(test, name=name, message=f"{test.sentence}\n{kept}".strip()))
    return tuple(public)


def _lists(value: object) -> object:
    """Tuples as lists, all the way down: what the JSON form reads back as."""
    if isinstance(value, dict):
        return {name: _lists(item) for name, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, tuple) else value


_TEST = {"name": str, "visible": bool, "outcome": get_args(Outcome), "message": str}
_EXERCISE = {
    "name": str,
    "score": float,
    "max_score": float,
    "bonus": bool,
    "outcome": get_args(Outcome),
    "message": str,
    "tests": [_TEST],
}
_REPORT = {
    "assignment": str,
    "notebook": str,
    "score": float,
    "max_score": float,
    "outcome": get_args(ReportOutcome),
    "exercises": [_EXERCISE],
    "sandbox": str,
    "seed": int,
    "verdict_id": str,
    "notes": [str],
}
