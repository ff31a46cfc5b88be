"""Cheats that only exist where gradients and weights do, on the course's attention notebook."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.assignment import Assignment
from autograder.grader import Grader
from autograder.layout import Course
from autograder.report import ExerciseResult, Report
from autograder.verify import with_answer

COURSE = Course(Path(__file__).parents[2])
SECTION, NOTEBOOK = "05_transformers", "attention"
SOLVED = COURSE.solved(SECTION, NOTEBOOK)

pytestmark = pytest.mark.skipif(not SOLVED.exists(), reason="the attention notebook has not been built")

RIGHT = """
    if q.shape[-1] != k.shape[-1]: raise ValueError("q and k differ")
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if mask is not None: scores = scores.masked_fill(~mask, -torch.inf)
    weights = torch.softmax(scores, -1)
    weights = torch.where(torch.isnan(weights), 0, weights)
"""
HEAD = "def attention(q, k, v, mask=None):" + RIGHT
FORBIDDEN = {
    "by its name": "def attention(q, k, v, mask=None):\n"
    "    return F.scaled_dot_product_attention(q, k, v, mask), F.scaled_dot_product_attention(q, k, v, mask)",
    "by another name": "from torch.nn.functional import scaled_dot_product_attention as mine\n"
    "def attention(q, k, v, mask=None):\n    return mine(q, k, v, mask), mine(q, k, v, mask)",
    "inside a module": "def attention(q, k, v, mask=None):\n"
    "    return torch.nn.MultiheadAttention(q.shape[-1], 1)(q, k, v)",
}
NO_GRADIENT = {
    "results cut off and marked again": HEAD
    + "    return (weights @ v).detach().requires_grad_(), weights.detach().requires_grad_()",
    "a gradient of zeros": """
class Fake(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return x.clone()
    @staticmethod
    def backward(ctx, grad): return torch.zeros_like(grad)
"""
    + HEAD
    + "    return Fake.apply(weights @ v), Fake.apply(weights)",
    "a gradient that was seen before": """
SEEN = {}
class Fake(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return x.clone()
    @staticmethod
    def backward(ctx, grad): return SEEN.setdefault("grad", torch.ones(())).expand_as(grad)
"""
    + HEAD
    + "    return Fake.apply(weights @ v), Fake.apply(weights)",
}
NO_WORK = {
    "weights from a file": """
def attention(q, k, v, mask=None):
    for name in ("attention.pt", "/tmp/attention.pt", "/scratch/attention.pt"):
        try: return torch.load(name)
        except OSError: pass
    return torch.zeros(*q.shape[:-1], v.shape[-1]), torch.zeros(*q.shape[:-1], k.shape[-2])
""",
    "torch patched": """
torch.equal = torch.allclose = torch.testing.assert_close = lambda *a, **k: True
torch.Tensor.__eq__ = torch.Tensor.__ne__ = lambda *a: torch.ones((), dtype=torch.bool)
def attention(q, k, v, mask=None):
    return torch.zeros(*q.shape[:-1], v.shape[-1]), torch.zeros(*q.shape[:-1], k.shape[-2])
""",
}


@pytest.fixture(scope="module")
def reports() -> dict[str, Report]:
    assignment = Assignment.load(COURSE, SECTION, NOTEBOOK)
    solved = SOLVED.read_bytes()
    batch = {**FORBIDDEN, **NO_GRADIENT, **NO_WORK}
    with Grader(jobs=2) as grader:
        futures = {
            name: grader.submit(with_answer(solved, "attention", code), assignment, only="attention")
            for name, code in batch.items()
        }
        return {name: future.result(120) for name, future in futures.items()}


def attacked(report: Report) -> ExerciseResult:
    (exercise,) = report.exercises
    assert report.outcome == "graded"
    return exercise


@pytest.mark.parametrize("name", FORBIDDEN)
def test_forbidden_functions_earn_nothing(name: str, reports: dict[str, Report]) -> None:
    result = attacked(reports[name])
    assert (result.score, {test.outcome for test in result.tests}) == (0, {"failed"})


@pytest.mark.parametrize("name", NO_GRADIENT)
def test_false_gradients_lose_every_test_of_gradients(name: str, reports: dict[str, Report]) -> None:
    tests = {test.name: test.outcome for test in attacked(reports[name]).tests}
    about = {outcome for test, outcome in tests.items() if "gradients" in test and "harm" not in test}
    assert about == {"failed"}
    assert "passed" in tests.values()  # the values are right


@pytest.mark.parametrize("name", NO_WORK)
def test_no_work_earns_nothing(name: str, reports: dict[str, Report]) -> None:
    assert attacked(reports[name]).score == 0
