"""Hidden tests of the tiny notebook."""

import numpy as np

from autograder.testing import close, exercise


@exercise("double")
class TestDouble:
    def test_random_values(self, submission, rng):
        """Every value is doubled."""
        x = rng.numpy.normal(size=7)
        close(submission.double(x), x + x)

    def test_keeps_the_dtype(self, submission):
        """The result has the dtype of the input."""
        close(submission.double(np.array([1.5], dtype=np.float32)), np.array([3.0], dtype=np.float32))


@exercise("Counter")
class TestCounter:
    def test_any_start_and_step(self, submission, rng):
        """A step adds `by` to the start."""
        start, by = rng.integer(-9, 9), rng.integer(1, 9)
        counter = submission.Counter(start)
        got = counter.step(by)
        assert got == start + by, f"expected {start + by}, got {got}"

    def test_counters_are_independent(self, submission):
        """Two counters do not share their value."""
        one, two = submission.Counter(), submission.Counter(10)
        one.step()
        got = two.step()
        assert got == 11, f"expected 11, got {got}"


@exercise("scale")
class TestScale:
    def test_any_range(self, submission, rng):
        """The least value becomes low, the largest high, the others lie between in proportion."""
        x = np.array([0.0, 1.0, 4.0]) * rng.integer(1, 9) + rng.integer(-9, 9)
        close(submission.scale(x, -1.0, 3.0), np.array([-1.0, 0.0, 3.0]))
