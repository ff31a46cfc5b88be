"""A status line for a check that takes its time: it appears after a second and becomes the card in the end.

In a kernel it is one output that is updated, so that nothing is left behind; in a terminal a line that is
written over; elsewhere nothing. A thread shows it, since the tests keep this one busy.
"""

from __future__ import annotations

import contextvars
import shutil
import sys
import threading
from typing import Any

from autograder.render.clean import html_prose, one_line

__all__ = ["StatusLine"]

AFTER_SECONDS = 1.0
AGAIN_SECONDS = 0.5
WIDTH = 100


class StatusLine:
    """Use as a context manager around the tests; `tell` what runs, `show` the result in its place."""

    def __init__(self) -> None:
        self._text = ""
        self._handle: Any = None  # of the output in a kernel
        self._written = 0  # characters of the line in a terminal
        self._ended = threading.Event()
        context = contextvars.copy_context()  # so that the output goes to the cell that asked
        self._thread = threading.Thread(target=context.run, args=(self._watch,), daemon=True)

    def __enter__(self) -> StatusLine:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        if self._handle is not None:  # interrupted: an output can't be taken back, but it can be emptied
            self._handle.update({"text/plain": "(the check was interrupted)"}, raw=True)

    def tell(self, text: str) -> None:
        """What is going on, in one line."""
        self._text = one_line(text, limit=300)

    def show(self, result: object) -> None:
        """Puts the result where the status line is, if there is one."""
        self._end()
        shell = _shell()
        if self._handle is not None:
            self._handle.update(result)
            self._handle = None
        elif shell is None:
            print(result)
        else:
            sys.modules["IPython.display"].display(result)

    def _end(self) -> None:
        self._ended.set()
        self._thread.join()
        if self._written:
            print("\r" + " " * self._written, end="\r", flush=True)
            self._written = 0

    def _watch(self) -> None:
        shown = ""
        wait = AFTER_SECONDS
        while not self._ended.wait(wait):
            wait = AGAIN_SECONDS
            if shown != self._text:
                shown = self._text
                self._put(shown)

    def _put(self, text: str) -> None:
        if _in_kernel():
            html = f'<p role="status" lang="en">{html_prose(text)}</p>'
            bundle = {"text/html": html, "text/plain": text}
            display = sys.modules["IPython.display"].display
            if self._handle is None:
                self._handle = display(bundle, raw=True, display_id=True)
            else:
                self._handle.update(bundle, raw=True)
        elif sys.stdout.isatty():
            width = min(WIDTH, shutil.get_terminal_size().columns - 1)
            line = text if len(text) <= width else f"{text[: width - 4]} ..."
            print(f"\r{line:<{self._written}}", end="", flush=True)
            self._written = max(self._written, len(line))


def _shell() -> Any:
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None


def _in_kernel() -> bool:
    return getattr(_shell(), "kernel", None) is not None
