"""The proof that a notebook's exercises are sound, by grading what is known to be right and wrong.

For every exercise: the solution passes all tests, the released stub fails every test, each wrong variant
of the bank loses points, each right one gets full marks; and nothing of a solution is in `release/`.
Every judgement is made by the same grader that grades learners. It proves what the bank can show, no
more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autograder.bank import Variant, load_bank
from autograder.errors import CouldNotRun, CourseError
from autograder.grader import Assignment, Grader
from autograder.layout import Course
from autograder.report import ExerciseResult, Report
from autograder.source import load_authored, solved, stub

__all__ = ["ExerciseProof", "NotebookProof", "Proof", "verify_notebook"]

MIN_WRONG = 3
MIN_RIGHT = 1
LEAK_LENGTH = 16  # shorter lines of a solution stand in any text


@dataclass(slots=True)
class ExerciseProof:
    """What was shown about one exercise. `problems` say what is wrong and what to do."""

    name: str
    visible: int = 0
    hidden: int = 0
    wrong: int = 0
    caught: int = 0
    right: int = 0
    accepted: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class NotebookProof:
    """What was shown about one notebook."""

    section: str
    notebook: str
    exercises: dict[str, ExerciseProof] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether no problem was found."""
        return not self.problems and not any(e.problems for e in self.exercises.values())

    def to_json(self) -> dict[str, Any]:
        """Plain data, one object per exercise."""
        exercises = [
            {name: getattr(e, name) for name in ExerciseProof.__slots__} for e in self.exercises.values()
        ]
        return {
            "assignment": self.section,
            "notebook": self.notebook,
            "sound": self.sound,
            "problems": self.problems,
            "exercises": exercises,
        }


@dataclass(frozen=True, slots=True)
class Proof:
    """One thing to show: a notebook is being graded, and its report will be judged."""

    future: Future[Report]
    judge: Callable[[Report], None]
    result: NotebookProof

    def finish(self) -> None:
        """Waits for the report and adds to the result what it shows."""
        try:
            report = self.future.result()
        except (CouldNotRun, CourseError) as error:
            if str(error) not in self.result.problems:
                self.result.problems.append(str(error))
        else:
            self.judge(report)


def verify_notebook(
    course: Course, section: str, notebook: str, grader: Grader
) -> tuple[NotebookProof, list[Proof]]:
    """Starts all proofs of one notebook; the result is complete when each has been finished."""
    result = NotebookProof(section, notebook)
    assignment = Assignment.load(course, section, notebook)
    for exercise in assignment.released.exercises:
        result.exercises[exercise.name] = ExerciseProof(exercise.name)
    result.problems += _leaks(course, section, notebook)
    proofs = []
    for raw, only, judge in _to_show(assignment, result):
        proofs.append(Proof(grader.submit(raw, assignment, only=only), judge, result))
    return result, proofs


def _to_show(
    assignment: Assignment, result: NotebookProof
) -> Iterator[tuple[bytes, str | None, Callable[[Report], None]]]:
    course, released = assignment.course, assignment.released
    path = course.solved(released.section, released.name)
    if not path.exists():
        raise CourseError(f"no solutions; run `autograder build {released.section}`", path=path)
    solution = path.read_bytes()
    yield solution, None, lambda report: _judge_solution(report, result)
    untouched = course.released(released.section, released.name).read_bytes()
    yield untouched, None, lambda report: _judge_stub(report, result)
    bank = load_bank(course.bank_file(released.section, released.name))
    for exercise in result.exercises.values():
        own = [v for v in bank if v.exercise == exercise.name]
        exercise.wrong = sum(v.kind == "wrong" for v in own)
        exercise.right = sum(v.kind == "right" for v in own)
        if exercise.wrong < MIN_WRONG or exercise.right < MIN_RIGHT:
            exercise.problems.append(
                f"the bank has {exercise.wrong} wrong and {exercise.right} right variants; "
                f"it needs at least {MIN_WRONG} and {MIN_RIGHT}"
            )
        for variant in own:
            raw = with_answer(solution, exercise.name, variant.source)
            yield raw, exercise.name, _variant_judge(variant, exercise)
    for variant in bank:
        if variant.exercise not in result.exercises:
            result.problems.append(
                f"the bank's `{variant.name}` is of no exercise here: `{variant.exercise}`"
            )


def _variant_judge(variant: Variant, exercise: ExerciseProof) -> Callable[[Report], None]:
    judge = _judge_wrong if variant.kind == "wrong" else _judge_right
    return lambda report: judge(variant, report.exercises[0], exercise)


def with_answer(notebook: bytes, exercise: str, source: str) -> bytes:
    """The notebook with another text in the answer cell of `exercise`."""
    content = json.loads(notebook)
    (cell,) = (c for c in content["cells"] if c["id"] == f"{exercise}-answer")
    cell["source"] = source
    return json.dumps(content).encode()


def _judge_solution(report: Report, result: NotebookProof) -> None:
    for outcome in report.exercises:
        exercise = result.exercises[outcome.name]
        exercise.visible = sum(t.visible for t in outcome.tests)
        exercise.hidden = len(outcome.tests) - exercise.visible
        if not exercise.visible or not exercise.hidden:
            exercise.problems.append("it needs visible and hidden tests")
        for test in outcome.tests:
            if test.outcome != "passed":
                exercise.problems.append(f"the solution fails {test.name}: {test.message}")
    result.problems += [f"solution: {note}" for note in report.notes]


def _judge_stub(report: Report, result: NotebookProof) -> None:
    for outcome in report.exercises:
        passed = [t.name for t in outcome.tests if t.outcome == "passed"]
        if passed:
            names = ", ".join(passed)
            text = f"the untouched stub passes {names}; let these tests ask for a right value as well"
            result.exercises[outcome.name].problems.append(text)


def _judge_wrong(variant: Variant, outcome: ExerciseResult, exercise: ExerciseProof) -> None:
    undefined = any("is not defined" in t.message for t in outcome.tests)
    if undefined or outcome.outcome == "could_not_run":
        exercise.problems.append(f"the wrong variant `{variant.name}` does not run: {outcome.message}")
    elif outcome.score >= outcome.max_score:
        exercise.problems.append(
            f"the wrong variant `{variant.name}` gets full marks; add a test that sees it"
        )
    else:
        exercise.caught += 1


def _judge_right(variant: Variant, outcome: ExerciseResult, exercise: ExerciseProof) -> None:
    if outcome.outcome == "passed":
        exercise.accepted += 1
        return
    failed = next(t for t in outcome.tests if t.outcome != "passed")
    exercise.problems.append(f"the right variant `{variant.name}` fails {failed.name}: {failed.message}")


def _leaks(course: Course, section: str, notebook: str) -> list[str]:
    """Lines of the solution, names of hidden tests and the bank, looked for in everything that ships."""
    secrets = _solution_lines(course.source_file(section, notebook), section)
    hidden = course.hidden_tests(section, notebook)
    visible = course.visible_tests(section, notebook)
    names = _test_names(hidden) - _test_names(visible)
    found = []
    for path in sorted(p for p in (course.release / section).rglob("*") if p.is_file()):
        text = _text(path)
        if path.name.startswith("bank_") or path.resolve() == hidden.resolve():
            found.append(f"{path.name} must not ship: run `autograder build {section}`")
        found += [
            f"a line of the solution is in {path.name}: {line}" for line in sorted(secrets) if line in text
        ]
        found += [
            f"the hidden test `{name}` is named in {path.name}" for name in sorted(names) if name in text
        ]
    return found


def _solution_lines(path: Path, section: str) -> set[str]:
    """Lines that stand in the solution regions and nowhere else in the authored notebook."""
    cells = load_authored(path, section).cells
    answers = [cell.source for cell in cells if cell.role == "answer"]
    shipped = [stub(c.source) if c.role == "answer" else c.source for c in cells]
    open_lines = {line.strip() for text in shipped for line in text.splitlines()}
    lines = {line.strip() for text in answers for line in solved(text).splitlines()}
    return {line for line in lines - open_lines if len(line) >= LEAK_LENGTH}


def _text(path: Path) -> str:
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix != ".ipynb":
        return text
    return "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])


def _test_names(path: Path) -> set[str]:
    if not path.exists():
        return set()
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return {line.removeprefix("def ").partition("(")[0] for line in lines if line.startswith("def test_")}
