"""Hidden tests of the backprop notebook: the same promises on other expressions, shapes, seeds and edges."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from autograder.testing import close, cpu_seconds, exercise, gradients, pure, rule

F64 = torch.float64

# What may be done with one or two nodes of either kind, and for which values it is well behaved.
STEPS: list[tuple[Callable[..., Any], Callable[[float, float], bool]]] = [
    (lambda a, b: a + b, lambda a, b: True),
    (lambda a, b: a - b, lambda a, b: True),
    (lambda a, b: a * b, lambda a, b: True),
    (lambda a, b: a / b, lambda a, b: abs(b) > 0.3),
    (lambda a, b: -a, lambda a, b: True),
    (lambda a, b: a + 2, lambda a, b: True),
    (lambda a, b: 1.5 - a, lambda a, b: True),
    (lambda a, b: 0.5 * a, lambda a, b: True),
    (lambda a, b: 3 / a, lambda a, b: abs(a) > 0.3),
    (lambda a, b: a**2, lambda a, b: True),
    (lambda a, b: a**-1, lambda a, b: abs(a) > 0.3),
    (lambda a, b: a**1.5, lambda a, b: a > 0.3),
    (lambda a, b: a.exp(), lambda a, b: a < 2),
    (lambda a, b: a.log(), lambda a, b: a > 0.3),
    (lambda a, b: a.relu(), lambda a, b: abs(a) > 1e-3),
    (lambda a, b: a.tanh(), lambda a, b: True),
]
LARGEST = 20.0


def random_expression(submission, rng, leaves: int, size: int) -> tuple[list[Any], list[torch.Tensor]]:
    """The same random expression in Values and in torch: all nodes, the leaves first, the root last."""
    start = rng.normal(leaves, dtype=F64).tolist()
    theirs = [submission.Value(x) for x in start]
    ours = [torch.tensor(x, dtype=F64, requires_grad=True) for x in start]
    while len(ours) < leaves + size:
        step, allowed = STEPS[rng.integer(0, len(STEPS))]
        i, j = rng.integer(0, len(ours)), rng.integer(max(0, len(ours) - 3), len(ours))
        node = step(ours[i], ours[j])
        if not allowed(ours[i].item(), ours[j].item()) or abs(node.item()) > LARGEST:
            step = STEPS[-1][0]
            node = step(ours[i], ours[j])
        node.retain_grad()
        theirs.append(step(theirs[i], theirs[j]))
        ours.append(node)
    root = ours[-1] * ours[-2] + ours[-3]
    root.retain_grad()
    return [*theirs, theirs[-1] * theirs[-2] + theirs[-3]], [*ours, root]


def wanted(nodes: list[torch.Tensor]) -> list[float]:
    return [0.0 if node.grad is None else node.grad.item() for node in nodes]


@exercise("Value")
class TestValue:
    @pytest.mark.parametrize("size", [4, 8, 16])
    @rule("R2", "R3", "R6")
    def test_random_expressions(self, submission, rng, size):
        """Twenty random expressions give the numbers and the gradients that PyTorch gives."""
        for _ in range(20):
            theirs, ours = random_expression(submission, rng, 3, size)
            theirs[-1].backward()
            ours[-1].backward()
            close(theirs[-1].data, ours[-1].item(), what="the data of a random expression")
            got = [theirs[i].grad for i in (0, 1, 2, -2)]
            close(got, wanted([ours[i] for i in (0, 1, 2, -2)]), what="the gradients of a random expression")

    @rule("R6", "R8")
    def test_inner_values_of_a_random_expression(self, submission, rng):
        """All Values inside an expression hold the gradient of the root with respect to them."""
        theirs, ours = random_expression(submission, rng, 4, 14)
        theirs[-1].backward()
        ours[-1].backward()
        close([node.grad for node in theirs], wanted(ours), what="the gradients of all nodes")

    @rule("R6")
    def test_value_passes_on_only_what_is_complete(self, submission, rng):
        """A Value used near the root and far from it passes its gradient on when both shares have come."""
        for near_first in (True, False):
            a, b = rng.normal(2, dtype=F64).tolist()
            x = submission.Value(a)
            shared = x * b
            far = ((shared * 2).tanh() + 1) * 3
            root = shared * far if near_first else far * shared
            root.backward()
            s, t = a * b, math.tanh(2 * a * b)
            slope = 3 * (t + 1) + s * 6 * (1 - t * t)
            close(
                [shared.grad, x.grad], [slope, slope * b], what="the gradients of the shared Value and of x"
            )

    @rule("R2")
    def test_numbers_on_either_side(self, submission, rng):
        """Whole numbers and fractions stand on either side of + - * /, and sum() adds Values up."""
        a = float(rng.uniform(1, low=0.5, high=2.0, dtype=F64))
        for step, data, slope in (
            (lambda x: 5 - x, 5 - a, -1.0),
            (lambda x: x - 5, a - 5, 1.0),
            (lambda x: 2.5 / x, 2.5 / a, -2.5 / a**2),
            (lambda x: x / 4, a / 4, 0.25),
            (lambda x: 3 + x, a + 3, 1.0),
            (lambda x: 1.5 * x, 1.5 * a, 1.5),
            (lambda x: sum([x, x * 2, 1]), 3 * a + 1, 3.0),
            (lambda x: -x, -a, -1.0),
        ):
            x = submission.Value(a)
            y = step(x)
            y.backward()
            close([y.data, x.grad], [data, slope], what="the data and the gradient")

    @pytest.mark.parametrize("exponent", [2, 3, 5, -1, -2, 2.0, 1, 0], ids=str)
    @rule("R4")
    def test_whole_powers_of_negative_numbers(self, submission, rng, exponent):
        """A negative number has whole powers, and they have slopes."""
        a = -float(rng.uniform(1, low=0.5, high=2.0, dtype=F64))
        x = submission.Value(a)
        y = x**exponent
        (y * 3 + x * 2).backward()
        close(y.data, a**exponent, what="the data")
        close(x.grad, 3 * exponent * a ** (exponent - 1) + 2, what="the gradient of x in 3 x**n + 2x")

    @rule("R3", "R4")
    def test_fractional_powers(self, submission, rng):
        """A positive number has any power."""
        a = float(rng.uniform(1, low=0.5, high=2.0, dtype=F64))
        for exponent in (0.5, -1.5, 2.7):
            x = submission.Value(a)
            y = x**exponent
            y.backward()
            close([y.data, x.grad], [a**exponent, exponent * a ** (exponent - 1)], what=f"x**{exponent}")

    @rule("R4")
    def test_tanh_far_out(self, submission):
        """tanh of 400 and of -400 is exactly 1 and -1, without an error, and flat; near 0 it is steep."""
        for data, value, slope in ((400.0, 1.0, 0.0), (-400, -1.0, 0.0), (0.0, 0.0, 1.0)):
            x = submission.Value(data)
            y = x.tanh()
            y.backward()
            close([y.data, x.grad], [value, slope], rtol=0, atol=0, what=f"tanh({data}) and its slope")

    @rule("R3", "R4")
    def test_relu_on_both_sides_and_at_zero(self, submission):
        """relu lets through what is positive; at 0 and below, value and slope are 0."""
        for data, value, slope in ((2.5, 2.5, 1.0), (0.0, 0.0, 0.0), (-2.5, 0.0, 0.0)):
            x = submission.Value(data)
            y = x.relu() + x * 2
            y.backward()
            close([y.data, x.grad], [value + 2 * data, slope + 2], what=f"relu(x) + 2x at {data}")

    @rule("R5", "R7")
    def test_every_operation_gives_a_new_value(self, submission, rng):
        """Also where nothing changes (x + 0, x * 1, x ** 1, relu) the result is a Value of its own."""
        a = float(rng.uniform(1, low=0.5, high=2.0, dtype=F64))
        for step in (lambda x: x + 0, lambda x: x * 1, lambda x: x**1, lambda x: x.relu(), lambda x: x / 1):
            x = submission.Value(a)
            y = step(x)
            y.backward()
            y.backward()
            close([y.data, x.data, y.grad, x.grad], [a, a, 1.0, 2.0], what="data and gradients of y and x")

    @rule("R7", "R8")
    def test_backward_from_two_roots(self, submission, rng):
        """Calls on different roots add up in the leaves; in between, a Value has that of the latest call."""
        a, b = rng.normal(2, dtype=F64).tolist()
        x, y = submission.Value(a), submission.Value(b)
        inner = x * y
        outer = inner * inner * x
        inner.backward()
        close([inner.grad, x.grad, y.grad], [1.0, b, a], what="the gradients after the first call")
        outer.backward()
        want = [2 * a**2 * b, b + 3 * a**2 * b**2, a + 2 * a**3 * b]
        close([inner.grad, x.grad, y.grad], want, what="the gradients after the second call")
        inner.backward()
        close([inner.grad, x.grad], [1.0, want[1] + b], what="the gradients after the third call")

    @rule("R7", "R8")
    def test_three_calls_of_a_deep_expression(self, submission, rng):
        """However deep the expression: three calls, three times the gradient in the leaves."""
        a = float(rng.uniform(1, low=0.5, high=1.5, dtype=F64))
        x = submission.Value(a)
        y = ((x * x).exp() * x).log()  # x*x + log x
        for _ in range(3):
            y.backward()
        close([y.grad, x.grad], [1.0, 3 * (2 * a + 1 / a)], what="the gradients of root and leaf")

    @rule("R7", "R9")
    def test_training_cycle(self, submission, rng):
        """Zero the leaves, rebuild, backward, step: three rounds of descent arrive where PyTorch arrives."""
        data, target = rng.normal(2, dtype=F64).tolist(), float(rng.normal(1, dtype=F64))
        theirs = [submission.Value(d) for d in data]
        ours = [torch.tensor(d, dtype=F64, requires_grad=True) for d in data]
        for _ in range(3):
            for w, b in (theirs, ours):
                loss = ((w * 2 + b).tanh() - target) ** 2
                loss.backward()
            for p in theirs:
                p.data = p.data - 0.1 * p.grad
                p.zero()
            for q in ours:
                q.data -= 0.1 * q.grad
                q.grad = None
        close([p.data for p in theirs], [q.item() for q in ours], what="the weights after three rounds")
        close([p.grad for p in theirs], [0.0, 0.0], what="the gradients after zero()")

    @rule("R9")
    def test_bystanders_are_left_alone(self, submission, rng):
        """backward and zero leave alone what does not belong to them."""
        a, b = rng.normal(2, dtype=F64).tolist()
        x, y = submission.Value(a), submission.Value(b)
        root, consumer = x * y, x * 7
        consumer.backward()
        root.backward()
        y.zero()
        close([consumer.grad, root.grad, x.grad, y.grad], [1.0, 1.0, 7 + b, 0.0], what="the gradients")
        consumer.zero()
        close([consumer.grad, root.grad, x.grad], [0.0, 1.0, 7 + b], what="the gradients after zero()")

    @rule("R6", "R8")
    def test_backward_of_a_leaf(self, submission, rng):
        """A Value is its own root too: backward sets its gradient to 1, however often."""
        a = float(rng.normal(1, dtype=F64))
        x = submission.Value(a)
        x.backward()
        x.backward()
        close([x.data, x.grad], [a, 1.0], what="data and gradient of a leaf after two calls")
        x.zero()
        y = x * a
        y.backward()
        close([x.grad, y.grad], [a, 1.0], what="the gradients after backward of x * a")

    @rule("R10")
    def test_hundred_operations_deep(self, submission, rng):
        """An expression a hundred operations deep has the slope that a difference quotient shows."""
        a, h = float(rng.uniform(1, low=0.5, high=1.5, dtype=F64)), 1e-5

        def deep(x: Any) -> Any:
            for _ in range(50):
                x = x * 0.9 + 0.1
            return x

        x = submission.Value(a)
        y = deep(x)
        y.backward()
        close(y.data, deep(a), what="the data")
        close(x.grad, (deep(a + h) - deep(a - h)) / (2 * h), rtol=1e-6, what="the gradient of the leaf")


def random_graph(rng, size: int) -> dict[int, list[tuple[int, float]]]:
    """Node 0 is the root; the operands of a node have larger names, some occur twice. Keys in any order."""
    graph: dict[int, list[tuple[int, float]]] = {}
    for node in range(size):
        count = min(rng.integer(0, 4), size - node - 1) if node else 2
        operands = [rng.integer(node + 1, min(size, node + 5)) for _ in range(count)]
        graph[node] = [(operand, float(rng.normal(1, dtype=F64))) for operand in operands]
    return {int(node): graph[int(node)] for node in rng.permutation(size)}


def by_matrix(graph: dict[int, list[tuple[int, float]]], root: int) -> dict[int, float]:
    """All paths at once: row `root` of (1 - W)^-1, where W has the local derivatives."""
    w = torch.zeros(len(graph), len(graph), dtype=F64)
    for node, operands in graph.items():
        for operand, local in operands:
            w[node, operand] += local
    return dict(enumerate(torch.linalg.inv(torch.eye(len(graph), dtype=F64) - w)[root].tolist()))


def reachable(graph: dict[Any, list[tuple[Any, float]]], root: Any) -> set[Any]:
    found, fresh = {root}, {root}
    while fresh:
        fresh = {operand for node in fresh for operand, _ in graph[node]} - found
        found |= fresh
    return found


def full(got: Any, names: Any) -> Any:
    """A node that does not matter may be missing."""
    close(isinstance(got, dict), True, what="whether the result is a dict")
    return {**dict.fromkeys(names, 0.0), **got}


@exercise("backpropagate")
class TestBackpropagate:
    @pytest.mark.parametrize("size", [6, 12, 24])
    @rule("R2", "R3", "R4")
    def test_random_graphs(self, submission, rng, size):
        """Random graphs, their keys shuffled: every gradient is the sum over all paths."""
        for _ in range(8):
            graph = random_graph(rng, size)
            got, want = submission.backpropagate(graph, 0), by_matrix(graph, 0)
            close(full(got, graph), want, what="the gradients")
            missing = reachable(graph, 0) - set(got)
            close(sorted(missing), [], what="the names that are missing in the result")

    @rule("R2", "R4")
    def test_root_inside_the_graph(self, submission, rng):
        """Any node can be the root; what does not feed it gets nothing."""
        graph = random_graph(rng, 15)
        for root in (1, 4, 14):
            got, want = submission.backpropagate(graph, root), by_matrix(graph, root)
            close(full(got, graph), want, what="the gradients")

    @rule("R2", "R3")
    def test_names_may_be_text_and_an_operand_may_come_twice(self, submission, rng):
        """x * x lists x twice, and both entries count; a leaf as root is all there is."""
        a, b = rng.normal(2, dtype=F64).tolist()
        graph = {"L": [("x*x", b)], "x": [], "x*x": [("x", a), ("x", a)], "y": []}
        want = {"L": 1.0, "x*x": b, "x": 2 * a * b, "y": 0.0}
        close(full(submission.backpropagate(graph, "L"), graph), want, what="the gradients")
        want = dict.fromkeys(graph, 0.0) | {"y": 1.0}
        close(full(submission.backpropagate(graph, "y"), graph), want, what="the gradients with root y")

    @rule("R3", "R4", "R6")
    def test_chain_with_shortcuts(self, submission):
        """A long chain, some of its nodes with a shortcut over the next: Fibonacci's gradients."""
        last = 400
        graph = {
            i: [(i + 1, 1.0), (i + 2, 1.0)] if i < 40 else [(i + 1, 0.5), (i + 1, 0.5)] for i in range(last)
        }
        got = submission.backpropagate(dict(reversed({**graph, last: []}.items())), 0)
        a, b = 1.0, 1.0
        for _ in range(39):
            a, b = b, a + b
        close([got[39], got[40], got[41]], [a, b, b + a], what="the gradients of nodes 39, 40 and 41")
        close([got[last - 1], got[last]], [b + a, b + a], what="the gradients at the end of the chain")

    @rule("R5", "R6")
    def test_ten_thousand_nodes(self, submission, rng):
        """A chain of 10,000 nodes, its keys shuffled, takes less than half a second of CPU time."""
        names = rng.permutation(10_000).tolist()
        first, last = rng.normal(2, dtype=F64).tolist()
        graph = {name: [] for name in range(10_000)}
        for place, (a, b) in enumerate(itertools.pairwise(names)):
            graph[a].append((b, {0: first, 9_998: last}.get(place, 1.0)))
        for _ in range(3):  # the best of three: Python may be tidying up its memory meanwhile
            got, seconds = cpu_seconds(submission.backpropagate, graph, names[0])
            if seconds < 0.5:
                break
        want = [1.0, first, first, first * last]
        close([got[names[i]] for i in (0, 1, 9_998, 9_999)], want, what="the gradients of four nodes")
        close(seconds < 0.5, True, what="whether it took less than half a second of CPU time")

    @rule("R6")
    def test_work_does_not_grow_with_the_number_of_paths(self, submission):
        """Sixty levels of three-fold use, 3**60 paths: a matter of milliseconds, not of centuries."""
        graph = {"a0": []} | {f"a{i}": [(f"a{i - 1}", 1.0)] * 3 for i in range(1, 61)}
        got = submission.backpropagate(graph, "a60")
        close([got["a30"], got["a0"]], [3.0**30, 3.0**60], what="the gradients half way and at the end")

    @rule("R7")
    def test_leaves_the_graph_alone(self, submission, rng):
        """The graph is the same after the call."""
        graph = random_graph(rng, 12)
        got = pure(submission.backpropagate, graph, 0)
        close(full(got, graph), by_matrix(graph, 0), what="the gradients")


def collected(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The gradient torch finds for an array that was broadcast to the shape of g."""
    a = torch.zeros(shape, dtype=F64, requires_grad=True)
    upstream = torch.tensor(g.tolist(), dtype=F64).reshape(g.shape)
    torch.broadcast_to(a, g.shape).backward(upstream)
    return a.grad.numpy()


def numbers(rng, *shape: int) -> np.ndarray:
    return rng.normal(*shape, dtype=F64).numpy()


@exercise("unbroadcast")
class TestUnbroadcast:
    @pytest.mark.parametrize("axes", [1, 2, 3, 4, 5])
    @rule("R1", "R2")
    def test_random_shapes(self, submission, rng, axes):
        """Forty random pairs of shapes: axes added, axes stretched, both, neither; axes of size 1 stay."""
        for _ in range(40):
            large = tuple(rng.integer(1, 4) for _ in range(axes))
            kept = large[rng.integer(0, axes + 1) :]
            small = tuple(1 if rng.integer(0, 2) else n for n in kept)
            g = numbers(rng, *large)
            close(
                np.asarray(submission.unbroadcast(g, small)), collected(g, small), what=f"{large} to {small}"
            )

    @rule("R1", "R2")
    def test_axes_of_equal_size(self, submission, rng):
        """Where all axes have the same size, it is the position that tells which one is to be summed."""
        g = numbers(rng, 3, 3, 3)
        for shape in ((3,), (3, 3), (3, 1), (1, 3), (3, 1, 3), (1, 3, 1), (1, 1, 1), (1, 1), (1,)):
            close(submission.unbroadcast(g, shape), collected(g, shape), what=f"(3, 3, 3) to {shape}")

    @rule("R2", "R3")
    def test_down_to_a_number(self, submission, rng):
        """The shape () gives the sum of everything, as a number or an array without axes."""
        for shape in ((), (1,), (4,), (2, 3, 2)):
            g = numbers(rng, *shape) + 1
            close(submission.unbroadcast(g, ()), np.array(g.sum()), what=f"the result for g of shape {shape}")

    @rule("R3")
    def test_any_kind_of_number(self, submission, rng):
        """Whole numbers, float32 and nested lists come back as float64."""
        for g in (
            rng.integers(-9, 10, 2, 3).numpy(),
            rng.normal(2, 3).numpy(),
            rng.integers(-9, 10, 2, 3).tolist(),
        ):
            for shape in ((2, 1), (3,), (2, 3)):
                got = np.asarray(submission.unbroadcast(g, shape))
                close(got, collected(np.asarray(g), shape), what=f"the result for the shape {shape}")

    @rule("R4")
    def test_empty_arrays(self, submission, rng):
        """Over an empty axis the sum is 0, and an empty shape stays empty."""
        for large, small in (
            ((0, 3), (3,)),
            ((0, 3), (1, 3)),
            ((2, 0), (2, 1)),
            ((0,), ()),
            ((4, 0), (4, 0)),
        ):
            got = np.asarray(submission.unbroadcast(np.zeros(large), small))
            close(got, np.zeros(small), what=f"the result for {large} and {small}")
        g = numbers(rng, 4, 2)
        close(
            submission.unbroadcast(g, (1, 2)),
            g.sum(0, keepdims=True),
            what="the result for (4, 2) and (1, 2)",
        )

    @rule("R5")
    def test_leaves_g_alone(self, submission, rng):
        """g, here read-only and with unusual strides, is the same after the call."""
        g = np.ascontiguousarray(numbers(rng, 4, 6, 2).T)[:, ::2].T
        g.flags.writeable = False
        for shape in ((3, 2), (4, 1, 2), (1, 3, 1), (4, 3, 2)):
            got = pure(submission.unbroadcast, g, shape)
            close(got, collected(g, shape), what=f"the result for {shape}")


Build = Callable[..., Any]


def compare(submission, rng, build: Build, *arrays: Any, reference: Build | None = None) -> None:
    """The same computation here and in torch: its data and, for a random upstream gradient, all gradients."""
    arrays = tuple(np.asarray(a, dtype=np.float64) for a in arrays)
    theirs = [submission.Tensor(a) for a in arrays]
    ours = [torch.tensor(a, requires_grad=True) for a in arrays]
    got, want = build(*theirs), (reference or build)(*ours)
    close(got.shape, tuple(want.shape), what="the shape")
    close(got.data, want.detach().numpy(), what="the data")
    upstream = rng.normal(*want.shape, dtype=F64)
    got.backward(upstream.numpy())
    for place, (t, grad) in enumerate(zip(theirs, gradients(want, ours, upstream), strict=True)):
        close(t.grad, grad.numpy(), what=f"the gradient of operand {place + 1}")


PAIRS = [
    ((2, 3), (2, 3)),
    ((2, 3), (3,)),
    ((3,), (2, 3)),
    ((2, 1), (1, 3)),
    ((4, 1, 3), (2, 1)),
    ((), (2, 3)),
    ((1,), ()),
]


def names(shapes: Any) -> str:
    return " and ".join(str(s).replace(",)", ")") for s in shapes)


@exercise("Tensor")
class TestTensor:
    @pytest.mark.parametrize("shapes", PAIRS, ids=names)
    @rule("R2", "R8")
    def test_broadcasting(self, submission, rng, shapes):
        """Sums and products of arrays of different shapes: each gets a gradient of its own shape."""
        a, b = (numbers(rng, *s) for s in shapes)
        compare(submission, rng, lambda x, y: x + y, a, b)
        compare(submission, rng, lambda x, y: x * y, a, b)

    @rule("R1", "R2")
    def test_numbers_and_arrays_as_operands(self, submission, rng):
        """A number may stand on either side of + and *, an array on the right."""
        a, row = numbers(rng, 2, 3), numbers(rng, 3)
        compare(submission, rng, lambda x: 2 + x * 3 + (-1.5) * x + x + 4, a)
        close(submission.Tensor([1, 2]).data, np.array([1.0, 2]), what="the data of Tensor([1, 2])")
        compare(
            submission,
            rng,
            lambda x: (x * row + row) * x,
            a,
            reference=lambda x: (x * torch.tensor(row) + torch.tensor(row)) * x,
        )
        tall = numbers(rng, 4, 1, 1)
        compare(
            submission,
            rng,
            lambda x: x * tall + tall,
            a,
            reference=lambda x: x * torch.tensor(tall) + torch.tensor(tall),
        )

    @pytest.mark.parametrize(
        "shapes",
        [
            ((2, 3), (3, 4)),
            ((5, 2, 3), (5, 3, 2)),
            ((5, 2, 3), (3, 4)),
            ((2, 3), (5, 3, 4)),
            ((5, 1, 2, 3), (4, 3, 2)),
        ],
        ids=names,
    )
    @rule("R3", "R8")
    def test_matrix_products(self, submission, rng, shapes):
        """Matrix products, batches of them, and a matrix shared by a whole batch."""
        compare(submission, rng, lambda x, y: x @ y, *(numbers(rng, *s) for s in shapes))

    @rule("R3", "R8")
    def test_matrix_times_itself(self, submission, rng):
        """A matrix that is both factors gets both gradients."""
        compare(submission, rng, lambda x: x @ x + x, numbers(rng, 3, 3))

    @pytest.mark.parametrize("name", ["sum", "mean"])
    @pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (-1, 0), (0, 1, 2)], ids=str)
    @rule("R4", "R8")
    def test_sums_and_means(self, submission, rng, name, axis):
        """Sums and means over one axis, several or all, with the axes kept or not."""
        a = numbers(rng, 2, 3, 4)
        axes = tuple(range(3)) if axis is None else axis
        for keepdims in (False, True):
            compare(
                submission,
                rng,
                lambda x, keep=keepdims: getattr(x, name)(axis=axis, keepdims=keep),
                a,
                reference=lambda x, keep=keepdims: getattr(x, name)(dim=axes, keepdim=keep),
            )

    @rule("R4", "R8")
    def test_sum_and_mean_without_arguments(self, submission, rng):
        """sum() and mean() run over everything; the axis may also come by position."""
        a = numbers(rng, 3, 2) + 1
        compare(submission, rng, lambda x: x.sum() * x.mean(), a)
        compare(
            submission,
            rng,
            lambda x: x.sum(0) * x.mean(1, True),
            a,
            reference=lambda x: x.sum(0) * x.mean(1, keepdim=True),
        )

    @rule("R5", "R8")
    def test_functions_of_each_entry(self, submission, rng):
        """exp, log and relu alone and one after the other, on arrays of any shape."""
        a = numbers(rng, 2, 1, 3)
        for build in (
            lambda x: x.exp(),
            lambda x: x.relu(),
            lambda x: (x * x + 0.5).log(),
            lambda x: (x.relu() + x.exp()).log(),
        ):
            compare(submission, rng, build, a)
        compare(submission, rng, lambda x: x.relu() + x, [0.0, -1, 0, 2])

    @rule("R6", "R8")
    def test_new_shapes(self, submission, rng):
        """reshape takes numbers or one tuple, one of them may be -1, and the gradient comes back in shape."""
        a, b = numbers(rng, 2, 6), numbers(rng, 4, 3)
        compare(submission, rng, lambda x, y: x.reshape(4, 3) * y, a, b)
        compare(submission, rng, lambda x, y: x.reshape((4, 3)) * y, a, b)
        compare(submission, rng, lambda x: x.reshape(3, -1), a)
        compare(submission, rng, lambda x: x.reshape(-1) * x.reshape((1, 12)), a)

    @rule("R6", "R8")
    def test_transpose(self, submission, rng):
        """transpose() turns the axes round, transpose(2, 0, 1) puts them in this order."""
        a = numbers(rng, 2, 3, 4)
        for axes in ((), (2, 0, 1), (1, 2, 0), (0, 2, 1), (0, 1, 2)):
            order = axes or (2, 1, 0)
            factor = numbers(rng, *(a.shape[i] for i in order))
            compare(
                submission,
                rng,
                lambda x, y, axes=axes: x.transpose(*axes) * y,
                a,
                factor,
                reference=lambda x, y, order=order: x.permute(*order) * y,
            )
        compare(submission, rng, lambda x: x.transpose() @ x, a[0], reference=lambda x: x.T @ x)

    @pytest.mark.parametrize("shape", [(5,), (5, 3), (4, 2, 3)], ids=str)
    @rule("R7", "R8")
    def test_rows_by_index(self, submission, rng, shape):
        """An index of any shape takes rows, repeated and counted from the end too; each use counts."""
        a = numbers(rng, *shape)
        for index in (
            rng.integers(-shape[0], shape[0], 7),
            rng.integers(0, shape[0], 2, 4),
            torch.tensor([1, 1, 1, -1, 0]),
        ):
            compare(
                submission, rng, lambda x, i=index: x[i.numpy()] * 2, a, reference=lambda x, i=index: x[i] * 2
            )

    @rule("R8")
    def test_tensor_with_many_uses(self, submission, rng):
        """A tensor used in many places gets the sum of all its gradients, near and far."""

        def build(x: Any, y: Any) -> Any:
            h = x * y
            return (h * 2 + h.exp()) * h + (h + y * -1) * h

        compare(submission, rng, build, numbers(rng, 2, 3), numbers(rng, 3))

    @rule("R2", "R3", "R4", "R5", "R6", "R7", "R8")
    def test_small_network(self, submission, rng):
        """A word table, two layers and a softmax loss, built of all operations: PyTorch's gradients."""
        ids, targets = rng.integers(0, 5, 4, 2), np.eye(3)[rng.integers(0, 3, 4).numpy()]

        def network(table: Any, w1: Any, b1: Any, w2: Any, *, index: Any, onehot: Any, axis: str) -> Any:
            h = (table[index].reshape(4, 6) @ w1 + b1).relu()
            z = h @ w2
            return (z.exp().sum(**{axis: 1}).log() + (z * onehot).sum(**{axis: 1}) * -1).mean()

        compare(
            submission,
            rng,
            lambda *p: network(*p, index=ids.numpy(), onehot=targets, axis="axis"),
            *(numbers(rng, *s) for s in ((5, 3), (6, 8), (8,), (8, 3))),
            reference=lambda *p: network(*p, index=ids, onehot=torch.tensor(targets), axis="dim"),
        )

    @rule("R9")
    def test_backward_without_gradient(self, submission, rng):
        """Without a gradient from above a tensor of one entry takes 1, a larger one refuses."""
        a = numbers(rng, 2, 3)
        for build in (
            lambda x: (x * x).sum(),
            lambda x: (x * x).sum(keepdims=True),
            lambda x: (x * x).reshape(6).sum(0, True),
        ):
            x = submission.Tensor(a)
            build(x).backward()
            close(x.grad, 2 * a, what="the gradient")
        y = submission.Tensor(a) * 2
        with pytest.raises(ValueError):
            y.backward()

    @rule("R10")
    def test_calls_from_two_roots(self, submission, rng):
        """Leaves add up over calls from different roots; inner tensors and roots hold the latest."""
        a, g = numbers(rng, 2, 3), numbers(rng, 2, 3)
        x = submission.Tensor(a)
        inner = x * x
        outer = inner * x
        inner.backward(g)
        close([inner.grad, x.grad], [g, 2 * a * g], what="the gradients after the first call")
        outer.backward(g)
        outer.backward(2 * g)
        close(
            [outer.grad, inner.grad],
            [2 * g, 2 * g * a],
            what="the gradients of outer and inner after the others",
        )
        close(x.grad, 2 * a * g + 3 * (3 * a**2 * g), what="the gradient of the leaf after the others")
        x.backward(g)
        close(x.grad, g, what="the gradient of the leaf after x.backward(g)")

    @rule("R10", "R11")
    def test_gradients_are_arrays_of_their_own(self, submission, rng):
        """What is added to one gradient later shows up in no other, nor in the gradient from above."""
        a, b, g = numbers(rng, 2, 3), numbers(rng, 2, 3), numbers(rng, 2, 3)
        g.flags.writeable = False
        x, y = submission.Tensor(a), submission.Tensor(b)
        total = x + y
        flat = total.reshape(6)
        pure(flat.backward, g.reshape(6))
        (x * 3).sum().backward()
        close([x.grad, y.grad], [g + 3, g], what="the gradients of x and y")
        close([total.grad, flat.grad], [g, g.reshape(6)], what="the gradients of x + y and of its reshape")
        (y.transpose() * 2).sum().backward()
        close([x.grad, y.grad, total.grad], [g + 3, g + 2, g], what="the gradients after a third call")

    @rule("R11")
    def test_operations_change_no_data(self, submission, rng):
        """No operation and no backward changes a tensor's data or an array it was given."""
        a, row = numbers(rng, 2, 3), numbers(rng, 3)
        kept = a.copy()
        a.flags.writeable = row.flags.writeable = False
        x = pure(submission.Tensor, a)
        y = ((x.relu() + x * row).exp() * 2).reshape(3, 2).transpose()
        y.backward(np.ones((2, 3)))
        u = torch.tensor(kept, requires_grad=True)
        v = ((u.relu() + u * torch.tensor(row)).exp() * 2).reshape(3, 2).T
        v.backward(torch.ones(2, 3, dtype=F64))
        close([x.data, y.data, x.grad], [kept, v.detach().numpy(), u.grad.numpy()], what="data and gradient")

    @rule("R10", "R11")
    def test_every_operation_gives_a_new_tensor(self, submission, rng):
        """Also where nothing changes the result is a tensor of its own: two calls add two gradients."""
        a, g = numbers(rng, 1, 3) ** 2, numbers(rng, 1, 3)
        for build in (
            lambda x: x + 0,
            lambda x: x * 1,
            lambda x: x.reshape(1, 3),
            lambda x: x.transpose(0, 1),
            lambda x: x.sum(axis=0, keepdims=True),
            lambda x: x.relu(),
        ):
            x = submission.Tensor(a)
            y = build(x)
            y.backward(g)
            y.backward(g)
            close([y.data, y.grad, x.grad], [a, g, 2 * g], what="the data and the gradients")
