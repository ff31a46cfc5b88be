"""Collecting from an exchange that is open to everybody, and giving feedback back."""

from __future__ import annotations

import datetime
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autograder.layout import Course

pytestmark = pytest.mark.filterwarnings("ignore")  # of nbgrader and its libraries

SECTION, FILE = "01_warmup", "tiny.ipynb"


class Exchange:
    """An inbound folder, and `collect` and `release_feedback` without the commands around them."""

    def __init__(self, course: Course, log: logging.Logger) -> None:
        self.course, self.log = course, log
        self.root = course.root.parent / "exchange"
        self.inbound = self.root / "tiny" / "inbound"
        self.inbound.mkdir(parents=True)
        (self.root / "tiny" / "feedback").mkdir()

    def hand_in(self, student: str, files: dict[str, bytes], *, time: str = "", name: str = "") -> Path:
        time = time or f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S.%f} UTC"
        folder = self.inbound / (name or f"{student}+{SECTION}+{time}+abc")
        folder.mkdir(parents=True)
        for file, content in {"timestamp.txt": b"2020-01-01 00:00:00 UTC", **files}.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(content)
        return folder

    def collect(self, **settings: Any) -> None:
        from autograder.nbgrader.collect import SafeCollect

        self._do(SafeCollect, check_owner=False, **settings)

    def release(self) -> None:
        from autograder.nbgrader.feedback import ReleaseFeedback

        self._do(ReleaseFeedback)

    def _do(self, action: Any, **settings: Any) -> None:
        from nbgrader.coursedir import CourseDirectory

        coursedir = CourseDirectory(course_id="tiny", root=str(self.course.root), assignment_id=SECTION)
        action(coursedir=coursedir, root=str(self.root), log=self.log, **settings).start()

    def submitted(self, student: str) -> Path:
        return self.course.root / "submitted" / student / SECTION


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> logging.Logger:
    caplog.set_level(logging.INFO)
    return logging.getLogger("exchange")


@pytest.fixture
def exchange(course_copy: Course, log: logging.Logger) -> Exchange:
    return Exchange(course_copy, log)


def _snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p.relative_to(folder)): (p.lstat().st_mtime_ns, p.lstat().st_size) for p in folder.rglob("*")}


def test_collects_files_and_says_so(exchange: Exchange, caplog: pytest.LogCaptureFixture) -> None:
    folder = exchange.hand_in("ann", {FILE: b"{}", "data/x.csv": b"1"})
    before = _snapshot(folder)
    exchange.collect()
    assert (exchange.submitted("ann") / FILE).read_bytes() == b"{}"
    assert (exchange.submitted("ann") / "data" / "x.csv").read_bytes() == b"1"
    assert "[autograder] ann: collected 3 files" in caplog.messages
    assert _snapshot(folder) == before


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda f: (f / "x.csv").symlink_to("/etc/hostname"), "`x.csv` is left out: it is a link"),
        (lambda f: (f / "x.csv").symlink_to("/etc"), "`x.csv` is left out: it is a link"),
        (lambda f: os.mkfifo(f / "x.csv"), "`x.csv` is left out: it is a pipe"),
        (lambda f: (f / "x.csv").open("wb").truncate(2**31), "`x.csv` is left out: it is larger than 256 MB"),
        (lambda f: [(f / f"{n}.csv").touch() for n in range(1001)], "beyond the limits of a submission"),
    ],
)
def test_what_is_no_plain_file_is_left_out(
    exchange: Exchange, caplog: pytest.LogCaptureFixture, make: Callable[[Path], object], words: str
) -> None:
    folder = exchange.hand_in("ann", {FILE: b"{}"})
    make(folder)
    exchange.collect()
    assert any(line.startswith("[autograder] ann: ") and words in line for line in caplog.messages)
    assert (exchange.submitted("ann") / FILE).read_bytes() == b"{}"
    assert not (exchange.submitted("ann") / "x.csv").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (f"ann+{SECTION}+soon+abc", "is not called like a submission"),
        (f"+{SECTION}+2026-01-02 03:04:05 UTC+abc", "names no learner"),
    ],
)
def test_folders_that_are_no_submissions_do_not_stop_the_others(
    exchange: Exchange, caplog: pytest.LogCaptureFixture, name: str, words: str
) -> None:
    exchange.hand_in("", {FILE: b"{}"}, name=name)
    exchange.hand_in("ben", {FILE: b"{}"})
    exchange.collect()
    assert any(words in line for line in caplog.messages)
    assert sorted(path.name for path in (exchange.course.root / "submitted").iterdir()) == ["ben"]


def test_a_link_in_place_of_a_folder(exchange: Exchange, caplog: pytest.LogCaptureFixture) -> None:
    (exchange.inbound / f"ann+{SECTION}+2026-01-02 03:04:05 UTC+abc").symlink_to("/etc")
    exchange.collect()
    assert any("is not a folder" in line for line in caplog.messages)
    assert not exchange.submitted("ann").exists()


def test_a_forged_time_does_not_count(exchange: Exchange, caplog: pytest.LogCaptureFixture) -> None:
    exchange.hand_in("ann", {FILE: b"{}"}, time="2020-01-01 00:00:00 UTC")
    exchange.collect()
    time = (exchange.submitted("ann") / "timestamp.txt").read_text()
    assert time.startswith(f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}")
    assert any("its folder says 2020-01-01 00:00 but is from" in line for line in caplog.messages)


def test_the_name_counts_after_an_exchange_was_moved(exchange: Exchange) -> None:
    exchange.hand_in("ann", {FILE: b"{}"}, time="2025-12-31 10:20:30.5 UTC")
    exchange.collect(folder_clock=False)
    assert (exchange.submitted("ann") / "timestamp.txt").read_text() == "2025-12-31 10:20:30.500000 UTC"


def test_the_latest_submission_replaces_an_earlier_one(exchange: Exchange) -> None:
    exchange.hand_in("ann", {FILE: b"{}"}, time="2025-12-31 10:00:00 UTC")
    exchange.collect(folder_clock=False)
    exchange.hand_in("ann", {FILE: b"[]"}, time="2025-12-31 11:00:00 UTC")
    exchange.collect(folder_clock=False)
    assert (exchange.submitted("ann") / FILE).read_bytes() == b"{}"
    exchange.collect(folder_clock=False, update=True)
    assert (exchange.submitted("ann") / FILE).read_bytes() == b"[]"


def test_a_collect_that_broke_off_is_made_again(exchange: Exchange) -> None:
    part = exchange.submitted("ann").with_name(f"{SECTION}.part")
    part.mkdir(parents=True)
    (part / "half.txt").touch()
    exchange.hand_in("ann", {FILE: b"{}"})
    exchange.collect()
    assert not part.exists()
    assert not (exchange.submitted("ann") / "half.txt").exists()


def test_a_renamed_notebook_is_made_ready_at_once(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    raw = exchange.course.released(SECTION, "tiny").read_bytes()
    exchange.hand_in("ann", {"tiny (1).ipynb": raw})
    exchange.collect()
    assert (exchange.submitted("ann") / FILE).read_bytes() == raw
    assert any("`tiny (1).ipynb` is graded as `tiny.ipynb`" in line for line in caplog.messages)


def test_feedback_reaches_every_name_of_a_notebook(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    from nbgrader.utils import notebook_hash

    raw = exchange.course.released(SECTION, "tiny").read_bytes()
    exchange.hand_in("ann", {"tiny (1).ipynb": raw, "submission_secret.txt": b"secret"})
    exchange.collect()
    for student in ("ann", "ben"):
        folder = exchange.course.root / "feedback" / student / SECTION
        folder.mkdir(parents=True)
        (folder / "tiny.html").write_text("<p>fine</p>")
    (exchange.course.root / "feedback" / "ann" / SECTION / "submission_secret.txt").write_text("secret")
    exchange.release()
    pages = exchange.root / "tiny" / "feedback"
    names = {f"{notebook_hash(secret='secret', notebook_id=name)}.html" for name in ("tiny", "tiny (1)")}
    assert {page.name for page in pages.iterdir()} == names
    assert "[autograder] ann: feedback released on tiny, tiny (1)" in caplog.messages
    assert any(
        "ben: no `submission_secret.txt`: hand the feedback over yourself" in x for x in caplog.messages
    )


def test_feedback_that_was_never_made_is_told(exchange: Exchange, caplog: pytest.LogCaptureFixture) -> None:
    exchange.release()
    assert any("run `nbgrader generate_feedback 01_warmup`" in line for line in caplog.messages)
