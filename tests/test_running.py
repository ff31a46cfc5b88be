"""A test kept busy by what the learner's code answered is a failed test, not a lost submission."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autograder import running
from autograder.suite import Suite

TEST = '''
from autograder.testing import exercise

@exercise("count")
class TestCount:
    def test_counts(self, submission):
        """It counts."""
        assert sum(1 for _ in range(submission)) == 3

    def test_says(self, submission):
        """It is an int."""
        assert submission == 10**12
'''


class Stand:
    """A session whose learner answers with a large number."""

    lost = None
    seed = 0
    used = 0.0
    overrun = False

    def submission(self, seconds: float) -> Any:
        return 10**12


def test_a_busy_test_fails_and_the_next_one_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "OWN_SECONDS", 0.2)
    path = tmp_path / "test_count.py"
    path.write_text(TEST)
    order = {"only": ["count"], "limits": {"count": 4.0}, "refused": {}, "proof": True, "simpler": []}
    order |= {"until_failed": False}
    run = running._Run(order, Suite({path: False}, ["count"]), Stand(), 1)  # type: ignore[arg-type]
    tests = [*run._tests()]
    assert [(test["name"], test["outcome"]) for test in tests] == [
        ("test_counts", "failed"),
        ("test_says", "passed"),
    ]
    assert "time limit" in tests[0]["message"]
