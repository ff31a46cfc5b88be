"""Known wrong and known right variants of the tiny notebook."""

import numpy as np

from autograder.bank import right, wrong


@wrong("double", "Your result is the square of the input. Look at the first line of the contract.")
def squares(x):
    return x * x


@wrong("double", "Your function changes its input. The contract asks for a new array.")
def doubles_in_place(x):
    x *= 2
    return x


@wrong("double", "Your result is always float64. The contract promises the dtype of x.")
def forgets_the_dtype(x):
    return np.asarray(x, dtype=np.float64) * 2


@right("double")
def adds_to_itself(x):
    """Adds instead of multiplying."""
    return x + x


@wrong("Counter", "Your counters share one value: it lives in the class, not in the object.")
class SharesItsValue:
    value = 0

    def __init__(self, start=0):
        type(self).value = start

    def step(self, by=1):
        if by < 1:
            raise ValueError("by")
        type(self).value += by
        return type(self).value


@wrong("Counter", "Your counter always adds 1. Look at what `by` means.")
class IgnoresBy:
    def __init__(self, start=0):
        self.value = start

    def step(self, by=1):
        if by < 1:
            raise ValueError("by")
        self.value += 1
        return self.value


@right("Counter")
class RemembersTheSum:
    """Sums up the steps each time."""

    def __init__(self, start=0):
        self.numbers = [start]

    @property
    def value(self):
        return sum(self.numbers)

    def step(self, by=1):
        if by <= 0:
            raise ValueError("by")
        self.numbers.append(by)
        return self.value


@wrong("scale", "Your result does not reach `low` and `high`. Check what becomes of the least value.")
def ignores_the_range(x, low=0.0, high=1.0):
    return (x - x.min()) / (x.max() - x.min())


@right("scale")
def interpolates(x, low=0.0, high=1.0):
    """Interpolates between the ends."""
    return np.interp(x, [x.min(), x.max()], [low, high])
