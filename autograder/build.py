"""From authored notebooks to what learners receive: source/ -> build/source/ -> release/, and solutions/.

Only what may ship is ever put beside a notebook that nbgrader reads. Everything is made aside and then
swapped in, so that a failing build changes nothing. The result depends on the sources alone, byte for byte.
The stubs are nbgrader's work, in a process of its own. Whether exercises are sound is `verify`'s question.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from autograder.errors import CouldNotRun, CourseError
from autograder.front import check_roadmap, front_matter
from autograder.layout import Course
from autograder.notebooks import Cell, load_released, write_notebook
from autograder.regions import solved, stub
from autograder.shipping import JUNK, is_plain_file, refuse_strays, shipped
from autograder.source import Authored, AuthoredCell, load_section

__all__ = ["build", "left_over", "stale"]

GENERATED = ("source", "release", "solutions")
FRONT = "front"  # what stands in release/ itself, made aside
GENERATOR = "autograder.nbgrader.generate"


def build(
    course: Course, sections: Sequence[str], *, done: Callable[[str], None] = lambda _: None
) -> list[Path]:
    """Make the sections anew and return the folders that changed. `done` hears of each finished section."""
    with _errors_of_the_disk(), tempfile.TemporaryDirectory(dir=_made(course.build), prefix="new-") as aside:
        new = Path(aside)
        _make(course, sections, new, done)
        homes = dict(zip(GENERATED, (course.build / "source", course.release, course.solutions), strict=True))
        pairs = [(new / kind / section, homes[kind] / section) for section in sections for kind in GENERATED]
        changed = [(fresh, home) for fresh, home in pairs if _differing(fresh, home)]
        changed += [(new / FRONT / name, course.release / name) for name in _stale_front(course, new)]
        for fresh, home in changed:
            _swap(fresh, home, new)
        return [home for _, home in changed]


def stale(
    course: Course, sections: Sequence[str], *, done: Callable[[str], None] = lambda _: None
) -> list[Path]:
    """Generated files that are not what their sources give: changed, missing or left over."""
    with _errors_of_the_disk(), tempfile.TemporaryDirectory(prefix="autograder-build-") as aside:
        _make(course, sections, Path(aside), done)
        return [course.release / name for name in _stale_front(course, Path(aside))] + [
            folder / section / name
            for folder in (course.release, course.solutions)
            for section in sections
            for name in _differing(Path(aside) / folder.name / section, folder / section)
        ]


def left_over(course: Course) -> list[Path]:
    """Generated files that have no source. Told, not deleted: somebody may have put them there."""
    kept = {".ipynb_checkpoints", *course.sections(), *front_matter(course)}
    folders = [folder for folder in (course.release, course.solutions) if folder.is_dir()]
    return sorted(path for folder in folders for path in folder.iterdir() if path.name not in kept)


def _make(course: Course, sections: Sequence[str], new: Path, done: Callable[[str], None]) -> None:
    """Everything of the sections into new/source, new/release and new/solutions; the rest into new/front."""
    refuse_strays(course)
    _made(new / FRONT)
    for name, content in front_matter(course).items():
        _write(new / FRONT / name, content)
    if not sections:
        check_roadmap(course, ())
        return
    with _generator(new) as generate:
        loaded = _prepare(course, sections, new)
        generate(sections, done)
    for notebook in loaded:
        _check_released(notebook, new / "release")


def _prepare(course: Course, sections: Sequence[str], new: Path) -> list[Authored]:
    """Our part: source/ -> new/source and new/solutions."""
    loaded = {section: load_section(course, section) for section in sections}
    check_roadmap(course, [notebook for notebooks in loaded.values() for notebook in notebooks])
    for section, notebooks in loaded.items():
        for name, content in shipped(course, section, notebooks):
            _write(new / "source" / section / name, content)
            if not name.startswith("test_"):
                _write(new / "solutions" / section / name, content)
        for notebook in notebooks:
            _write(
                new / "source" / section / f"{notebook.name}.ipynb", _notebook(notebook, lambda text: text)
            )
            _write(new / "solutions" / section / f"{notebook.name}.ipynb", _notebook(notebook, solved))
    return [notebook for notebooks in loaded.values() for notebook in notebooks]


def _notebook(notebook: Authored, answer: Callable[[str], str]) -> bytes:
    """The .ipynb file, with `answer` applied to the answer cells."""
    counts: dict[str, int] = {}
    cells = []
    for cell in notebook.cells:
        counts[cell.role] = counts.get(cell.role, 0) + 1
        source = answer(cell.source) if cell.role == "answer" else cell.source
        kind = "markdown" if cell.role == "text" else "code"
        cells.append(Cell(_cell_id(cell, counts[cell.role]), kind, source, _metadata(cell)))
    return write_notebook(cells, {"autograder": {"notebook": notebook.name, "section": notebook.section}})


def _cell_id(cell: AuthoredCell, number: int) -> str:
    """Stable: the exercise's name, or the number among cells of its role (prose moves no code)."""
    if cell.exercise is None:
        return f"{cell.role}-{number:02}"
    return cell.exercise.name if cell.role == "check" else f"{cell.exercise.name}-answer"


def _metadata(cell: AuthoredCell) -> dict[str, object]:
    if cell.role == "text":
        return {}
    ours: dict[str, object] = {"role": cell.role}
    if cell.exercise is None:
        return {"autograder": ours}
    exercise, is_check = cell.exercise, cell.role == "check"
    ours["exercise"] = exercise.name
    nbgrader: dict[str, object] = {
        "cell_type": "code",
        "grade": is_check,
        "grade_id": _cell_id(cell, 0),
        "locked": is_check,
        "schema_version": 3,
        "solution": not is_check,
        "task": False,
    }
    if is_check:
        nbgrader["points"] = 0.0 if exercise.bonus else exercise.points  # bonus points come as extra credit
        ours |= {"points": exercise.points, "bonus": exercise.bonus, "limit": exercise.limit}
        ours |= {"topics": list(exercise.topics), "forbid": list(exercise.forbid)}
    return {"autograder": ours, "nbgrader": nbgrader}


@contextmanager
def _generator(new: Path) -> Iterator[Callable[[Sequence[str], Callable[[str], None]], None]]:
    """nbgrader's part: new/source -> new/release. The process gets ready while we prepare its work."""
    command = [sys.executable, "-m", GENERATOR, str(new)]
    with (new / "log").open("w+b") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )

        def generate(sections: Sequence[str], done: Callable[[str], None]) -> None:
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(BrokenPipeError), process.stdin as orders:
                orders.write("".join(f"{section}\n" for section in sections))
            for line in process.stdout:
                done(line.strip())
            if process.wait():
                log.seek(0)
                said = log.read().decode("utf-8", "replace").strip()
                raise CouldNotRun(f"nbgrader could not generate the release; nothing was changed\n{said}")

        with process:
            try:
                yield generate
            finally:
                process.kill()


def _check_released(notebook: Authored, release: Path) -> None:
    """Trust, but look: every answer is the stub we expect, and the exercises are the authored ones."""
    path = release / notebook.section / f"{notebook.name}.ipynb"
    released = load_released(path, notebook.section)
    expected = [stub(cell.source) if cell.role == "answer" else cell.source for cell in notebook.cells]
    if [cell.source for cell in released.cells] != expected:
        raise CouldNotRun(f"{path.name}: nbgrader left more or less than the stubs; nothing was changed")


def _differing(new: Path, old: Path) -> list[str]:
    """Names of files that are not the same, or not there, in both folders."""
    names = {
        path.relative_to(folder).as_posix()
        for folder in (new, old)
        for path in folder.rglob("*")
        if not path.is_dir() and not JUNK & set(path.relative_to(folder).parts)
    }
    return sorted(name for name in names if _content(new / name) != _content(old / name))


def _stale_front(course: Course, new: Path) -> list[str]:
    """Names of the files in release/ itself that are not as they were made."""
    made = sorted((new / FRONT).iterdir())
    return [path.name for path in made if path.read_bytes() != _content(course.release / path.name)]


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if is_plain_file(path) else None


def _swap(fresh: Path, home: Path, aside: Path) -> None:
    """Put a new folder in the place of the old one; if that fails the old one is back."""
    old = aside / "old" / home.parent.name / home.name
    _made(old.parent)
    _made(home.parent)
    if home.exists():
        home.rename(old)
    try:
        fresh.rename(home)
    except BaseException:
        if old.exists():
            old.rename(home)
        raise


def _write(path: Path, content: bytes) -> None:
    _made(path.parent)
    path.write_bytes(content)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _errors_of_the_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CourseError(
            f"could not read or write ({error.strerror}); nothing was swapped in half",
            path=Path(error.filename) if error.filename else None,
        ) from error
