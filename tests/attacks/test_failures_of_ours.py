"""What is our fault or the machine's is never a zero: processes killed in a batch, a grader that is gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autograder.assignment import Assignment
from autograder.errors import CouldNotRun
from autograder.grader import Grader
from autograder.layout import Course

TINY = Course(Path(__file__).parents[1] / "course")
SLOW = "import time\ntime.sleep(1)\ndef double(x):\n    return 2 * x"
PROGRAM = """
import pathlib, sys, time
from autograder.assignment import Assignment
from autograder.grader import Grader
from autograder.layout import Course
course = Course(pathlib.Path(sys.argv[1]))
assignment = Assignment.load(course, "01_warmup", "tiny")
with Grader(jobs=2) as grader:
    raw = course.solved("01_warmup", "tiny").read_bytes()
    raw = raw.replace(b"return x * 2", b"import time; time.sleep(60)")
    futures = [grader.submit(raw, assignment, seed=n) for n in range(4)]
    time.sleep(1)
    print(grader._process.pid, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def assignment() -> Assignment:
    return Assignment.load(TINY, "01_warmup", "tiny")


@pytest.fixture
def grader() -> Iterator[Grader]:
    with Grader(jobs=2) as grader:
        yield grader


def slow() -> bytes:
    notebook = json.loads(TINY.solved("01_warmup", "tiny").read_text(encoding="utf-8"))
    cell = next(c for c in notebook["cells"] if c["id"] == "double-answer")
    cell["source"] = SLOW
    return json.dumps(notebook).encode()


def below(pid: int) -> dict[int, str]:
    """The command line of every living process below `pid`."""
    parents, commands = {}, {}
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, UnicodeDecodeError):
            continue
        if entry.name.isdigit() and fields[0] != "Z":
            parents[int(entry.name)], commands[int(entry.name)] = int(fields[1]), command
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {child: commands[child] for child in found - {pid}}


def wait_for(condition: Any, seconds: float = 20) -> bool:
    patience = time.monotonic() + seconds
    while not condition() and time.monotonic() < patience:
        time.sleep(0.05)
    return bool(condition())


def zygote(worker: int) -> list[int]:
    """All processes on the learners' side."""
    return [pid for pid, command in below(worker).items() if "zygote.main" in command]


def test_a_batch_survives_the_death_of_the_learners_side(grader: Grader, assignment: Assignment) -> None:
    futures = [grader.submit(slow(), assignment) for _ in range(4)]
    assert grader._process is not None
    worker = grader._process.pid
    assert wait_for(lambda: len(zygote(worker)) >= 5)  # some submissions are under way
    for pid in zygote(worker):
        os.kill(pid, signal.SIGKILL)
    assert [future.result(60).score for future in futures] == [6, 6, 6, 6]


def test_a_batch_survives_the_death_of_a_child_that_runs_tests(
    grader: Grader, assignment: Assignment
) -> None:
    futures = [grader.submit(slow(), assignment) for _ in range(3)]
    assert grader._process is not None
    worker = grader._process.pid
    children: list[int] = []

    def found() -> bool:
        children[:] = [pid for pid, command in below(worker).items() if "autograder.worker" in command]
        return bool(children)

    assert wait_for(found)
    time.sleep(0.5)
    os.kill(children[0], signal.SIGKILL)
    assert [future.result(60).score for future in futures] == [6, 6, 6]


def test_without_its_worker_nothing_is_scored_and_nothing_is_left(assignment: Assignment) -> None:
    with Grader(jobs=2) as grader:
        futures = [grader.submit(slow(), assignment) for _ in range(3)]
        assert grader._process is not None
        worker = grader._process.pid
        assert wait_for(lambda: len(zygote(worker)) >= 5)
        family = below(worker)
        os.kill(worker, signal.SIGKILL)
        for future in futures:
            with pytest.raises(CouldNotRun, match="run the same command again"):
                future.result(60)
        assert wait_for(lambda: not any(alive(pid) for pid in family))
    with Grader(jobs=1) as another:
        assert another.submit(slow(), assignment).result(60).score == 6


def test_nothing_outlives_a_killed_command() -> None:
    command = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(TINY.root)], stdout=subprocess.PIPE, text=True
    )
    assert command.stdout is not None
    with command.stdout:
        worker = int(command.stdout.readline())
    assert wait_for(lambda: len(zygote(worker)) >= 5)
    family = {worker, *below(worker)}
    command.kill()
    command.wait()
    assert wait_for(lambda: not any(alive(pid) for pid in family))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
