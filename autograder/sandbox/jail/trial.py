"""Tries to break each wall from inside: run behind the outer wall, in children behind the inner one.

    python -I -S -c "...; trial.main()" < {"level": "A", "readable": [...], "secrets": [...], "all": true}

Prints {"name of the attempt": "what got through", ...} as JSON; an empty text means that the wall held. It
needs no torch and knows no exercise. `autograder.doctor` shows the outcome; `detect` runs the short list.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autograder.sandbox.jail import inner
from autograder.sandbox.jail.attempts import ATTEMPTS, QUICK
from autograder.sandbox.jail.level import LEVELS, Level
from autograder.sandbox.jail.limits import Limits

__all__ = ["main"]

MIB = 2**20
PATIENCE_S = 30.0
SMALL = Limits(
    cpu_s=1, wall_s=20, memory_bytes=256 * MIB, scratch_bytes=8 * MIB, inodes=200, file_bytes=4 * MIB
)


def main() -> None:
    """Reads what to try from standard input, tries it, prints what got through."""
    order = json.load(sys.stdin)
    level, readable = LEVELS[order["level"]], [Path(p) for p in order["readable"]]
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    inner.prepare(level)
    found = probes(level, readable, order["secrets"], ATTEMPTS if order["all"] else QUICK)
    if order["all"] and "setup" not in found:
        found |= endings(level, readable)
    json.dump(found, sys.stdout)


@contextmanager
def child(level: Level, readable: list[Path], work: Callable[[socket.socket], None]) -> Iterator[Any]:
    """(our end of its stream, our end of its control) of a jailed process that does `work`."""
    stream, their_stream = socket.socketpair()
    control, their_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        try:
            stream.close()
            control.close()
            inner.enter(their_stream.fileno(), their_control.fileno(), SMALL, level, readable=readable)
            work(their_stream)
            their_stream.close()
            os._exit(0)
        finally:
            os._exit(1)
    their_stream.close()
    their_control.close()
    stream.settimeout(PATIENCE_S)
    control.settimeout(PATIENCE_S)
    try:
        yield stream, control
    finally:
        stream.close()
        control.close()
        os.waitpid(pid, 0)


def probes(
    level: Level, readable: list[Path], secrets: list[str], attempts: dict[str, Callable[..., str]]
) -> dict[str, str]:
    """What each attempt brought; `setup` when the walls could not be built."""

    def work(sock: socket.socket) -> None:
        for name, attempt in attempts.items():
            try:
                got = attempt(secrets)
            except (OSError, MemoryError, RuntimeError, ValueError):
                got = ""
            sock.sendall(json.dumps([name, got]).encode() + b"\n")

    with child(level, readable, work) as (stream, control):
        answers = b"".join(iter(lambda: stream.recv(2**16), b""))
        ending = last_word(control)
    if ending.get("cause") == "setup":
        return {"setup": ending["message"]}
    found = dict(json.loads(line) for line in answers.splitlines())
    for name in attempts:
        found.setdefault(name, f"no answer: the process ended before ({ending})")
    return found


def last_word(control: socket.socket) -> dict[str, Any]:
    """The warden's report; its introduction of the process comes before it."""
    message = control.recv(2**16)
    while message == b"{}":
        message = control.recv(2**16)
    found: dict[str, Any] = json.loads(message or b"{}")
    return found


def endings(level: Level, readable: list[Path]) -> dict[str, str]:
    """Whether a process that will not stop is stopped, and by the right limit."""
    wanted = {"an endless loop": (endless, "cpu"), "too much on the disk": (fill, "scratch")}
    found = {}
    for name, (work, limit) in wanted.items():
        with child(level, readable, work) as (_, control):
            ending = last_word(control)
        stopped = ending.get("limit") == limit or (name.endswith("disk") and ending.get("cause") == "exit")
        found[name] = "" if stopped else f"it ended otherwise: {ending}"
    with child(level, readable, stubborn) as (stream, _):
        stream.recv(1)
        family = descendants()
    left = {pid for pid in family if pid in living()}
    found["outliving the grader"] = f"{len(left)} of {len(family)} processes" if left or not family else ""
    return found


def endless(_: socket.socket) -> None:
    while True:
        pass


def fill(_: socket.socket) -> None:
    """Writes until it is refused; where the scratch has no quota, until it is stopped."""
    total = 0
    for number in range(10**6):
        try:
            with Path(f"{number}").open("wb") as file:
                total += file.write(bytes(MIB))
        except OSError:
            break
    if total > 4 * SMALL.scratch_bytes:
        time.sleep(PATIENCE_S)


def stubborn(sock: socket.socket) -> None:
    """Ignores every signal it may and stays."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    sock.sendall(b".")
    while True:
        select.select([], [], [], 1.0)


def living() -> dict[int, int]:
    """The parent of every process that is not a mere entry waiting to be collected."""
    parents = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if fields[0] != "Z":
                parents[int(entry.name)] = int(fields[1])
    return parents


def descendants() -> set[int]:
    """The processes below this one."""
    parents, found = living(), {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}
