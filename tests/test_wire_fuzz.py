"""From the learner's side come plain values unchanged, or one of the expected errors. Never a hang.

Two property tests of the codec, and a fuzzer that mutates frames of real conversations and plays them to the
grader's end of a socket. WIRE_FUZZ sets how many frames it mutates.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import resource
import socket
import threading
import time
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autograder.errors import LearnerError
from autograder.submission import GraderEndpoint, Remote
from autograder.wire.decode import Decoder
from autograder.wire.encode import Encoder
from autograder.wire.frames import HEADER, Message, ProtocolError, TooLargeError, pack, unpack_head
from autograder.wire.socketlink import Deadline, Disconnected, SocketLink

FRAMES = int(os.environ.get("WIRE_FUZZ", "1500"))
PATIENCE_S = 5.0
MEMORY = 300 * 2**20  # bytes the fuzzer may come to hold
EXPECTED = (LearnerError, ProtocolError, Disconnected, Deadline, TooLargeError)
bounded = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def arrays() -> st.SearchStrategy[np.ndarray[Any, Any]]:
    shapes = st.lists(st.integers(0, 4), max_size=4)
    return st.builds(
        lambda shape, kind, seed: np.random.default_rng(seed).integers(0, 2, shape).astype(kind),
        shapes,
        st.sampled_from("?bhilqBHILQefdFD"),
        st.integers(0, 9),
    )


def tensors() -> st.SearchStrategy[torch.Tensor]:
    kinds = (torch.float64, torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.complex64)
    return st.builds(
        lambda shape, kind, turn: torch.ones(shape).to(kind).T if turn else torch.zeros(shape).to(kind),
        st.lists(st.integers(0, 4), min_size=2, max_size=2),
        st.sampled_from(kinds),
        st.booleans(),
    )


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.binary(max_size=20)
    | st.just(...)
)
keys = st.integers() | st.text(max_size=5) | st.tuples(st.booleans(), st.integers())
values = st.recursive(
    scalars | arrays() | tensors(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | st.frozensets(st.integers(), max_size=4)
        | st.sets(st.text(max_size=3), max_size=4)
    ),
    max_leaves=12,
)
nodes = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.tuples(st.sampled_from([*"TastldSFbcrsIDVHRfeN", "sl"]), inner, inner).map(list)
        | st.tuples(
            st.sampled_from("Ta"), st.sampled_from(["float32", "d"]), st.lists(inner, max_size=3)
        ).map(list)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=20,
)


def no_object(*_: object) -> Any:
    raise ProtocolError("no objects here")


def decode(node: Any, blob: bytes) -> Any:
    decoder = Decoder(bytearray(blob), handle=no_object, own=no_object, on_graph=no_object)
    value = decoder.decode(node)
    decoder.finish()
    return value


def same(one: Any, two: Any) -> bool:
    if type(one) is not type(two):
        return False
    if isinstance(one, torch.Tensor):
        return one.dtype == two.dtype and one.shape == two.shape and torch.equal(one, two)
    if isinstance(one, np.ndarray):
        return one.dtype == two.dtype and one.shape == two.shape and np.array_equal(one, two)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, dict):
        return list(one) == list(two) and all(same(one[k], two[k]) for k in one)
    if isinstance(one, float):
        return one == two or (math.isnan(one) and math.isnan(two))
    if isinstance(one, complex):
        return same(one.real, two.real) and same(one.imag, two.imag)
    return bool(one == two)


@bounded
@given(values)
def test_plain_values_cross_unchanged(value: Any) -> None:
    encoder = Encoder(no_object)
    node = encoder.encode(value)
    frame = pack(Message({"ok": node}, encoder.blob))
    head_size, blob_size = HEADER.unpack(frame[: HEADER.size])
    assert HEADER.size + head_size + blob_size == len(frame)
    head = unpack_head(frame[HEADER.size :][:head_size])
    assert same(decode(head["ok"], frame[HEADER.size + head_size :]), value)


@bounded
@given(nodes, st.binary(max_size=40))
def test_any_other_node_is_a_protocol_error_or_a_plain_value(node: Any, blob: bytes) -> None:
    try:
        value = decode(node, blob)
    except ProtocolError:
        return
    assert same(value, value)


@bounded
@given(st.binary(max_size=60))
def test_any_bytes_are_a_head_or_a_protocol_error(raw: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        assert type(unpack_head(raw)) is dict


# Frames on a socket


def corpus() -> list[bytes]:
    """Honest answers of a learner's process, and requests it may make while the grader waits."""
    encoder = Encoder(lambda _: ["H", 7, "Net"], with_grad=True)
    leaf = torch.ones(3, requires_grad=True)
    leaf.grad = torch.ones(3)
    answer = encoder.encode(
        [torch.eye(3).T, np.arange(4.0), (1, 2.5, None), {"a": 1j}, {2}, b"xy", 2**99, leaf, object(), ...]
    )
    error = {"kind": "ValueError", "bases": ["ValueError"], "message": "no", "where": "cell 1, line 2: x"}
    messages = [
        Message({"id": 1, "ok": answer, "graph": 3}, encoder.blob),
        Message({"id": 1, "ok": ["l", ["H", 4, "Net"], ["H", 5, "function"]]}),
        Message({"id": 1, "ok": ["T", "float32", [2], None, False, True, 0, None], "graph": 1}, bytearray(8)),
        Message({"id": 1, "err": error}),
        Message({"id": 9, "op": "call", "args": [["R", 1], ["l", 2.0], ["d", ["x", 1]]], "drop": [1, 2]}),
        Message(
            {"id": 9, "op": "backward", "args": [1, 0, ["T", "float32", [], None, False, False, None, None]]}
        ),
    ]
    return [pack(message) for message in messages]


def mutated(frame: bytes, chance: random.Random) -> bytes:
    """The frame with some defect: of its bytes, its lengths or the shape of its JSON."""
    head_size, _ = HEADER.unpack(frame[: HEADER.size])
    head, blob = frame[HEADER.size :][:head_size], frame[HEADER.size + head_size :]
    kind = chance.randrange(5)
    if kind == 0:  # bytes anywhere
        data = bytearray(frame)
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        return bytes(data)
    if kind == 1:  # lengths that lie
        sizes = [chance.choice([0, 1, head_size, len(blob), 2**16, 2**31, 2**32 - 1]) for _ in range(2)]
        return HEADER.pack(*sizes) + head + blob
    if kind == 2:  # cut off or too long
        return frame[: chance.randrange(len(frame))] if chance.random() < 0.5 else frame * 2
    tree = json.loads(head)
    for _ in range(chance.randint(1, 4)):
        tree = warped(tree, chance)
    if kind == 4:
        blob = bytes(chance.randrange(256) for _ in range(chance.randrange(80)))
    text = json.dumps(tree).encode()
    return HEADER.pack(len(text), len(blob)) + text + blob


ODD = [
    None,
    True,
    -1,
    0,
    2**63,
    10**400,
    1e308,
    "",
    "R",
    "T",
    "\ud800",
    "9" * 5000,
    [],
    {},
    ["R", 1],
    ["H", 1, "x"],
]


def warped(tree: Any, chance: random.Random) -> Any:
    """`tree` with one of its parts replaced, removed, doubled or wrapped."""
    if not isinstance(tree, list | dict) or not tree or chance.random() < 0.2:
        return chance.choice([*ODD, [tree], {"op": tree}, [[[[tree]]]]])
    place = chance.choice(list(tree) if isinstance(tree, dict) else range(len(tree)))
    copied = tree.copy()
    if chance.random() < 0.2:
        del copied[place]
    else:
        copied[place] = warped(tree[place], chance)
    return copied


def test_mutated_frames_end_in_expected_errors_only() -> None:
    chance, frames = random.Random(20), corpus()
    outcomes: dict[str, int] = {}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(FRAMES):
        played = [mutated(chance.choice(frames), chance) if chance.random() < 0.8 else chance.choice(frames)]
        played += chance.choices(frames, k=chance.randrange(3))
        outcome = play(b"".join(played))
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert sum(outcomes.values()) == FRAMES
    assert {"ProtocolError", "Disconnected", "an answer"} <= set(outcomes)
    assert "Deadline" not in outcomes  # the learner's end is closed: nothing is waited for
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MEMORY


def play(data: bytes) -> str:
    """What the grader's end makes of `data` as the answer to a request with a callback in it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data[: 2**17])
        theirs.shutdown(socket.SHUT_WR)
        link = SocketLink(ours)
        link.deadline = time.monotonic() + PATIENCE_S
        endpoint = GraderEndpoint(link)
        try:
            value = endpoint.request("call", lambda x: x * 2, [torch.ones(2, requires_grad=True)], {})
        except EXPECTED as error:
            return "LearnerError" if isinstance(error, LearnerError) else type(error).__name__
        return "an answer" if plain(value) else "something else"


def plain(value: object) -> bool:
    """Only exact plain types and stand-ins come out."""
    if isinstance(value, list | tuple | set | frozenset):
        return type(value) in (list, tuple, set, frozenset) and all(map(plain, value))
    if isinstance(value, dict):
        return type(value) is dict and all(map(plain, value.values()))
    exact = (
        type(None),
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        torch.Tensor,
        np.ndarray,
        slice,
        range,
        type(...),
    )
    return type(value) in (*exact, Remote, torch.dtype, torch.device) or isinstance(value, np.generic)


@pytest.mark.parametrize("size", [2**20, 2**24 + 1])
def test_a_huge_head_is_refused_or_read_within_bounds(size: int) -> None:
    head = b'{"id": 1, "ok": ["l"' + b", []" * (size // 4) + b"]}"
    assert play_in_pieces(HEADER.pack(len(head), 0) + head) == "ProtocolError"


def play_in_pieces(data: bytes) -> str:
    """As `play`, for more than a socket holds."""
    ours, theirs = socket.socketpair()

    def send() -> None:
        with theirs, contextlib.suppress(OSError):
            theirs.sendall(data)

    sender = threading.Thread(target=send)
    with ours:
        sender.start()
        link = SocketLink(ours)
        link.deadline = time.monotonic() + PATIENCE_S
        try:
            GraderEndpoint(link).request("call", lambda x: x, [], {})
            outcome = "an answer"
        except EXPECTED as error:
            outcome = type(error).__name__
    sender.join(PATIENCE_S)
    return outcome


def test_keys_made_to_collide_are_refused() -> None:
    period = 2**61 - 1  # of the hash of an integer
    colliding = [["I", hex(period * number)] for number in range(1, 1000)]
    for node in (["S", *colliding], ["F", *colliding], ["d", *([key, 1] for key in colliding)]):
        with pytest.raises(ProtocolError, match="collide"):
            decode(node, b"")
    assert len(decode(["S", *range(-5000, 5000)], b"")) == 10_000


@pytest.mark.parametrize(
    "node",
    [
        ["T", "float32", [0, 2**39, 2**39], None, False, False, None, None],
        ["a", "d", [0, 2**39, 2**39], [2, 1, 0], True, True],
        ["c", 10**400, 1],
        ["r", 0, 10**300, 1],
    ],
    ids=["empty tensor", "empty array", "complex", "range"],
)
def test_numbers_too_large_are_a_protocol_error(node: Any) -> None:
    with pytest.raises(ProtocolError):
        decode(node, b"")
