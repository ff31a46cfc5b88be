"""The learners of a demo cohort: who they are, what they hand in for a section, and what they must get.

Every known right variant is handed in by somebody, and the first known wrong ones; the rest is what happens
in real life (`acts`). Nothing is graded here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial

from autograder.cohort.acts import ACTS, Act, perfect, right_variants, wrong_variant
from autograder.cohort.desk import Desk, Expected
from autograder.layout import Course
from autograder.notebooks import load_released

__all__ = ["Learner", "make_learner", "make_learners"]

MISTAKEN = 6  # learners with one known mistake per notebook


@dataclass(frozen=True, slots=True)
class Learner:
    """What one learner hands in for a section: files by name; what each (notebook, exercise) must get."""

    name: str
    story: str
    section: str
    files: Mapping[str, bytes]
    expected: Mapping[tuple[str, str], Expected]


def make_learners(course: Course, section: str) -> tuple[Learner, ...]:
    """The cohort of a section, whatever its notebooks are."""
    desks = _desks(course, section)
    return tuple(_learner(*who, section, desks) for who in _who(desks))


def make_learner(course: Course, section: str, name: str, story: str, act: Act) -> Learner:
    """One learner who does the same to every notebook of a section."""
    return _learner(name, story, act, section, _desks(course, section))


@lru_cache(maxsize=8)
def _desks(course: Course, section: str) -> list[Desk]:
    return [
        Desk(course, section, notebook)
        for notebook in course.notebooks(section)
        if load_released(course.released(section, notebook), section).exercises
    ]


def _who(desks: list[Desk]) -> Iterator[tuple[str, str, Act]]:
    """Name, story and what they do."""
    yield "perfect", perfect.__doc__ or "", perfect
    for number in range(max(_most_right(desk) for desk in desks)):
        yield f"right-{number + 1}", right_variants.__doc__ or "", partial(right_variants, number)
    for number in range(min(MISTAKEN, max(len(desk.variants("wrong")) for desk in desks))):
        known = [v for desk in desks for v in desk.variants("wrong")[number : number + 1]]
        story = "; ".join(f"{v.exercise}: {v.name.replace('_', ' ')}" for v in known)
        yield f"mistaken-{number + 1}", story, partial(wrong_variant, number)
    for act in ACTS:
        yield act.__name__.replace("_", "-"), act.__doc__ or "", act


def _most_right(desk: Desk) -> int:
    """How many right variants the best known exercise has."""
    return max(Counter(variant.exercise for variant in desk.variants("right")).values(), default=0)


def _learner(name: str, story: str, act: Act, section: str, desks: list[Desk]) -> Learner:
    files: dict[str, bytes] = {}
    expected: dict[tuple[str, str], Expected] = {}
    for desk in desks:
        made, must = act(desk)
        files |= made
        expected |= {(desk.notebook, exercise): what for exercise, what in must.items()}
    return Learner(name, story, section, files, expected)
