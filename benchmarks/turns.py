"""What it costs that two processes take turns: the same work alone, and in turns with a learner's process.

    python benchmarks/turns.py [--calls 1500] [--rounds 3]

The work is one small attention layer, about what a test does between two calls. Both processes stay on one
core, as in grading. Neither does more in turns than alone; the difference is what each finds of its caches
when its turn comes again. It bounds what grading in isolation can cost at best where tests are tiny:
compare `grading.py`. CPU microseconds per turn, the least of the rounds.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from contextlib import closing

import torch
from rich.console import Console
from rich.table import Table

from autograder.box import Box
from autograder.sandbox.warm import settle, warm
from autograder.session import Session
from autograder.worker import stay_on_one_core

CELL = """
import torch
layer, x = torch.nn.MultiheadAttention(8, 2, batch_first=True), torch.randn(2, 5, 8)

def rest():
    return 1

def work():
    return layer(x, x, x)[0].sum().item()

def many(n):
    return sum(work() for _ in range(n))
"""
SECONDS = 600.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    warm([])
    settle()
    stay_on_one_core(os.getpid())
    layer, x = torch.nn.MultiheadAttention(8, 2, batch_first=True), torch.randn(2, 5, 8)
    with closing(Box(level="none")) as box:
        box.wait()
        with closing(Session(box, [("cell 1", CELL)], seed=1, folder=None)) as session:
            there = session.submission(SECONDS)

            def work() -> None:
                layer(x, x, x)[0].sum().item()

            turns: dict[str, Callable[[], object]] = {
                "our work alone": work,
                "a call of nothing": there.rest,
                "our work, a call of nothing, in turns": lambda: (work(), there.rest()),
                "a call of the same work": there.work,
                "our work, a call of the same work, in turns": lambda: (work(), there.work()),
            }
            found = {
                name: min(cost(turn, options.calls, session) for _ in range(options.rounds))
                for name, turn in turns.items()
            }
            before = session.used
            there.many(options.calls)
            found["the same work there, without turns"] = (0.0, (session.used - before) / options.calls)
    show(found)


def cost(turn: Callable[[], object], calls: int, session: Session) -> tuple[float, float]:
    """CPU seconds per call, here and in the learner's process."""
    for _ in range(100):
        turn()
    here, there = time.process_time(), session.used
    for _ in range(calls):
        turn()
    return (time.process_time() - here) / calls, (session.used - there) / calls


def show(found: dict[str, tuple[float, float]]) -> None:
    table = Table("CPU microseconds", "here", "learner's process", "both", box=None)
    for name, (here, there) in found.items():
        table.add_row(name, f"{1e6 * here:.0f}", f"{1e6 * there:.0f}", f"{1e6 * (here + there):.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
