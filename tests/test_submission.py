"""The door to learner code, the same in process and over a socket to a process of its own."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from autograder.box import Box
from autograder.errors import Crashed, LearnerError, TimeLimit
from autograder.sandbox.jail.detect import detect
from autograder.session import Session
from autograder.submission import GraderEndpoint, Submission, local
from autograder.testing import MismatchError, close, cpu_seconds, gradients, pure

pytestmark = pytest.mark.filterwarnings("ignore:careful")  # what the learner's `noisy` says

CODE = """
import collections, os, sys, torch, warnings
import torch.nn as nn

def softmax(x, dim=-1):
    e = (x - x.max(dim, keepdim=True).values).exp()
    return e / e.sum(dim, keepdim=True)

def two(x, scale=2.0):
    return x * scale, {"twice": x.sum() * 2, "n": 3}

def spoil(x):
    x.zero_()
    return x

def apply(f, x, times=1):
    for _ in range(times):
        x = f(x)
    return x

def descend(f, x, steps=50):
    x = x.clone().requires_grad_()
    for _ in range(steps):
        (g,) = torch.autograd.grad(f(x), x)
        x = (x - 0.1 * g).detach().requires_grad_()
    return x.detach()

def noisy(x):
    print("hello"); warnings.warn("careful"); print("oops", file=sys.stderr)
    return x

def fail(kind):
    raise {"value": ValueError("bad"), "exit": SystemExit(0), "index": IndexError}[kind]

def swallow(f):
    try:
        f()
    except BaseException:
        pass
    return 1.0

def forever():
    while True:
        pass

def leave():
    os._exit(0)

class Equal:
    def __eq__(self, other): return True
    def __bool__(self): return True
    __hash__ = None

class Net(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.lin = nn.Linear(d, d, bias=False)
    def forward(self, x):
        return self.lin(x)

class Value:
    def __init__(self, data): self.data, self.grad = data, 0.0
    def __add__(self, other): return Value(self.data + (other.data if isinstance(other, Value) else other))
    __radd__ = __add__
    def __mul__(self, other): return Value(self.data * (other.data if isinstance(other, Value) else other))
    __rmul__ = __mul__
    def __getitem__(self, i): return self.data * i
    def __len__(self): return 7
    def __iter__(self): return iter([1, 2, Value(3.0)])

Pair = collections.namedtuple("Pair", "a b")
def pair(): return Pair(1, 2.5)
def shape_of(x):
    strides = x.stride() if hasattr(x, "stride") else x.strides
    return x.shape, strides, not hasattr(x, "flags") or x.flags.writeable
"""


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    box = Box(level=detect().name)
    box.wait()
    yield box
    box.close()


@pytest.fixture(params=["in process", "in its own process"])
def submission(request: pytest.FixtureRequest) -> Iterator[Submission]:
    if request.param == "in process":
        namespace: dict[str, object] = {}
        exec(CODE, namespace)
        yield Submission(local(namespace))
    else:
        session = Session(request.getfixturevalue("box"), [("cell 1", CODE)], seed=1, folder=None)
        yield session.submission(20)
        session.close()


def test_values_cross(submission: Submission) -> None:
    x = torch.randn(3, 4)
    close(submission.softmax(x), torch.softmax(x, -1))
    close(submission.softmax(x.t(), dim=0), torch.softmax(x.t(), 0))
    twice, rest = submission.two(np.arange(3.0), scale=4.0)
    close(twice, np.array([0.0, 4.0, 8.0]))
    assert rest == {"twice": 6.0, "n": 3}
    assert submission.pair() == (1, 2.5)
    for dtype in (torch.bfloat16, torch.bool, torch.int64, torch.complex64):
        close(submission.noisy(torch.ones(2, 3).to(dtype)), torch.ones(2, 3).to(dtype))
    assert (
        submission.noisy([1, (2, None), {"a": {3}}, 2**100, b"x", ..., slice(1, 2), float("inf")])[3]
        == 2**100
    )


def test_layout_crosses(submission: Submission) -> None:
    x = torch.zeros(3, 4)
    for view in (x, x.t(), x[:, ::2], x[1:2], torch.zeros(2, 3, 4).permute(2, 0, 1)):
        shape, stride, _ = submission.shape_of(view)
        assert shape == tuple(view.shape)
        there = torch.empty_strided(shape, stride)
        assert there.is_contiguous() == view.is_contiguous()
    frozen = np.zeros((2, 3))
    frozen.flags.writeable = False
    assert submission.shape_of(frozen)[2] is False


def test_arguments_are_copies_and_pure_sees_changes(submission: Submission) -> None:
    x = torch.ones(3)
    submission.spoil(x)
    assert x.tolist() == [1, 1, 1]
    with pytest.raises(MismatchError, match="argument 1 was changed"):
        pure(submission.spoil, x)
    close(pure(submission.softmax, x, dim=0), torch.full((3,), 1 / 3))


def test_gradients_cross(submission: Submission) -> None:
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    w = torch.randn(3, 4, dtype=torch.float64)
    (got,) = torch.autograd.grad((submission.softmax(x) * w).sum(), x)
    (want,) = torch.autograd.grad((torch.softmax(x, -1) * w).sum(), x)
    close(got, want)
    assert torch.autograd.gradcheck(submission.softmax, (x,))
    a, b = submission.two(x)
    (a.sum() + b["twice"]).backward()
    close(x.grad, torch.full_like(x, 4.0))


def test_callbacks_and_gradients_through_them(submission: Submission) -> None:
    calls = []

    def add_one(v: int) -> int:
        calls.append(v)
        return v + 1

    assert submission.apply(add_one, 0, times=3) == 3
    assert calls == [0, 1, 2]
    close(
        submission.descend(lambda x: ((x - 3) ** 2).sum(), torch.zeros(2)), torch.full((2,), 3.0), atol=1e-3
    )


def test_failed_check_in_a_callback_cannot_be_swallowed(submission: Submission) -> None:
    def check() -> None:
        raise AssertionError("seen")

    with pytest.raises(AssertionError, match="seen"):
        submission.swallow(check)


def test_modules(submission: Submission) -> None:
    net = submission.Net(3)
    state = net.state_dict()
    assert list(state) == ["lin.weight"]
    x = torch.randn(2, 3)
    close(net(x), x @ state["lin.weight"].T)
    net.load_state_dict({"lin.weight": torch.eye(3)})
    close(net(x), x)
    assert net.lin.weight.requires_grad
    assert net.lin.weight.grad is None
    net(x).sum().backward()
    close(net.lin.weight.grad, x.sum(0).expand(3, 3))
    assert len(list(net.parameters())) == 1


def test_operators_and_refusals(submission: Submission) -> None:
    v = submission.Value(2.0)
    assert (v + 1).data == 3.0
    assert (1 + v * v).data == 5.0
    assert (3.0 * v).data == 6.0
    assert v[3] == 6.0
    assert len(v) == 7
    first, second, third = v
    assert (first, second, third.data) == (1, 2, 3.0)
    v.grad = 5.0
    assert v.grad == 5.0
    equal = submission.Equal()
    for judge in (lambda: equal == 1, lambda: bool(equal), lambda: equal < 1, lambda: float(equal)):
        with pytest.raises(LearnerError, match="expected a plain value"):
            judge()
    with pytest.raises(TypeError):
        hash(equal)
    with pytest.raises(MismatchError, match="expected the result to be a torch tensor"):
        close(equal, torch.ones(2))


def test_errors_arrive_as_their_builtin_type(submission: Submission) -> None:
    with pytest.raises(ValueError, match="bad") as caught:
        submission.fail("value")
    assert isinstance(caught.value, LearnerError)
    with pytest.raises(LookupError):
        submission.fail("index")
    with pytest.raises(LearnerError) as undefined:
        submission.no_such_name()
    assert undefined.value.kind == "NotDefined"
    with pytest.raises(IndexError):
        submission.softmax(torch.ones(2), dim=7).sum()


def test_a_process_that_exits_or_hangs_is_one_failed_call(box: Box) -> None:
    session = Session(box, [("cell 1", CODE)], seed=1, folder=None)
    submission = session.submission(0.5)
    with pytest.raises(TimeLimit):
        submission.forever()
    assert session.used > 0.4
    submission = session.submission(5)
    with pytest.raises(LearnerError) as caught:
        submission.fail("exit")
    assert caught.value.kind == "SystemExit"
    with pytest.raises(Crashed, match="exit code 0"):
        submission.leave()
    assert session.submission(5).noisy(1) == 1
    assert session.starts == 3
    session.close()


def test_a_busy_machine_takes_no_time_from_anybody(box: Box) -> None:
    """A process that is kept from running for longer than its limit still has all of it."""
    session = Session(box, [("cell 1", CODE)], seed=1, folder=None)
    submission = session.submission(1.0)
    submission.noisy(0)
    assert session._endpoint is not None
    pid = session._endpoint.meter._pid
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(2.0, os.kill, (pid, signal.SIGCONT)).start()
    assert submission.noisy(1) == 1
    assert session.starts == 1
    session.close()


def test_a_slow_start_costs_the_next_test_nothing(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(box, [("cell 1", CODE)], seed=1, folder=None)
    with pytest.raises(Crashed):
        session.submission(1.0).leave()
    spawn = box.spawn
    monkeypatch.setattr(box, "spawn", lambda options: (time.sleep(1.0), spawn(options))[1])
    assert session.submission(0.15).noisy(1) == 1
    session.close()


def test_sleeping_uses_up_a_limit_as_well(box: Box) -> None:
    session = Session(box, [("cell 1", "import time\ndef f(): time.sleep(100)")], seed=1, folder=None)
    submission = session.submission(0.3)
    with pytest.raises(TimeLimit):
        submission.f()
    assert session.used > 0.2
    session.close()


def test_cells_that_fail_do_not_stop_the_others(box: Box) -> None:
    cells = [
        ("cell 1", "a = 1"),
        ("cell 2", "b = ("),
        ("cell 3", "c = 1 / 0"),
        ("cell 4", "import os; os._exit(3)"),
    ]
    session = Session(box, [*cells, ("cell 5", "def f(): return a")], seed=1, folder=None)
    assert session.submission(5).f() == 1
    assert "SyntaxError" in session.errors["cell 2"]
    assert "line 1: c = 1 / 0" in session.errors["cell 3"]
    assert "exit code 3" in session.errors["cell 4"]
    session.close()


def test_cpu_seconds_are_the_learners(submission: Submission) -> None:
    value, seconds = cpu_seconds(submission.apply, lambda x: x, 1, times=1)
    assert value == 1
    assert 0 <= seconds < 5
    close(F.relu(torch.ones(1)), torch.ones(1))


def requests_of(endpoint: GraderEndpoint, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations asked for from now on."""
    asked: list[str] = []
    whole = endpoint.request

    def request(operation: str, *arguments: object) -> Any:
        asked.append(operation)
        return whole(operation, *arguments)

    monkeypatch.setattr(endpoint, "request", request)
    return asked


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def add(self, n: int = 1) -> int:
        self.count += n
        return self.count

    def apply(self, f: Callable[[int], int]) -> int:
        return f(self.count)


def test_a_known_method_is_called_in_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = local({"Counter": Counter})
    submission = Submission(endpoint)
    assert submission.Counter().add() == 1  # seen once: now it is known to be a method
    one, two = submission.Counter(), submission.Counter()
    asked = requests_of(endpoint, monkeypatch)
    assert one.add(n=3) == 3
    assert asked == ["invoke"]
    assert two.add() == 1
    assert one.count == 3, "data is never taken for a method"
    assert two.apply(one.add) == 4, "a method can be handed over, too"
    with pytest.raises(TypeError):
        one.add("text")
    with pytest.raises(LearnerError, match="plain value"):
        bool(one.add)


def test_what_is_a_method_of_one_object_and_data_of_another_is_said() -> None:
    submission = Submission(local({"Counter": Counter}))
    one, two = submission.Counter(), submission.Counter()
    assert one.add() == 1
    two.add = 5
    with pytest.raises(TypeError):  # not callable, as in Python
        two.add()
    with pytest.raises(LearnerError, match="not always a method"):
        one.apply(two.add)


def test_gradients_are_those_of_autograd_and_what_does_not_arrive_is_zero() -> None:
    x, unused = torch.randn(3, 2, requires_grad=True), torch.randn(4, requires_grad=True)
    upstream = torch.randn(3, 2)
    got = gradients(x.exp(), (x, unused), upstream)
    close(got[0], torch.autograd.grad(x.exp(), x, upstream)[0])
    close(got[1], torch.zeros(4))
    with pytest.raises(MismatchError, match=r"expected a result of shape \(2,\), got \(3, 2\)"):
        gradients(x.exp(), (x,), torch.ones(2))
    with pytest.raises(RuntimeError, match="does not require grad"):
        gradients(x.detach(), (x,), upstream)
