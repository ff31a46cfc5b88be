"""A conversation over a stream socket, with an absolute deadline for each exchange."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

from autograder.wire.frames import HEADER, MAX_BLOB, MAX_HEAD, Message, ProtocolError, pack, unpack_head

__all__ = ["Deadline", "Disconnected", "SocketLink"]

CHUNK = 2**16
TIMEVAL = struct.Struct("@ll")  # seconds, microseconds


class Deadline(Exception):
    """The other end did not answer in time."""


class Disconnected(Exception):
    """The other end is gone."""


class SocketLink:
    """Carries messages over `sock`. `deadline` is a time of `time.monotonic()`, or None for no limit; when it
    has come, `later` is asked for a new one, and None ends the exchange.

    The kernel keeps the time of a single wait (a timeout of Python's costs four system calls more); it is set
    anew when half of it is gone. Whoever answers drop by drop can so take at most twice the time.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._waiting = bytearray()  # read already, not used yet
        self._patience = 0.0  # seconds the kernel waits; 0 for ever
        self.deadline: float | None = None
        self.later: Callable[[], float | None] = lambda: None

    def exchange(self, message: Message, serve: Callable[[Message], Message]) -> Message:
        """Sends a request and serves the other end until its reply comes."""
        self.send(message)
        while True:
            answer = self.receive()
            if "op" not in answer.head:
                return answer
            self.send(serve(answer))

    def send(self, message: Message) -> None:
        """Sends one message."""
        data = memoryview(pack(message))
        while data:
            try:
                self._limit()
                data = data[self._socket.send(data) :]
            except (BlockingIOError, TimeoutError):
                self._postpone()
            except OSError:
                raise Disconnected from None

    def receive(self) -> Message:
        """The next message; its sizes are checked before anything is read."""
        self._fill(HEADER.size)
        head_size, blob_size = HEADER.unpack_from(self._waiting)
        if head_size > MAX_HEAD or blob_size > MAX_BLOB:
            raise ProtocolError("a message over the size limit")
        blob = HEADER.size + head_size
        self._fill(blob + blob_size)
        message = self._waiting[: blob + blob_size]
        del self._waiting[: blob + blob_size]
        return Message(unpack_head(bytes(message[HEADER.size : blob])), message[blob:])

    def close(self) -> None:
        """Hangs up."""
        self._socket.close()

    def _fill(self, count: int) -> None:
        """Waits until `count` bytes are there."""
        while len(self._waiting) < count:
            try:
                self._limit()
                got = self._socket.recv(max(CHUNK, count - len(self._waiting)))
            except (BlockingIOError, TimeoutError):
                self._postpone()
                continue
            except OSError:
                raise Disconnected from None
            if not got:
                raise Disconnected
            self._waiting += got

    def _postpone(self) -> None:
        self.deadline = self.later()
        if self.deadline is None:
            raise Deadline from None

    def _limit(self) -> None:
        if self.deadline is None:
            return
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if not left <= self._patience <= 2 * left:
            self._patience = left
            interval = TIMEVAL.pack(int(left), int(left % 1 * 1e6) + 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)
