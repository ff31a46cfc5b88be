"""What a page can show beside the report, as plain records. Whoever has it collects it; nothing is read here.

The learner's command has a file, the released lesson and a journal; nbgrader has a graded notebook and a
gradebook. Both fill the same records, so that there is one page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from autograder.journal import Attempt

__all__ = ["Excerpt", "Lesson", "Mark", "Marking", "Material", "Passage", "Picture", "Written"]


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG or JPEG out of the learner's notebook; `data` is base64 and has been looked at (`pictures`)."""

    exercise: str  # whose part of the lesson it was drawn in, or ""
    kind: Literal["image/png", "image/jpeg"]
    data: str
    width: int
    height: int
    heading: str  # the lesson's heading above it, as markdown
    caption: str  # what the lesson says below it, as markdown


@dataclass(frozen=True, slots=True)
class Passage:
    """Where the lesson speaks of an exercise: its heading and its contract, as markdown."""

    heading: str
    contract: str


@dataclass(frozen=True, slots=True)
class Lesson:
    """What to read again. `file` is the notebook's name, `reading` a markdown list."""

    title: str
    file: str
    passages: Mapping[str, Passage]
    reading: str


@dataclass(frozen=True, slots=True)
class Mark:
    """What the gradebook says of an exercise: points in the end, and a person's comment, as markdown."""

    score: float
    max_score: float
    comment: str = ""
    by_hand: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """An answer that a person grades; `score` is None until that is done. Texts are markdown."""

    name: str
    score: float | None
    max_score: float
    asked: str  # the task, with how it is marked
    answer: str
    is_code: bool
    comment: str
    remark: str = ""  # of a program, such as "No response."


@dataclass(frozen=True, slots=True)
class Marking:
    """What a course has made of a report; `score` is what counts, the penalty taken off."""

    score: float
    max_score: float
    late_penalty: float
    marks: Mapping[str, Mark]
    written: tuple[Written, ...] = ()


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A cell of the learner's notebook that is theirs, or a heading of the lesson to find one's way."""

    kind: Literal["heading", "code", "text"]
    source: str


@dataclass(frozen=True, slots=True)
class Material:
    """All of it; what is not known is left out of the page."""

    code: Mapping[str, str] = field(default_factory=dict)  # by exercise
    lesson: Lesson | None = None
    pictures: tuple[Picture, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    marking: Marking | None = None
    notebook: tuple[Excerpt, ...] = ()
