"""Touches what is slow on first use, so that a forked child finds it ready.

torch imports much of itself lazily: the first backward, the first optimizer step (1 s of CPU) and the first
figure would otherwise be paid by every submission. What a notebook needs is told by the names in its released
cells, which the grader reads and sends.
"""

from __future__ import annotations

import gc
import importlib
from collections.abc import Iterable

import torch

__all__ = ["settle", "warm"]


def warm(modules: Iterable[str]) -> None:
    """Imports modules and runs their slow first steps; a module that is not installed is left to the
    learner's cell."""
    layer = torch.nn.Linear(4, 4)
    out = layer(torch.ones(2, 4)).softmax(-1)
    out.sum().backward()
    layer.load_state_dict(layer.state_dict())
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
        if name == "torch.optim":
            torch.optim.SGD(layer.parameters(), lr=0.0).step()


def settle() -> None:
    """One thread, and no garbage collection of what is shared with the children."""
    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()
