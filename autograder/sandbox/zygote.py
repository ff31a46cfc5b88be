"""The learner's side of the grader: started once per batch, imports torch, forks a child per submission.

    python -I -c ... FD WALLS      (the command line is built by `autograder.box`)

WALLS is JSON: the level and the paths a learner's process may read. On the descriptor FD (SEQPACKET) come
JSON orders: `{"warm": [modules]}` and `{"spawn": {...}}`, the latter with two descriptors: the stream socket
of the conversation and a control socket. Closing the control socket ends the child and all it started; its
warden first says which process it is, and in the end how it ended (`autograder.meter` reads both).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from autograder.sandbox import host as host_module
from autograder.sandbox.jail import inner
from autograder.sandbox.jail.level import LEVELS
from autograder.sandbox.jail.limits import Limits
from autograder.sandbox.warm import collapse, settle, warm
from autograder.wire.endpoint import Endpoint
from autograder.wire.frames import Message, TooLargeError
from autograder.wire.socketlink import Deadline, Disconnected, SocketLink

__all__ = ["main"]

MAX_ORDER = 2**16
MANY = 8  # orders after which this is a batch, and large pages pay


def main(descriptor: int, walls: dict[str, Any]) -> None:
    """Serves orders until the grader hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the grader's business
    orders = socket.socket(fileno=descriptor)
    _install_package()
    warm([])
    inner.prepare(LEVELS[walls["level"]])
    settle()
    with contextlib.suppress(BrokenPipeError):  # then there is nobody left to serve
        orders.send(b'{"ready": true}')
    for children in itertools.count():
        try:
            raw, descriptors, _, _ = socket.recv_fds(orders, MAX_ORDER, 2)
        except OSError:
            return
        reap()
        if not raw:
            return
        order = json.loads(raw)
        if "warm" in order:
            warm(order["warm"])
            settle()
        else:
            if children == MANY:
                collapse()
            _spawn(orders, walls, order["spawn"], descriptors)


def _spawn(
    orders: socket.socket, walls: dict[str, Any], options: dict[str, Any], descriptors: list[int]
) -> None:
    stream, control = descriptors
    if os.fork() == 0:
        try:
            orders.close()
            if options["cores"]:
                os.sched_setaffinity(0, options["cores"])
            inner.enter(
                stream,
                control,
                Limits.from_dict(options["limits"]),
                LEVELS[walls["level"]],
                readable=[Path(path) for path in walls["readable"]],
                folder=Path(options["folder"]) if options["folder"] else None,
            )
            serve(stream, options)
        finally:
            os._exit(0)
    os.close(stream)
    os.close(control)


def reap() -> None:
    """Collects the wardens that have ended, and with them the account of the time they and theirs used."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def serve(stream: int, options: dict[str, Any]) -> None:
    """Runs in the child, behind all walls: answers the test until it hangs up."""
    link = SocketLink(socket.socket(fileno=stream))
    if folder := options.get("folder"):
        sys.path.insert(0, folder)
    host = host_module.Host(host_module.fresh_namespace())
    end = Endpoint(
        link, host.operations, stand_in=host_module.Callback, locate=host.locate, look_up=host.look_up
    )
    with contextlib.suppress(Disconnected, Deadline):
        while True:
            reply = end.serve(link.receive())
            try:
                link.send(reply)
            except TooLargeError as error:
                link.send(Message({"id": reply.head["id"], "err": end.describe(error)}))


def _install_package() -> None:
    """`from autograder import check` must work in a cell; here it does nothing."""
    package = sys.modules["autograder"]
    package.check = lambda *_, **__: None  # type: ignore[attr-defined]
