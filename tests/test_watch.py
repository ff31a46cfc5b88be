"""`autograder watch`: what is graded again after which save, and the whole of it in a real terminal."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from autograder.assignment import Assignment
from autograder.errors import CouldNotRun, CourseError, UnreadableNotebook
from autograder.journal import Journal
from autograder.layout import Course
from autograder.render.watch import Screen, watch_screen
from autograder.report import ExerciseResult, Report, TestResult
from autograder.watch.notebooks import Finished, Watching
from autograder.watch.opening import open_notebook
from autograder.watch.saves import is_notebook, saves

DOUBLE = "def double(x):\n    return x * 2"
WRONG = "def double(x):\n    return x ** 2"


def edited(raw: bytes, **answers: str) -> bytes:
    """A notebook with other texts in the cells `<name>-answer`, or in a cell named in full."""
    content = json.loads(raw)
    for cell in content["cells"]:
        for name, source in answers.items():
            if cell["id"] in (f"{name}-answer", name.replace("_", "-")):
                cell["source"] = source
    return json.dumps(content).encode()


class FakeGrader:
    """Keeps what it is asked to grade; the futures are the test's."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Future[Report]]] = []

    def submit(self, raw: bytes, assignment: Assignment, *, only: str) -> Future[Report]:
        future: Future[Report] = Future()
        self.asked.append((only, future))
        return future

    def names(self) -> list[str]:
        return [name for name, _ in self.asked]


def report(name: str, outcome: str = "passed") -> Report:
    tests = [TestResult("test_it", True, outcome, "It works.")]  # type: ignore[arg-type]
    result = ExerciseResult.of(name, tests, points=1)
    return Report.of("01_warmup", "tiny", exercises=[result], sandbox="full", seed=1, verdict_id="x")


class TestWatching:
    PATH = Path("/home/ann/tiny.ipynb")

    @pytest.fixture
    def grader(self) -> FakeGrader:
        return FakeGrader()

    @pytest.fixture
    def told(self) -> list[Finished]:
        return []

    @pytest.fixture
    def watching(self, course: Course, grader: FakeGrader, told: list[Finished]) -> Watching:
        return Watching(course, grader, told.append)  # type: ignore[arg-type]

    @pytest.fixture
    def raw(self, course: Course) -> bytes:
        return course.released("01_warmup", "tiny").read_bytes()

    def test_first_everything_then_what_changed(
        self, watching: Watching, grader: FakeGrader, raw: bytes
    ) -> None:
        assert watching.look(self.PATH, raw) == ["double", "Counter", "scale"]
        assert watching.look(self.PATH, raw) == []
        assert watching.look(self.PATH, edited(raw, double=WRONG)) == ["double"]
        assert (
            watching.look(self.PATH, edited(raw, double=WRONG), everything=True)
            == watching.notebooks[self.PATH].exercises
        )
        assert grader.names()[:4] == ["double", "Counter", "scale", "double"]

    def test_shared_code_changes_all_and_a_demonstration_nothing(
        self, watching: Watching, raw: bytes
    ) -> None:
        watching.look(self.PATH, raw)
        content = json.loads(raw)
        demo = next(c for c in content["cells"] if c["metadata"].get("autograder", {}).get("role") == "demo")
        demo["source"] = "print('other')"
        assert watching.look(self.PATH, json.dumps(content).encode()) == []
        content["cells"].append(
            {"cell_type": "code", "id": "mine", "metadata": {}, "source": "y = 1", "outputs": []}
        )
        assert watching.look(self.PATH, json.dumps(content).encode()) == ["double", "Counter", "scale"]

    def test_a_result_that_comes_too_late_is_dropped(
        self, watching: Watching, grader: FakeGrader, told: list[Finished], raw: bytes
    ) -> None:
        watching.look(self.PATH, raw)
        watching.look(self.PATH, edited(raw, double=DOUBLE))
        (_, late), (_, newest) = grader.asked[0], grader.asked[3]
        newest.set_result(report("double"))
        assert watching.take(told[0]) is not None
        late.set_result(report("double", "failed"))
        assert watching.take(told[1]) is None
        assert watching.notebooks[self.PATH].results["double"].outcome == "passed"

    def test_a_storm_of_saves_waits_and_is_looked_at_again(
        self, watching: Watching, grader: FakeGrader, told: list[Finished], raw: bytes
    ) -> None:
        for n in range(20):
            watching.look(self.PATH, edited(raw, double=f"{WRONG} + {n}"))
        assert grader.names().count("double") == 2
        grader.asked[0][1].set_result(report("double"))
        watching.take(told[0])
        assert watching.is_due(told[0])
        assert not watching.is_due(told[0])
        assert watching.look(self.PATH, edited(raw, double=f"{WRONG} + 19")) == ["double"]
        assert grader.names().count("double") == 3

    def test_what_could_not_run_is_no_result(
        self, watching: Watching, grader: FakeGrader, told: list[Finished], raw: bytes
    ) -> None:
        watching.look(self.PATH, raw)
        grader.asked[0][1].set_exception(CouldNotRun("the grading process ended"))
        assert watching.take(told[0]) is None
        assert watching.notebooks[self.PATH].stuck == {"double": "the grading process ended"}

    def test_the_next_open_exercise_goes_round(self, watching: Watching, raw: bytes) -> None:
        watching.look(self.PATH, raw)
        notebook = watching.notebooks[self.PATH]
        notebook.results["Counter"] = report("Counter").exercises[0]
        assert [notebook.next_open(name) for name in ("", "double", "scale")] == ["double", "scale", "double"]
        notebook.results |= {name: report(name).exercises[0] for name in notebook.exercises}
        assert notebook.next_open("scale") == "scale"

    def test_half_a_file_and_a_strange_one_are_told_apart(self, watching: Watching, raw: bytes) -> None:
        with pytest.raises(CourseError, match="not a notebook of this course"):
            watching.look(Path("/home/ann/shopping.ipynb"), b'{"cells": []}')
        watching.look(self.PATH, raw)
        with pytest.raises(UnreadableNotebook, match="ends in the middle"):
            watching.look(self.PATH, raw[: len(raw) // 2])
        assert watching.look(self.PATH, raw) == []


class TestScreen:
    def screen(self, **more: Any) -> Screen:
        failed = report("double", "failed").exercises[0]
        facts: dict[str, Any] = {
            "title": "/home/ann/tiny.ipynb",
            "exercises": ["double", "Counter", "scale", "late"],
            "results": {
                "double": replace(failed, message="Not yet: It works. " * 9),
                "late": report("late").exercises[0],
            },
            "stuck": {"scale": "the process ended"},
            "running": {"Counter"},
            "selected": "double",
            "status": "double: not yet, 0.2 s after the save",
        }
        return Screen(**facts | more)

    @pytest.mark.parametrize("width", [30, 60, 80, 120])
    def test_it_says_all_that_matters_at_any_width(self, width: int) -> None:
        console = Console(width=width, color_system=None)
        with console.capture() as capture:
            console.print(watch_screen(self.screen(), console=console))
        shown = capture.get()
        for words in ("> double", "not yet", "grading ...", "could not run", "passed", "q quit", "It works."):
            assert words in shown
        assert max(map(len, shown.splitlines())) <= width

    def test_a_long_message_leaves_room_for_state_and_points(self) -> None:
        told = TestResult("test_a", True, "failed", "It works.\n" + "Many words are told here. " * 20)
        result = ExerciseResult.of("double", [told], points=2)
        console = Console(width=110, color_system=None)
        with console.capture() as capture:
            console.print(watch_screen(self.screen(results={"double": result}), console=console))
        (line,) = (line for line in capture.get().splitlines() if line.startswith("> double"))
        assert re.match(r"> double +○ not yet +0 / 2  ", line)

    def test_a_hint_takes_the_place_of_the_result(self) -> None:
        console = Console(width=80, color_system=None)
        with console.capture() as capture:
            console.print(
                watch_screen(self.screen(words="Hint 1\n\nThink.", with_keys=False), console=console)
            )
        shown = capture.get()
        assert "Think." in shown
        assert "promises kept" not in shown
        assert "quit" not in shown


def test_only_notebooks_count() -> None:
    assert is_notebook(Path("/a/n.ipynb"))
    for other in ("/a/.~n.ipynb", "/a/.ipynb_checkpoints/n-checkpoint.ipynb", "/a/n.py", "/a/n.ipynb.tmp"):
        assert not is_notebook(Path(other))


def test_saves_of_all_kinds_are_heard(tmp_path: Path) -> None:
    path = tmp_path / "s" / "n.ipynb"
    path.parent.mkdir()
    path.write_text("1")
    heard: list[Path] = []

    def wait_for(wanted: Path) -> None:
        ends = time.monotonic() + 10
        while wanted not in heard and time.monotonic() < ends:
            time.sleep(0.02)
        assert heard
        assert set(heard) == {wanted}
        time.sleep(0.2)
        heard.clear()

    with saves([tmp_path], heard.append):
        time.sleep(0.5)
        path.write_text("2")
        wait_for(path)
        beside = path.with_name(".~n.ipynb")
        beside.write_text("3")
        beside.replace(path)  # as JupyterLab saves
        wait_for(path)
        (path.parent / ".ipynb_checkpoints").mkdir()
        (path.parent / ".ipynb_checkpoints" / "n-checkpoint.ipynb").write_text("3")
        path.unlink()
        wait_for(path)
        new = path.with_name("m.ipynb")
        new.write_text("4")
        wait_for(new)


def test_without_a_server_the_path_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_server.serverapp.list_running_servers", lambda: iter([]))
    assert (
        open_notebook(tmp_path / "n.ipynb")
        == f"no running JupyterLab shows it; the notebook is {tmp_path}/n.ipynb"
    )


def test_the_nearest_server_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    servers = [
        {"root_dir": "/", "url": "http://far/", "token": ""},
        {"root_dir": str(tmp_path), "url": "http://near/", "token": "a b"},
        {"root_dir": str(tmp_path / "other"), "url": "http://other/", "token": ""},
    ]
    monkeypatch.setattr("jupyter_server.serverapp.list_running_servers", lambda: iter(servers))
    monkeypatch.setattr("webbrowser.open", lambda address: not opened.append(address))
    monkeypatch.setenv("BROWSER", "x")
    assert open_notebook(tmp_path / "s" / "n 1.ipynb") == "opened in the browser"
    assert opened == ["http://near/lab/tree/s/n%201.ipynb?token=a+b"]


class Terminal:
    """`autograder watch` in a pseudo-terminal."""

    def __init__(self, *arguments: str, cwd: Path, **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 100, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "autograder", "watch", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=cwd,
            env={**os.environ, "TERM": "xterm", "OMP_NUM_THREADS": "1", **environment},
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""

    def press(self, key: str) -> None:
        self.shown = ""
        os.write(self._ours, key.encode())

    def wait_for(self, words: str, *, seconds: float = 30.0) -> float:
        """Until it stands on the screen; the seconds that took."""
        began = time.monotonic()
        while words not in self.shown:
            if time.monotonic() - began > seconds:
                raise AssertionError(f"{words!r} is not on the screen:\n{self.shown[-3000:]}")
            self._read()
        return time.monotonic() - began

    def end(self) -> int:
        """Its exit code; it is ended if it does not end by itself."""
        ends = time.monotonic() + 20
        while self.process.poll() is None and time.monotonic() < ends:
            self._read()
        self.process.kill()
        os.close(self._ours)
        return self.process.wait()

    def _read(self) -> None:
        if select.select([self._ours], [], [], 0.05)[0]:
            with contextlib.suppress(OSError):
                raw = os.read(self._ours, 2**16).decode("utf-8", "replace")
                self.shown += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", raw)


@pytest.fixture
def place(course_copy: Course) -> Path:
    """A learner's notebook in a work folder of the course."""
    work = course_copy.root / "work" / "01_warmup"
    work.mkdir(parents=True)
    Journal.create(work.parent)
    return Path(shutil.copy(course_copy.released("01_warmup", "tiny"), work))


def save(path: Path, content: bytes) -> None:
    """As JupyterLab does."""
    beside = path.with_name(f".~{path.name}")
    beside.write_bytes(content)
    beside.replace(path)


@pytest.fixture
def terminal(place: Path, course_copy: Course) -> Iterator[Terminal]:
    started = Terminal(str(place), "--unsafe", cwd=course_copy.root)
    yield started
    started.process.kill()
    started.process.wait()


@pytest.mark.slow
class TestInATerminal:
    def test_a_day_of_work(self, terminal: Terminal, place: Path) -> None:
        raw = place.read_bytes()
        terminal.wait_for("scale: to do", seconds=90)
        terminal.shown = ""
        save(place, edited(raw, double=WRONG))
        terminal.wait_for("double: not yet")
        terminal.wait_for("expected: [2, 4]")
        terminal.press("h")
        terminal.wait_for("Numbers and arrays know how to be multiplied.")
        terminal.press("h")
        terminal.wait_for("expected: [2, 4]")
        terminal.shown = ""
        save(place, edited(raw, double=DOUBLE))
        seconds = terminal.wait_for("double: passed")
        print(f"reaction to a save: {seconds:.2f} s")  # no limit here: the machine may be busy
        terminal.press("n")
        terminal.wait_for("> Counter")
        terminal.press("h")
        terminal.wait_for("Counter: there are no hints")
        terminal.press("o")
        terminal.wait_for("no running JupyterLab shows it; the notebook is")
        terminal.press("a")
        terminal.wait_for("grading double, Counter, scale")
        terminal.wait_for("after the save")
        terminal.press("\x1b[A?")  # an arrow and a key without meaning
        terminal.press("q")
        assert terminal.end() == 0
        attempts = Journal.find(place.parent).attempts()
        assert {(a.exercise, a.how) for a in attempts} == {("double", "grade")}
        assert [a.outcome for a in attempts][:2] == ["failed", "passed"]

    def test_half_saved_deleted_and_back(self, terminal: Terminal, place: Path) -> None:
        raw = place.read_bytes()
        terminal.wait_for("scale: to do", seconds=90)
        terminal.shown = ""
        place.write_bytes(raw[:200])
        place.write_bytes(edited(raw, double=DOUBLE))  # at once: not worth a word
        terminal.wait_for("double: passed")
        assert "can't be read" not in terminal.shown
        place.write_bytes(raw[:200])
        terminal.wait_for("tiny.ipynb can't be read, waiting for the next save: the file ends in the middle")
        place.unlink()
        terminal.wait_for("tiny.ipynb is gone (deleted or renamed)")
        save(place, edited(raw, double=DOUBLE))
        terminal.wait_for("tiny.ipynb: nothing to grade anew")
        terminal.shown = ""
        save(place, edited(raw, double=WRONG))
        terminal.wait_for("double: not yet")
        os.killpg(terminal.process.pid, signal.SIGINT)
        assert terminal.end() == 0

    def test_a_folder_a_rename_and_a_storm(self, place: Path, course_copy: Course) -> None:
        raw = place.read_bytes()
        terminal = Terminal(str(place.parent), "--unsafe", cwd=course_copy.root, NO_COLOR="1")
        try:
            terminal.wait_for("scale: to do", seconds=90)
            place.rename(place.with_name("mine.ipynb"))
            terminal.wait_for("mine.ipynb")
            terminal.shown = ""
            for n in range(30):
                save(place.with_name("mine.ipynb"), edited(raw, double=f"{WRONG} + {n}"))
            save(place.with_name("mine.ipynb"), edited(raw, double=DOUBLE))
            terminal.wait_for("double: passed")
            terminal.press("q")
            assert terminal.end() == 0
        finally:
            terminal.process.kill()

    def test_without_a_terminal_a_line_per_result(self, place: Path, course_copy: Course) -> None:
        command = [sys.executable, "-m", "autograder", "watch", "--unsafe", str(place)]
        with subprocess.Popen(
            command, cwd=course_copy.root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if sum("to do, 0 /" in line for line in lines) == 3:
                    process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        assert not any("\x1b" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["none.ipynb"], "no such file"),
        (["nbgrader_config.py"], "not a notebook: expected a file"),
        (["source"], "no notebook"),
    ],
)
def test_what_cannot_be_watched_is_wrong_usage(course: Course, arguments: list[str], why: str) -> None:
    command = [sys.executable, "-m", "autograder", "watch", *arguments]
    done = subprocess.run(command, cwd=course.root, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert why in " ".join(done.stderr.split())
