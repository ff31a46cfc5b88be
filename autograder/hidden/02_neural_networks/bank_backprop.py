"""Known wrong and known right variants of the backprop notebook."""

from __future__ import annotations

import math

import numpy as np

from autograder.bank import right, wrong

# --- Value ----------------------------------------------------------------------------------------


@wrong(
    "Value",
    "A Value that is used more than once keeps only the last share: x used twice, the gradient of x*x "
    "is 2x, and you give x. Each use must be added to what is there already (+=). Look at rules R6 and "
    "R7.",
)
class AssignsInsteadOfAdding:
    def __init__(self, data, sources=()):
        self.data, self.grad, self.sources = data, 0.0, sources

    def zero(self):
        self.grad = 0.0

    def of(self, other):
        return other if isinstance(other, type(self)) else type(self)(other)

    def __add__(self, other):
        other = self.of(other)
        return type(self)(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        other = self.of(other)
        return type(self)(self.data * other.data, ((self, other.data), (other, self.data)))

    def __pow__(self, n):
        return type(self)(self.data**n, ((self, n * self.data ** (n - 1)),))

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + self.of(other) * -1

    def __truediv__(self, other):
        return self * self.of(other) ** -1

    def __rsub__(self, other):
        return self.of(other) - self

    def __rtruediv__(self, other):
        return self.of(other) / self

    __radd__, __rmul__ = __add__, __mul__

    def exp(self):
        y = math.exp(self.data)
        return type(self)(y, ((self, y),))

    def log(self):
        return type(self)(math.log(self.data), ((self, 1 / self.data),))

    def tanh(self):
        y = math.tanh(self.data)
        return type(self)(y, ((self, 1 - y * y),))

    def relu(self):
        return type(self)(max(self.data, 0.0), ((self, float(self.data > 0)),))

    def backward(self):
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                for operand, _ in node.sources:
                    visit(operand)
                order.append(node)

        visit(self)
        self.grad = 1.0
        for node in reversed(order):
            for operand, local in node.sources:
                operand.grad = node.grad * local


@wrong(
    "Value",
    "The slope of tanh is 1 minus the square of its *result*, and you square what goes in. "
    "For a large input the slope is nearly 0; yours is large and negative. Look at rule R3.",
)
class TanhSlopeFromTheInput:
    def __init__(self, data, sources=()):
        self.data, self.grad, self.sources = data, 0.0, sources

    def zero(self):
        self.grad = 0.0

    def of(self, other):
        return other if isinstance(other, type(self)) else type(self)(other)

    def __add__(self, other):
        other = self.of(other)
        return type(self)(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        other = self.of(other)
        return type(self)(self.data * other.data, ((self, other.data), (other, self.data)))

    def __pow__(self, n):
        return type(self)(self.data**n, ((self, n * self.data ** (n - 1)),))

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + self.of(other) * -1

    def __truediv__(self, other):
        return self * self.of(other) ** -1

    def __rsub__(self, other):
        return self.of(other) - self

    def __rtruediv__(self, other):
        return self.of(other) / self

    __radd__, __rmul__ = __add__, __mul__

    def exp(self):
        y = math.exp(self.data)
        return type(self)(y, ((self, y),))

    def log(self):
        return type(self)(math.log(self.data), ((self, 1 / self.data),))

    def tanh(self):
        y = math.tanh(self.data)
        return type(self)(y, ((self, 1 - self.data**2),))

    def relu(self):
        return type(self)(max(self.data, 0.0), ((self, float(self.data > 0)),))

    def backward(self):
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                for operand, _ in node.sources:
                    visit(operand)
                order.append(node)

        visit(self)
        for node in order:
            if node.sources:
                node.grad = 0.0
        self.grad = 1.0
        for node in reversed(order):
            for operand, local in node.sources:
                operand.grad += node.grad * local


@wrong(
    "Value",
    "The second call of backward adds too much: a leaf has 3 times its gradient after two calls, "
    "expected 2 times. The inner Values still hold what the first call left in them, and it is passed "
    "on again. Look at rule R8.",
)
class StaleInnerGradients:
    def __init__(self, data, sources=()):
        self.data, self.grad, self.sources = data, 0.0, sources

    def zero(self):
        self.grad = 0.0

    def of(self, other):
        return other if isinstance(other, type(self)) else type(self)(other)

    def __add__(self, other):
        other = self.of(other)
        return type(self)(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        other = self.of(other)
        return type(self)(self.data * other.data, ((self, other.data), (other, self.data)))

    def __pow__(self, n):
        return type(self)(self.data**n, ((self, n * self.data ** (n - 1)),))

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + self.of(other) * -1

    def __truediv__(self, other):
        return self * self.of(other) ** -1

    def __rsub__(self, other):
        return self.of(other) - self

    def __rtruediv__(self, other):
        return self.of(other) / self

    __radd__, __rmul__ = __add__, __mul__

    def exp(self):
        y = math.exp(self.data)
        return type(self)(y, ((self, y),))

    def log(self):
        return type(self)(math.log(self.data), ((self, 1 / self.data),))

    def tanh(self):
        y = math.tanh(self.data)
        return type(self)(y, ((self, 1 - y * y),))

    def relu(self):
        return type(self)(max(self.data, 0.0), ((self, float(self.data > 0)),))

    def backward(self):
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                for operand, _ in node.sources:
                    visit(operand)
                order.append(node)

        visit(self)
        self.grad = 1.0
        for node in reversed(order):
            for operand, local in node.sources:
                operand.grad += node.grad * local


@wrong(
    "Value",
    "backward wipes out what the leaves had: after two calls a leaf has its gradient once, expected "
    "twice. Only inner Values start from 0; leaves keep adding until somebody calls zero(). Look at "
    "rule R7.",
)
class LeavesAreReset:
    def __init__(self, data, sources=()):
        self.data, self.grad, self.sources = data, 0.0, sources

    def zero(self):
        self.grad = 0.0

    def of(self, other):
        return other if isinstance(other, type(self)) else type(self)(other)

    def __add__(self, other):
        other = self.of(other)
        return type(self)(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        other = self.of(other)
        return type(self)(self.data * other.data, ((self, other.data), (other, self.data)))

    def __pow__(self, n):
        return type(self)(self.data**n, ((self, n * self.data ** (n - 1)),))

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + self.of(other) * -1

    def __truediv__(self, other):
        return self * self.of(other) ** -1

    def __rsub__(self, other):
        return self.of(other) - self

    def __rtruediv__(self, other):
        return self.of(other) / self

    __radd__, __rmul__ = __add__, __mul__

    def exp(self):
        y = math.exp(self.data)
        return type(self)(y, ((self, y),))

    def log(self):
        return type(self)(math.log(self.data), ((self, 1 / self.data),))

    def tanh(self):
        y = math.tanh(self.data)
        return type(self)(y, ((self, 1 - y * y),))

    def relu(self):
        return type(self)(max(self.data, 0.0), ((self, float(self.data > 0)),))

    def backward(self):
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                node.grad = 0.0
                for operand, _ in node.sources:
                    visit(operand)
                order.append(node)

        visit(self)
        self.grad = 1.0
        for node in reversed(order):
            for operand, local in node.sources:
                operand.grad += node.grad * local


@wrong(
    "Value",
    "A number on the left is not understood: Python turns 100 - x into x.__rsub__(100) and 2 / x into "
    "x.__rtruediv__(2), and + and * have such methods too. Look at rule R2.",
)
class NumbersOnTheRightOnly:
    def __init__(self, data, sources=()):
        self.data, self.grad, self.sources = data, 0.0, sources

    def zero(self):
        self.grad = 0.0

    def of(self, other):
        return other if isinstance(other, type(self)) else type(self)(other)

    def __add__(self, other):
        other = self.of(other)
        return type(self)(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        other = self.of(other)
        return type(self)(self.data * other.data, ((self, other.data), (other, self.data)))

    def __pow__(self, n):
        return type(self)(self.data**n, ((self, n * self.data ** (n - 1)),))

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + self.of(other) * -1

    def __truediv__(self, other):
        return self * self.of(other) ** -1

    def exp(self):
        y = math.exp(self.data)
        return type(self)(y, ((self, y),))

    def log(self):
        return type(self)(math.log(self.data), ((self, 1 / self.data),))

    def tanh(self):
        y = math.tanh(self.data)
        return type(self)(y, ((self, 1 - y * y),))

    def relu(self):
        return type(self)(max(self.data, 0.0), ((self, float(self.data > 0)),))

    def backward(self):
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                node.grad = 0.0 if node.sources else node.grad
                for operand, _ in node.sources:
                    visit(operand)
                order.append(node)

        visit(self)
        self.grad = 1.0
        for node in reversed(order):
            for operand, local in node.sources:
                operand.grad += node.grad * local


@wrong(
    "Value",
    "Your power goes through the logarithm of the base, so a negative base fails: (-2) ** 3 is -8, and "
    "its slope n x^(n-1) is 12. No logarithm is needed. Look at rule R4.",
)
class PowerThroughTheLogarithm:
    def __init__(self, data, sources=()):
        self.data, self.grad, self.sources = data, 0.0, sources

    def zero(self):
        self.grad = 0.0

    def of(self, other):
        return other if isinstance(other, type(self)) else type(self)(other)

    def __add__(self, other):
        other = self.of(other)
        return type(self)(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        other = self.of(other)
        return type(self)(self.data * other.data, ((self, other.data), (other, self.data)))

    def __pow__(self, n):
        y = math.exp(n * math.log(self.data))
        return type(self)(y, ((self, y * n / self.data),))

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + self.of(other) * -1

    def __truediv__(self, other):
        other = self.of(other)
        y = self.data / other.data
        return type(self)(y, ((self, 1 / other.data), (other, -y / other.data)))

    def __rsub__(self, other):
        return self.of(other) - self

    def __rtruediv__(self, other):
        return self.of(other) / self

    __radd__, __rmul__ = __add__, __mul__

    def exp(self):
        y = math.exp(self.data)
        return type(self)(y, ((self, y),))

    def log(self):
        return type(self)(math.log(self.data), ((self, 1 / self.data),))

    def tanh(self):
        y = math.tanh(self.data)
        return type(self)(y, ((self, 1 - y * y),))

    def relu(self):
        return type(self)(max(self.data, 0.0), ((self, float(self.data > 0)),))

    def backward(self):
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                node.grad = 0.0 if node.sources else node.grad
                for operand, _ in node.sources:
                    visit(operand)
                order.append(node)

        visit(self)
        self.grad = 1.0
        for node in reversed(order):
            for operand, local in node.sources:
                operand.grad += node.grad * local


@wrong(
    "Value",
    "A Value passes its gradient on before all who use it have paid in: the order is that in which the "
    "sweep first meets the Values. A Value must come after everything that was computed from it. Look "
    "at rule R6.",
)
class FirstComeFirstServed:
    def __init__(self, data, sources=()):
        self.data, self.grad, self.sources = data, 0.0, sources

    def zero(self):
        self.grad = 0.0

    def of(self, other):
        return other if isinstance(other, type(self)) else type(self)(other)

    def __add__(self, other):
        other = self.of(other)
        return type(self)(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        other = self.of(other)
        return type(self)(self.data * other.data, ((self, other.data), (other, self.data)))

    def __pow__(self, n):
        return type(self)(self.data**n, ((self, n * self.data ** (n - 1)),))

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + self.of(other) * -1

    def __truediv__(self, other):
        return self * self.of(other) ** -1

    def __rsub__(self, other):
        return self.of(other) - self

    def __rtruediv__(self, other):
        return self.of(other) / self

    __radd__, __rmul__ = __add__, __mul__

    def exp(self):
        y = math.exp(self.data)
        return type(self)(y, ((self, y),))

    def log(self):
        return type(self)(math.log(self.data), ((self, 1 / self.data),))

    def tanh(self):
        y = math.tanh(self.data)
        return type(self)(y, ((self, 1 - y * y),))

    def relu(self):
        return type(self)(max(self.data, 0.0), ((self, float(self.data > 0)),))

    def backward(self):
        order = [self]
        for node in order:
            for operand, _ in node.sources:
                if operand not in order:
                    order.append(operand)
        for node in order:
            node.grad = 0.0 if node.sources else node.grad
        self.grad = 1.0
        for node in order:
            for operand, local in node.sources:
                operand.grad += node.grad * local


@wrong(
    "Value",
    "A Value passes on all it has each time a share comes in, so an early share is passed on again with "
    "every later one: in s * (s + 3) the leaves below s get too much. Let each Value pay once, when all "
    "who use it have paid in. Look at rule R6.",
)
class PassesOnAtOnce:
    def __init__(self, data, sources=()):
        self.data, self.grad, self.sources = data, 0.0, sources

    def zero(self):
        self.grad = 0.0

    def of(self, other):
        return other if isinstance(other, type(self)) else type(self)(other)

    def __add__(self, other):
        other = self.of(other)
        return type(self)(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        other = self.of(other)
        return type(self)(self.data * other.data, ((self, other.data), (other, self.data)))

    def __pow__(self, n):
        return type(self)(self.data**n, ((self, n * self.data ** (n - 1)),))

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + self.of(other) * -1

    def __truediv__(self, other):
        return self * self.of(other) ** -1

    def __rsub__(self, other):
        return self.of(other) - self

    def __rtruediv__(self, other):
        return self.of(other) / self

    __radd__, __rmul__ = __add__, __mul__

    def exp(self):
        y = math.exp(self.data)
        return type(self)(y, ((self, y),))

    def log(self):
        return type(self)(math.log(self.data), ((self, 1 / self.data),))

    def tanh(self):
        y = math.tanh(self.data)
        return type(self)(y, ((self, 1 - y * y),))

    def relu(self):
        return type(self)(max(self.data, 0.0), ((self, float(self.data > 0)),))

    def backward(self):
        self.grad = 1.0
        self.pass_on()

    def pass_on(self):
        for operand, local in self.sources:
            operand.grad += self.grad * local
            operand.pass_on()


@right("Value", uses="F1 F3 F4")
class WithClosures:
    """Each result carries a function that pays its operands; recursion finds the order; data stays an int."""

    def __init__(self, data):
        self.data, self.grad = data, 0
        self.operands, self.pay = (), None

    def zero(self):
        self.grad = 0
        return self

    def made(self, data, operands, pay):
        out = type(self)(data)
        out.operands, out.pay = operands, pay
        return out

    def lift(self, other):
        return other if isinstance(other, type(self)) else type(self)(other)

    def __add__(self, other):
        other = self.lift(other)

        def pay(g):
            self.grad += g
            other.grad += g

        return self.made(self.data + other.data, (self, other), pay)

    def __mul__(self, other):
        other = self.lift(other)

        def pay(g):
            self.grad += g * other.data
            other.grad += g * self.data

        return self.made(self.data * other.data, (self, other), pay)

    def __truediv__(self, other):
        other = self.lift(other)

        def pay(g):
            self.grad += g / other.data
            other.grad -= g * self.data / other.data**2

        return self.made(self.data / other.data, (self, other), pay)

    def __pow__(self, n):
        def pay(g):
            self.grad += g * n * self.data ** (n - 1)

        return self.made(self.data**n, (self,), pay)

    def __neg__(self):
        return -1 * self

    def __sub__(self, other):
        return self + -self.lift(other)

    def __rsub__(self, other):
        return -self + other

    def __rtruediv__(self, other):
        return self.lift(other) / self

    def __radd__(self, other):
        return self + other

    def __rmul__(self, other):
        return self * other

    def exp(self):
        out = self.made(math.exp(self.data), (self,), None)

        def pay(g):
            self.grad += g * out.data

        out.pay = pay
        return out

    def log(self):
        def pay(g):
            self.grad += g / self.data

        return self.made(math.log(self.data), (self,), pay)

    def tanh(self):
        t = math.tanh(self.data)

        def pay(g):
            self.grad += g * (1 - t**2)

        return self.made(t, (self,), pay)

    def relu(self):
        def pay(g):
            self.grad += g if self.data > 0 else 0

        return self.made(self.data if self.data > 0 else 0, (self,), pay)

    def backward(self):
        order = []

        def visit(node):
            if not any(node is other for other in order):
                for operand in node.operands:
                    visit(operand)
                order.append(node)

        visit(self)
        for node in order:
            if node.pay:
                node.grad = 0
        self.grad = 1
        for node in order[::-1]:
            if node.pay:
                node.pay(node.grad)


@right("Value", uses="F1 F2 F3 F5")
class PathByPath:
    """No order at all: every path from the root is walked, and its product added to all it meets."""

    def __init__(self, data, *shares):
        self.data, self.grad, self.shares = np.float64(data), np.float64(0), shares

    def __add__(self, other):
        return self.pair(other, lambda a, b: (a + b, 1, 1))

    def __sub__(self, other):
        return self.pair(other, lambda a, b: (a - b, 1, -1))

    def __mul__(self, other):
        return self.pair(other, lambda a, b: (a * b, b, a))

    def __truediv__(self, other):
        return self.pair(other, lambda a, b: (a / b, 1 / b, -a / b / b))

    def pair(self, other, rule):
        other = other if isinstance(other, self.__class__) else self.__class__(other)
        data, mine, theirs = rule(self.data, other.data)
        return self.__class__(data, (self, mine), (other, theirs))

    def __radd__(self, other):
        return self.__class__(other) + self

    def __rsub__(self, other):
        return self.__class__(other) - self

    def __rmul__(self, other):
        return self.__class__(other) * self

    def __rtruediv__(self, other):
        return self.__class__(other) / self

    def __neg__(self):
        return 0 - self

    def __pow__(self, n):
        return self.__class__(float(self.data) ** n, (self, n * float(self.data) ** (n - 1)))

    def exp(self):
        return self.__class__(np.exp(self.data), (self, np.exp(self.data)))

    def log(self):
        return self.__class__(np.log(self.data), (self, self.data**-1.0))

    def tanh(self):
        return self.__class__(np.tanh(self.data), (self, 1 - np.tanh(self.data) ** 2))

    def relu(self):
        return self.__class__(np.maximum(self.data, 0), (self, np.heaviside(self.data, 0)))

    def zero(self):
        self.grad = np.float64(0)

    def forget(self):
        for node, _ in self.shares:
            node.forget()
        if self.shares:
            self.grad = np.float64(0)

    def walk(self, product):
        self.grad = self.grad + product
        for node, slope in self.shares:
            node.walk(product * slope)

    def backward(self):
        self.forget()
        self.grad = np.float64(0)
        self.walk(np.float64(1))


# --- backpropagate --------------------------------------------------------------------------------


@wrong(
    "backpropagate",
    "The search for the order calls itself once per node, so a chain of 10,000 nodes hits Python's "
    "limit of nested calls. Keep the nodes that are still open in a list of your own. Look at rule R5.",
)
def recursive(graph, root):
    order, seen = [], set()

    def visit(node):
        seen.add(node)
        for operand, _ in graph[node]:
            if operand not in seen:
                visit(operand)
        order.append(node)

    visit(root)
    grad = dict.fromkeys(order, 0.0)
    grad[root] = 1.0
    for node in reversed(order):
        for operand, local in graph[node]:
            grad[operand] += grad[node] * local
    return grad


@wrong(
    "backpropagate",
    "A node passes its gradient on as soon as the sweep first meets it, before all who use it have paid "
    "in. A node must come after everything that was computed from it. Look at rules R3 and R4.",
)
def first_come_first_served(graph, root):
    order, seen = [root], {root}
    for node in order:
        for operand, _ in graph[node]:
            if operand not in seen:
                seen.add(operand)
                order.append(operand)
    grad = dict.fromkeys(order, 0.0)
    grad[root] = 1.0
    for node in order:
        for operand, local in graph[node]:
            grad[operand] += grad[node] * local
    return grad


@wrong(
    "backpropagate",
    "A node that is used more than once keeps only the last share. Each use must be added to what is "
    "there already (+=). Look at rule R3.",
)
def keeps_the_last_share(graph, root):
    order, seen, todo = [], set(), [(root, False)]
    while todo:
        node, ready = todo.pop()
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            todo.append((node, True))
            todo += [(operand, False) for operand, _ in graph[node]]
    grad = {root: 1.0}
    for node in reversed(order):
        for operand, local in graph[node]:
            grad[operand] = grad[node] * local
    return grad


@wrong(
    "backpropagate",
    "You treat the two entries of a node that is listed twice (x * x, y + y) as one. Both count. Look "
    "at rule R3.",
)
def operands_as_a_set(graph, root):
    order, seen, todo = [], set(), [(root, False)]
    while todo:
        node, ready = todo.pop()
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            todo.append((node, True))
            todo += [(operand, False) for operand, _ in graph[node]]
    grad = dict.fromkeys(order, 0.0)
    grad[root] = 1.0
    for node in reversed(order):
        for operand, local in dict(graph[node]).items():
            grad[operand] += grad[node] * local
    return grad


@wrong(
    "backpropagate",
    "You go through the nodes in the order in which the dictionary lists them. That order says nothing; "
    "find one in which every node comes after all that use it. Look at rule R4.",
)
def order_of_the_dictionary(graph, root):
    grad = dict.fromkeys(graph, 0.0)
    grad[root] = 1.0
    for node, operands in graph.items():
        for operand, local in operands:
            grad[operand] += grad[node] * local
    return grad


@wrong(
    "backpropagate",
    "You walk along every path. Thirty doublings have 2^30 of them: that takes hours. Mark the nodes "
    "you have been to, and let each one pass on its complete gradient once. Look at rule R6.",
)
def path_by_path(graph, root):
    grad, todo = {}, [(root, 1.0)]
    while todo:
        node, share = todo.pop()
        grad[node] = grad.get(node, 0.0) + share
        todo += [(operand, share * local) for operand, local in graph[node]]
    return grad


@wrong(
    "backpropagate",
    "You wait for arrows from nodes that do not lead to the root: a node that is also used elsewhere never "
    "passes its gradient on. Count only arrows that come from nodes the root was computed from. Look at "
    "rule R4.",
)
def waits_for_everybody(graph, root):
    waiting = dict.fromkeys(graph, 0)
    for operands in graph.values():
        for operand, _ in operands:
            waiting[operand] += 1
    grad, ready = dict.fromkeys(graph, 0.0), [root]
    grad[root] = 1.0
    while ready:
        node = ready.pop()
        for operand, local in graph[node]:
            grad[operand] += local * grad[node]
            waiting[operand] -= 1
            if not waiting[operand]:
                ready.append(operand)
    return grad


@right("backpropagate", uses="F1 F2")
def counting_consumers(graph, root):
    """Kahn's way: a node is ready when all its consumers are done. Nodes that do not matter get 0.0."""
    reached, todo = {root}, [root]
    while todo:
        for operand, _ in graph[todo.pop()]:
            if operand not in reached:
                reached.add(operand)
                todo.append(operand)
    waiting = dict.fromkeys(graph, 0)
    for node in reached:
        for operand, _ in graph[node]:
            waiting[operand] += 1
    grad = dict.fromkeys(sorted(graph, key=str), 0.0)
    grad[root], ready = 1.0, [root]
    while ready:
        node = ready.pop()
        for operand, local in graph[node]:
            grad[operand] += local * grad[node]
            waiting[operand] -= 1
            if not waiting[operand]:
                ready.append(operand)
    return grad


@right("backpropagate", uses="F2")
def asking_consumers(graph, root):
    """Turns the graph round: a node asks those who use it, and is asked again later if they are not done."""
    users, todo = {root: []}, [root]
    while todo:
        node = todo.pop()
        for operand, slope in graph[node]:
            if operand not in users:
                users[operand] = []
                todo.append(operand)
            users[operand].append((node, slope))
    gradient, todo = {root: 1.0}, list(users)
    while todo:
        node = todo[-1]
        unknown = [user for user, _ in users[node] if user not in gradient]
        todo.extend(unknown)
        if not unknown:
            todo.pop()
            gradient.setdefault(node, sum(gradient[user] * slope for user, slope in users[node]))
    return gradient


# --- unbroadcast ----------------------------------------------------------------------------------


@wrong(
    "unbroadcast",
    "You sum the axes that broadcasting has put in front, but not those it has stretched from 1. Look "
    "at rule R1.",
)
def leading_axes_only(g, shape):
    g = np.asarray(g, dtype=np.float64)
    return g.sum(axis=tuple(range(g.ndim - len(shape))))


@wrong(
    "unbroadcast",
    "The numbers are right, but an axis of size 1 is lost: summing removes an axis unless it is told to "
    "keep it. The result must have exactly the given shape. Look at rule R2.",
)
def loses_the_axes(g, shape):
    g = np.asarray(g, dtype=np.float64)
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    return g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1))


@wrong(
    "unbroadcast",
    "You average over the copies. Each copy has its own effect on the result, and the effects add up: a "
    "sum, not a mean. Look at rule R1.",
)
def averages(g, shape):
    g = np.asarray(g, dtype=np.float64)
    added = g.ndim - len(shape)
    axes = (*range(added), *(i + added for i, n in enumerate(shape) if n == 1))
    return g.mean(axis=axes).reshape(shape) if g.size else np.zeros(shape)


@wrong(
    "unbroadcast",
    "Axes of size 1 that belong to the array have been squeezed away: (1, 3) is not (3,). The result "
    "must have exactly the given shape. Look at rule R2.",
)
def squeezes(g, shape):
    g = np.asarray(g, dtype=np.float64)
    added = g.ndim - len(shape)
    axes = (*range(added), *(i + added for i, n in enumerate(shape) if n == 1))
    return g.sum(axis=axes, keepdims=True).squeeze()


@wrong(
    "unbroadcast",
    "You line the shapes up from the left. Broadcasting lines them up from the right: new axes appear "
    "in front. Look at rule R1.",
)
def aligned_from_the_left(g, shape):
    g = np.asarray(g, dtype=np.float64)
    axes = tuple(i for i in range(g.ndim) if i >= len(shape) or shape[i] != g.shape[i])
    return g.sum(axis=axes, keepdims=True).reshape(shape)


@right("unbroadcast", uses="F1")
def returns_g_itself(g, shape):
    """Hands g back where nothing is to be summed; sums all axes at once."""
    g = np.asarray(g, dtype=np.float64)
    if g.shape == shape:
        return g
    padded = (1,) * (g.ndim - len(shape)) + shape
    axes = tuple(i for i in range(g.ndim) if padded[i] == 1)
    return g.sum(axis=axes).reshape(shape)


@right("unbroadcast", uses="F2")
def by_origin(g, shape):
    """Asks of every number in g which entry it is a copy of, and counts together; a float for ()."""
    g = np.asarray(g)
    size = math.prod(shape)
    origin = np.broadcast_to(np.arange(size).reshape(shape), g.shape)
    total = np.bincount(origin.ravel(), weights=g.ravel(), minlength=size).astype(float)
    return total.reshape(shape) if shape else float(total[0])


@right("unbroadcast", uses="F2")
def one_axis_at_a_time(g, shape):
    """Loops: first the axes in front, then one stretched axis after the other, as sums of slices."""
    g = np.array(g, dtype=float)
    while g.ndim > len(shape):
        g = sum(g, np.zeros(g.shape[1:]))
    for axis, size in enumerate(shape):
        if size == 1:
            g = np.add.reduce(g, axis=axis, keepdims=True)
    return g[()] if not shape else g


# --- Tensor ---------------------------------------------------------------------------------------


@wrong(
    "Tensor",
    "The gradient from above is ignored: each operation hands down its own slope only. That works as "
    "long as the gradient from above is all ones. Multiply by what comes in. Look at rule R8.",
)
class IgnoresTheGradientFromAbove:
    def __init__(self, data, sources=()):
        self.data, self.grad, self.sources = np.asarray(data, dtype=np.float64), None, sources

    @property
    def shape(self):
        return self.data.shape

    def of(self, other):
        return other if isinstance(other, type(self)) else type(self)(other)

    def fit(self, g):
        added = g.ndim - self.data.ndim
        axes = tuple(i for i in range(g.ndim) if i < added or self.shape[i - added] == 1)
        return g.sum(axis=axes).reshape(self.shape)

    def __add__(self, other):
        other = self.of(other)
        return type(self)(self.data + other.data, ((self, lambda g: g), (other, lambda g: g)))

    def __mul__(self, other):
        other, one = self.of(other), np.ones_like
        return type(self)(
            self.data * other.data,
            ((self, lambda g: one(g) * other.data), (other, lambda g: one(g) * self.data)),
        )

    def __matmul__(self, other):
        a, b = self.data, other.data
        return type(self)(a @ b, ((self, lambda g: g @ b.mT), (other, lambda g: a.mT @ g)))

    __radd__, __rmul__ = __add__, __mul__

    def sum(self, axis=None, keepdims=False):
        kept = self.data.sum(axis=axis, keepdims=True).shape
        out = self.data.sum(axis=axis, keepdims=keepdims)
        return type(self)(out, ((self, lambda g: g.reshape(kept) * np.ones(self.shape)),))

    def mean(self, axis=None, keepdims=False):
        out = self.sum(axis, keepdims)
        return out * (out.data.size / self.data.size)

    def exp(self):
        return type(self)(np.exp(self.data), ((self, lambda g: np.exp(self.data)),))

    def log(self):
        return type(self)(np.log(self.data), ((self, lambda g: 1 / self.data),))

    def relu(self):
        return type(self)(np.maximum(self.data, 0), ((self, lambda g: (self.data > 0) * 1.0),))

    def reshape(self, *shape):
        return type(self)(self.data.reshape(*shape), ((self, lambda g: g.reshape(self.shape)),))

    def transpose(self, *axes):
        back = np.argsort(axes) if axes else None
        return type(self)(self.data.transpose(*axes), ((self, lambda g: g.transpose(back)),))

    def __getitem__(self, index):
        def spread(g):
            full = np.zeros(self.shape)
            np.add.at(full, index, g)
            return full

        return type(self)(self.data[index], ((self, spread),))

    def backward(self, grad=None):
        if grad is None and self.data.size != 1:
            raise ValueError("a gradient is needed")
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                for operand, _ in node.sources:
                    visit(operand)
                order.append(node)

        visit(self)
        come = {node: np.zeros(node.shape) for node in order}
        come[self] = np.ones(self.shape) if grad is None else np.array(grad, dtype=np.float64)
        for node in reversed(order):
            for operand, pull in node.sources:
                come[operand] += operand.fit(pull(come[node]))
            inner = node is self or node.sources or node.grad is None
            node.grad = come[node].copy() if inner else node.grad + come[node]


@wrong(
    "Tensor",
    "A matrix that is shared by a whole batch gets a gradient with a batch axis too many, or of one "
    "batch entry only. @ broadcasts the leading axes, so their gradients must be summed, as for + and "
    "*. Look at rules R3 and R8.",
)
class SharedMatrixNotSummed:
    def __init__(self, data, sources=()):
        self.data, self.grad, self.sources = np.asarray(data, dtype=np.float64), None, sources

    @property
    def shape(self):
        return self.data.shape

    def of(self, other):
        return other if isinstance(other, type(self)) else type(self)(other)

    def fit(self, g):
        added = g.ndim - self.data.ndim
        axes = tuple(i for i in range(g.ndim) if i < added or self.shape[i - added] == 1)
        return g.sum(axis=axes).reshape(self.shape)

    def __add__(self, other):
        other = self.of(other)
        return type(self)(self.data + other.data, ((self, self.fit), (other, other.fit)))

    def __mul__(self, other):
        other = self.of(other)
        return type(self)(
            self.data * other.data,
            ((self, lambda g: self.fit(g * other.data)), (other, lambda g: other.fit(g * self.data))),
        )

    def __matmul__(self, other):
        a, b = self.data, other.data
        return type(self)(a @ b, ((self, lambda g: g @ b.mT), (other, lambda g: a.mT @ g)))

    __radd__, __rmul__ = __add__, __mul__

    def sum(self, axis=None, keepdims=False):
        kept = self.data.sum(axis=axis, keepdims=True).shape
        out = self.data.sum(axis=axis, keepdims=keepdims)
        return type(self)(out, ((self, lambda g: g.reshape(kept) * np.ones(self.shape)),))

    def mean(self, axis=None, keepdims=False):
        out = self.sum(axis, keepdims)
        return out * (out.data.size / self.data.size)

    def exp(self):
        return type(self)(np.exp(self.data), ((self, lambda g: g * np.exp(self.data)),))

    def log(self):
        return type(self)(np.log(self.data), ((self, lambda g: g / self.data),))

    def relu(self):
        return type(self)(np.maximum(self.data, 0), ((self, lambda g: g * (self.data > 0)),))

    def reshape(self, *shape):
        return type(self)(self.data.reshape(*shape), ((self, lambda g: g.reshape(self.shape)),))

    def transpose(self, *axes):
        back = np.argsort(axes) if axes else None
        return type(self)(self.data.transpose(*axes), ((self, lambda g: g.transpose(back)),))

    def __getitem__(self, index):
        def spread(g):
            full = np.zeros(self.shape)
            np.add.at(full, index, g)
            return full

        return type(self)(self.data[index], ((self, spread),))

    def backward(self, grad=None):
        if grad is None and self.data.size != 1:
            raise ValueError("a gradient is needed")
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                for operand, _ in node.sources:
                    visit(operand)
                order.append(node)

        visit(self)
        come = dict.fromkeys(order, 0.0)
        come[self] = np.ones(self.shape) if grad is None else np.array(grad, dtype=np.float64)
        for node in reversed(order):
            for operand, pull in node.sources:
                come[operand] = come[operand] + pull(come[node])
            inner = node is self or node.sources or node.grad is None
            node.grad = np.array(come[node]) if inner else node.grad + come[node]


@wrong(
    "Tensor",
    "A row that the index takes twice gets one of its gradients only: numpy's g[index] += ... writes a "
    "repeated row once. np.add.at adds every time. Look at rule R7.",
)
class RepeatedRowsWrittenOnce:
    def __init__(self, data, sources=()):
        self.data, self.grad, self.sources = np.asarray(data, dtype=np.float64), None, sources

    @property
    def shape(self):
        return self.data.shape

    def of(self, other):
        return other if isinstance(other, type(self)) else type(self)(other)

    def fit(self, g):
        added = g.ndim - self.data.ndim
        axes = tuple(i for i in range(g.ndim) if i < added or self.shape[i - added] == 1)
        return g.sum(axis=axes).reshape(self.shape)

    def __add__(self, other):
        other = self.of(other)
        return type(self)(self.data + other.data, ((self, self.fit), (other, other.fit)))

    def __mul__(self, other):
        other = self.of(other)
        return type(self)(
            self.data * other.data,
            ((self, lambda g: self.fit(g * other.data)), (other, lambda g: other.fit(g * self.data))),
        )

    def __matmul__(self, other):
        a, b = self, other
        return type(self)(
            a.data @ b.data,
            ((a, lambda g: a.fit_all(g @ b.data.mT)), (b, lambda g: b.fit_all(a.data.mT @ g))),
        )

    def fit_all(self, g):
        added = g.ndim - self.data.ndim
        axes = tuple(i for i in range(g.ndim) if i < added or self.shape[i - added] != g.shape[i])
        return g.sum(axis=axes).reshape(self.shape)

    __radd__, __rmul__ = __add__, __mul__

    def sum(self, axis=None, keepdims=False):
        kept = self.data.sum(axis=axis, keepdims=True).shape
        out = self.data.sum(axis=axis, keepdims=keepdims)
        return type(self)(out, ((self, lambda g: g.reshape(kept) * np.ones(self.shape)),))

    def mean(self, axis=None, keepdims=False):
        out = self.sum(axis, keepdims)
        return out * (out.data.size / self.data.size)

    def exp(self):
        return type(self)(np.exp(self.data), ((self, lambda g: g * np.exp(self.data)),))

    def log(self):
        return type(self)(np.log(self.data), ((self, lambda g: g / self.data),))

    def relu(self):
        return type(self)(np.maximum(self.data, 0), ((self, lambda g: g * (self.data > 0)),))

    def reshape(self, *shape):
        return type(self)(self.data.reshape(*shape), ((self, lambda g: g.reshape(self.shape)),))

    def transpose(self, *axes):
        back = np.argsort(axes) if axes else None
        return type(self)(self.data.transpose(*axes), ((self, lambda g: g.transpose(back)),))

    def __getitem__(self, index):
        def spread(g):
            full = np.zeros(self.shape)
            full[index] += g
            return full

        return type(self)(self.data[index], ((self, spread),))

    def backward(self, grad=None):
        if grad is None and self.data.size != 1:
            raise ValueError("a gradient is needed")
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                for operand, _ in node.sources:
                    visit(operand)
                order.append(node)

        visit(self)
        come = dict.fromkeys(order, 0.0)
        come[self] = np.ones(self.shape) if grad is None else np.array(grad, dtype=np.float64)
        for node in reversed(order):
            for operand, pull in node.sources:
                come[operand] = come[operand] + pull(come[node])
            inner = node is self or node.sources or node.grad is None
            node.grad = np.array(come[node]) if inner else node.grad + come[node]


@wrong(
    "Tensor",
    "The gradient of a sum over an axis is not spread back over that axis in the right place. Put the "
    "summed axis back with size 1 first, then let it broadcast. Look at rule R4.",
)
class SummedAxisNotPutBack:
    def __init__(self, data, sources=()):
        self.data, self.grad, self.sources = np.asarray(data, dtype=np.float64), None, sources

    @property
    def shape(self):
        return self.data.shape

    def of(self, other):
        return other if isinstance(other, type(self)) else type(self)(other)

    def fit(self, g):
        added = g.ndim - self.data.ndim
        axes = tuple(i for i in range(g.ndim) if i < added or self.shape[i - added] != g.shape[i])
        return g.sum(axis=axes).reshape(self.shape)

    def __add__(self, other):
        other = self.of(other)
        return type(self)(self.data + other.data, ((self, self.fit), (other, other.fit)))

    def __mul__(self, other):
        other = self.of(other)
        return type(self)(
            self.data * other.data,
            ((self, lambda g: self.fit(g * other.data)), (other, lambda g: other.fit(g * self.data))),
        )

    def __matmul__(self, other):
        a, b = self, other
        return type(self)(
            a.data @ b.data, ((a, lambda g: a.fit(g @ b.data.mT)), (b, lambda g: b.fit(a.data.mT @ g)))
        )

    __radd__, __rmul__ = __add__, __mul__

    def sum(self, axis=None, keepdims=False):
        out = self.data.sum(axis=axis, keepdims=keepdims)
        return type(self)(out, ((self, lambda g: g * np.ones(self.shape)),))

    def mean(self, axis=None, keepdims=False):
        out = self.sum(axis, keepdims)
        return out * (out.data.size / self.data.size)

    def exp(self):
        return type(self)(np.exp(self.data), ((self, lambda g: g * np.exp(self.data)),))

    def log(self):
        return type(self)(np.log(self.data), ((self, lambda g: g / self.data),))

    def relu(self):
        return type(self)(np.maximum(self.data, 0), ((self, lambda g: g * (self.data > 0)),))

    def reshape(self, *shape):
        return type(self)(self.data.reshape(*shape), ((self, lambda g: g.reshape(self.shape)),))

    def transpose(self, *axes):
        back = np.argsort(axes) if axes else None
        return type(self)(self.data.transpose(*axes), ((self, lambda g: g.transpose(back)),))

    def __getitem__(self, index):
        def spread(g):
            full = np.zeros(self.shape)
            np.add.at(full, index, g)
            return full

        return type(self)(self.data[index], ((self, spread),))

    def backward(self, grad=None):
        if grad is None and self.data.size != 1:
            raise ValueError("a gradient is needed")
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                for operand, _ in node.sources:
                    visit(operand)
                order.append(node)

        visit(self)
        come = dict.fromkeys(order, 0.0)
        come[self] = np.ones(self.shape) if grad is None else np.array(grad, dtype=np.float64)
        for node in reversed(order):
            for operand, pull in node.sources:
                come[operand] = come[operand] + pull(come[node])
            inner = node is self or node.sources or node.grad is None
            node.grad = np.array(come[node]) if inner else node.grad + come[node]


@wrong(
    "Tensor",
    "Two gradients lie in the same memory: what is added to one shows up in the other. + and reshape "
    "hand the very array on that came in; keep a copy of what you store. Look at rule R11.",
)
class GradientsShareMemory:
    def __init__(self, data, sources=()):
        self.data, self.grad, self.sources = np.asarray(data, dtype=np.float64), None, sources

    @property
    def shape(self):
        return self.data.shape

    def of(self, other):
        return other if isinstance(other, type(self)) else type(self)(other)

    def fit(self, g):
        if g.shape == self.shape:
            return g
        added = g.ndim - self.data.ndim
        axes = tuple(i for i in range(g.ndim) if i < added or self.shape[i - added] != g.shape[i])
        return g.sum(axis=axes).reshape(self.shape)

    def __add__(self, other):
        other = self.of(other)
        return type(self)(self.data + other.data, ((self, self.fit), (other, other.fit)))

    def __mul__(self, other):
        other = self.of(other)
        return type(self)(
            self.data * other.data,
            ((self, lambda g: self.fit(g * other.data)), (other, lambda g: other.fit(g * self.data))),
        )

    def __matmul__(self, other):
        a, b = self, other
        return type(self)(
            a.data @ b.data, ((a, lambda g: a.fit(g @ b.data.mT)), (b, lambda g: b.fit(a.data.mT @ g)))
        )

    __radd__, __rmul__ = __add__, __mul__

    def sum(self, axis=None, keepdims=False):
        kept = self.data.sum(axis=axis, keepdims=True).shape
        out = self.data.sum(axis=axis, keepdims=keepdims)
        return type(self)(out, ((self, lambda g: g.reshape(kept) * np.ones(self.shape)),))

    def mean(self, axis=None, keepdims=False):
        out = self.sum(axis, keepdims)
        return out * (out.data.size / self.data.size)

    def exp(self):
        return type(self)(np.exp(self.data), ((self, lambda g: g * np.exp(self.data)),))

    def log(self):
        return type(self)(np.log(self.data), ((self, lambda g: g / self.data),))

    def relu(self):
        return type(self)(np.maximum(self.data, 0), ((self, lambda g: g * (self.data > 0)),))

    def reshape(self, *shape):
        return type(self)(self.data.reshape(*shape), ((self, lambda g: g.reshape(self.shape)),))

    def transpose(self, *axes):
        back = np.argsort(axes) if axes else None
        return type(self)(self.data.transpose(*axes), ((self, lambda g: g.transpose(back)),))

    def __getitem__(self, index):
        def spread(g):
            full = np.zeros(self.shape)
            np.add.at(full, index, g)
            return full

        return type(self)(self.data[index], ((self, spread),))

    def backward(self, grad=None):
        if grad is None and self.data.size != 1:
            raise ValueError("a gradient is needed")
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                node.grad = None if node.sources else node.grad
                for operand, _ in node.sources:
                    visit(operand)
                order.append(node)

        visit(self)
        self.grad = np.ones(self.shape) if grad is None else np.asarray(grad, dtype=np.float64)
        for node in reversed(order):
            for operand, pull in node.sources:
                share = pull(node.grad)
                if operand.grad is None:
                    operand.grad = share
                else:
                    operand.grad += share


@wrong(
    "Tensor",
    "The gradient of a transpose is put back with the same order of axes once more. It needs the "
    "inverse order: where did axis 0 of the tensor go? The two agree when just two axes are swapped. "
    "Look at rule R6.",
)
class TransposedTwice:
    def __init__(self, data, sources=()):
        self.data, self.grad, self.sources = np.asarray(data, dtype=np.float64), None, sources

    @property
    def shape(self):
        return self.data.shape

    def of(self, other):
        return other if isinstance(other, type(self)) else type(self)(other)

    def fit(self, g):
        added = g.ndim - self.data.ndim
        axes = tuple(i for i in range(g.ndim) if i < added or self.shape[i - added] != g.shape[i])
        return g.sum(axis=axes).reshape(self.shape)

    def __add__(self, other):
        other = self.of(other)
        return type(self)(self.data + other.data, ((self, self.fit), (other, other.fit)))

    def __mul__(self, other):
        other = self.of(other)
        return type(self)(
            self.data * other.data,
            ((self, lambda g: self.fit(g * other.data)), (other, lambda g: other.fit(g * self.data))),
        )

    def __matmul__(self, other):
        a, b = self, other
        return type(self)(
            a.data @ b.data, ((a, lambda g: a.fit(g @ b.data.mT)), (b, lambda g: b.fit(a.data.mT @ g)))
        )

    __radd__, __rmul__ = __add__, __mul__

    def sum(self, axis=None, keepdims=False):
        kept = self.data.sum(axis=axis, keepdims=True).shape
        out = self.data.sum(axis=axis, keepdims=keepdims)
        return type(self)(out, ((self, lambda g: g.reshape(kept) * np.ones(self.shape)),))

    def mean(self, axis=None, keepdims=False):
        out = self.sum(axis, keepdims)
        return out * (out.data.size / self.data.size)

    def exp(self):
        return type(self)(np.exp(self.data), ((self, lambda g: g * np.exp(self.data)),))

    def log(self):
        return type(self)(np.log(self.data), ((self, lambda g: g / self.data),))

    def relu(self):
        return type(self)(np.maximum(self.data, 0), ((self, lambda g: g * (self.data > 0)),))

    def reshape(self, *shape):
        return type(self)(self.data.reshape(*shape), ((self, lambda g: g.reshape(self.shape)),))

    def transpose(self, *axes):
        return type(self)(self.data.transpose(*axes), ((self, lambda g: g.transpose(*axes)),))

    def __getitem__(self, index):
        def spread(g):
            full = np.zeros(self.shape)
            np.add.at(full, index, g)
            return full

        return type(self)(self.data[index], ((self, spread),))

    def backward(self, grad=None):
        if grad is None and self.data.size != 1:
            raise ValueError("a gradient is needed")
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                for operand, _ in node.sources:
                    visit(operand)
                order.append(node)

        visit(self)
        come = dict.fromkeys(order, 0.0)
        come[self] = np.ones(self.shape) if grad is None else np.array(grad, dtype=np.float64)
        for node in reversed(order):
            for operand, pull in node.sources:
                come[operand] = come[operand] + pull(come[node])
            inner = node is self or node.sources or node.grad is None
            node.grad = np.array(come[node]) if inner else node.grad + come[node]


@right("Tensor", uses="F1 F2 F3")
class NumberedNodes:
    """Every tensor has a number, larger than those of its operands: no search for an order is needed."""

    newest = 0

    def __init__(self, data):
        self.data = np.array(data, dtype=float)
        self.grad = np.zeros(self.data.shape)
        type(self).newest += 1
        self.number, self.sources = self.newest, []

    @property
    def shape(self):
        return tuple(int(n) for n in self.data.shape)

    def result(self, data, *sources):
        out = type(self)(0.0)
        out.data, out.grad, out.sources = np.asarray(data), np.zeros(np.shape(data)), list(sources)
        return out

    @staticmethod
    def back_to(shape, g):
        while g.ndim > len(shape):
            g = g.sum(0)
        for axis, n in enumerate(shape):
            if n == 1:
                g = g.sum(axis, keepdims=True)
        return g

    def wrap(self, other):
        return other if isinstance(other, type(self)) else type(self)(other)

    def __add__(self, other):
        other = self.wrap(other)
        pulls = [(t, lambda g, s=t.data.shape: self.back_to(s, g)) for t in (self, other)]
        return self.result(self.data + other.data, *pulls)

    def __radd__(self, other):
        return self + other

    def __mul__(self, other):
        other = self.wrap(other)
        a, b = self.data, other.data
        left = (self, lambda g: self.back_to(a.shape, g * b))
        return self.result(a * b, left, (other, lambda g: self.back_to(b.shape, g * a)))

    def __rmul__(self, other):
        return self * other

    def __matmul__(self, other):
        a, b = self.data, other.data
        left = (self, lambda g: self.back_to(a.shape, np.einsum("...ik,...jk->...ij", g, b)))
        return self.result(
            np.matmul(a, b),
            left,
            (other, lambda g: self.back_to(b.shape, np.einsum("...ki,...kj->...ij", a, g))),
        )

    def sum(self, axis=None, keepdims=False):
        axes = tuple(range(self.data.ndim)) if axis is None else axis

        def pull(g):
            g = g if keepdims else np.expand_dims(g, axes)
            return np.broadcast_to(g, self.data.shape)

        return self.result(self.data.sum(axis=axes, keepdims=keepdims), (self, pull))

    def mean(self, axis=None, keepdims=False):
        total = self.sum(axis=axis, keepdims=keepdims)
        return total * (math.prod(total.shape) / math.prod(self.shape))

    def exp(self):
        y = np.exp(self.data)
        return self.result(y, (self, lambda g: g * y))

    def log(self):
        x = self.data
        return self.result(np.log(x), (self, lambda g: g / x))

    def relu(self):
        on = self.data > 0
        return self.result(np.where(on, self.data, 0.0), (self, lambda g: np.where(on, g, 0.0)))

    def reshape(self, *shape):
        return self.result(np.reshape(self.data, shape[0] if isinstance(shape[0], tuple) else shape),
                           (self, lambda g: np.reshape(g, self.data.shape)))  # fmt: skip

    def transpose(self, *axes):
        order = axes or tuple(reversed(range(self.data.ndim)))
        back = [order.index(i) for i in range(len(order))]
        return self.result(np.transpose(self.data, order), (self, lambda g: np.transpose(g, back)))

    def __getitem__(self, index):
        def pull(g):
            rows, height = np.asarray(index).reshape(-1) % len(self.data), len(self.data)
            picks = np.zeros((rows.size, height))
            picks[np.arange(rows.size), rows] = 1.0
            return (picks.T @ g.reshape(rows.size, -1)).reshape(self.data.shape)

        return self.result(self.data[index], (self, pull))

    def backward(self, grad=None):
        if grad is None:
            if self.data.size > 1:
                raise ValueError("which gradient?")
            grad = np.ones(self.data.shape)
        come, todo = {self.number: np.array(grad, dtype=float)}, {self.number: self}
        while todo:
            node = todo.pop(max(todo))
            g = come[node.number]
            if node.sources or node is self:
                node.grad = np.array(g)
            else:
                node.grad += g
            for operand, pull in node.sources:
                share = pull(g)
                known = come.get(operand.number)
                come[operand.number] = np.array(share) if known is None else known + share
                todo[operand.number] = operand


@right("Tensor", uses="F1 F2 F3 F4")
class PushedDownPaths:
    """Pushes every share down as it comes; NumPy numbers for tensors without axes, grad None at first."""

    def __init__(self, data, parents=()):
        self.data = np.asarray(data, dtype=np.float64)[()]
        self.grad, self.parents = None, parents
        self.shape = np.shape(self.data)

    def lift(self, other):
        return other if isinstance(other, self.__class__) else self.__class__(other)

    def fold(self, g):
        g = np.asarray(g)
        extra = g.ndim - len(self.shape)
        g = g.sum(axis=tuple(range(extra)))
        return g.sum(axis=tuple(i for i, n in enumerate(self.shape) if n == 1), keepdims=True)

    def __add__(self, other):
        a, b = self, self.lift(other)
        return self.__class__(a.data + b.data, ((a, a.fold), (b, b.fold)))

    def __mul__(self, other):
        a, b = self, self.lift(other)
        pulls = ((a, lambda g: a.fold(g * b.data)), (b, lambda g: b.fold(g * a.data)))
        return self.__class__(a.data * b.data, pulls)

    __radd__, __rmul__ = __add__, __mul__

    def __matmul__(self, other):
        a, b = self, other
        pulls = ((a, lambda g: a.fold(g @ np.swapaxes(b.data, -1, -2))),
                 (b, lambda g: b.fold(np.swapaxes(a.data, -1, -2) @ g)))  # fmt: skip
        return self.__class__(a.data @ b.data, pulls)

    def sum(self, axis=None, keepdims=False):
        kept = np.sum(self.data, axis=axis, keepdims=True).shape
        return self.__class__(
            np.sum(self.data, axis=axis, keepdims=keepdims),
            ((self, lambda g: np.zeros(self.shape) + np.reshape(g, kept)),),
        )

    def mean(self, axis=None, keepdims=False):
        kept = np.mean(self.data, axis=axis, keepdims=True)
        share = kept.size / np.size(self.data)
        return self.__class__(
            np.mean(self.data, axis=axis, keepdims=keepdims),
            ((self, lambda g: np.zeros(self.shape) + share * np.reshape(g, kept.shape)),),
        )

    def exp(self):
        return self.__class__(np.exp(self.data), ((self, lambda g: g * np.exp(self.data)),))

    def log(self):
        return self.__class__(np.log(self.data), ((self, lambda g: g / self.data),))

    def relu(self):
        return self.__class__(
            self.data * (self.data > 0), ((self, lambda g: g * np.heaviside(self.data, 0)),)
        )

    def reshape(self, *shape):
        return self.__class__(np.reshape(self.data, shape if len(shape) > 1 else shape[0]),
                              ((self, lambda g: np.reshape(g, self.shape)),))  # fmt: skip

    def transpose(self, *axes):
        order = list(axes) if axes else list(range(len(self.shape)))[::-1]
        return self.__class__(
            np.transpose(self.data, order), ((self, lambda g: np.transpose(g, np.argsort(order))),)
        )

    def __getitem__(self, index):
        def scatter(g):
            full = np.zeros(self.shape)
            for place, row in np.ndenumerate(index):
                full[row] += np.asarray(g)[place]
            return full

        return self.__class__(self.data[index], ((self, scatter),))

    def forget(self):
        for parent, _ in self.parents:
            parent.forget()
        if self.parents:
            self.grad = None

    def push(self, g):
        self.grad = np.array(g)[()] if self.grad is None else self.grad + g
        for parent, pull in self.parents:
            parent.push(pull(g))

    def backward(self, grad=None):
        if grad is None and np.size(self.data) != 1:
            raise ValueError("a gradient is needed")
        self.forget()
        self.grad = None
        self.push(np.ones(self.shape) if grad is None else np.array(grad, dtype=np.float64))


# Mutants of the solution that no test can tell from it, and why.
EQUIVALENT = {
    "Tensor": {
        "if self.data.size != 1: => if self.data.size > 1:": "The contract leaves empty arrays open.",
    },
}
