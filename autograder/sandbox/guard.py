"""One guard per submission: starts the learner's process, ends it when told or when the grader is gone.

The guard is trusted code in a process of its own. The operating-system walls are entered here, in the child,
before any learner code runs (`autograder.sandbox.jail`).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
from collections.abc import Callable
from typing import Any

__all__ = ["guard"]


def guard(
    stream: int, control: int, options: dict[str, Any], serve: Callable[[int, dict[str, Any]], None]
) -> None:
    """Forks the learner's process, waits for its end or for the control socket to close, and reports."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    child = os.fork()
    if child == 0:
        try:
            os.close(control)
            os.setpgid(0, 0)
            null = os.open(os.devnull, os.O_RDWR)
            for standard in (0, 1, 2):
                os.dup2(null, standard)
            serve(stream, options)
        finally:
            os._exit(0)
    os.close(stream)
    ended = os.pidfd_open(child)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(control, select.POLLIN | select.POLLHUP)
    poll.poll()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(OSError):
        socket.socket(fileno=control).send(json.dumps({"status": os.waitstatus_to_exitcode(status)}).encode())
    os._exit(0)
