"""What a test asked for and compared, kept while somebody records: the material of fingerprints and margins.

`close` notes every comparison here before it judges it, the door to the submission every call. Nothing is
copied, and nothing is kept outside `recording()`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "Call",
    "Comparison",
    "Log",
    "note_call",
    "note_comparison",
    "note_timing",
    "note_told",
    "recording",
]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One call of `close`. A tolerance that is None was that of the dtype."""

    got: Any
    want: Any
    rtol: float | None
    atol: float | None
    finite: bool


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the submission's code, by the name of the function or of the object's class."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(slots=True)
class Log:
    """What has been noted so far; of the calls only the last; whether time was measured.

    `told` is what a test has to say however it ends.
    """

    comparisons: list[Comparison] = field(default_factory=list)
    call: Call | None = None
    timed: bool = False
    told: str = ""


_log: ContextVar[Log | None] = ContextVar("log", default=None)


@contextmanager
def recording() -> Iterator[Log]:
    """The log that fills with what happens inside the block."""
    token = _log.set(log := Log())
    try:
        yield log
    finally:
        _log.reset(token)


def note_comparison(comparison: Comparison) -> None:
    """Keeps a comparison, if somebody records."""
    if log := _log.get():
        log.comparisons.append(comparison)


def note_timing() -> None:
    """Keeps that time was measured, if somebody records."""
    if log := _log.get():
        log.timed = True


def note_told(text: str) -> None:
    """Keeps what the learner shall read below the test's sentence, if somebody records."""
    if log := _log.get():
        log.told = text


def note_call(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Keeps a call, if somebody records."""
    if log := _log.get():
        log.call = Call(name, args, kwargs)
