"""Every exception of the package: whose mistake it is decides how it is shown.

The author's and the user's mistakes are CourseError, ours and the machine's are CouldNotRun. What a
learner's code does while a test calls it arrives as one of the last three, and becomes a failed test in a
report.
"""

from __future__ import annotations

import errno
from pathlib import Path

__all__ = [
    "CouldNotRun",
    "CourseError",
    "Crashed",
    "LearnerError",
    "TimeLimit",
    "UnreadableNotebook",
    "refusal",
]

REFUSALS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}


class CourseError(Exception):
    """The author's or the user's mistake. The message says what was expected, what came and what to do next.

    >>> print(CourseError("the header has no points; write `# %% points=3`", path=Path("a.py"), line=7))
    a.py:7: the header has no points; write `# %% points=3`
    """

    def __init__(self, message: str, *, path: Path | None = None, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.line = line

    def __str__(self) -> str:
        where = [str(part) for part in (self.path, self.line) if part is not None]
        return ": ".join([":".join(where), self.message]) if where else self.message

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows in place of a traceback."""
        return [f"Error: {self}"]


class UnreadableNotebook(CourseError):
    """A submission of which nothing can be read. Somebody must look at it; it is graded as nothing."""


class CouldNotRun(Exception):
    """Our fault or the machine's, never the learner's. It is neither a zero nor a pass."""


class LearnerError(Exception):
    """The learner's code raised `kind`. `where` names the cell and line, or is empty."""

    def __init__(self, kind: str, message: str, where: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.where = where

    def __str__(self) -> str:  # KeyError, which an instance may be as well, would show quotes
        return self.message


class Crashed(BaseException):
    """The learner's process ended while a test needed it. Like an interrupt, no test may swallow it.

    `stopped` when its warden ended it at a limit, which it looks at now and then only.
    """

    def __init__(self, message: str, *, stopped: bool = False) -> None:
        super().__init__(message)
        self.stopped = stopped


class TimeLimit(BaseException):
    """The learner's code did not finish in its time. Like an interrupt, no test may swallow it."""


def refusal(error: BaseException | None) -> str:
    """What to say of a file that may not be written or finds no room; nothing when it may be a bug of ours.

    >>> refusal(PermissionError(errno.EACCES, "Permission denied", "build"))
    'build: Permission denied'
    """
    if not isinstance(error, OSError) or error.errno not in REFUSALS:
        return ""
    return f"{error.filename or 'a file'}: {error.strerror}"
