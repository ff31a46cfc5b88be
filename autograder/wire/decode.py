"""Plain data to values, trusting nothing.

Every field is checked, sizes are computed from dtype and shape and compared with the bytes that came, arrays
are always built here: a subclass, a lazy or a shared tensor cannot arrive. Every defect is a ProtocolError.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch

from autograder.wire.frames import (
    MAX_DEPTH,
    MAX_DIM,
    MAX_NDIM,
    MAX_NODES,
    NUMPY_KINDS,
    TORCH_DTYPES,
    Node,
    ProtocolError,
)

__all__ = ["Decoder"]

PLAIN = frozenset((type(None), bool, int, float, str))  # nodes that stand for themselves
MAX_COLLISIONS = 100  # of the hashes of a set's or dict's keys: many would take quadratic time to insert
MAX_RANGE = 10**7
NONE = type(None)
INTEGERS = {int}
# What the parts of a node may be: dtype, shape, order of the axes, gaps, ...
ARRAY_FORMS = {(str, list, order, bool, bool) for order in (list, NONE)}
TENSOR_FORMS = {
    (str, list, order, bool, bool, place, grad)
    for order in (list, NONE)
    for place in (int, NONE)
    for grad in (list, NONE)
}

T = TypeVar("T")


class Decoder:
    """Turns the nodes of one message back into values; every defect is a ProtocolError.

    `handle` builds the stand-in for an object of the sender, `own` finds the receiver's object a reference
    means. `on_graph` gets each tensor that has a place in the message's autograd graph, and what it returns
    takes the tensor's place.
    """

    def __init__(
        self,
        blob: bytearray,
        *,
        handle: Callable[[int, str], object],
        own: Callable[[int | str], object],
        on_graph: Callable[[int, torch.Tensor], torch.Tensor],
    ) -> None:
        self._blob = memoryview(blob)
        self._at = 0
        self._handle = handle
        self._own = own
        self._on_graph = on_graph
        self._nodes = 0

    def decode(self, node: Node, depth: int = 0) -> Any:
        """The value of `node`."""
        self._tally(1)
        if depth > MAX_DEPTH:
            raise ProtocolError("nested too deeply")
        kind = type(node)
        if node is None or kind in (bool, int, float, str):
            return node
        if kind is not list or not node or type(node[0]) is not str:
            raise ProtocolError("a node must be plain or a tagged list")
        decode = self._by_tag.get(node[0])
        if decode is None:
            raise ProtocolError("unknown tag")
        return decode(self, node[1:], depth + 1)

    def finish(self) -> None:
        """Raises if bytes are left over."""
        if self._at != len(self._blob):
            raise ProtocolError("bytes are left over")

    def _tally(self, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise ProtocolError("too many parts")

    def _take(self, count: int) -> memoryview:
        if count < 0 or self._at + count > len(self._blob):
            raise ProtocolError("not enough bytes")
        self._at += count
        return self._blob[self._at - count : self._at]

    def _values(self, parts: list[Node], depth: int) -> list[Any]:
        if PLAIN.issuperset(map(type, parts)):
            self._tally(len(parts))
            return parts
        return [self.decode(p, depth) for p in parts]

    def _hashable(self, parts: list[Node], depth: int) -> list[Any]:
        values = self._values(parts, depth)
        try:
            hashes = {hash(value) for value in values}
        except TypeError:
            raise ProtocolError("an unhashable key") from None
        if len(values) - len(hashes) > MAX_COLLISIONS:
            raise ProtocolError("keys made to collide")
        return values

    def _dict(self, parts: list[Node], depth: int) -> dict[Any, Any]:
        if not all(type(pair) is list and len(pair) == 2 for pair in parts):
            raise ProtocolError("a dict needs pairs")
        keys = self._hashable([pair[0] for pair in parts], depth)
        return dict(zip(keys, self._values([pair[1] for pair in parts], depth), strict=True))

    def _int(self, parts: list[Node], _depth: int) -> int:
        (text,) = _fields(parts, [(str,)])
        if len(text) > 3000:
            raise ProtocolError("an integer too long")
        try:
            return int(text, 16)
        except ValueError:
            raise ProtocolError("not an integer") from None

    def _float(self, parts: list[Node], _depth: int) -> float:
        (text,) = _fields(parts, [(str,)])
        if text not in ("nan", "inf", "-inf"):
            raise ProtocolError("not a float")
        return float(text)

    def _complex(self, parts: list[Node], depth: int) -> complex:
        values = self._values(parts, depth)
        if len(values) != 2 or not all(type(v) in (int, float) for v in values):
            raise ProtocolError("not a complex number")
        try:
            return complex(*values)
        except OverflowError:
            raise ProtocolError("not a complex number") from None

    def _bytes(self, parts: list[Node], _depth: int) -> bytes:
        (count,) = _fields(parts, [(int,)])
        return bytes(self._take(count))

    def _range(self, parts: list[Node], _depth: int) -> range:
        start, stop, step = _fields(parts, [(int, int, int)])
        if step == 0 or abs(stop - start) // abs(step) > MAX_RANGE:
            raise ProtocolError("a range with step 0 or without end")
        return range(start, stop, step)

    def _slice(self, parts: list[Node], depth: int) -> slice:
        if len(parts) != 3:
            raise ProtocolError("a slice has three parts")
        return slice(*self._values(parts, depth))

    def _dtype(self, parts: list[Node], _depth: int) -> torch.dtype:
        (name,) = _fields(parts, [(str,)])
        return _known(TORCH_DTYPES, name)

    def _numpy_scalar(self, parts: list[Node], _depth: int) -> Any:
        (char,) = _fields(parts, [(str,)])
        dtype = _numpy_dtype(char)
        return np.frombuffer(bytes(self._take(dtype.itemsize)), dtype)[0]

    def _array(self, parts: list[Node], _depth: int) -> np.ndarray[Any, Any]:
        char, shape, order, gap, writeable = _fields(parts, ARRAY_FORMS)
        dtype = _numpy_dtype(char)
        data = self._take(_count(shape) * dtype.itemsize)
        plain = np.frombuffer(bytearray(data), dtype if dtype.char != "?" else np.uint8).reshape(shape)
        plain = np.asarray(plain != 0) if dtype.char == "?" else plain
        array = plain
        if order is not None:
            axes = _permutation(order, len(shape))
            memory = np.zeros(
                [shape[a] * (2 if gap and i == len(axes) - 1 else 1) for i, a in enumerate(axes)], dtype
            )
            array = (memory[..., ::2] if gap else memory).transpose(np.argsort(axes))
            array[...] = plain
        array.flags.writeable = writeable
        return array

    def _tensor(self, parts: list[Node], depth: int) -> torch.Tensor:
        name, shape, order, gap, requires_grad, place, grad = _fields(parts, TENSOR_FORMS)
        dtype = _known(TORCH_DTYPES, name)
        tensor = _build_tensor(self._take(_count(shape) * dtype.itemsize), dtype, shape)
        if order is not None:
            axes = _permutation(order, len(shape))
            sizes = [shape[a] * (2 if gap and i == len(axes) - 1 else 1) for i, a in enumerate(axes)]
            memory = torch.zeros(sizes, dtype=dtype)
            inverse = [axes.index(a) for a in range(len(axes))]
            tensor = (memory[..., ::2] if gap else memory).permute(inverse).copy_(tensor)
        if requires_grad:
            if not (dtype.is_floating_point or dtype.is_complex):
                raise ProtocolError("integers have no gradient")
            tensor.requires_grad_()
        if grad is not None:
            self._attach_grad(tensor, self.decode(grad, depth))
        return tensor if place is None else self._on_graph(place, tensor)

    def _attach_grad(self, tensor: torch.Tensor, grad: object) -> None:
        if type(grad) is not torch.Tensor or grad.shape != tensor.shape or grad.dtype != tensor.dtype:
            raise ProtocolError("a gradient must look like its tensor")
        tensor.grad = grad.detach()

    def _handled(self, parts: list[Node], _depth: int) -> object:
        number, name = _fields(parts, [(int, str)])
        return self._handle(number, name[:100])

    def _owned(self, parts: list[Node], _depth: int) -> object:
        (reference,) = _fields(parts, [(int,), (str,)])
        return self._own(reference)

    _by_tag: ClassVar[dict[str, Callable[[Decoder, list[Node], int], Any]]] = {
        "I": _int,
        "f": _float,
        "c": _complex,
        "l": _values,
        "t": lambda self, p, d: tuple(self._values(p, d)),
        "S": lambda self, p, d: set(self._hashable(p, d)),
        "F": lambda self, p, d: frozenset(self._hashable(p, d)),
        "d": _dict,
        "b": _bytes,
        "r": _range,
        "sl": _slice,
        "e": lambda self, p, d: ...,
        "D": _dtype,
        "V": lambda self, p, d: torch.device("cpu"),
        "s": _numpy_scalar,
        "a": _array,
        "T": _tensor,
        "H": _handled,
        "R": _owned,
    }


def _fields(parts: list[Node], forms: Collection[tuple[type, ...]]) -> list[Any]:
    """The parts, if their types are exactly those of one of the forms."""
    if tuple(map(type, parts)) not in forms:
        raise ProtocolError("a node with a wrong number of parts, or with a part of the wrong type")
    return parts


def _known(table: Mapping[str, T], name: str) -> T:
    if name not in table:
        raise ProtocolError("unknown dtype")
    return table[name]


def _numpy_dtype(char: str) -> np.dtype[Any]:
    if len(char) != 1 or char not in NUMPY_KINDS:
        raise ProtocolError("unknown dtype")
    return np.dtype(char)


def _count(shape: list[Node]) -> int:
    if not shape:
        return 1
    if (
        len(shape) > MAX_NDIM
        or set(map(type, shape)) != INTEGERS
        or not 0 <= min(shape) <= max(shape) < MAX_DIM
    ):
        raise ProtocolError("a wrong shape")
    count = math.prod(shape)
    if (count or math.prod(n or 1 for n in shape)) >= MAX_DIM:  # also of what is empty: the strides overflow
        raise ProtocolError("a wrong shape")
    return count


def _permutation(order: list[Node], ndim: int) -> list[int]:
    if not all(type(axis) is int for axis in order) or sorted(order) != list(range(ndim)):
        raise ProtocolError("a wrong order of axes")
    return order


def _build_tensor(data: memoryview, dtype: torch.dtype, shape: list[int]) -> torch.Tensor:
    if not len(data):
        return torch.empty(shape, dtype=dtype)
    if dtype is torch.bool:  # any other byte would be an invalid bool
        return (torch.frombuffer(bytearray(data), dtype=torch.uint8) != 0).reshape(shape)
    flat = torch.frombuffer(bytearray(data), dtype=dtype)
    return flat if len(shape) == 1 else flat.reshape(shape)
