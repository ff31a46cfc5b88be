"""Values to plain data.

The sender turns a value into a *node*: numbers, strings, booleans and None stand for themselves,
everything else is a list that starts with a tag (`["t", ...]` a tuple, `["T", ...]` a tensor whose bytes
lie in the blob). What has no plain form becomes a *handle*: a number by which the receiver can refer to
it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch

from autograder.wire.frames import (
    MAX_BLOB,
    MAX_DEPTH,
    MAX_NODES,
    NUMPY_KINDS,
    PLAIN_DICTS,
    TORCH_DTYPES,
    Node,
    TooLargeError,
)

__all__ = ["Encoder"]

SAFE = 2**53  # integers below it are the same in any reader of JSON
DTYPE_NAMES = {dtype: name for name, dtype in TORCH_DTYPES.items()}


class Encoder:
    """Turns values into nodes and collects their bytes in `blob`.

    `export` gives a node to a value without plain form. `on_tensor` is asked for the place of a tensor in the
    autograd graph of this message (an index, or None). `with_grad` sends the `.grad` of leaves along.
    """

    def __init__(
        self,
        export: Callable[[object], Node],
        *,
        on_tensor: Callable[[torch.Tensor], int | None] = lambda _: None,
        with_grad: bool = False,
    ) -> None:
        self.blob = bytearray()
        self._export = export
        self._on_tensor = on_tensor
        self._with_grad = with_grad
        self._nodes = 0

    def encode(self, value: object, depth: int = 0) -> Node:
        """The node of `value`; raises TooLargeError beyond the limits."""
        self._tally(1)
        if depth > MAX_DEPTH:
            raise TooLargeError("a value nested this deeply is too large to send")
        kind = type(value)
        if value is None or kind is bool or kind is str:
            return value
        encode = self._by_type.get(kind)
        if encode is not None:
            return encode(self, value, depth)
        if isinstance(value, np.generic) and value.dtype.char in NUMPY_KINDS:
            return self._numpy_scalar(value)
        if isinstance(value, tuple):  # named tuples and torch's return types too: the container is free
            return self._sequence("t", value, depth)
        return self._export(value)

    def _tally(self, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise TooLargeError("a value with this many parts is too large to send")

    def _int(self, value: int, _depth: int) -> Node:
        if -SAFE < value < SAFE:
            return value
        if value.bit_length() > 10_000:
            raise TooLargeError("an integer with this many digits is too large to send")
        return ["I", hex(value)]

    def _float(self, value: float, _depth: int) -> Node:
        return value if math.isfinite(value) else ["f", repr(value)]

    def _sequence(self, tag: str, values: Any, depth: int) -> Node:
        if _stand_for_themselves(values):
            self._tally(len(values))
            return [tag, *values]
        return [tag, *(self.encode(v, depth + 1) for v in values)]

    def _dict(self, value: dict[Any, Any], depth: int) -> Node:
        return ["d", *([self.encode(k, depth + 1), self.encode(v, depth + 1)] for k, v in value.items())]

    def _bytes(self, value: bytes | bytearray, _depth: int) -> Node:
        self._append(value)
        return ["b", len(value)]

    def _slice(self, value: slice, depth: int) -> Node:
        return ["sl", *(self.encode(v, depth + 1) for v in (value.start, value.stop, value.step))]

    def _numpy_scalar(self, value: np.generic) -> Node:
        self._append(value.tobytes())
        return ["s", value.dtype.char]

    def _array(self, value: np.ndarray[Any, Any], depth: int) -> Node:
        if value.dtype.char not in NUMPY_KINDS:
            return self._export(value)
        order, gap = None, False
        if not value.flags.c_contiguous:
            order, gap = _layout(value.shape, value.strides, value.itemsize)
        self._append(value.tobytes())
        return ["a", value.dtype.char, list(value.shape), order, gap, bool(value.flags.writeable)]

    def _tensor(self, value: torch.Tensor, depth: int) -> Node:
        name = DTYPE_NAMES.get(value.dtype)
        if name is None or value.layout is not torch.strided or not value.is_cpu:
            return self._export(value)
        if value.nbytes > MAX_BLOB:
            raise TooLargeError(f"a tensor of {value.numel()} elements is too large to send")
        order, gap = None, False
        if not value.is_contiguous():
            order, gap = _layout(tuple(value.shape), value.stride(), 1)
        plain = value.detach() if value.requires_grad else value
        if name == "bfloat16":  # numpy has none
            plain = plain.view(torch.int16)
        elif plain.is_neg() or plain.is_conj():
            plain = plain.resolve_conj().resolve_neg()
        self._append(plain.numpy().tobytes())
        place = self._on_tensor(value)
        grad = None
        if self._with_grad and place is None and value.is_leaf and type(value.grad) is torch.Tensor:
            grad = self._tensor(value.grad, depth)
        return ["T", name, list(value.shape), order, gap, bool(value.requires_grad), place, grad]

    def _append(self, data: bytes | bytearray) -> None:
        if len(self.blob) + len(data) > MAX_BLOB:
            raise TooLargeError(f"a value of over {MAX_BLOB // 2**20} MB is too large to send")
        self.blob += data

    _by_type: ClassVar[dict[type, Callable[[Encoder, Any, int], Node]]] = {
        int: _int,
        float: _float,
        complex: lambda self, v, _d: ["c", self._float(v.real, 0), self._float(v.imag, 0)],
        list: lambda self, v, d: self._sequence("l", v, d),
        tuple: lambda self, v, d: self._sequence("t", v, d),
        torch.Size: lambda self, v, d: self._sequence("t", v, d),
        set: lambda self, v, d: self._sequence("S", v, d),
        frozenset: lambda self, v, d: self._sequence("F", v, d),
        bytes: _bytes,
        bytearray: _bytes,
        slice: _slice,
        range: lambda self, v, d: ["r", v.start, v.stop, v.step],
        type(Ellipsis): lambda self, v, d: ["e"],
        torch.dtype: lambda self, v, d: ["D", str(v).removeprefix("torch.")],
        torch.device: lambda self, v, d: ["V"],
        np.ndarray: _array,
        torch.Tensor: _tensor,
        torch.nn.Parameter: _tensor,
        **dict.fromkeys(PLAIN_DICTS, _dict),
    }


def _stand_for_themselves(values: Any) -> bool:
    """Whether all parts are floats, or all small integers, that JSON can hold: found at the speed of C.

    False says only that each must be looked at.
    """
    kinds = set(map(type, values))
    if kinds == {float}:
        return math.isfinite(sum(values))
    return kinds == {int} and min(values) > -SAFE and max(values) < SAFE


def _layout(shape: tuple[int, ...], strides: tuple[int, ...], unit: int) -> tuple[list[int] | None, bool]:
    """(order of the axes in memory, outermost first, or None for C order; whether there are gaps)."""
    dense = [unit * math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    if 0 in shape or all(s == d for n, s, d in zip(shape, strides, dense, strict=True) if n > 1):
        return None, False
    order = sorted(range(len(shape)), key=lambda axis: -abs(strides[axis]))
    step, gap = unit, False
    for axis in reversed(order):
        if shape[axis] > 1:
            gap = gap or strides[axis] != step
            step *= shape[axis]
    return order, gap
