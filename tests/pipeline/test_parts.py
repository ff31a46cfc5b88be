"""The parts of autograder.nbgrader alone: plain files, intake, cleaned markup, settings, the terminal."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from autograder.errors import CouldNotRun
from autograder.layout import Course
from autograder.nbgrader.plainfile import LARGEST, Refused, read_plain

pytestmark = pytest.mark.filterwarnings("ignore")  # of nbgrader and its libraries

SECTION, FILE = "01_warmup", "tiny.ipynb"


class Settings:
    """As much of traitlets' Config as `configure` needs."""

    def __init__(self) -> None:
        self.sections: dict[str, dict[str, Any]] = {}

    def __getattr__(self, name: str) -> Any:
        values = self.sections.setdefault(name, {})
        return type("Section", (), {"__setattr__": lambda _, key, value: values.__setitem__(key, value)})()


def test_configure_writes_names_only() -> None:
    """The formgrader's config panel turns the settings into JSON."""
    from autograder.nbgrader import configure

    c = Settings()
    configure(c)
    assert json.loads(json.dumps(c.sections)) == c.sections
    steps = c.sections["Autograde"]["autograde_preprocessors"]
    names = [step.rpartition(".")[2] for step in steps]
    assert names[0] == "IsolatedExecute"
    assert names[names.index("AssignLatePenalties") - 1] == "SaveScores"
    assert not {"Execute", "SaveAutoGrades"} & set(names)
    assert "AssignLatePenalties" in names
    assert c.sections["Autograde"]["sanitize_preprocessors"][0].endswith("RepairSubmission")


def test_every_configured_name_can_be_imported() -> None:
    from traitlets.utils.importstring import import_item

    from autograder.nbgrader import configure

    c = Settings()
    configure(c)
    values = [value for section in c.sections.values() for value in section.values()]
    names = [
        n for v in values for n in (v if isinstance(v, list) else v.values() if isinstance(v, dict) else [v])
    ]
    for name in names:
        if isinstance(name, str):
            import_item(name)


def test_an_nbgrader_without_our_places_is_refused() -> None:
    from nbgrader.converters import Autograde

    from autograder.nbgrader import _steps

    with pytest.raises(RuntimeError, match=r"no step Executor in autograde_preprocessors; use 0\.9\.6"):
        _steps(Autograde, "autograde_preprocessors", instead={"Executor": "x"})


def test_alembic_is_found_without_an_activated_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from autograder.nbgrader import configure

    monkeypatch.setenv("PATH", "/usr/bin")
    configure(Settings())
    configure(Settings())
    assert os.environ["PATH"] == f"/usr/bin{os.pathsep}{Path(sys.executable).parent}"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.symlink_to("/etc/hostname"), "a link"),
        (os.mkfifo, "a pipe"),
        (Path.mkdir, "a folder"),
        (lambda path: path.open("wb").truncate(LARGEST + 1), "larger than 256 MB"),
    ],
)
def test_only_plain_files_are_read(tmp_path: Path, make: Callable[[Path], object], reason: str) -> None:
    make(tmp_path / "file")
    with pytest.raises(Refused, match=reason):
        read_plain(tmp_path / "file")


def test_a_plain_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    assert read_plain(tmp_path / "file") == b"content"
    with pytest.raises(FileNotFoundError):
        read_plain(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("markup", "clean"),
    [
        ("<p>fine <b>words</b> <code>x &lt; y</code></p>", "<p>fine <b>words</b> <code>x &lt; y</code></p>"),
        ("<script>steal()</script>", "steal()"),
        ('<img src="x.png" onerror="steal()" alt="x">', '<img src="x.png" alt="x">'),
        ('<img src="//evil.example/x.png">', "<img>"),
        ('<img src="/api/contents">', "<img>"),
        ('<img src="../../x.png">', "<img>"),
        ('<img src="data:image/png;base64,AA==">', '<img src="data:image/png;base64,AA==">'),
        ('<img src="data:image/svg+xml;base64,AA==">', "<img>"),
        ('<a href="javascript:steal()">x</a>', "<a>x</a>"),
        ('<a href="JaVaScRiPt&#58;steal()">x</a>', "<a>x</a>"),
        ('<a href="evil.html">x</a>', "<a>x</a>"),
        ('<a href="https://example.org">x</a>', '<a href="https://example.org">x</a>'),
        ('<a href="#top">x</a>', '<a href="#top">x</a>'),
        ('<span class="k" style="position:fixed" id="x">x</span>', '<span class="k">x</span>'),
        ('<pre class="mermaid">graph</pre>', "<pre>graph</pre>"),
        ("<svg onload=steal()><form><input><iframe src=x></iframe></form></svg>", "\n"),
        ("$a &lt; b$ and \\(c\\)", "$a &lt; b$ and \\(c\\)"),
    ],
)
def test_markup_is_made_harmless(markup: str, clean: str) -> None:
    from autograder.nbgrader.markup import clean_markup

    assert clean_markup(markup) == clean


def _folder(course: Course, files: dict[str, bytes]) -> Path:
    folder = course.root / "submitted" / "ann" / SECTION
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_intake_of_a_good_folder_says_nothing(course_copy: Course) -> None:
    from autograder.nbgrader.intake import prepare_folder

    folder = _folder(
        course_copy, {FILE: b"{}", "timestamp.txt": b"2026-01-02 03:04:05 UTC", "notes.txt": b""}
    )
    prepared = prepare_folder(folder, course_copy, SECTION)
    assert prepared.lines == ()
    assert prepared.notebooks == (folder / FILE,)


def test_intake_takes_the_newest_copy_and_leaves_it(course_copy: Course) -> None:
    from autograder.nbgrader.intake import prepare_folder

    raw = course_copy.released(SECTION, "tiny").read_bytes()
    folder = _folder(course_copy, {"tiny (1).ipynb": raw, "work.ipynb": raw + b" ", "other.ipynb": b"{}"})
    os.utime(folder / "tiny (1).ipynb", (1, 1))
    assert prepare_folder(folder, course_copy, SECTION).lines == ("`work.ipynb` is graded as `tiny.ipynb`",)
    assert (folder / FILE).read_bytes() == (folder / "work.ipynb").read_bytes()
    assert prepare_folder(folder, course_copy, SECTION).lines == ()


@pytest.mark.parametrize("time", [b"soon", b"\xff\xfe\x00", b"99999999999999999999999"])
def test_intake_puts_an_unreadable_time_aside(course_copy: Course, time: bytes) -> None:
    from autograder.nbgrader.intake import prepare_folder

    folder = _folder(course_copy, {FILE: b"{}", "timestamp.txt": time})
    (line,) = prepare_folder(folder, course_copy, SECTION).lines
    assert line.startswith("`timestamp.txt` can't be read")
    assert not (folder / "timestamp.txt").exists()
    assert (folder / "timestamp.txt.unreadable").read_bytes() == time


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "raise KeyboardInterrupt",
            "[autograder] interrupted; what is finished is kept: run the same command",
        ),
        ("raise PermissionError(13, 'Permission denied', 'x')", "[autograder] x: Permission denied\n"),
        (
            "raise FileNotFoundError(2, 'No such file or directory', 'no/such')",
            "[autograder] no/such: No such",
        ),
        ("raise FileNotFoundError(2, 'No such file or directory', 'ours')", "Traceback"),
        ("raise ValueError('a bug')", "Traceback"),
    ],
)
def test_what_is_no_bug_is_a_sentence(statement: str, said: str) -> None:
    code = f"from autograder.nbgrader.plainly import speak_plainly; speak_plainly(); {statement}"
    command = [sys.executable, "-c", code, "--to=no/such"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.startswith(said)


def test_generate_assignment_does_not_skip_what_a_clone_has() -> None:
    """release/ is committed; were it skipped, the gradebook would know none of its cells."""
    from autograder.nbgrader import configure

    c = Settings()
    configure(c)
    assert c.sections["GenerateAssignment"]["force"] is True


def test_books_are_shared_while_they_are_open(tmp_path: Path) -> None:
    from nbgrader import api

    from autograder.nbgrader.books import open_books

    url = f"sqlite:///{tmp_path / 'gradebook.db'}"
    before = api.create_engine
    with open_books():
        with api.Gradebook(url, "one") as one, api.Gradebook(url, "one") as two:
            assert one.engine is two.engine
        with api.Gradebook(url, "one") as three:
            three.add_student("ann")
    assert api.create_engine is before
    assert "create_all" not in vars(api.Base.metadata)
    with api.Gradebook(url, "one") as later:
        assert [student.id for student in later.students] == ["ann"]


def test_stable_cell_ids() -> None:
    import nbformat

    from autograder.nbgrader.sanitize import StableCellIds

    new = nbformat.v4.new_code_cell
    graded = {
        "nbgrader": {"grade": True, "solution": False, "locked": True, "grade_id": "double", "points": 1}
    }
    cells = [
        new("a", id="kept"),
        new("b", id="double"),
        new("c", id="random", metadata=graded),
        new("d", id="twin"),
    ]
    nb = nbformat.v4.new_notebook(cells=cells)
    nb.cells[3].id = "kept"
    nb, _ = StableCellIds().preprocess(nb, {})
    assert [cell.id for cell in nb.cells] == ["kept", "cell-002", "double", "cell-004"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _done(value: int) -> Future[int]:
    future: Future[int] = Future()
    future.set_result(value)
    return future


def test_progress_shows_a_bar_on_a_terminal_after_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    from autograder.nbgrader import progress

    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    shown, log = sys.stderr, logging.Logger("nbgrader")
    log.addHandler(logging.StreamHandler(shown))
    bar = progress.Progress(log)
    bar.total = 2
    assert [bar.wait_for(_done(1)), bar.wait_for(_done(2))] == [1, 2]
    log.warning("a line of the log")
    bar.close()
    assert log.handlers[0].stream is shown  # type: ignore[attr-defined]
    assert "grading" in shown.getvalue()  # type: ignore[attr-defined]
    assert "a line of the log" in shown.getvalue()  # type: ignore[attr-defined]


def test_progress_is_silent_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    from autograder.nbgrader import progress

    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    bar = progress.Progress(logging.Logger("nbgrader"))
    bar.total = 2
    bar.wait_for(_done(1))
    bar.close()
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]


def test_a_command_that_fails_shows_the_end_of_its_log(tmp_path: Path) -> None:
    from autograder.nbgrader.commands import nbgrader

    with pytest.raises(
        CouldNotRun, match=r"(?s)`nbgrader autograde` ended with 1.*assignment id must be specified"
    ):
        nbgrader("autograde", folder=tmp_path)


def test_settings_nbgrader_does_not_know_are_refused() -> None:
    import nbformat
    from nbgrader.nbgraderformat import ValidationError

    from autograder.nbgrader.sanitize import CheckSettings

    own = {"schema_version": 3, "grade": True, "solution": False, "locked": True, "task": False}
    own |= {"grade_id": "softmax", "points": 3.0, "cell_type": "code", "checksum": 32 * "a"}
    cell = nbformat.v4.new_code_cell("x", metadata={"nbgrader": own})
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("text"), cell])
    for _ in range(2):
        assert CheckSettings().preprocess(nb, {}) == (nb, {})
    del nb.cells[1].metadata.nbgrader["points"]
    for _ in range(2):  # a refusal is not forgotten
        with pytest.raises(ValidationError, match="does not have points"):
            CheckSettings().preprocess(nb, {})
