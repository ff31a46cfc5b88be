"""Every attack goes through the real grader, beside honest submissions, at every level this machine offers.

A module of attacks has ATTACKS: name -> (what it earns for `double`, the code). The code replaces the answer
to `double` in the solved tiny notebook, whose other two exercises are honest. The attacks of a module are
graded in one batch, several at a time.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autograder.assignment import Assignment
from autograder.grader import Grader
from autograder.layout import Course
from autograder.report import Report
from autograder.sandbox.jail.detect import try_level
from autograder.sandbox.jail.level import A, B, C

CONTAINER = Path(__file__).parents[1] / "container.py"
TINY = Course(Path(__file__).parents[1] / "course")
JOBS = 3
SECTION, NOTEBOOK = "01_warmup", "tiny"
MARK = "LEAK"  # an attack that got hold of something hidden puts it behind this word, which it calls M
OFFERED = [level.name for level in (A, B, C) if try_level(level).holds]
PLACES = [*OFFERED, *(["C in a container"] if OFFERED else [])]
EVERYTHING = {"double": 2.0, "Counter": 3.0, "scale": 1.0}

Change = Callable[[dict[str, Any]], None]


def solved() -> dict[str, Any]:
    return json.loads(TINY.solved(SECTION, NOTEBOOK).read_text(encoding="utf-8"))


def hostile(attack: str | Change) -> bytes:
    """The solved notebook with an attack in place of the answer to `double`, or changed as a whole."""
    notebook = solved()
    if callable(attack):
        attack(notebook)
    else:
        cell = next(c for c in notebook["cells"] if c["id"] == "double-answer")
        cell["source"] = 'M = "LE" "AK"\n' + attack.replace("{course}", str(TINY.root))
    return json.dumps(notebook).encode()


def processes_below(pid: int) -> set[int]:
    """Every living process below `pid`."""
    parents = {}
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, UnicodeDecodeError):
            continue
        if entry.name.isdigit() and fields[0] != "Z":
            parents[int(entry.name)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


class Arena:
    """A grader at one level, and how many processes it has when it is idle."""

    def __init__(self, grader: Grader) -> None:
        self.assignment = Assignment.load(TINY, SECTION, NOTEBOOK)
        self.grader = grader
        self.grade({f"warm-up {number}": (lambda _: None) for number in range(2 * JOBS)})
        time.sleep(0.5)
        self.idle = self.processes()

    def processes(self) -> int:
        process = self.grader._process
        return len(processes_below(process.pid)) if process else 0

    def left_running(self) -> int:
        """Processes that should have ended; waits a little for those that are about to."""
        patience = time.monotonic() + 5
        while self.processes() > self.idle and time.monotonic() < patience:
            time.sleep(0.05)
        return max(0, self.processes() - self.idle)

    def grade(self, attacks: dict[str, str | Change]) -> dict[str, Report]:
        """All attacks at once, an honest submission before and after them."""
        batch = {"honest before": (lambda _: None), **attacks, "honest after": "def double(x): return 2 * x"}
        futures = {n: self.grader.submit(hostile(a), self.assignment) for n, a in batch.items()}
        return {name: future.result(300) for name, future in futures.items()}


@pytest.fixture(scope="session", params=PLACES or ["none"])
def arena(request: pytest.FixtureRequest) -> Iterator[Arena]:
    if not PLACES:
        pytest.skip("this machine has no walls")
    level, _, inside = request.param.partition(" ")
    start = subprocess.Popen

    def contained(command: list[str], *args: Any, **options: Any) -> subprocess.Popen[bytes]:
        wrap = [sys.executable, str(CONTAINER)] if "autograder.worker" in command else []
        return start([*wrap, *command], *args, **options)

    with Grader(jobs=JOBS, level=level) as grader:
        with pytest.MonkeyPatch.context() as patch:  # the worker starts in the container, other tests' do not
            if inside:
                patch.setattr(subprocess, "Popen", contained)
            arena = Arena(grader)
        yield arena


@pytest.fixture(scope="module")
def reports(request: pytest.FixtureRequest, arena: Arena) -> dict[str, Report]:
    """What the attacks of a module earned."""
    attacks = {name: attack for name, (_, attack) in request.module.ATTACKS.items()}
    return arena.grade(attacks)


@pytest.fixture
def fair() -> Callable[..., None]:
    return assert_fair


def assert_fair(report: Report, double: float, **others: float) -> None:
    """The exact score, untouched neighbours, clean feedback."""
    expected = {**EVERYTHING, "double": double, **others}
    assert {e.name: e.score for e in report.exercises} == pytest.approx(expected)
    assert {e.name: e.max_score for e in report.exercises} == EVERYTHING
    assert report.outcome == "graded"
    assert report.max_score == 5
    text = json.dumps(report.to_json(), ensure_ascii=False)
    assert MARK not in text
    assert not re.search(r"Hidden tests of|BEGIN SOLUTION", text)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "".join(strings(report.to_json())))


def strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inner for text in strings(one)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "attack" in metafunc.fixturenames:
        metafunc.parametrize("attack", list(metafunc.module.ATTACKS))
