"""What a learner has tried: one line per attempt at an exercise, in one small file of the work folder.

`check`, `grade` and `watch` write it. The map of the roadmap, the history in the report and the hint that
opens next are derived from it; there is no other state. Lines are only ever appended, in one write each, so
that a crash loses at most the line it interrupts, and a line that is broken is passed over. It has no code
and no text of the learner's, only short hashes of them. Where nothing may be written, it lives in memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from io import SEEK_END, RawIOBase
from pathlib import Path
from typing import Literal, get_args

from autograder.errors import CourseError
from autograder.layout import CONFIG
from autograder.report import ExerciseResult, Outcome, Report
from autograder.schema import check_shape

__all__ = ["Attempt", "How", "Journal", "code_hash"]

FOLDER, FILE = ".autograder", "attempts.jsonl"
How = Literal["check", "grade"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One exercise, checked in the learner's kernel (visible tests) or graded (the official verdict)."""

    when: str  # UTC, ISO 8601, to the second
    section: str
    notebook: str
    exercise: str
    how: How
    outcome: Outcome
    score: float
    max_score: float
    code: str  # a short hash of the answer, "" where it is not known
    evidence: str  # a short hash of what a failure showed, "" when it passed


@dataclass(slots=True)
class Journal:
    """The attempts of one work folder; `file` is None where they live in memory."""

    file: Path | None
    _kept: list[Attempt] = field(default_factory=list)  # what the disk did not take

    @classmethod
    def find(cls, start: Path, *, section: str = "") -> Journal:
        """The journal of the work folder around `start`.

        Without a work folder it begins one beside the notebooks, or above them when their folder is called
        like their section. In a course's own folders (it has source/) nothing is written.
        """
        start = start.resolve()
        above = (start, *start.parents)
        for folder in above:
            if (folder / FOLDER).is_dir():
                return cls(folder / FOLDER / FILE)
        if any((folder / CONFIG).is_file() and (folder / "source").is_dir() for folder in above):
            return _in_memory(start)
        return cls((start.parent if start.name == section else start) / FOLDER / FILE)

    @classmethod
    def create(cls, work: Path) -> Journal:
        """Makes `work` a work folder. Raises CourseError if that can't be written."""
        try:
            (work / FOLDER).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CourseError(f"the work folder can't be made here: {error.strerror}", path=work) from None
        return cls(work / FOLDER / FILE)

    def note(self, report: Report, *, how: How, code: Mapping[str, str] | None = None) -> None:
        """Adds one attempt per exercise; `code` maps exercises to the answers' source. No disk stops it."""
        now = datetime.now(UTC).replace(microsecond=0).isoformat()
        answers = code or {}
        attempts = [_attempt(report, e, how, answers.get(e.name, ""), now) for e in report.exercises]
        lines = "".join(json.dumps(asdict(attempt)) + "\n" for attempt in attempts)
        if self.file is not None:
            with contextlib.suppress(OSError):
                self.file.parent.mkdir(exist_ok=True)
                with self.file.open("a+b", buffering=0) as file:
                    file.write(_mend(file) + lines.encode())
                return
        self._kept += attempts

    def attempts(self, *, section: str = "", notebook: str = "", exercise: str = "") -> tuple[Attempt, ...]:
        """The attempts at what is named (all of them when nothing is), the oldest first."""
        names = [json.dumps(name).encode() for name in (section, notebook, exercise) if name]
        return tuple(
            attempt
            for attempt in (*self._read(names), *self._kept)
            if section in ("", attempt.section)
            and notebook in ("", attempt.notebook)
            and exercise in ("", attempt.exercise)
        )

    def _read(self, names: Sequence[bytes]) -> Iterator[Attempt]:
        """Of the file; a line without all these names is not looked at (it takes a tenth of the time)."""
        text = b""
        if self.file is not None:
            with contextlib.suppress(OSError):
                text = self.file.read_bytes()
        for line in text.splitlines():
            if not all(name in line for name in names):
                continue
            with contextlib.suppress(ValueError, RecursionError):
                fields = json.loads(line)
                check_shape(fields, _ATTEMPT)
                yield Attempt(**fields)


@lru_cache(maxsize=64)
def _in_memory(start: Path) -> Journal:
    """The same one for the whole life of a kernel."""
    return Journal(None)


def _attempt(report: Report, exercise: ExerciseResult, how: How, code: str, now: str) -> Attempt:
    failed = [test for test in exercise.tests if test.outcome != "passed"]
    # A verdict's inputs change with every edit, and so do its numbers: they are no news.
    said = [test.sentence if how == "grade" else test.message for test in failed]
    shown = (
        [exercise.message, *map("\n".join, zip((t.name for t in failed), said, strict=True))]
        if failed
        else []
    )
    return Attempt(
        when=now,
        section=report.assignment,
        notebook=report.notebook,
        exercise=exercise.name,
        how=how,
        outcome=exercise.outcome,
        score=exercise.score,
        max_score=exercise.max_score,
        code=code_hash(code),
        evidence=_short("\0".join(shown)),
    )


def code_hash(source: str) -> str:
    """What stands for the source of an answer."""
    return _short(source.strip())


def _short(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:12] if text else ""


def _mend(file: RawIOBase) -> bytes:
    """What ends a last line that was cut off."""
    if file.seek(0, SEEK_END) == 0:
        return b""
    file.seek(-1, SEEK_END)
    return b"" if file.read(1) == b"\n" else b"\n"


_ATTEMPT = {
    "when": str,
    "section": str,
    "notebook": str,
    "exercise": str,
    "how": get_args(How),
    "outcome": get_args(Outcome),
    "score": float,
    "max_score": float,
    "code": str,
    "evidence": str,
}
