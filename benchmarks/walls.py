"""What the walls around a submission cost: CPU per submission at every level this machine gives, in one run.

    python benchmarks/walls.py [--submissions 60] [--rounds 3]

A submission here is as small as can be (one cell, one call), so that what differs between the levels is the
walls. CPU seconds of the whole process tree, user and system. Per submission is the slope between a few and
all of them, so start-up is not in it. The levels take turns; the least of the rounds counts.
"""

from __future__ import annotations

import argparse
import resource
import time
from contextlib import closing

import torch
from rich.console import Console
from rich.table import Table

from autograder.box import Box
from autograder.sandbox.jail.detect import try_level
from autograder.sandbox.jail.level import LEVELS
from autograder.session import Session

FEW = 5
CELL = "import torch\ndef f(x):\n    return torch.softmax(x, -1)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--submissions", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    names = [name for name, level in LEVELS.items() if not level.locked or try_level(level).holds]
    cost: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in names:
            few, all_of_them = batch(name, FEW), batch(name, options.submissions)
            more = options.submissions - FEW
            cost[name].append(((all_of_them[0] - few[0]) / more, (all_of_them[1] - few[1]) / more))
    show({name: (min(c for c, _ in found), min(w for _, w in found)) for name, found in cost.items()})


def batch(level: str, count: int) -> tuple[float, float]:
    """(CPU seconds, wall seconds) of a box that serves `count` submissions."""
    x = torch.ones(3, 4)
    before, started = used(), time.perf_counter()
    with closing(Box(level=level)) as box:
        box.wait()
        for number in range(count):
            with closing(Session(box, [("cell 1", CELL)], seed=number, folder=None)) as session:
                session.submission(60).f(x)
    return used() - before, time.perf_counter() - started


def used() -> float:
    """CPU seconds of this process and of all it has waited for."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def show(cost: dict[str, tuple[float, float]]) -> None:
    table = Table("level", "CPU per submission", "walls", "time per submission", box=None)
    base = cost["none"][0]
    for name, (cpu, wall) in cost.items():
        table.add_row(name, f"{1e3 * cpu:.1f} ms", f"{1e3 * (cpu - base):+.1f} ms", f"{1e3 * wall:.1f} ms")
    Console().print(table)


if __name__ == "__main__":
    main()
