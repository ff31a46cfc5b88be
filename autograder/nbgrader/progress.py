"""How far a batch is, on a terminal: a bar once it has taken two seconds, nothing anywhere else."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import rich.progress

__all__ = ["Progress"]

PATIENCE = 2.0  # seconds before a bar appears
T = TypeVar("T")


class Progress:
    """Counts results; `total` is how many there will be."""

    def __init__(self, log: logging.Logger) -> None:
        self.total = 0
        self._log = log
        self._done = 0
        self._began = time.monotonic()
        self._bar: rich.progress.Progress | None = None
        self._screen = contextlib.ExitStack()

    def wait_for(self, future: Future[T]) -> T:
        """The result of `future`, and one more done."""
        self._show()
        try:
            return future.result()
        finally:
            self._done += 1
            if self._bar is not None:
                self._bar.update(self._bar.task_ids[0], completed=self._done)

    def close(self) -> None:
        """Takes the bar away."""
        self._screen.close()
        self._bar = None

    def _show(self) -> None:
        if self._bar is not None or self.total < 2 or not sys.stderr.isatty():
            return
        if time.monotonic() - self._began < PATIENCE:
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("grading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
        self._bar.add_task("grading", total=self.total, completed=self._done)
        before = sys.stderr
        self._screen.enter_context(self._bar)
        for handler in self._log.handlers:  # lines of the log go above the bar, not through it
            if isinstance(handler, logging.StreamHandler) and handler.stream is before:
                handler.setStream(sys.stderr)
                self._screen.callback(handler.setStream, before)
