"""A sentence instead of a traceback for what is no bug: Ctrl-C, a file that may not be written, a full disk.

nbgrader's own commands let these through to Python, which shows its traceback. Everything else still does.
"""

from __future__ import annotations

import sys
from types import TracebackType

from autograder.errors import refusal

__all__ = ["INTERRUPTED", "speak_plainly"]

INTERRUPTED = "interrupted; what is finished is kept: run the same command again for the rest"


def speak_plainly() -> None:
    """From now on, in this process; whoever has set a hook of their own keeps it."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _say


def _say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    said = INTERRUPTED if isinstance(error, KeyboardInterrupt) else refusal(error)
    if isinstance(error, OSError) and any(str(error.filename) in argument for argument in sys.argv[1:]):
        said = f"{error.filename}: {error.strerror}"  # the user named it
    if said:
        sys.stderr.write(f"[autograder] {said}\n")
    else:
        sys.__excepthook__(kind, error, trace)
