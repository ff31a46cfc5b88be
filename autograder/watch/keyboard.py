"""Single keys of a terminal, without Enter; nothing where standard input is no terminal, or on Windows."""

from __future__ import annotations

import contextlib
import os
import re
import select
import sys
import threading
from collections.abc import Callable, Iterator

__all__ = ["keys"]

LOOK_SECONDS = 0.2
ESCAPES = re.compile(r"\x1b(\[[0-9;]*[ -/]*[@-~]|O.|.)?")  # an arrow or the like is no letter


@contextlib.contextmanager
def keys(tell: Callable[[str], None]) -> Iterator[bool]:
    """Calls `tell` with each key from another thread; gives whether there are keys at all.

    The terminal is as it was afterwards, whatever happens. Ctrl-C stays an interrupt.
    """
    try:
        import termios
        import tty

        terminal = sys.stdin.fileno()
        before = termios.tcgetattr(terminal)
    except (ImportError, OSError, ValueError, AttributeError, termios.error):
        yield False
        return
    ended = threading.Event()
    thread = threading.Thread(target=_read, args=(terminal, ended, tell), daemon=True)
    try:
        tty.setcbreak(terminal)
        thread.start()
        yield True
    finally:
        ended.set()
        thread.join()
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _read(terminal: int, ended: threading.Event, tell: Callable[[str], None]) -> None:
    while not ended.is_set():
        if not select.select([terminal], [], [], LOOK_SECONDS)[0]:
            continue
        try:
            got = os.read(terminal, 32)
        except OSError:
            return
        if not got:  # the terminal is gone
            return
        for key in ESCAPES.sub("", got.decode("utf-8", "ignore")):
            tell(key)
