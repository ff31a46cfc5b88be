# %% [markdown]
# # A tiny notebook
#
# **Goal:** three small exercises that the tests of the package use. **Topics:** S1.1.

# %%
import numpy as np

from autograder import check

# %% [markdown]
# ## 1. `double`
#
# Difficulty 1 of 5, 1 minute.
#
# <details><summary>Hint 1: which operator?</summary>
#
# Numbers and arrays know how to be multiplied.
# </details>


# %%
def double(x: np.ndarray) -> np.ndarray:
    """Twice the input.

    Args:
        x: (n,) float.

    Returns:
        (n,), dtype of x. A new array: x is not changed.
    """
    ### BEGIN SOLUTION
    return x * 2
    ### END SOLUTION


# %% points=2 topics=S1.1 forbid=np.add limit=3
check("double")

# %% demo
print("demo:", double(np.arange(3.0)))

# %% [markdown]
# ## 2. `Counter`
#
# Difficulty 2 of 5, 3 minutes.


# %%
class Counter:
    """Counts upwards.

    Args:
        start: int. The first number.
    """

    def __init__(self, start: int = 0) -> None:
        self.value = start
        ### BEGIN SOLUTION
        self.steps = 0
        ### END SOLUTION

    def step(self, by: int = 1) -> int:
        """Add `by` and return the new value.

        Raises:
            ValueError: by is less than 1.
        """
        ### BEGIN SOLUTION
        if by < 1:
            raise ValueError(f"by must be at least 1, got {by}")
        self.value += by
        self.steps += 1
        return self.value
        ### END SOLUTION


# %% points=3 topics=S1.1,S1.2 limit=3
check("Counter")

# %% [markdown]
# ## 3. `scale` (bonus)
#
# Difficulty 2 of 5, 2 minutes.


# %%
def scale(x: np.ndarray, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Scale linearly so that the least value becomes `low` and the largest `high`.

    Args:
        x: (n,) float, not all equal.
        low: float.
        high: float.

    Returns:
        (n,) float64.
    """
    ### BEGIN SOLUTION
    share = (x - x.min()) / (x.max() - x.min())
    return low + share * (high - low)
    ### END SOLUTION


# %% bonus points=1
check("scale")

# %% [markdown]
# ## Reading
#
# - Nothing more; this notebook is for tests.
