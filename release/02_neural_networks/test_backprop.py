"""Visible tests of the backprop notebook: the definitions and the worked examples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from autograder.testing import close, cpu_seconds, exercise, rule


def numbers(rng, *shape: int) -> np.ndarray:
    return rng.normal(*shape, dtype=torch.float64).numpy()


def grads(*nodes) -> list[float]:
    return [node.grad for node in nodes]


@exercise("Value")
class TestValue:
    @rule("R1", "R2", "R6")
    def test_worked_example(self, submission):
        """The worked example comes out: the lemonade stand earns 150, and its price should rise."""
        price, cost = submission.Value(5.0), submission.Value(2.0)
        margin = price - cost
        cups = 100 - 10 * price
        profit = margin * cups
        close([price.data, margin.data, cups.data, profit.data], [5.0, 3.0, 50.0, 150.0], what="the data")
        close(price.grad, 0.0, what="price.grad before backward")
        profit.backward()
        close(grads(profit, margin, cups), [1.0, 50.0, 3.0], what="the gradients of profit, margin and cups")
        close(grads(price, cost), [20.0, -50.0], what="the gradients of price and cost")

    @pytest.mark.parametrize(
        ("name", "function", "slope"),
        [
            ("x.exp()", lambda x: x.exp(), math.exp),
            ("x.log()", lambda x: x.log(), lambda a: 1 / a),
            ("x.tanh()", lambda x: x.tanh(), lambda a: 1 / math.cosh(a) ** 2),
            ("x.relu()", lambda x: x.relu(), lambda a: 1.0),
            ("x ** 3", lambda x: x**3, lambda a: 3 * a * a),
            ("2 / x", lambda x: 2 / x, lambda a: -2 / (a * a)),
        ],
        ids=["exp", "log", "tanh", "relu", "power", "division"],
    )
    @rule("R2", "R3", "R6")
    def test_slope_of_each_function(self, submission, rng, name, function, slope):
        """Each function has its own slope, at a random place and times what comes from above."""
        a = float(rng.uniform(1, low=0.5, high=2.0, dtype=torch.float64))
        x = submission.Value(a)
        y = function(x) * 3
        y.backward()
        where = f"{name} * 3 at x = {a:.4g}"
        close(y.data, 3 * float(function(torch.tensor(a, dtype=torch.float64))), what=f"the data of {where}")
        close(x.grad, 3 * slope(a), what=f"the gradient of x in {where}")

    @rule("R6")
    def test_value_used_twice_gets_both_shares(self, submission, rng):
        """A Value that is used twice gets the sum of both shares: the gradient of x * x is 2x."""
        a, b = rng.normal(2, dtype=torch.float64).tolist()
        x, y = submission.Value(a), submission.Value(b)
        z = x * x + y * x
        z.backward()
        close(x.grad, 2 * a + b, what="the gradient of x in x*x + y*x")
        close(y.grad, a, what="the gradient of y in x*x + y*x")

    @rule("R6")
    def test_value_waits_until_all_have_paid(self, submission, rng):
        """A Value that is used near the end and further away passes on both shares: s * (s + 3) has slope 2s + 3."""
        a, b = rng.normal(2, dtype=torch.float64).tolist()
        x, y = submission.Value(a), submission.Value(b)
        s = x * y
        root = s * (s + 3)
        root.backward()
        close(s.grad, 2 * a * b + 3, what="the gradient of s = x * y in s * (s + 3)")
        close(grads(x, y), [(2 * a * b + 3) * b, (2 * a * b + 3) * a], what="the gradients of x and y")

    @rule("R7", "R8")
    def test_second_backward_adds_the_same_amount(self, submission, rng):
        """After two calls of backward a leaf has twice its gradient, an inner Value has it once."""
        a, b = rng.normal(2, dtype=torch.float64).tolist()
        x, y = submission.Value(a), submission.Value(b)
        inner = x * y
        root = inner * 3 + x
        root.backward()
        root.backward()
        close(grads(x, y), [2 * (3 * b + 1), 2 * 3 * a], what="the gradients of the leaves after two calls")
        close(grads(root, inner), [1.0, 3.0], what="the gradients of the root and the inner Value")


def doubled(levels: int) -> dict[str, list[tuple[str, float]]]:
    """y1 = y0 + y0, y2 = y1 + y1, ...: `levels` additions, 2**levels paths."""
    return {"y0": []} | {f"y{i}": [(f"y{i - 1}", 1.0)] * 2 for i in range(1, levels + 1)}


@exercise("backpropagate")
class TestBackpropagate:
    @rule("R1", "R2")
    def test_worked_example(self, submission):
        """The worked example comes out: the lemonade stand once more, this time as a dictionary."""
        graph = {
            "profit": [("margin", 50.0), ("cups", 3.0)],
            "price": [],
            "margin": [("price", 1.0), ("cost", -1.0)],
            "cost": [],
            "cups": [("price", -10.0)],
        }
        want = {"profit": 1.0, "margin": 50.0, "cups": 3.0, "price": 20.0, "cost": -50.0}
        close(submission.backpropagate(graph, "profit"), want, what="the gradients")

    @rule("R3", "R4")
    def test_node_waits_for_all_its_consumers(self, submission):
        """A node passes its gradient on only when all who use it have paid in, the far ones too."""
        rest = {"d": [("c", 3.0)], "c": [("b", 5.0)], "b": [("a", 7.0)], "a": []}
        for operands in ([("b", 1.0), ("d", 2.0)], [("d", 2.0), ("b", 1.0)]):
            got = submission.backpropagate({"L": operands, **rest}, "L")
            close(got, {"L": 1.0, "d": 2.0, "c": 6.0, "b": 31.0, "a": 217.0}, what="the gradients")

    @rule("R5")
    def test_long_chain(self, submission):
        """A chain of 2,000 nodes is no problem for Python's limit of nested calls."""
        graph = {i: [(i + 1, 1.0)] for i in range(2_000)} | {2_000: [(-1, 0.5)], -1: []}
        got = submission.backpropagate(graph, 0)
        close(
            [got[0], got[1_000], got[-1]], [1.0, 1.0, 0.5], what="the gradients at the ends and in the middle"
        )

    @rule("R3", "R6")
    def test_seventeen_doublings(self, submission):
        """Seventeen doublings, 18 nodes with 131,072 paths between them, are done at once."""
        for _ in range(3):  # the best of three: Python may be tidying up its memory meanwhile
            got, seconds = cpu_seconds(submission.backpropagate, doubled(17), "y17")
            if seconds < 0.03:
                break
        close([got["y16"], got["y0"]], [2.0, 2.0**17], what="the gradients of y16 and y0")
        close(seconds < 0.03, True, what="whether it took less than 0.03 seconds of CPU time")


def shapes_that_broadcast(rng, most: int = 4) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(shape, larger shape): some axes of the first are missing or 1 where the second has more."""
    large = tuple(rng.integer(1, 4) for _ in range(rng.integer(0, most)))
    kept = large[rng.integer(0, len(large) + 1) :]
    return tuple(1 if rng.integer(0, 2) else n for n in kept), large


@exercise("unbroadcast")
class TestUnbroadcast:
    G = np.array([[1.0, 2, 3], [4, 5, 6]])

    @pytest.mark.parametrize(
        ("shape", "want"),
        [((3,), [5.0, 7, 9]), ((2, 1), [[6.0], [15]]), ((1, 3), [[5.0, 7, 9]]), ((), 21.0)],
        ids=["axis added", "columns stretched", "rows stretched", "number"],
    )
    @rule("R1", "R2", "R3")
    def test_worked_example(self, submission, shape, want):
        """The worked example comes out: one array g, four shapes it can go back to."""
        close(submission.unbroadcast(self.G, shape), np.array(want), what=f"unbroadcast(g, {shape})")

    @rule("R1", "R2")
    def test_is_the_adjoint_of_broadcasting(self, submission, rng):
        """The product of (broadcast a) with g is the product of a with unbroadcast(g), for random shapes."""
        for _ in range(20):
            small, large = shapes_that_broadcast(rng)
            a, g = numbers(rng, *small), numbers(rng, *large)
            got = submission.unbroadcast(g, small)
            what = f"unbroadcast(g, {small}), with g of shape {large},"
            close(np.zeros(np.shape(got)), np.zeros(small), what=what)  # the shape
            close(np.sum(a * got), np.sum(np.broadcast_to(a, large) * g), what=f"the sum of a times {what}")


@exercise("Tensor")
class TestTensor:
    @rule("R1", "R2", "R3", "R4", "R8", "R9")
    def test_worked_example(self, submission):
        """The worked example comes out: a line through two points, its loss and all gradients."""
        x, w, b = (submission.Tensor(d) for d in ([[1.0, 2], [3, 4]], [[1.0], [0.5]], [10.0]))
        y = x @ w + b
        loss = (y * y).mean()
        close(y.data, np.array([[12.0], [15]]), what="the data of y")
        close(loss.data, np.array(184.5), what="the data of loss")
        loss.backward()
        close(y.grad, np.array([[12.0], [15]]), what="y.grad")
        close(b.grad, np.array([27.0]), what="b.grad")
        close(w.grad, np.array([[57.0], [84]]), what="w.grad")
        close(x.grad, np.array([[12.0, 6], [15, 7.5]]), what="x.grad")

    @rule("R2", "R8")
    def test_gradient_from_above_reaches_both_factors(self, submission, rng):
        """The gradient handed to backward is multiplied by the other factor and summed to each shape."""
        a, b, g = numbers(rng, 2, 3), numbers(rng, 3), numbers(rng, 2, 3)
        x, y = submission.Tensor(a), submission.Tensor(b)
        z = x * y
        z.backward(g)
        close(z.data, a * b, what="the data of x * y")
        close(x.grad, g * b, what="the gradient of x in x * y")
        close(y.grad, (g * a).sum(0), what="the gradient of y in x * y")

    @rule("R3", "R8")
    def test_matrix_product(self, submission, rng):
        """Both factors of a matrix product, of single matrices and of batches, get their gradients."""
        for batch in ((), (5,)):
            a, b, g = numbers(rng, *batch, 2, 3), numbers(rng, *batch, 3, 4), numbers(rng, *batch, 2, 4)
            x, y = submission.Tensor(a), submission.Tensor(b)
            z = x @ y
            z.backward(g)
            where = f"x @ y with shapes {a.shape} and {b.shape}"
            close(z.data, a @ b, what=f"the data of {where}")
            close(x.grad, np.einsum("...ik,...jk->...ij", g, b), what=f"the gradient of x in {where}")
            close(y.grad, np.einsum("...ki,...kj->...ij", a, g), what=f"the gradient of y in {where}")

    @rule("R2", "R8")
    def test_numbers_on_either_side(self, submission, rng):
        """A number may stand on either side of + and *: 2 * x + 1 and 1 + x * 2 are the same."""
        a, g = numbers(rng, 2, 3), numbers(rng, 2, 3)
        for name, build in (("2 * x + 1", lambda x: 2 * x + 1), ("1 + x * 2", lambda x: 1 + x * 2)):
            x = submission.Tensor(a)
            y = build(x)
            y.backward(g)
            close(y.data, 2 * a + 1, what=f"the data of {name}")
            close(x.grad, 2 * g, what=f"the gradient of x in {name}")

    @rule("R4", "R8")
    def test_sum_and_mean_hand_down_to_every_entry(self, submission, rng):
        """A sum hands its gradient to every entry it added; a mean divides it among them."""
        a, g = numbers(rng, 2, 3), numbers(rng, 2)
        for name, share in (("sum", 1.0), ("mean", 1 / 3)):
            x = submission.Tensor(a)
            y = getattr(x, name)(axis=1)
            y.backward(g)
            close(y.data, share * a.sum(1), what=f"the data of {name}(axis=1)")
            close(x.grad, share * np.stack([g, g, g], axis=1), what=f"the gradient through {name}(axis=1)")

    @rule("R5", "R8")
    def test_functions_of_each_entry(self, submission):
        """exp, log and relu work on each entry, and relu has slope 0 at 0."""
        g = np.array([1.0, 10, 100])
        for name, data, slope in (
            ("exp", [0.0, math.log(2), -math.log(2)], [1.0, 2, 0.5]),
            ("log", [1.0, 2, 0.5], [1.0, 0.5, 2]),
            ("relu", [-1.0, 0, 3], [0.0, 0, 1]),
        ):
            x = submission.Tensor(data)
            y = getattr(x, name)()
            y.backward(g)
            want = np.maximum(data, 0) if name == "relu" else getattr(np, name)(data)
            close(y.data, want, what=f"the data of {name}() at {data}")
            close(
                x.grad,
                g * slope,
                what=f"the gradient through {name}() at {data}, with {g.tolist()} from above",
            )

    @rule("R6", "R8")
    def test_reshape_and_transpose(self, submission, rng):
        """The gradient goes back into the old shape and the old order of axes."""
        a, g = numbers(rng, 2, 3, 4), numbers(rng, 4, 2, 3)
        x = submission.Tensor(a)
        turned = x.transpose(2, 0, 1)
        turned.reshape(24).backward(g.reshape(24))
        close(turned.data, np.moveaxis(a, 2, 0), what="the data of transpose(2, 0, 1)")
        close(x.grad, np.moveaxis(g, 0, 2), what="the gradient of x")

    @rule("R7", "R8")
    def test_row_taken_twice_gets_both_gradients(self, submission):
        """A row that the index takes twice gets the sum of both gradients, a row not taken gets zeros."""
        table = submission.Tensor([[1.0, 2], [3, 4], [5, 6]])
        rows = table[np.array([2, 0, 2])]
        close(rows.data, np.array([[5.0, 6], [1, 2], [5, 6]]), what="the rows")
        rows.backward(np.array([[1.0, 2], [3, 4], [10, 20]]))
        close(table.grad, np.array([[3.0, 4], [0, 0], [11, 22]]), what="the gradient of the table")

    @rule("R10")
    def test_second_backward_adds_the_same_amount(self, submission, rng):
        """After two calls of backward a leaf has twice its gradient, an inner Tensor has it once."""
        a, b = numbers(rng, 3), numbers(rng, 3)
        x, y = submission.Tensor(a), submission.Tensor(b)
        inner = x * y
        root = (inner * inner).sum()
        root.backward()
        root.backward()
        close(inner.grad, 2 * a * b, what="the gradient of the inner tensor")
        close(x.grad, 4 * a * b * b, what="the gradient of the leaf x")
        close(y.grad, 4 * a * a * b, what="the gradient of the leaf y")
