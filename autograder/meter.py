"""How much time a learner's process has used, and how it ended: what its warden lets the grader know.

A limit counts CPU time, which a busy machine takes from nobody. So that a process that sleeps or answers in
drops ends as well, time that passes counts too, at a fraction. Deadlines are kept by `session`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import time
from pathlib import Path
from typing import Any

__all__ = ["LEAST", "PATIENCE", "Meter"]

PATIENCE = 5.0  # seconds that may pass for each second of a limit
REPORT_SECONDS = 60.0  # of a living warden; that of a dead one is missed at once
LEAST = 0.05  # seconds; with less left a limit is reached
PID = re.compile(r"^Pid:\s+(\d+)$", re.MULTILINE)


class Meter:
    """Reads the control socket of one learner's process.

    Where the kernel tells nobody the CPU time of another process (no Linux, no /proc) time that passes is all
    there is, and counts in full.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._pid = 0  # of the process, as this side sees it
        self._introduced = False
        self._report: dict[str, Any] | None = None
        self._limit = 0.0
        self._began = time.monotonic()
        self._cpu_began = self._cpu_last = 0.0

    def start(self, limit: float) -> float:
        """Counts from now; the earliest time (of time.monotonic) at which `limit` seconds can be used up."""
        self._limit = limit
        self._began = time.monotonic()
        self._cpu_began = self._cpu() if self._introduced else 0.0
        return self._began + limit

    @property
    def used(self) -> float:
        """Seconds used since `start`."""
        passed = time.monotonic() - self._began
        cpu = self._cpu()
        return max(cpu - self._cpu_began, passed / PATIENCE) if self._pid else passed

    def later(self) -> float | None:
        """The next time at which the limit can be used up, or None if it is."""
        left = self._limit - self.used
        return time.monotonic() + left if left > LEAST else None

    def ending(self) -> dict[str, Any] | None:
        """The warden's report on how the process ended; None if it gave none."""
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)  # a process that only hung up ends now
        if not self._introduced:
            self._listen()
        if self._report is None:
            self._listen()
        return self._report

    def close(self) -> None:
        """Makes the warden end the process and all it started."""
        if self._introduced:
            self._cpu()
        self._control.close()

    def _cpu(self) -> float:
        """CPU seconds of the process so far."""
        if not self._introduced:
            self._listen()
        if self._report is not None:
            self._cpu_last = float(self._report["cpu_s"])
        elif self._pid:
            with contextlib.suppress(OSError):  # it has just ended
                self._cpu_last = time.clock_gettime(~self._pid << 3 | 2)  # as clock_getcpuclockid(3) makes it
        return self._cpu_last

    def _listen(self) -> None:
        """One message: a descriptor of the process when it begins, a report when it has ended."""
        self._introduced = True
        self._control.settimeout(REPORT_SECONDS)
        with contextlib.suppress(OSError, ValueError):
            data, descriptors, _, _ = socket.recv_fds(self._control, 10_000, 1)
            for descriptor in descriptors:
                found = PID.search(Path(f"/proc/self/fdinfo/{descriptor}").read_text())
                self._pid = int(found[1]) if found else 0
                os.close(descriptor)
            if not descriptors and data:
                self._report = json.loads(data) or None
