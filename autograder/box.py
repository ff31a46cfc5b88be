"""The warm process on the learner's side, seen from the grader.

`Box` starts it behind its outer wall and asks it for a process per submission. What is said with such a
process is `session`'s; the walls are built in `sandbox.jail`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autograder.errors import CouldNotRun
from autograder.sandbox.jail import outer, roots
from autograder.sandbox.jail.level import LEVELS

__all__ = ["Box"]

START_SECONDS = 120.0
PACKAGE = Path(__file__).resolve().parent
PROGRAM = """
import gc, json, sys
gc.disable()  # until all is imported: it would look through the same objects again and again (0.2 s)
sys.path.insert(0, sys.argv[1])
from autograder.sandbox import zygote
zygote.main(int(sys.argv[2]), json.loads(sys.argv[3]))
"""


class Box:
    """The warm process on the learner's side. `spawn` works in any process forked from the one that
    started it."""

    def __init__(self, *, level: str, shown: Sequence[Path] = ()) -> None:
        """`shown`: folders of released files, which learner code may read."""
        self.level = level
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = [sys.executable, "-I", "-c", PROGRAM, str(PACKAGE.parent), str(theirs.fileno())]
        self._process = subprocess.Popen(
            behind_walls(program, level, shown),
            pass_fds=[theirs.fileno()],
            env=outer.environment(),
            stdin=subprocess.DEVNULL,
            cwd="/",
        )
        theirs.close()
        self._orders = ours
        self._warmed: set[str] = set()

    def wait(self) -> None:
        """Returns when the box is warm; raises CouldNotRun if it does not start."""
        self._orders.settimeout(START_SECONDS)
        try:
            answer = self._orders.recv(1000)
        except TimeoutError:
            answer = b""
        if not answer:
            raise CouldNotRun("the process for learner code did not start; `autograder doctor` says more")
        self._orders.settimeout(None)

    def warm(self, modules: Sequence[str]) -> None:
        """Imports modules before the next child is forked."""
        new = sorted(set(modules) - self._warmed)
        self._warmed.update(new)
        if new:
            self._order({"warm": new}, [])

    def spawn(self, options: Mapping[str, Any]) -> tuple[socket.socket, socket.socket]:
        """(the conversation with a new learner process, its control socket)."""
        stream, their_stream = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        control, their_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._order(
                {"spawn": {**options, "cores": _cores()}}, [their_stream.fileno(), their_control.fileno()]
            )
        finally:
            their_stream.close()
            their_control.close()
        return stream, control

    def alive(self) -> bool:
        """Whether the box still runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """Ends the box and all its children."""
        self._orders.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._process.kill()
        self._process.wait()

    def _order(self, order: Mapping[str, Any], descriptors: list[int]) -> None:
        try:
            socket.send_fds(self._orders, [json.dumps(order).encode()], descriptors)
        except OSError as error:
            raise CouldNotRun(f"the process for learner code is gone ({error})") from None


def _cores() -> list[int]:
    """Where this process may run: the learner's shall run there, too (see `worker.stay_on_one_core`)."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def behind_walls(program: Sequence[str], level: str, shown: Sequence[Path]) -> list[str]:
    """The command line of the zygote behind its outer wall, with what it must know of the inner ones."""
    readable, hidden = roots.readable(shown), roots.hidden(shown)
    visible = roots.visible(readable, hidden=hidden, level=LEVELS[level])
    walls = json.dumps({"level": level, "readable": [str(path) for path in visible]})
    return outer.command([*program, walls], level=LEVELS[level], readable=readable, hidden=hidden)
