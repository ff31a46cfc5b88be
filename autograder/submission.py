"""`submission`: the only door from a test to the learner's code.

Whatever a test does with it (call, read an attribute, calculate) happens in the learner's process, and
what comes back is either plain data, built anew on this side, or a `Remote`, which answers no comparison.
The same proxy speaks over a socket to the sandbox (`autograder.session`) or in process to the learner's
own kernel (`local`).
"""

from __future__ import annotations

import copy
import re
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from autograder.errors import LearnerError
from autograder.record import note_call, note_timing
from autograder.sandbox.host import Callback, Host
from autograder.wire.endpoint import Endpoint, Link, LoopbackLink, PeerError, StandIn

__all__ = ["GraderEndpoint", "Remote", "Submission", "local", "observe"]

# The learner's errors a test can catch by their builtin type; anything else arrives as a plain LearnerError.
CATCHABLE: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (
        *(ArithmeticError, AttributeError, ImportError, IndexError, KeyError, LookupError, MemoryError),
        *(NameError, NotImplementedError, OSError, OverflowError, RecursionError, RuntimeError, TypeError),
        *(ValueError, ZeroDivisionError),
    )
}


CALLABLE = {"method", "function", "type", "builtin_function_or_method"}  # types of what is there to be called


KERNEL_CELL = re.compile(r"/ipykernel_\d+/|^<ipython-input")  # the file name that IPython gives to a cell


class GraderEndpoint(Endpoint):
    """The test's end: the learner's code may call the functions a test handed to it, and nothing else."""

    def __init__(self, link: Link, *, let_through: tuple[type[BaseException], ...] = ()) -> None:
        self.callables: dict[
            tuple[str, str], str
        ] = {}  # (type of an object, attribute): type of the attribute
        super().__init__(
            link,
            {"call": _call_back},
            stand_in=Remote,
            may_export=callable,
            let_through=let_through,
        )

    def request(self, operation: str, *arguments: object) -> Any:
        """Asks the learner's side; its exceptions come out as LearnerError of the same builtin type."""
        try:
            return super().request(operation, *arguments)
        except PeerError as error:
            raise learner_error(error) from None


def _call_back(function: Callable[..., object], args: list[object], kwargs: dict[str, object]) -> object:
    return function(*args, **kwargs)


def learner_error(error: PeerError) -> LearnerError:
    """The exception a test sees: a LearnerError that is also the nearest builtin type of CATCHABLE."""
    base = next((CATCHABLE[name] for name in error.bases if name in CATCHABLE), None)
    kind: type[LearnerError] = LearnerError
    if base is not None:
        kind = type(base.__name__, (LearnerError, base), {})
    return kind(error.kind, error.message, error.where)


class Remote(StandIn):
    """An object that lives in the learner's process: call it, read and set attributes, calculate, iterate.

    It refuses to be compared, hashed or used as a condition: only plain values can be judged.
    """

    __slots__ = ()
    _endpoint: GraderEndpoint
    __hash__ = None  # type: ignore[assignment]
    __array_ufunc__ = None  # numpy leaves `array * remote` to __rmul__

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        known = self._endpoint.callables
        if kind := known.get((self._name, name)):
            return Method(self, name, kind)
        value = self._endpoint.request("get", self, name)
        if isinstance(value, Remote) and value._name in CALLABLE:
            known[self._name, name] = value._name
        return value

    def __setattr__(self, name: str, value: object) -> None:
        self._endpoint.request("set", self, name, value)

    def __call__(self, *args: object, **kwargs: object) -> Any:
        result = self._endpoint.request("call", self, list(args), kwargs)
        _note(self, args, kwargs, result)
        return result

    def __iter__(self) -> Iterator[Any]:
        return iter(self._endpoint.request("items", self))

    def __len__(self) -> int:
        length = self._endpoint.request("operator", "len", [self])
        if type(length) is not int:
            raise TypeError(f"len() of {self!r} is not an integer")
        return length

    def __repr__(self) -> str:
        return f"<a {self._name} of the submission>"

    def _refuse(self, *_: object) -> NoReturn:
        raise LearnerError(
            "TypeError",
            f"expected a plain value (number, tensor, array, list), got an object of type {self._name}",
            "",
        )

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __bool__ = __float__ = __int__ = __index__ = __complex__ = _refuse


class Method(Remote):
    """What is known to be a method of its owner's type: to call it is one request, not two.

    It is fetched when something else is done with it.
    """

    __slots__ = ("_attribute", "_fetched", "_owner")

    def __init__(self, owner: Remote, attribute: str, kind: str) -> None:
        for name, value in (("_endpoint", owner._endpoint), ("_name", kind), ("_owner", owner)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_attribute", attribute)
        object.__setattr__(self, "_fetched", None)

    def __del__(self) -> None:
        """Nothing to let go: what was fetched sees to itself."""

    def __call__(self, *args: object, **kwargs: object) -> Any:
        result = self._endpoint.request("invoke", self._owner, self._attribute, list(args), kwargs)
        _note(self, args, kwargs, result)
        return result

    @property
    def _number(self) -> int | str:  # type: ignore[override]
        if self._fetched is None:
            object.__setattr__(self, "_fetched", self._endpoint.request("get", self._owner, self._attribute))
        if not isinstance(self._fetched, StandIn):
            raise LearnerError("TypeError", f"{self._attribute} is not always a method", "")
        return self._fetched._number


def _forward(operation: str, *, reflected: bool = False) -> Callable[..., Any]:
    def method(self: Remote, *operands: object) -> Any:
        order = [*operands, self] if reflected else [self, *operands]
        return self._endpoint.request("operator", operation, order)

    return method


for _name in ("neg", "pos", "abs", "invert", "getitem", "setitem", "delitem", "contains"):
    setattr(Remote, f"__{_name}__", _forward(_name))
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "lshift", "rshift", "xor"):
    setattr(Remote, f"__{_name}__", _forward(_name))
    setattr(Remote, f"__r{_name}__", _forward(_name, reflected=True))
for _name in ("and", "or"):
    setattr(Remote, f"__{_name}__", _forward(f"{_name}_"))
    setattr(Remote, f"__r{_name}__", _forward(f"{_name}_", reflected=True))


class Submission:
    """The names the learner's notebook defines: `submission.softmax(x, dim=-1)`."""

    __slots__ = ("_endpoint",)

    def __init__(self, endpoint: GraderEndpoint) -> None:
        self._endpoint = endpoint

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Remote(self._endpoint, name, name)

    def __repr__(self) -> str:
        return "<the submission>"


def observe(
    function: Callable[..., object], *args: object, **kwargs: object
) -> tuple[Any, list[Any], dict[str, Any]]:
    """Calls the learner's function; gives its result and the arguments as the call left them.

    A plain function may stand in for the learner's: then the arguments are copied here.
    """
    if not isinstance(function, Remote):
        args, kwargs = copy.deepcopy((args, kwargs))
        return function(*args, **kwargs), list(args), kwargs
    result: tuple[Any, list[Any], dict[str, Any]] = function._endpoint.request(
        "observe", function, list(args), kwargs
    )
    _note(function, args, kwargs, result[0])
    return result


def _note(function: Remote, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
    """Keeps a call that gave a value to judge, not the making of an object or a method without result."""
    if result is not None and not isinstance(result, StandIn):
        note_call(function._name, args, kwargs)


def measure(function: Callable[..., object], *args: object, **kwargs: object) -> tuple[Any, float]:
    """Calls the learner's function; gives its result and the CPU seconds the learner's process spent."""
    note_timing()
    clock = (lambda: function._endpoint.request("cpu")) if isinstance(function, Remote) else time.process_time
    before = clock()
    value = function(*args, **kwargs)
    return value, float(clock() - before)


def _locate(error: BaseException) -> str:
    """Where in a cell of this kernel an error arose: `line 2 of your cell: return x / y`."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if KERNEL_CELL.search(f.filename)]
    return f"line {frames[-1].lineno} of your cell: {frames[-1].line}" if frames and frames[-1].line else ""


def local(namespace: dict[str, Any], *, let_through: tuple[type[BaseException], ...] = ()) -> GraderEndpoint:
    """An endpoint whose other end is this very process: the learner's kernel, or a solution under test."""
    host = Host(namespace, capture=False)
    forth, back = LoopbackLink(), LoopbackLink()
    grader = GraderEndpoint(forth, let_through=let_through)
    forth.peer = Endpoint(
        back,
        host.operations,
        stand_in=Callback,
        locate=_locate,
        look_up=host.look_up,
        let_through=let_through,
    )
    back.peer = grader
    return grader
