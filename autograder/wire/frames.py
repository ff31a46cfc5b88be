"""Frames, limits and names both sides agree on: a JSON object beside one block of raw bytes. Never pickle."""

from __future__ import annotations

import json
import struct
from collections import Counter, OrderedDict, defaultdict
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec.json
import torch

__all__ = [
    "HEADER",
    "MAX_BLOB",
    "MAX_HEAD",
    "Message",
    "Node",
    "ProtocolError",
    "TooLargeError",
    "pack",
    "unpack_head",
]

MAX_HEAD = 16 * 2**20  # bytes of JSON in one message
MAX_BLOB = 64 * 2**20  # raw bytes in one message
MAX_NODES = 200_000
MAX_DEPTH = 60
MAX_DIM = 2**40
MAX_NDIM = 64
HEADER = struct.Struct("<II")

Node: TypeAlias = Any  # a JSON value: None, bool, int, float, str, or a tagged list

TORCH_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.float64,
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.int16,
        torch.int8,
        torch.uint8,
        torch.bool,
        torch.complex64,
        torch.complex128,
    )
}
NUMPY_KINDS = frozenset("?bhilqBHILQefdFD")
PLAIN_DICTS = (dict, OrderedDict, defaultdict, Counter)


class ProtocolError(Exception):
    """The other side sent something that is not a valid message."""


class TooLargeError(Exception):
    """A value is too large to cross; the limits are those at the top of this module."""


@dataclass(slots=True)
class Message:
    """One frame: a JSON object and the raw bytes its arrays refer to, in order."""

    head: dict[str, Any]
    blob: bytearray = field(default_factory=bytearray)


def pack(message: Message) -> bytes:
    """The frame as bytes: two little-endian lengths, the JSON, the blob."""
    try:
        head = msgspec.json.encode(message.head)  # a tenth of the time
    except UnicodeEncodeError:  # half a character
        head = json.dumps(message.head, separators=(",", ":"), allow_nan=False).encode()
    if len(head) > MAX_HEAD or len(message.blob) > MAX_BLOB:
        raise TooLargeError(
            f"a message of {(len(head) + len(message.blob)) / 2**20:.0f} MB is too large to send"
        )
    return HEADER.pack(len(head), len(message.blob)) + head + message.blob


def unpack_head(raw: bytes) -> dict[str, Any]:
    """The JSON object of a frame, or ProtocolError."""
    try:
        head = _decode(raw)
    except (RecursionError, ValueError) as error:
        raise ProtocolError(f"not JSON: {type(error).__name__}") from None
    if type(head) is not dict:
        raise ProtocolError("a message must be a JSON object")
    return head


def _decode(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, RecursionError):  # what only Python's own reader takes, or nobody
        return json.loads(raw)
