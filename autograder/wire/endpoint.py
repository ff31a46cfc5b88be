"""One end of a conversation between a test and the learner's code. Both ends are the same class.

An end sends a *request* (an operation and its arguments) and, until the reply comes, serves the requests
of the other end: so a test can hand a function to the learner's code and be called back. Objects without
a plain form stay where they are; the other end holds a `StandIn`.

Autograd crosses, first order: tensors that require gradients arrive as leaves; the results come back
joined to the caller's graph by a function whose backward asks the other end for the gradients.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch

from autograder.wire.decode import Decoder
from autograder.wire.encode import Encoder
from autograder.wire.frames import Message, Node, ProtocolError, TooLargeError

__all__ = ["Endpoint", "Link", "LoopbackLink", "PeerError", "StandIn"]

MAX_NESTING = 40
MAX_OBJECTS = 100_000
MAX_TEXT = 2_000


class PeerError(Exception):
    """The other end's operation raised; `kind` is the exception's name, `bases` its builtin ancestors."""

    def __init__(self, kind: str, bases: tuple[str, ...], message: str, where: str) -> None:
        super().__init__(message)
        self.kind, self.bases, self.message, self.where = kind, bases, message, where


class Link(Protocol):
    """Carries one request to the other end and brings its reply, serving requests that come in between."""

    def exchange(self, message: Message, serve: Callable[[Message], Message]) -> Message: ...


class LoopbackLink:
    """Joins two endpoints of one process: the same conversation without a socket."""

    def __init__(self) -> None:
        self.peer: Endpoint | None = None

    def exchange(self, message: Message, serve: Callable[[Message], Message]) -> Message:
        assert self.peer is not None
        return self.peer.serve(message)


class StandIn:
    """Stands for an object of the other end, known by number or, where the other end allows it, by name.

    The two ends subclass it to say what may be done with it.
    """

    __slots__ = ("__weakref__", "_endpoint", "_name", "_number")
    _endpoint: Endpoint
    _name: str
    _number: int | str

    def __init__(self, endpoint: Endpoint, number: int | str, name: str) -> None:
        object.__setattr__(self, "_endpoint", endpoint)
        object.__setattr__(self, "_number", number)
        object.__setattr__(self, "_name", name)

    def __del__(self) -> None:
        if isinstance(self._number, int):
            self._endpoint.dropped.append(self._number)


class Endpoint:
    """Sends requests, serves those of the other end, and keeps what the other end refers to.

    `operations` is all the other end may ask for; `may_export` decides which objects it may hold handles to;
    `look_up` finds the objects it may refer to by name.
    Exceptions of `let_through` leave `serve` instead of becoming an error reply.
    """

    def __init__(
        self,
        link: Link,
        operations: Mapping[str, Callable[..., object]],
        *,
        stand_in: type[StandIn],
        may_export: Callable[[object], bool] = lambda _: True,
        look_up: Callable[[str], object] | None = None,
        locate: Callable[[BaseException], str] = lambda _: "",
        let_through: tuple[type[BaseException], ...] = (),
    ) -> None:
        self.dropped: list[int] = []  # handles of the other end nobody holds any more
        self.dropped_graphs: list[int] = []
        self.seed: int | None = None  # sent with the next request: the other end seeds its generators first
        self._link = link
        self._operations = {**operations, "backward": self._backward}
        self._stand_in = stand_in
        self._may_export = may_export
        self._look_up = look_up
        self._locate = locate
        self._let_through = let_through
        self._numbers = itertools.count(1)
        self._objects: dict[int, object] = {}
        self._graphs: dict[int, tuple[list[torch.Tensor], list[torch.Tensor]]] = {}
        self._nesting = 0
        self._failed_callback: BaseException | None = None

    def request(self, operation: str, *arguments: object) -> Any:
        """Asks the other end; raises PeerError if its operation raised, ProtocolError if it talks
        nonsense."""
        inputs: list[torch.Tensor] = []

        def place(tensor: torch.Tensor) -> int | None:
            if not (tensor.requires_grad and torch.is_grad_enabled()):
                return None
            inputs.append(tensor)
            return len(inputs) - 1

        encoder = Encoder(self._export, on_tensor=place)
        number = next(self._numbers)
        head = {"op": operation, "id": number, "args": [encoder.encode(a) for a in arguments]}
        if self.dropped or self.dropped_graphs:
            head["drop"], head["drop_graphs"] = self.dropped[:], self.dropped_graphs[:]
            del self.dropped[:], self.dropped_graphs[:]
        self._failed_callback = None
        if self.seed is not None:
            head["seed"], self.seed = self.seed, None
        reply = self._link.exchange(Message(head, encoder.blob), self.serve)
        failed, self._failed_callback = self._failed_callback, None
        if failed is not None:  # a check inside a callback failed, whatever the other end made of it
            raise failed
        if reply.head.get("id") != number:
            raise ProtocolError("a reply to another request")
        return self._result(reply, inputs)

    def serve(self, message: Message) -> Message:
        """Does one operation for the other end; an exception becomes an error reply."""
        head = message.head
        number, operation, arguments = head.get("id"), head.get("op"), head.get("args")
        if type(number) is not int or type(operation) is not str or type(arguments) is not list:
            raise ProtocolError("not a request")
        self._drop(head)
        leaves: list[torch.Tensor] = []
        self._nesting += 1
        try:
            if operation not in self._operations:
                raise ProtocolError(f"no operation {operation[:40]!r}")
            if self._nesting > MAX_NESTING:
                raise RecursionError("calls back and forth are nested too deeply")
            if "seed" in head and "seed" in self._operations:
                self._operations["seed"](head["seed"])
            values = self._decode(arguments, message.blob, _collector(leaves))
            return self._reply(number, self._operations[operation](*values), leaves)
        except self._let_through:
            raise
        except ProtocolError:
            raise
        except BaseException as error:
            if isinstance(error, AssertionError) or not isinstance(error, Exception):
                self._failed_callback = error
            return Message({"id": number, "err": self.describe(error)})
        finally:
            self._nesting -= 1

    def _reply(self, number: int, value: object, leaves: list[torch.Tensor]) -> Message:
        outs: list[torch.Tensor] = []

        def place(tensor: torch.Tensor) -> int | None:
            if tensor.grad_fn is None and not any(tensor is leaf for leaf in leaves):
                return None
            outs.append(tensor)
            return len(outs) - 1

        encoder = Encoder(self._export, on_tensor=place, with_grad=True)
        head: dict[str, Any] = {"id": number, "ok": encoder.encode(value)}
        if outs:
            head["graph"] = next(self._numbers)
            self._graphs[head["graph"]] = (outs, leaves)
        return Message(head, encoder.blob)

    def _result(self, reply: Message, inputs: list[torch.Tensor]) -> Any:
        head = reply.head
        if "err" in head:
            raise _peer_error(head["err"])
        if "ok" not in head:
            raise ProtocolError("neither a value nor an error")
        graph = head.get("graph")
        if graph is not None and type(graph) is not int:
            raise ProtocolError("a graph is a number")
        token = _Graph(self, graph) if graph is not None else None

        def join(place: int, tensor: torch.Tensor) -> torch.Tensor:
            if token is None:
                raise ProtocolError("a place without a graph")
            dummy = torch.zeros(
                (), requires_grad=True
            )  # parameters of the other end may be all that needs grads
            joined: torch.Tensor = _Joined.apply(  # type: ignore[no-untyped-call]
                token, place, [tensor.detach()], dummy, *inputs
            )
            return joined

        return self._decode([head["ok"]], reply.blob, join)[0]

    def _decode(self, nodes: list[Node], blob: bytearray, on_graph: Callable[..., torch.Tensor]) -> list[Any]:
        decoder = Decoder(
            blob, handle=lambda n, name: self._stand_in(self, n, name), own=self._own, on_graph=on_graph
        )
        values = [decoder.decode(node) for node in nodes]
        decoder.finish()
        return values

    def _export(self, value: object) -> Node:
        if isinstance(value, StandIn):
            return ["R", object.__getattribute__(value, "_number")]
        if not self._may_export(value):
            raise TypeError(f"a {type(value).__name__} can't be handed to the learner's code")
        if len(self._objects) >= MAX_OBJECTS:
            raise TooLargeError("too many objects are held by the other side")
        number = next(self._numbers)
        self._objects[number] = value
        return ["H", number, type(value).__name__]

    def _own(self, reference: int | str) -> object:
        if isinstance(reference, str) and self._look_up is not None:
            return self._look_up(reference)
        if not isinstance(reference, int) or reference not in self._objects:
            raise ProtocolError("a reference to nothing")
        return self._objects[reference]

    def _drop(self, head: Mapping[str, Any]) -> None:
        for key, table in (("drop", self._objects), ("drop_graphs", self._graphs)):
            numbers = head.get(key, [])
            if type(numbers) is not list:
                raise ProtocolError("a list of numbers was expected")
            for number in numbers:
                if type(number) is int:
                    table.pop(number, None)

    def _backward(self, graph: int, place: int, grad: torch.Tensor) -> list[torch.Tensor | None]:
        if type(graph) is not int or type(place) is not int or graph not in self._graphs:
            raise ProtocolError("backward of an unknown graph")
        outs, leaves = self._graphs[graph]
        if not 0 <= place < len(outs) or type(grad) is not torch.Tensor:
            raise ProtocolError("backward of an unknown tensor")
        for leaf in leaves:
            leaf.grad = None
        if grad.is_complex():
            torch.autograd.backward([outs[place]], [grad], retain_graph=True)
        else:  # the same from a scalar: with a gradient given torch would import sympy, 0.3 s
            with torch.enable_grad():
                total = (outs[place] * grad).sum()
            total.backward(retain_graph=True)  # type: ignore[no-untyped-call]
        return [leaf.grad for leaf in leaves]

    def describe(self, error: BaseException) -> dict[str, Any]:
        """An exception as plain data."""
        bases = [c.__name__ for c in type(error).__mro__ if c.__module__ == "builtins"]
        try:
            text = str(error)
        except BaseException:
            text = ""
        return {
            "kind": type(error).__name__[:100],
            "bases": bases,
            "message": text[:MAX_TEXT],
            "where": self._locate(error)[:MAX_TEXT],
        }


class _Graph:
    """Lives as long as a tensor of the other end's graph; then the other end may forget it."""

    def __init__(self, endpoint: Endpoint, number: int) -> None:
        self.endpoint, self.number = endpoint, number

    def __del__(self) -> None:
        self.endpoint.dropped_graphs.append(self.number)


class _Joined(torch.autograd.Function):
    """The other end's computation as one node of this end's graph."""

    @staticmethod
    def forward(
        ctx: Any, graph: _Graph, place: int, out: list[torch.Tensor], *inputs: torch.Tensor
    ) -> torch.Tensor:
        ctx.graph, ctx.place = graph, place
        ctx.looks = [(t.shape, t.dtype) for t in inputs[1:]]  # the first is the dummy
        return out[0].view_as(out[0])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        grads = ctx.graph.endpoint.request("backward", ctx.graph.number, ctx.place, grad.detach())
        if type(grads) is not list or len(grads) != len(ctx.looks):
            raise ProtocolError("backward must give one gradient per input")
        for got, (shape, dtype) in zip(grads, ctx.looks, strict=True):
            if got is not None and (
                type(got) is not torch.Tensor or got.shape != shape or got.dtype != dtype
            ):
                raise ProtocolError("a gradient must look like its input")
        return (None, None, None, None, *grads)


def _collector(leaves: list[torch.Tensor]) -> Callable[[int, torch.Tensor], torch.Tensor]:
    def collect(place: int, tensor: torch.Tensor) -> torch.Tensor:
        if place != len(leaves) or not tensor.requires_grad:
            raise ProtocolError("a wrong place in the graph")
        leaves.append(tensor)
        return tensor

    return collect


def _peer_error(node: Node) -> PeerError:
    if type(node) is not dict:
        raise ProtocolError("an error must be an object")
    kind, bases, message, where = (node.get(k) for k in ("kind", "bases", "message", "where"))
    if type(kind) is not str or type(message) is not str or type(where) is not str or type(bases) is not list:
        raise ProtocolError("an error with a wrong field")
    return PeerError(
        kind[:100], tuple(b for b in bases if type(b) is str)[:20], message[:MAX_TEXT], where[:MAX_TEXT]
    )
