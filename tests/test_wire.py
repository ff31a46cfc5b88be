"""Frames and nodes: what is malformed is a ProtocolError and nothing else; what is too large says so."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from autograder.submission import GraderEndpoint
from autograder.wire import frames
from autograder.wire.decode import Decoder
from autograder.wire.encode import Encoder
from autograder.wire.frames import Message, ProtocolError, TooLargeError, pack
from autograder.wire.socketlink import Deadline, Disconnected, SocketLink


def decode(node: Any, blob: bytes = b"") -> Any:
    def refuse(*_: object) -> Any:
        raise ProtocolError("no objects here")

    decoder = Decoder(bytearray(blob), handle=refuse, own=refuse, on_graph=refuse)
    value = decoder.decode(node)
    decoder.finish()
    return value


FORGED: list[tuple[Any, bytes]] = [
    ([], b""),
    ([1], b""),
    ({"a": 1}, b""),
    (["no such tag"], b""),
    (["t", ["?"]], b""),
    (["T", "float32", [2], None, False, False, None, None], b"\0" * 7),
    (["T", "float32", [2], None, False, False, None, None], b"\0" * 9),
    (["T", "float32", [-1], None, False, False, None, None], b""),
    (["T", "float32", [2**41], None, False, False, None, None], b""),
    (["T", "float32", [True], None, False, False, None, None], b"\0" * 4),
    (["T", "float32", [1] * 100, None, False, False, None, None], b"\0" * 4),
    (["T", "object", [1], None, False, False, None, None], b"\0" * 8),
    (["T", "float32", [1], [1], False, False, None, None], b"\0" * 4),
    (["T", "float32", [1], ["0"], False, False, None, None], b"\0" * 4),
    (["T", "int64", [1], None, False, True, None, None], b"\0" * 8),
    (["T", "float32", [1], None, False, False, None, ["t"]], b"\0" * 4),
    (["T", "float32", [1], None, False, False, 0, None], b"\0" * 4),
    (["a", "O", [1], None, False, True], b"\0" * 8),
    (["a", "d", [1], None, False, 1], b"\0" * 8),
    (["s", "dd"], b"\0" * 8),
    (["b", -1], b""),
    (["b", 5], b"abc"),
    (["I", "0xzz"], b""),
    (["I", "1" * 4000], b""),
    (["f", "1e5"], b""),
    (["c", 1], b""),
    (["c", "a", "b"], b""),
    (["d", [1]], b""),
    (["d", [["l"], 1]], b""),
    (["S", ["l"]], b""),
    (["r", 0, 1, 0], b""),
    (["sl", 1], b""),
    (["D", "quint8"], b""),
    (["H", 1, "x"], b""),
    (["R", 1], b""),
    (["H", "1", "x"], b""),
]


@pytest.mark.parametrize(("node", "blob"), FORGED)
def test_a_forged_node_is_a_protocol_error(node: Any, blob: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(node, blob)


def test_depth_and_number_of_parts_are_limited() -> None:
    node: Any = 1
    for _ in range(100):
        node = ["l", node]
    with pytest.raises(ProtocolError, match="nested too deeply"):
        decode(node)
    with pytest.raises(ProtocolError, match="too many parts"):
        decode(["l", *range(frames.MAX_NODES + 1)])
    encoder = Encoder(lambda _: None)
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(TooLargeError, match="nested this deeply"):
        encoder.encode(endless)
    with pytest.raises(TooLargeError, match="digits"):
        encoder.encode(10**100_000)
    with pytest.raises(TooLargeError, match="elements"):
        encoder.encode(torch.zeros(1).expand(2**40))


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"\xff", b"{" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b"null"]
)
def test_a_head_that_is_no_object_is_a_protocol_error(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        frames.unpack_head(raw)


def test_bytes_that_are_no_bool_become_true() -> None:
    got = decode(["T", "bool", [3], None, False, False, None, None], b"\0\1\7")
    assert got.tolist() == [False, True, True]
    assert decode(["a", "?", [2], None, False, True], b"\2\0").tolist() == [True, False]
    assert decode(["a", "d", [1], None, False, True], np.float64(2).tobytes()).tolist() == [2.0]


Pair = tuple[GraderEndpoint, SocketLink, SocketLink]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """The grader's end, its link, and the other side as a forger would hold it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        link = SocketLink(ours)
        link.deadline = time.monotonic() + 5
        yield GraderEndpoint(link), link, SocketLink(theirs)


REPLIES: list[dict[str, Any]] = [
    {},
    {"id": 99, "ok": 1},
    {"id": 1},
    {"id": "1", "ok": 1},
    {"id": 1, "err": "text"},
    {"id": 1, "err": {"kind": 1, "bases": [], "message": "", "where": ""}},
    {"id": 1, "ok": ["T", "float32", [], None, False, True, 0, None]},
    {"id": 1, "ok": 1, "graph": "x"},
    {"id": 1, "ok": ["R", 12345]},
    {"id": 1, "op": "run", "args": ["cell", "import os"]},
    {"id": 1, "op": "get", "args": [None, "__class__"]},
    {"id": 1, "op": "backward", "args": [1, 0, 1]},
    {"id": 1, "op": "call", "args": "x"},
    {"id": 1, "op": "call", "args": [["R", 1], ["l"], ["d"]]},
]


@pytest.mark.parametrize("reply", REPLIES)
def test_the_learners_side_can_only_answer(reply: dict[str, Any], pair: Pair) -> None:
    grader, _, forger = pair
    other = threading.Thread(target=lambda: (forger.receive(), forger.send(Message(reply))))
    other.start()
    with pytest.raises(ProtocolError):
        grader.request("look_up", "attention")
    other.join()


def test_sizes_are_checked_before_anything_is_read(pair: Pair) -> None:
    _, link, forger = pair
    forger._socket.sendall(frames.HEADER.pack(2**31, 2**31))
    with pytest.raises(ProtocolError, match="size limit"):
        link.receive()
    with pytest.raises(TooLargeError):
        pack(Message({"a": "x" * (frames.MAX_HEAD + 1)}))


def test_silence_is_a_deadline_and_an_end_is_a_disconnection(pair: Pair) -> None:
    grader, link, forger = pair
    link.deadline = time.monotonic() + 0.1
    with pytest.raises(Deadline):
        grader.request("look_up", "a")
    link.deadline = time.monotonic() + 5
    forger.close()
    with pytest.raises(Disconnected):
        grader.request("look_up", "a")
