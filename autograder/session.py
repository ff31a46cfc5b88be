"""One submission's learner process, seen from the grader.

A session runs the learner's cells in a fresh child of the box and gives tests a `Submission`. When the
child dies or runs out of time it is replaced by another and the cells run again. Deadlines are kept here;
the walls are built in `sandbox.jail`.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from autograder.box import Box
from autograder.errors import CouldNotRun, Crashed, LearnerError, TimeLimit
from autograder.meter import Meter
from autograder.sandbox.host import PROBE
from autograder.sandbox.jail.limits import Limits
from autograder.submission import GraderEndpoint, Submission
from autograder.wire.frames import ProtocolError
from autograder.wire.socketlink import Deadline, Disconnected, SocketLink

__all__ = ["Session"]

CELL_SECONDS = 20.0  # of CPU for one cell
CELLS_SECONDS = 60.0  # of CPU for all cells of a notebook
MAX_SKIPPED = 3  # cells that may end the process before the rest is given up


class Session:
    """One submission's learner process. `errors` maps the label of a cell to what stopped it."""

    def __init__(
        self,
        box: Box,
        cells: Sequence[tuple[str, str]],
        *,
        seed: int,
        folder: Path | None,
        limits: Limits | None = None,
    ) -> None:
        self.errors: dict[str, str] = {}
        self.printed = ""
        self.starts = 0
        self._box = box
        self._cells = list(cells)
        self.seed = seed  # of what the learner's code may draw; may be changed between two tests
        self._options = {
            "folder": str(folder) if folder else None,
            "limits": (limits or Limits()).to_dict(),
        }
        self._fatal: set[str] = set()
        self._probing = False  # after each cell
        self._endpoint: _SessionEndpoint | None = None

    def submission(self, seconds: float) -> Submission:
        """The door for one test, whose calls may take that much CPU time of the learner's process.

        Where the process must be started first, neither that nor the cells count.
        """
        if self._endpoint is None or self._endpoint.dead:
            self._start()
        assert self._endpoint is not None
        self._endpoint.allow(seconds)
        self._endpoint.seed = self.seed
        return Submission(self._endpoint)

    @property
    def used(self) -> float:
        """Seconds the learner's code has used since `submission` was called."""
        return self._endpoint.meter.used if self._endpoint else 0.0

    @property
    def lost(self) -> CouldNotRun | None:
        """What went wrong on our side, also if a test swallowed it."""
        dead = self._endpoint and self._endpoint.dead
        return dead if isinstance(dead, CouldNotRun) else None

    @property
    def overrun(self) -> bool:
        """Whether the warden stopped the process, perhaps for what an earlier test left behind."""
        dead = self._endpoint and self._endpoint.dead
        return isinstance(dead, Crashed) and dead.stopped

    def close(self) -> None:
        """Ends the learner's process."""
        if self._endpoint is not None:
            self._endpoint.hang_up()
            self._endpoint = None

    def _start(self) -> None:
        """Starts a process and runs the cells; a cell that kills the process is left out of the next try, and
        so is one after which it can't answer."""
        for _ in range(MAX_SKIPPED + 2):
            self.close()
            self.starts += 1
            self._endpoint = _SessionEndpoint(*self._box.spawn(self._options), dict(self._cells))
            if self._run_cells(self._endpoint):
                return
        raise Crashed("its cells stop the process again and again")

    def _run_cells(self, endpoint: _SessionEndpoint) -> bool:
        left = CELLS_SECONDS
        endpoint.seed = self.seed
        for label, source in self._cells:
            if label in self._fatal:
                continue
            endpoint.allow(min(left, CELL_SECONDS))
            try:
                endpoint.request("run", label, source)
            except LearnerError as error:
                where = f" ({error.where})" if error.where else ""
                self.errors[label] = (
                    f"{error.kind}: {error.message}{where}" if error.message else error.kind + where
                )
            except (TimeLimit, Crashed) as error:
                self._fatal.add(label)
                limit = f"it ran longer than {CELL_SECONDS:.0f} seconds"
                self.errors[label] = (
                    limit if isinstance(error, TimeLimit) else f"it ended the process ({error})"
                )
                return False
            left -= endpoint.meter.used
            if self._probing and not endpoint.answers():
                self._fatal.add(label)
                self.errors[label] = "after it the process can't answer any more"
                return False
        endpoint.allow(CELL_SECONDS)
        if not endpoint.answers():
            self._probing = True  # which cell it was shows in the next try
            return False
        if self.starts == 1:
            self.printed = str(endpoint.request("printed"))
        return True


class _SessionEndpoint(GraderEndpoint):
    """The grader's end of one learner process; after a failure of the process every request fails at once."""

    def __init__(self, stream: socket.socket, control: socket.socket, cells: Mapping[str, str]) -> None:
        self.link = SocketLink(stream)
        self.meter = Meter(control)
        self.dead: TimeLimit | Crashed | CouldNotRun | None = None
        self._cells = cells
        super().__init__(self.link)

    def allow(self, seconds: float) -> None:
        """From now on requests may take that much CPU time of the learner's process, all together."""
        self.link.deadline, self.link.later = self.meter.start(seconds), self.meter.later

    def request(self, operation: str, *arguments: object) -> Any:
        if self.dead is not None:
            raise self.dead
        try:
            return super().request(operation, *arguments)
        except LearnerError as error:
            error.where = self._place(error.where)
            raise
        except (Deadline, TimeLimit):  # the latter from the clock around a test, in the middle of an answer
            self.dead = TimeLimit("the time limit was reached")
        except Disconnected:
            self.dead = self._ending()
        except ProtocolError as error:
            self.dead = Crashed(f"it answered nonsense: {error}")
        self.hang_up()
        raise self.dead

    def answers(self) -> bool:
        """Whether the process still can: a cell may have put anything in the place of what answers."""
        try:
            handle, plain, tensor = self.request("probe")
        except (LearnerError, TimeLimit, Crashed, TypeError, ValueError):
            return False
        return callable(handle) and plain == PROBE and torch.equal(tensor, torch.ones(2))

    def _place(self, claimed: str) -> str:
        """`cell 3, line 2: text of the line`, from our own copy of the cells; '' for what is not in it."""
        label, _, rest = claimed.partition(", line ")
        number = rest.partition(":")[0]
        lines = self._cells.get(label, "").splitlines()
        if not (number.isascii() and number.isdigit() and len(number) < 7 and 0 < int(number) <= len(lines)):
            return ""
        return f"{label}, line {number}: {lines[int(number) - 1].strip()}"

    def hang_up(self) -> None:
        """Ends the process and all it started."""
        self.link.close()
        self.meter.close()

    def _ending(self) -> Crashed | CouldNotRun:
        """How the process ended, from its warden's report. Without one it was not the learner's doing."""
        report = self.meter.ending()
        if report is None:
            return CouldNotRun("the process for learner code vanished")
        if report["cause"] == "setup":
            return CouldNotRun(f"the walls around learner code could not be built: {report['message']}")
        if report["cause"] == "limit":
            return Crashed(f"stopped at the limit of {report['limit']}", stopped=True)
        if report["cause"] == "closed":
            return Crashed("it hung up")
        status = report["status"]
        return Crashed(f"signal {-status}" if status < 0 else f"exit code {status}")
