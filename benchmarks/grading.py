"""What grading a submission costs: our grader, stock nbgrader with a kernel, and the floor, in one run.

    python benchmarks/grading.py [--submissions 20] [--notebook 05_transformers/attention]

The same submissions (the solution and the bank's variants) and the same tests everywhere. CPU seconds of
the whole process tree, user and system, one thread each. "per submission" is the slope between a few and
all submissions, so start-up is not in it; "start-up" is the rest. The floor executes cells and tests in
one warm process and isolates nothing; stock nbgrader runs the tests in check cells, in the learner's
kernel.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from autograder.bank import load_bank
from autograder.build import build
from autograder.layout import Course
from autograder.notebooks import load_released
from autograder.verify import with_answer

HERE = Path(__file__).resolve().parent
FEW = 4
THREADS = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}


@dataclass(frozen=True)
class Workload:
    """Submissions to one notebook, as bytes by learner."""

    course: Course
    section: str
    notebook: str
    submissions: dict[str, bytes]

    @classmethod
    def of(cls, course: Course, section: str, notebook: str, count: int) -> Workload:
        solution = course.solved(section, notebook).read_bytes()
        bank = load_bank(course.bank_file(section, notebook))
        texts = [solution, *(with_answer(solution, v.exercise, v.source) for v in bank)]
        step = max(1, len(texts) // count)
        chosen = (texts[::step] * count)[:count]
        return cls(course, section, notebook, {f"learner{i:03}": text for i, text in enumerate(chosen)})

    def write(self, folder: Path, count: int) -> None:
        """As nbgrader finds them: folder/<learner>/<section>/<notebook>.ipynb."""
        for learner in sorted(self.submissions)[:count]:
            place = folder / learner / self.section
            place.mkdir(parents=True)
            (place / f"{self.notebook}.ipynb").write_bytes(self.submissions[learner])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--submissions", type=int, default=20)
    parser.add_argument("--notebook", default="05_transformers/attention")
    options = parser.parse_args()
    course = Course(HERE.parent)
    section, _, notebook = options.notebook.partition("/")
    build(course, [section])
    load = Workload.of(course, section, notebook, options.submissions)
    ways: dict[str, Callable[[Workload, int, Path], float]] = {
        "floor: exec in one warm process": floor,
        "autograder grade": ours,
        "nbgrader autograde, our grader": ours_in_nbgrader,
        "nbgrader autograde, stock": stock,
    }
    rows = {}
    for name, way in ways.items():
        with tempfile.TemporaryDirectory() as few, tempfile.TemporaryDirectory() as many:
            rows[name] = (way(load, FEW, Path(few)), way(load, options.submissions, Path(many)))
        print(f"{name}: {rows[name][1]:.1f} CPU s", file=sys.stderr)
    show(rows, options.submissions)


def show(rows: dict[str, tuple[float, float]], count: int) -> None:
    """The table; ratios to the floor per submission and to stock for the whole batch."""
    table = Table(
        "CPU seconds",
        f"{count} submissions",
        "per submission",
        "start-up",
        "x floor",
        "stock / this",
        box=None,
    )
    slopes = {name: (many - few) / (count - FEW) for name, (few, many) in rows.items()}
    floor_slope, stock_total = next(iter(slopes.values())), list(rows.values())[-1][1]
    for name, (_, many) in rows.items():
        slope = slopes[name]
        cells = (f"{many:.1f}", f"{slope:.3f}", f"{many - count * slope:.1f}")
        table.add_row(name, *cells, f"{slope / floor_slope:.2f}", f"{stock_total / many:.1f}")
    Console().print(table)


def cpu_of(command: list[str], **options: object) -> float:
    """CPU seconds of a command and all it started."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **THREADS}, **options)  # type: ignore[call-overload]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def floor(load: Workload, count: int, folder: Path) -> float:
    load.write(folder, count)
    return cpu_of(
        [
            sys.executable,
            str(HERE / "plain.py"),
            str(load.course.root),
            load.section,
            load.notebook,
            str(folder),
        ]
    )


def ours(load: Workload, count: int, folder: Path) -> float:
    load.write(folder, count)
    command = [sys.executable, "-m", "autograder", "grade", str(folder), "--json"]
    return cpu_of(command, cwd=load.course.root)


def ours_in_nbgrader(load: Workload, count: int, folder: Path) -> float:
    for name in ("release", "autograder/hidden", "build/source"):
        shutil.copytree(load.course.root / name, folder / name)
    shutil.copy(load.course.root / "nbgrader_config.py", folder)
    return autograde(load, count, folder, folder / "build" / "source")


def stock(load: Workload, count: int, folder: Path) -> float:
    """nbgrader as it comes: the check cells run the tests in the learner's kernel."""
    (folder / "nbgrader_config.py").write_text(STOCK_CONFIG)
    source = folder / "source" / load.section
    shutil.copytree(load.course.build / "source" / load.section, source)
    for path in source.glob("*.ipynb"):
        path.unlink()
    shutil.copy(load.course.hidden_tests(load.section, load.notebook), source / "hidden_tests.py")
    shutil.copy(HERE / "plain.py", source)
    names = [
        e.name
        for e in load_released(load.course.released(load.section, load.notebook), load.section).exercises
    ]
    changed = {
        learner: with_test_cells(raw, load.notebook, names) for learner, raw in load.submissions.items()
    }
    (source / f"{load.notebook}.ipynb").write_bytes(
        with_test_cells(
            (load.course.build / "source" / load.section / f"{load.notebook}.ipynb").read_bytes(),
            load.notebook,
            names,
        )
    )
    return autograde(
        Workload(load.course, load.section, load.notebook, changed), count, folder, source.parent
    )


def with_test_cells(raw: bytes, notebook: str, exercises: list[str]) -> bytes:
    """Check cells that run their tests in the kernel; demo cells, which are not graded, are emptied."""
    content = json.loads(raw)
    for cell in content["cells"]:
        ours = cell["metadata"].get("autograder", {})
        if ours.get("role") == "check":
            cell["source"] = CHECK.format(notebook=notebook, exercises=exercises, name=ours["exercise"])
        elif ours.get("role") == "demo":
            cell["source"] = ""
    return json.dumps(content).encode()


def autograde(load: Workload, count: int, folder: Path, source: Path) -> float:
    load.write(folder / "submitted", count)
    nbgrader = [sys.executable, "-m", "nbgrader"]
    cpu_of(
        [
            *nbgrader,
            "generate_assignment",
            load.section,
            "--force",
            f"--CourseDirectory.source_directory={source}",
        ],
        cwd=folder,
    )
    return cpu_of([*nbgrader, "autograde", load.section], cwd=folder)


CHECK = """import plain
_files = {{"test_{notebook}.py": True, "hidden_tests.py": False}}
_suite = globals().get("_suite") or plain.suite_of(_files, {exercises})
_results = list(plain.run_tests(_suite, globals(), "{name}"))
float(sum(passed for _, passed in _results)) / len(_results)"""

STOCK_CONFIG = """import os, sys
c = get_config()
c.CourseDirectory.course_id = "stock"
c.CourseDirectory.root = os.path.dirname(os.path.abspath(__file__))
c.Exchange.root = c.CourseDirectory.root
os.environ["PATH"] += os.pathsep + os.path.dirname(sys.executable)
"""

if __name__ == "__main__":
    main()
