"""From submitted bytes to a report, through the real processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.assignment import Assignment
from autograder.errors import CouldNotRun, CourseError
from autograder.grader import Grader, grade
from autograder.layout import Course
from autograder.report import Report
from autograder.verify import with_answer

DOUBLE = "def double(x):\n    return x * 2\n"
COUNTER = "class Counter:\n    def __init__(self, start=0):\n        self.value = start\n"


@pytest.fixture(scope="module")
def assignment(course: Course) -> Assignment:
    return Assignment.load(course, "01_warmup", "tiny")


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(jobs=2) as grader:
        yield grader


@pytest.fixture(scope="module")
def solution(course: Course) -> bytes:
    return course.solved("01_warmup", "tiny").read_bytes()


def scores(report: Report) -> dict[str, float]:
    return {e.name: e.score for e in report.exercises}


def test_solution_and_stub(grader: Grader, assignment: Assignment, course: Course, solution: bytes) -> None:
    stub = course.released("01_warmup", "tiny").read_bytes()
    first, second = (grader.submit(raw, assignment) for raw in (solution, stub))
    assert scores(first.result()) == {"double": 2, "Counter": 3, "scale": 1}
    assert first.result().max_score == 5
    assert scores(second.result()) == {"double": 0, "Counter": 0, "scale": 0}
    assert all(t.outcome == "failed" for e in second.result().exercises for t in e.tests)


def test_same_code_same_verdict_other_code_other_inputs(
    grader: Grader, assignment: Assignment, solution: bytes
) -> None:
    one, again = (grader.submit(solution, assignment).result() for _ in range(2))
    assert (one.seed, one.verdict_id) == (again.seed, again.verdict_id)
    other = grader.submit(with_answer(solution, "double", DOUBLE), assignment).result()
    assert other.seed != one.seed
    assert other.verdict_id != one.verdict_id
    repeated = grader.submit(solution, assignment, seed=12).result()
    assert repeated.seed == 12


NOISY = """
def double(x):
    print("hello")
    import sys, warnings
    warnings.warn("careful")
    print("oops", file=sys.stderr)
    return x + x
"""
FORGED = """
import numpy
numpy.testing.assert_allclose = numpy.allclose = lambda *a, **k: True
class Equal:
    __eq__ = __ne__ = __bool__ = lambda *a: True
def double(x):
    return Equal()
"""


@pytest.mark.parametrize(
    ("source", "score", "message"),
    [
        (NOISY, 2.0, ""),
        ("def double(x)\n    return x", 0.0, "stopped before `double` was defined: SyntaxError"),
        ("import nothing_like_this\n" + DOUBLE, 0.0, "ModuleNotFoundError"),
        ("import os\nos._exit(0)\n" + DOUBLE, 0.0, "it ended the process"),
        ("def double(x):\n    import os\n    os._exit(0)", 0.0, "ended the whole Python process"),
        ("import sys\nsys.exit(0)\n" + DOUBLE, 0.0, "SystemExit"),
        ("def double(x):\n    return np.add(x, x)", 0.0, "without"),
        (FORGED, 0.0, ""),
        ("double = 3", 0.0, ""),
    ],
)
def test_an_answer_gets_what_its_code_deserves(
    grader: Grader, assignment: Assignment, solution: bytes, source: str, score: float, message: str
) -> None:
    report = grader.submit(with_answer(solution, "double", source), assignment).result()
    assert scores(report) == {"double": score, "Counter": 3, "scale": 1}
    assert message in report.exercises[0].message


def test_forbidden_names_are_seen_in_changed_and_added_cells(
    grader: Grader, assignment: Assignment, solution: bytes
) -> None:
    content = json.loads(with_answer(solution, "double", "def double(x):\n    return twice(x, x)"))
    first = next(c for c in content["cells"] if c["cell_type"] == "code")
    first["source"] = ["import numpy as np\n", "twice = np.add\n"]
    report = grader.submit(json.dumps(content).encode(), assignment).result()
    assert scores(report) == {"double": 0, "Counter": 3, "scale": 1}
    assert "without `np.add`" in report.exercises[0].message


def test_an_endless_loop_costs_its_limit_only(
    grader: Grader, assignment: Assignment, solution: bytes
) -> None:
    loop = COUNTER + "    def step(self, by=1):\n        while True:\n            pass\n"
    report = grader.submit(with_answer(solution, "Counter", loop), assignment).result()
    assert scores(report) == {"double": 2, "Counter": 0, "scale": 1}
    assert "time limit" in " ".join(t.message for t in report.exercises[1].tests)


def test_one_exercise_alone(grader: Grader, assignment: Assignment, solution: bytes) -> None:
    report = grader.submit(solution, assignment, only="Counter").result()
    assert scores(report) == {"Counter": 3}


def test_a_file_nobody_can_read_is_nothing_and_says_why(grader: Grader, assignment: Assignment) -> None:
    report = grader.submit(b"{", assignment).result()
    assert scores(report) == {"double": 0, "Counter": 0, "scale": 0}
    assert report.notes
    assert report.exercises[0].message == report.notes[0]


def test_broken_tests_could_not_run(course_copy: Course, solution: bytes, course: Course) -> None:
    for folder in ("release", "solutions"):
        (course_copy.root / folder / "01_warmup").mkdir(parents=True, exist_ok=True)
    released = course_copy.released("01_warmup", "tiny")
    released.write_bytes(course.released("01_warmup", "tiny").read_bytes())
    course_copy.hidden_tests("01_warmup", "tiny").write_text("import nothing_like_this")
    assignment = Assignment.load(course_copy, "01_warmup", "tiny")
    with Grader(jobs=1) as grader, pytest.raises(CouldNotRun, match="can't be imported"):
        grader.submit(solution, assignment).result()


def test_a_killed_worker_could_not_run_and_the_next_batch_can(
    assignment: Assignment, solution: bytes
) -> None:
    with Grader(jobs=1) as grader:
        grader.submit(solution, assignment).result()
        assert grader._process is not None
        grader._process.kill()
        with pytest.raises(CouldNotRun, match="run the same command again"):
            grader.submit(solution, assignment).result(30)
    assert grader._process is None


def test_no_such_notebook(course: Course) -> None:
    with pytest.raises(CourseError, match="autograder build 01_warmup"):
        Assignment.load(course, "01_warmup", "nothing")


def test_grade_is_one_call(tmp_path: Path, assignment: Assignment, solution: bytes) -> None:
    path = tmp_path / "tiny.ipynb"
    path.write_bytes(solution)
    report = grade(path, assignment)
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report
