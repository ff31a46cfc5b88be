"""A large cohort, a fifth hostile or broken, in one `nbgrader autograde`: scores, time, memory, leftovers.

    python benchmarks/cohort.py [--submissions 200] [--section 05_transformers] [--jobs 2]

The honest four fifths hand in the solution and the bank's variants. The others are the broken submissions of
the demo cohort and the attacks of tests/attacks: each attack takes the place of one answer, which must earn
nothing, while all its other exercises are honest and must earn everything. What a known mistake must get is
what the same file gets when it is graded directly. CPU seconds are those of the whole process tree, memory is
the sum of the shares (PSS) of all its processes, looked at twice a second. Exit code 1 if anything is not as
it must be.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import itertools
import os
import re
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from autograder.assignment import Assignment
from autograder.cohort.acts import ACTS, Act, Work, perfect, right_variants, wrong_variant
from autograder.cohort.desk import Desk, as_file
from autograder.cohort.learners import Learner, make_learner
from autograder.cohort.play import COURSE_ID, Stage, set_up
from autograder.errors import CouldNotRun
from autograder.grader import Grader
from autograder.layout import Course
from autograder.nbgrader.scores import read_scores

HERE = Path(__file__).resolve().parent
ATTACKS = HERE.parent / "tests" / "attacks"
MODULES = ("test_fooling_the_runner", "test_forging_the_result", "test_stealing", "test_exhausting")
HOSTILE = 5  # every so many-th learner is
PR_SET_CHILD_SUBREAPER = 36
TICK = 0.5
CALLED = """

def {name}(*args, **kwargs):
    return double(np.arange(1.0, 3.0))
"""

Score = Mapping[tuple[str, str], float]  # by notebook and exercise


@dataclass
class Tree:
    """This process and all below it, orphans included, while a command runs."""

    peak: int = 0  # bytes
    most: int = 0  # processes
    cpu: float = 0.0
    seconds: float = 0.0
    left: list[str] = field(default_factory=list)

    @contextmanager
    def watched(self) -> Iterator[None]:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # orphans become ours
        done = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(done,))
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        watcher.start()
        try:
            yield
        finally:
            self.seconds = time.monotonic() - began
            done.set()
            watcher.join()
            time.sleep(1)
            self.left = [f"{pid}: {_command(pid)}" for pid in _below(os.getpid())]
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            self.cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def _watch(self, done: threading.Event) -> None:
        while not done.wait(TICK):
            found = _below(os.getpid())
            self.most = max(self.most, len(found))
            self.peak = max(self.peak, sum(_share(pid) for pid in found))


def _below(pid: int) -> set[int]:
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


def _share(pid: int) -> int:
    """Its proportional share of memory in bytes; 0 for a process that is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return 1024 * int(found[1]) if found else 0


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return "gone"


def attacks() -> dict[str, str]:
    """The attacks of the tests that are code and must earn nothing, by name."""
    found: dict[str, str] = {}
    for name in MODULES:
        spec = importlib.util.spec_from_file_location(name, ATTACKS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found |= {k: a for k, (due, a) in module.ATTACKS.items() if due == 0 and isinstance(a, str)}
    return found


def attacked(source: str, desk: Desk) -> Work:
    """the attack in place of the first answer, the rest solved"""
    name = desk.names[0]
    code = 'import numpy as np\nM = "LE" "AK"\n' + source.replace("{course}", str(HERE.parent))
    answers = {name: code + CALLED.format(name=name)}
    return {desk.file: as_file(desk.solved(**answers))}, desk.expected(nothing=[name])


def cohort(course: Course, section: str, count: int) -> list[Learner]:
    """Every fifth learner broken or hostile, taking turns; the others solved, in all known ways."""
    honest: list[Act] = [perfect, *(partial(right_variants, n) for n in range(3))]
    honest += [partial(wrong_variant, n) for n in range(8)]
    known = attacks()
    hostile = [(act.__name__, act) for act in ACTS]
    hostile += [(name, partial(attacked, source)) for name, source in known.items()]
    step = max(1, len(hostile) * HOSTILE // count)
    chosen = itertools.cycle([*hostile[::step], *(h for n, h in enumerate(hostile) if n % step)])
    ways = itertools.cycle(honest)
    learners = []
    for number in range(count):
        story, act = next(chosen) if number % HOSTILE == 0 else ("honest", next(ways))
        learners.append(make_learner(course, section, f"learner{number:03}", story, act))
    return learners


def hand_in(stage: Stage, learners: Sequence[Learner]) -> None:
    for learner in learners:
        folder = stage.submitted(learner.name, learner.section)
        folder.mkdir(parents=True)
        for name, content in learner.files.items():
            (folder / name).write_bytes(content)


def due_scores(stage: Stage, learners: Sequence[Learner]) -> dict[str, Score]:
    """What everybody must get, by learner."""
    section = learners[0].section
    names = {notebook for learner in learners for notebook, _ in learner.expected}
    known = {name: Assignment.load(stage.course, section, name) for name in names}
    points = {(n, e.name): e.points for n, a in known.items() for e in a.released.exercises}
    raws = {
        (notebook, learner.files[f"{notebook}.ipynb"])
        for learner in learners
        for (notebook, _), due in learner.expected.items()
        if due == "less"
    }
    with Grader() as grader:
        futures = {(notebook, raw): grader.submit(raw, known[notebook]) for notebook, raw in raws}
        direct = {
            key: {e.name: e.score for e in future.result().exercises} for key, future in futures.items()
        }

    def score(learner: Learner, place: tuple[str, str], due: str) -> float:
        if due == "less":
            found = direct[place[0], learner.files[f"{place[0]}.ipynb"]][place[1]]
            assert found < points[place]
            return found
        return points[place] if due == "full" else 0.0

    return {
        learner.name: {p: score(learner, p, due) for p, due in learner.expected.items()}
        for learner in learners
    }


def differences(stage: Stage, learners: Sequence[Learner], due: Mapping[str, Score]) -> Iterator[str]:
    """Every exercise of every learner that has not what is due."""
    section = learners[0].section
    got = {
        (r.student, r.notebook, r.exercise): r.score for r in read_scores(stage.db_url, COURSE_ID, section)
    }
    for learner in learners:
        for place, score in due[learner.name].items():
            found = got.get((learner.name, *place))
            if found is None or abs(found - score) > 1e-6:
                yield f"{learner.name} ({learner.story}) {'/'.join(place)}: due {score:g}, got {found}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--submissions", type=int, default=200)
    parser.add_argument("--section", default="05_transformers")
    parser.add_argument("--jobs", type=int, default=0, help="at the same time (default: one per core)")
    options = parser.parse_args()
    console = Console(highlight=False)
    tree, problem = Tree(), ""
    with tempfile.TemporaryDirectory() as folder:
        stage = set_up(Course(HERE.parent), Path(folder) / "play", [options.section], lambda _: nullcontext())
        stage.instructor("generate_assignment", options.section, "--force")
        learners = cohort(stage.course, options.section, options.submissions)
        hand_in(stage, learners)
        with tree.watched():
            try:
                stage.instructor(
                    "autograde", options.section, "--Batch.unsafe=True", f"--Batch.jobs={options.jobs}"
                )
            except CouldNotRun as error:
                problem = str(error)
        graded = len(list((stage.course.root / "autograded").glob(f"*/{options.section}")))
        wrong = [*differences(stage, learners, due_scores(stage, learners))]
    show(console, learners, tree, graded, wrong)
    for line in [*wrong, *tree.left, *([problem] if problem else [])]:
        console.print(line, markup=False)
    sys.exit(1 if wrong or tree.left or problem or graded != len(learners) else 0)


def show(console: Console, learners: Sequence[Learner], tree: Tree, graded: int, wrong: list[str]) -> None:
    hostile = sum(learner.story != "honest" for learner in learners)
    exercises = sum(len(learner.expected) for learner in learners)
    table = Table("one nbgrader autograde", "", box=None)
    for name, value in (
        ("submissions", f"{len(learners)}, of them hostile or broken {hostile}"),
        ("graded", f"{graded}"),
        ("scores that are not what is due", f"{len(wrong)} of {exercises}"),
        ("seconds", f"{tree.seconds:.0f} ({tree.seconds / len(learners):.2f} per submission)"),
        ("CPU seconds", f"{tree.cpu:.0f} ({tree.cpu / len(learners):.2f} per submission)"),
        ("memory at its peak", f"{tree.peak / 2**20:.0f} MiB in up to {tree.most} processes"),
        ("processes left", f"{len(tree.left)}"),
    ):
        table.add_row(name, value)
    console.print(table)


if __name__ == "__main__":
    main()
