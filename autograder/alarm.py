"""A time limit for code that runs in this very process: it raises TimeLimit in whatever is running.

It interrupts Python code, not one long call of a library; where the system has no such alarm (Windows), or
outside the main thread, there is no limit.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from autograder.errors import TimeLimit

__all__ = ["alarm"]


@contextlib.contextmanager
def alarm(seconds: float, *, cpu: bool = False) -> Iterator[None]:
    """Raises TimeLimit in the running code after `seconds`, and again every second.

    `cpu`: seconds of CPU time of this process, not of the clock.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise TimeLimit

    kind, timer = (signal.SIGPROF, signal.ITIMER_PROF) if cpu else (signal.SIGALRM, signal.ITIMER_REAL)
    before = signal.signal(kind, ring)
    signal.setitimer(timer, max(seconds, 1e-3), 1.0)  # again: the code may swallow the first
    try:
        yield
    finally:
        signal.setitimer(timer, 0)
        signal.signal(kind, before)
