"""A time limit for code that runs in this very process: it raises TimeLimit in whatever is running.

It interrupts Python code, not one long call of a library; where the system has no such alarm (Windows), or
outside the main thread, there is no limit. Code that must not be left half done is `shielded`, and an import
is: half a module (torch imports much of itself at first use) would fail whatever runs in this process later.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from types import FrameType

from autograder.errors import TimeLimit

__all__ = ["alarm", "exposed", "shielded"]

IMPORTING = "<frozen importlib._bootstrap>"  # the file name of Python's own code that imports
AGAIN_SECONDS = 0.05

_shielded: ContextVar[bool] = ContextVar("shielded", default=False)


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """An alarm that goes off inside waits until the end, or until an `exposed` part within."""
    token = _shielded.set(True)
    try:
        yield
    finally:
        _shielded.reset(token)


@contextlib.contextmanager
def exposed() -> Iterator[None]:
    """The part of a `shielded` block that an alarm may interrupt."""
    token = _shielded.set(False)
    try:
        yield
    finally:
        _shielded.reset(token)


@contextlib.contextmanager
def alarm(seconds: float, *, cpu: bool = False) -> Iterator[None]:
    """Raises TimeLimit in the running code after `seconds`, and again every second.

    `cpu`: seconds of CPU time of this process, not of the clock.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    kind, timer = (signal.SIGPROF, signal.ITIMER_PROF) if cpu else (signal.SIGALRM, signal.ITIMER_REAL)

    def ring(_signal: int, frame: FrameType | None) -> None:
        if not (_shielded.get() or _imports(frame)):
            raise TimeLimit
        signal.setitimer(timer, AGAIN_SECONDS, 1.0)

    before = signal.signal(kind, ring)
    signal.setitimer(timer, max(seconds, 1e-3), 1.0)  # again: the code may swallow the first
    try:
        yield
    finally:
        signal.setitimer(timer, 0)
        signal.signal(kind, before)


def _imports(frame: FrameType | None) -> bool:
    """Whether an import is going on."""
    while frame is not None:
        if frame.f_code.co_filename == IMPORTING:
            return True
        frame = frame.f_back
    return False
