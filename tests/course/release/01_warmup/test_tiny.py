"""Visible tests of the tiny notebook."""

import numpy as np
import pytest

from autograder.testing import close, exercise, pure


@exercise("double")
class TestDouble:
    def test_worked_example(self, submission):
        """[1, 2] becomes [2, 4]."""
        close(submission.double(np.array([1.0, 2.0])), np.array([2.0, 4.0]))

    def test_input_is_not_changed(self, submission):
        """The input keeps its values."""
        close(pure(submission.double, np.array([3.0])), np.array([6.0]))


@exercise("Counter")
class TestCounter:
    def test_counts(self, submission):
        """Two steps from 0 give 1 and 2."""
        counter = submission.Counter()
        assert [counter.step(), counter.step()] == [1, 2], "expected 1, then 2"

    @pytest.mark.parametrize("by", [0, -3])
    def test_refuses_to_count_down(self, submission, by):
        """A step below 1 raises ValueError and changes nothing."""
        counter = submission.Counter(5)
        with pytest.raises(ValueError):
            counter.step(by)
        assert counter.value == 5, f"expected 5 as before, got {counter.value}"


@exercise("scale")
class TestScale:
    def test_ends(self, submission):
        """[2, 3, 4] becomes [0, 0.5, 1]."""
        close(submission.scale(np.array([2.0, 3.0, 4.0])), np.array([0.0, 0.5, 1.0]))
