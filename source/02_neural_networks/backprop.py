# %% [markdown]
# # Backpropagation
#
# **Goal of the section.** Understand how a network learns a *representation* of its input, and the one algorithm that
# makes it possible: backpropagation. This notebook builds that algorithm from nothing.
#
# **You build** a number that remembers where it came from and can say how much it mattered; the same for whole
# arrays, with broadcasting and matrix products. That is an automatic differentiation engine, a small sister of the
# one inside PyTorch. At the end your engine trains a neural network on two interleaved half moons, without a single
# derivative worked out by you.
#
# **Topics.** Backpropagation; the chain rule; gradients; matrix multiplication and its gradients.
#
# **Mathematics used.** The derivative as a slope; the chain rule; sums over paths; for arrays, the gradient of a
# matrix product.
#
# **Time.** About 100 minutes, the bonus not counted. You need to be at home with Python classes and NumPy arrays. No
# exercise uses your answer to another one: if you get stuck, go on and come back.

# %%
import math
import time

import numpy as np
import torch

from autograder import check

# %% [markdown]
# ## The story: who is to blame?
#
# A network with a million numbers in it makes a mistake: it calls a cat a dog. Each of the million numbers had a hand
# in it, some more, some less, some in the other direction. To learn from the mistake, we need to know for *every one*
# of them: **if this number were a little larger, how much larger would the mistake be?** Then we turn each number a
# little in the direction that helps.
#
# One could try it out: change one number a little, run the network again, look. That is one run per number, a million
# runs for a single small step of learning. Nobody has the time.
#
# Backpropagation gets **all** million answers from one run forward and one run backward. Seppo Linnainmaa described
# the idea in 1970, to trace rounding errors through long calculations. In 1986 Rumelhart, Hinton and Williams showed
# what networks learn with it. Nearly every network you have heard of since was trained this way.
#
# The idea fits on a lemonade stand.
#
# ### A lemonade stand
#
# You sell lemonade. A cup costs you 2 to make and you sell it for 5, so your *margin* is 3. The dearer it is, the
# fewer people come: you sell $100 - 10 \cdot \text{price}$ *cups*, 50 today. Your *profit* is margin times cups: 150.
#
# Should the price go up? It has **two** effects. A higher price means a larger margin: good, 50 cups are waiting for
# it. And it means fewer cups: bad, each was worth 3. The picture shows the calculation as a graph, and how a small
# change travels through it.

# %% demo
BLUE, ORANGE, GREY, INK = "#2563eb", "#ea580c", "#9ca3af", "#1f2937"

import backprop_pictures as pictures
import matplotlib.pyplot as plt

pictures.stand_picture()

# %% [markdown]
# *Blue: the numbers, computed from left to right. Green, on the arrows: the **local slope**, how much the right end
# moves when the left end moves by a little. Orange, after the sign ∂: how much the* profit *moves. A price one cent
# higher means twenty cents more profit. So, up with it.*
#
# Only the green numbers are needed to find the orange ones, and no operation must know more than its own
# neighbourhood. A product knows: *if my left factor grows by 1, I grow by my right factor.* It need not know whether
# it sits in a lemonade stand or in a language model. The rest is bookkeeping, from right to left:

# %% demo
pictures.sweep_picture()

# %% [markdown]
# *Each node waits until it knows its own ∂. Then it pays each of its operands: its ∂ times the local slope. Whoever
# is paid twice, like the price, adds it up.*
#
# ## The mathematics
#
# Let $L$ be the number at the end (the profit, or the loss of a network), and for every node $v$ write $\bar v =
# \partial L / \partial v$, its **gradient**. The **chain rule** says that effects *multiply* along a path and *add
# up* over paths. If $v$ is used by $u_1, u_2, \dots$, then
#
# $$\bar L = 1, \qquad\qquad \bar v = \sum_{u \text{ uses } v} \bar u \cdot \frac{\partial u}{\partial v}.$$
#
# So $\bar v$ can be found as soon as all the $\bar u$ are known: start at the end and go backward. Each arrow of the
# graph is used exactly once, so the way back costs no more than a few times the way forward, **no matter how many
# inputs there are**. That is the whole miracle.
#
# All you need besides are the local slopes:
#
# | $u$ | $\partial u / \partial a$ | $\partial u / \partial b$ |
# |---|---|---|
# | $a + b$ | $1$ | $1$ |
# | $a - b$ | $1$ | $-1$ |
# | $a \cdot b$ | $b$ | $a$ |
# | $a / b$ | $1/b$ | $-a/b^2$ |
# | $a^n$ | $n\,a^{n-1}$ | |
# | $e^a$ | $e^a$ | |
# | $\ln a$ | $1/a$ | |
# | $\tanh a$ | $1 - \tanh^2 a$ | |
# | $\operatorname{relu}(a) = \max(a, 0)$ | $1$ if $a > 0$, else $0$ | |

# %% [markdown]
# ## Exercise 1: `Value`
#
# **★★ · about 35 minutes · needs: Python classes, the chain rule · roadmap: backpropagation, chain rule, gradients**
#
# A `Value` is a number that remembers how it was made. You calculate with it as with any other number; meanwhile the
# graph of the pictures grows behind the scenes. Then one call of `backward()` on the result fills in all the
# gradients.
#
# ```
#                        data   grad          made of
#   price = Value(5.0)    5      .            nothing: a leaf
#   cost  = Value(2.0)    2      .            nothing: a leaf
#   margin = price - cost 3      .            price (slope 1), cost (slope -1)      | the graph grows
#   cups = 100 - 10*price 50     .            ...                                   |
#   profit = margin*cups  150    .            margin (slope 50), cups (slope 3)     v
#
#   profit.backward()            fills the column grad, from the last row up
# ```
#
# **Why it matters.** This is PyTorch's autograd in small: a tensor with `requires_grad` remembers how it was made,
# and `loss.backward()` does what yours will do. You will meet its habits everywhere: why gradients must be zeroed
# before each step of training (they *add up*), why memory grows with the depth of a network (the graph is
# *remembered*), why a network can share one weight in a thousand places.
#
# **How Python asks.** For `a + b` Python calls `a.__add__(b)`. For `10 * a` it first asks the number 10, which has
# never heard of your class, and then calls `a.__rmul__(10)`: the *reflected* method, with the operands exchanged.
#
# | you write | method of `a` | with a number on the left | method of `a` |
# |---|---|---|---|
# | `a + b` | `__add__` | `2 + a` | `__radd__` |
# | `a - b` | `__sub__` | `2 - a` | `__rsub__` |
# | `a * b` | `__mul__` | `2 * a` | `__rmul__` |
# | `a / b` | `__truediv__` | `2 / a` | `__rtruediv__` |
# | `a ** n` | `__pow__` | | |
# | `-a` | `__neg__` | | |
#
# ### Contract
#
# - **R1** `Value(data)` holds a Python number as `data`; `grad` is 0.0 until `backward()` reaches it. Both are
#   ordinary attributes that may be read and set.
# - **R2** `a + b`, `a - b`, `a * b`, `a / b` work when both are Values and when one of the two, **on either side**,
#   is a Python `int` or `float`; `-a` works too, and `a ** n` with an `int` or `float` $n$ on the right. So
#   `sum([a, b, c])` works as well: it starts with `0 + a`.
# - **R3** The methods `exp()`, `log()` (natural), `tanh()` and `relu()` do what their names say.
# - **R4** At 0, `relu` has the value 0 and the slope 0. `tanh` of $\pm 400$ is exactly $\pm 1$, with slope 0 and
#   without an error. A negative number has whole powers: the exponent may be positive, negative or zero, and `2.0` is
#   whole too.
# - **R5** Each operation gives a *new* Value, also where nothing changes (`a + 0`, `a ** 1`), and leaves its operands
#   as they are.
# - **R6** `L.backward()` finds, for `L` and every Value that `L` was computed from, the derivative of `L` with
#   respect to it. (`L` is then called the *root*.) A Value that is used several times gets the sum over all its uses.
# - **R7** A **leaf**, a Value made by `Value(...)`, *adds*: its `grad` grows by the derivative, at every call,
#   whichever root the call starts from. (Exception: a leaf that is itself the root; see R8.)
# - **R8** An **inner** Value, made by an operation, holds the derivative of the latest call that reached it, and the
#   root of a call holds 1. So a second `backward()` of the same root adds exactly the same amounts to the leaves once
#   more.
# - **R9** `zero()` sets the `grad` of this one Value to 0.0 and touches no other. `backward()` touches no Value that
#   the root was not computed from.
# - **R10** Expressions may be 100 operations deep.
#
# *Up to you:*
#
# - **F1** Recursion or a loop, and how a Value remembers its operands.
# - **F2** Speed: it is not judged here.
# - **F3** What `zero()` and `backward()` return.
# - **F4** Whether `Value(2).data` is `2` or `2.0`.
# - **F5** Python or NumPy numbers as `data` and `grad`.
#
# *Not specified, not tested:* division by zero, logarithms and fractional powers of negative numbers, $0$ to a power
# below 1, overflow of `exp`; a Value as exponent; comparing and printing Values; `backward()` of an old expression
# after you have set the `data` of a leaf (build it again).
#
# *Not allowed,* here and in all of this notebook, cells you add included: `torch.autograd`, `torch.func`, `torch.nn`,
# `requires_grad`. The engine is yours.
#
# ### Worked example
#
# ```python
# price, cost = Value(5.0), Value(2.0)
# margin = price - cost
# cups = 100 - 10 * price
# profit = margin * cups
# profit.data                    # 150.0
# profit.backward()
# price.grad, cost.grad          # (20.0, -50.0)
# margin.grad, cups.grad         # (50.0, 3.0)
# profit.backward()              # once more
# price.grad, margin.grad        # (40.0, 50.0)       the leaf adds, the inner Value does not
# ```


# %%
class Value:
    """A number that remembers how it was made, and can tell how the result depends on it.

    Args:
        data: int or float.

    Attributes:
        data: the number.
        grad: derivative of the root of `backward()` with respect to this Value. 0.0 at first.

    Source: Rumelhart, Hinton, Williams 1986; reverse mode in Baydin et al. 2018, section 3.2.
    """

    def __init__(self, data: float):
        self.data = data
        self.grad = 0.0
        ### BEGIN SOLUTION
        self._operands: tuple = ()  # pairs: an operand, and the slope of this node with respect to it
        ### END SOLUTION

    def zero(self) -> None:
        """Forgets the gradient of this Value."""
        self.grad = 0.0

    def backward(self) -> None:
        """Gives each Value this one was computed from its gradient; leaves add it to what they have."""
        ### BEGIN SOLUTION
        order: list[Value] = []  # operands before results
        seen = set()

        def visit(node: "Value") -> None:
            if node not in seen:
                seen.add(node)
                for operand, _ in node._operands:
                    visit(operand)
                order.append(node)

        visit(self)
        for node in order:
            if node._operands:
                node.grad = 0.0
        self.grad = 1.0
        for node in reversed(order):
            for operand, slope in node._operands:
                operand.grad += node.grad * slope
        ### END SOLUTION

    def exp(self) -> "Value":
        """e to the power of this."""
        ### BEGIN SOLUTION
        y = math.exp(self.data)
        return self._made(y, (self, y))
        ### END SOLUTION

    def log(self) -> "Value":
        """Natural logarithm."""
        ### BEGIN SOLUTION
        return self._made(math.log(self.data), (self, 1 / self.data))
        ### END SOLUTION

    def tanh(self) -> "Value":
        """Hyperbolic tangent."""
        ### BEGIN SOLUTION
        y = math.tanh(self.data)
        return self._made(y, (self, 1 - y * y))
        ### END SOLUTION

    def relu(self) -> "Value":
        """The larger of this and 0."""
        ### BEGIN SOLUTION
        return self._made(max(self.data, 0.0), (self, 1.0 if self.data > 0 else 0.0))
        ### END SOLUTION

    def __add__(self, other: "Value | float") -> "Value":
        """self + other. The other operators of the table need their methods too: write them below."""
        ### BEGIN SOLUTION
        other = self._lifted(other)
        return self._made(self.data + other.data, (self, 1.0), (other, 1.0))

    def __mul__(self, other: "Value | float") -> "Value":
        other = self._lifted(other)
        return self._made(self.data * other.data, (self, other.data), (other, self.data))

    def __pow__(self, n: float) -> "Value":
        return self._made(self.data**n, (self, n * self.data ** (n - 1)))

    def __neg__(self) -> "Value":
        return self._made(-self.data, (self, -1.0))

    def __sub__(self, other: "Value | float") -> "Value":
        return self + -self._lifted(other)

    def __truediv__(self, other: "Value | float") -> "Value":
        return self * self._lifted(other) ** -1

    def __rsub__(self, other: float) -> "Value":
        return self._lifted(other) - self

    def __rtruediv__(self, other: float) -> "Value":
        return self._lifted(other) / self

    __radd__, __rmul__ = __add__, __mul__

    @staticmethod
    def _lifted(number: "Value | float") -> "Value":
        return number if isinstance(number, Value) else Value(number)

    @staticmethod
    def _made(data: float, *operands: tuple["Value", float]) -> "Value":
        result = Value(data)
        result._operands = operands
        return result
        ### END SOLUTION


# %% points=5 topics=S2.5,S2.7,S2.8 forbid=torch.autograd,torch.func,torch.nn,requires_grad,requires_grad_
check("Value")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# When `margin * cups` is computed, both factors are at hand. What would you have to write down at this moment, so
# that later, on the way back, a single multiplication per operand is enough?
# </details>
#
# <details><summary>Hint 2: the mathematical step</summary>
#
# A node must not pay its operands before it has been paid by *all* who use it. So you need an order of the nodes in
# which every node comes after all nodes that use it. One way to it: walk from the root to the operands, and put a
# node on a list only when all its operands are on it, each once. On that list operands stand before results; read it
# from the end.
#
# And two rules of bookkeeping: what flows in is *added*; and before a new sweep the inner nodes must forget the last
# one, or they pay it out again.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# an operation:  wrap a plain number into a Value
#                make a new Value of the result
#                note in it: each operand, with the local slope
#
# backward:      list all nodes the root was computed from, operands before results, each once
#                inner nodes: grad = 0            (leaves keep theirs)
#                root: grad = 1
#                for each node, from the end of the list:
#                    for each noted operand: its grad grows by (grad of the node) times (slope)
# ```
#
# Subtraction, division and the reflected methods can be put together from the ones you have.
# </details>

# %% [markdown]
# ### See it: your graph
#
# A neuron multiplies its inputs by weights, adds a bias and squashes the sum. This is the neuron with two inputs,
# computed and differentiated by **your** `Value`, then drawn.

# %% demo
x1, x2, w1, w2, b = Value(2.0), Value(-1.0), Value(0.5), Value(1.5), Value(0.75)
left, right = w1 * x1, w2 * x2
total = left + right
act = total + b
out = act.tanh()
out.backward()
neuron = {
    "w1": (w1, []), "x1": (x1, []), "w2": (w2, []), "x2": (x2, []),
    "w1 · x1": (left, ["w1", "x1"]), "w2 · x2": (right, ["w2", "x2"]),
    "sum": (total, ["w1 · x1", "w2 · x2"]), "b": (b, []),
    "sum + b": (act, ["sum", "b"]), "tanh": (out, ["sum + b"]),
}  # fmt: skip
places = {
    "w1": (0, 2.4), "x1": (0, 0.8), "w2": (0, -0.8), "x2": (0, -2.4), "w1 · x1": (3.1, 1.6), "w2 · x2": (3.1, -1.6),
    "sum": (6.2, 0.6), "b": (6.2, -1.2), "sum + b": (9.3, 0), "tanh": (12.4, 0),
}  # fmt: skip
pictures.draw_graph(neuron, places=places)

# %% [markdown]
# *Read the orange numbers as advice: to make the neuron fire more, raise $w_1$ (its input is positive), lower $w_2$
# (its input is negative), and raise $b$.*
#
# Now let it learn. Four points, "exclusive or": the output should be +1 if exactly one of the two inputs is on. No
# straight line separates the two kinds, and in 1969 this little problem helped to bring neural network research to a
# halt for years. A network with one hidden layer of four such neurons solves it: 17 weights, each of them a `Value`.

# %% demo
rng = np.random.default_rng(3)
points = [((-1, -1), -1), ((-1, 1), 1), ((1, -1), 1), ((1, 1), -1)]
hidden = [[Value(w) for w in rng.normal(size=3).tolist()] for _ in range(4)]  # two weights and a bias each
last = [Value(w) for w in rng.normal(size=5).tolist()]
weights = [w for row in hidden for w in row] + last


def xor_network(x, y):
    h = [(u * x + v * y + c).tanh() for u, v, c in hidden]
    return (sum(w * a for w, a in zip(last, h, strict=False)) + last[4]).tanh()


losses = []
for _ in range(150):
    loss = sum((xor_network(*point) - target) ** 2 for point, target in points)
    for w in weights:
        w.zero()
    loss.backward()
    for w in weights:
        w.data -= 0.1 * w.grad
    losses.append(loss.data)

fig, (curve, plane) = plt.subplots(1, 2, figsize=(11.5, 4), width_ratios=[1.3, 1])
curve.plot(losses, color=BLUE)
curve.set(
    title="loss: 17 Values learn exclusive or",
    xlabel="step",
    ylabel="squared error, four points",
    ylim=(0, None),
)
ticks = np.linspace(-1.6, 1.6, 33).tolist()
height = [[xor_network(x, y).data for x in ticks] for y in ticks]
image = plane.contourf(ticks, ticks, height, levels=np.linspace(-1, 1, 21), cmap="PuOr_r")
for (x, y), target in points:
    plane.plot(x, y, "o", ms=13, color=ORANGE if target > 0 else "#4c1d95", mec="white", mew=2)
plane.set(title="output of the network", aspect="equal", xticks=[-1, 1], yticks=[-1, 1])
fig.colorbar(image, ax=plane, ticks=[-1, 0, 1])
fig.tight_layout()
plt.show()
print(
    "outputs:",
    ", ".join(f"{xor_network(*point).data:+.2f} (should be {target:+d})" for point, target in points),
)

# %% [markdown]
# ## Bonus: `backpropagate`
#
# **★★ · about 25 minutes · needs: exercise 1, dictionaries · roadmap: backpropagation**
#
# Two things can go wrong with a graph that is deep. A search that calls itself once per node stops at Python's limit
# of about 1,000 nested calls. And a sweep that walks along every *path* instead of visiting every *node* does not
# come to an end:
#
# $$y_1 = y_0 + y_0, \qquad y_2 = y_1 + y_1, \qquad y_3 = y_2 + y_2, \qquad \dots$$

# %% demo
pictures.doubling_picture()

# %% [markdown]
# *Seven nodes and 64 paths. With 31 nodes there are more than a billion.*
#
# **Why it matters.** Unroll a recurrent network over 1,000 words, or stack 100 layers of a dozen operations each, and
# graphs are that deep; let every layer have a shortcut, as all modern networks do, and the number of paths doubles
# with every layer. PyTorch's engine is neither recursive nor does it know any paths. Here you write its core as one
# function, on a graph given as a plain dictionary, and you may put the same idea into your `Value.backward`.
#
# ### Contract
#
# `backpropagate(graph, root)` gives a dictionary: node $\to$ gradient of the root with respect to it.
#
# - **R1** `graph` maps each node to the list of its pairs `(operand, local slope)`, the slope a float; a leaf has an
#   empty list. Nodes are named by integers or by strings, and the graph has no cycle.
# - **R2** The result has the root, with gradient 1.0, and every node that the root was computed from.
# - **R3** The gradient of a node is the sum over all its uses. An operand that stands twice in a list (`x * x`)
#   counts twice.
# - **R4** The order of the keys says nothing, and any node can be the root.
# - **R5** A chain of 10,000 nodes works, within Python's limit of nested calls as it is.
# - **R6** The work grows with the number of arrows, not with the number of paths: 30 doublings are done at once, and
#   so are 60 levels with three arrows each. Nor does it grow with the *square* of the number of nodes: the chain of
#   R5 takes less than half a second of CPU time.
# - **R7** `graph` is not changed.
#
# *Up to you:*
#
# - **F1** A node that the root was *not* computed from may be missing in the result, or have 0.0.
# - **F2** The order of the result, and how you find the order of the work.
#
# *Not specified, not tested:* cycles, operands or a root that are not among the keys.
#
# *Not allowed:* `setrecursionlimit`, the module `graphlib`, and what exercise 1 does not allow.
#
# ### Worked example
#
# ```python
# graph = {
#     "profit": [("margin", 50.0), ("cups", 3.0)],
#     "price":  [],
#     "margin": [("price", 1.0), ("cost", -1.0)],
#     "cost":   [],
#     "cups":   [("price", -10.0)],
# }
# backpropagate(graph, "profit")
# # {'profit': 1.0, 'margin': 50.0, 'cups': 3.0, 'price': 20.0, 'cost': -50.0}      (in any order)
# ```


# %%
def backpropagate(graph: dict, root: int | str) -> dict:
    """Gradients of one node with respect to all it was computed from, by one sweep over the graph.

    Args:
        graph: node -> list of (operand, local slope). Leaves have []. No cycles.
        root: the node to start from.

    Returns:
        node -> gradient, for the root (1.0) and every node it depends on. Others: missing or 0.0.

    Source: Baydin et al. 2018, section 3.2; the order is Kahn's (1962) or that of a depth-first search.
    """
    ### BEGIN SOLUTION
    order, seen = [], set()  # operands before results
    todo = [(root, False)]
    while todo:
        node, operands_done = todo.pop()
        if operands_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            todo.append((node, True))
            todo.extend((operand, False) for operand, _ in graph[node])
    gradient = dict.fromkeys(order, 0.0)
    gradient[root] = 1.0
    for node in reversed(order):
        for operand, slope in graph[node]:
            gradient[operand] += gradient[node] * slope
    return gradient
    ### END SOLUTION


# %% bonus points=5 topics=S2.5 limit=8 forbid=setrecursionlimit,graphlib,torch.autograd,torch.func,torch.nn,requires_grad,requires_grad_
check("backpropagate")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# Python keeps the open calls of a recursion on a stack. What does an entry of that stack have to know, if you keep it
# yourself? And when is a node finished: when you first see it, or when you come back to it?
# </details>
#
# <details><summary>Hint 2: the mathematical step</summary>
#
# Two ways to an order. *Depth first:* meet each node twice, once on the way in (then its operands must be visited
# first) and once on the way out (then it goes on the list). *Counting:* count for each node how many arrows from
# useful nodes come in; a node whose count has sunk to 0 has been paid in full and may pay. In both, a set of nodes
# already seen makes sure that each list is gone through once.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# find all nodes that the root depends on, with a list of nodes still to look at
# count the arrows that arrive at each of them from these nodes
# ready = [root], gradient of the root = 1
# while something is ready:
#     take it; for each of its operands:
#         pay: gradient of the operand grows
#         one arrow less; if it was the last one, the operand is ready
# ```
# </details>

# %% demo
lengths = (1_000, 4_000, 16_000, 64_000)


def seconds(graph, root):
    """CPU time of the quickest of three calls."""
    times = []
    for _ in range(3):
        start = time.process_time()
        backpropagate(graph, root)
        times.append(time.process_time() - start)
    return min(times)


for n in lengths:
    chain = {i: [(i + 1, 1.0)] for i in range(n)} | {n: []}
    print(f"a chain of {n:6,} nodes: {1000 * seconds(chain, 0):5.1f} ms")
doubling = {0: []} | {i: [(i - 1, 1.0), (i - 1, 1.0)] for i in range(1, 1001)}
print(
    f"1,000 doublings, {backpropagate(doubling, 1000)[0]:.3g} paths: {1000 * seconds(doubling, 1000):.1f} ms"
)

# %% [markdown]
# ## From numbers to arrays
#
# A node per *number* is a beautiful idea and a slow one: a network with a million weights would be a graph of many
# millions of Python objects. Real engines have a node per **array**. The rules stay the same, with one newcomer:
# *broadcasting*. When NumPy adds a row of 3 numbers to a table of 2 × 3, it behaves as if the row had been copied
# into each line. Copies are uses, and the gradients of uses add up:

# %% demo
pictures.broadcast_picture()

# %% [markdown]
# *Whatever was copied on the way forward is added up on the way back.*
#
# ## Exercise 2: `unbroadcast`
#
# **★★ · about 20 minutes · needs: NumPy axes, broadcasting · roadmap: backpropagation**
#
# NumPy lines up two shapes **from the right**. Where one of them has no axis, an axis is *added* in front; where it
# has size 1, the axis is *stretched*.
#
# ```
#   small        3  1        small           5        small   ( )         small   2  1  1
#   large     2  3  4        large  2  3  4  5        large   2  3        large   2  3  1
#             a     s               a  a  a                   a  a                   s
#
#   a: added in front.  s: stretched.  Both are summed on the way back; s leaves an axis of size 1 behind.
# ```
#
# `unbroadcast(g, shape)` goes the way back: from a gradient `g` of the large shape to that of the small one.
#
# **Why it matters.** A bias is added to every example of a batch, a scale multiplies every position, a matrix is
# shared by all sequences: broadcasting is everywhere in a network, and each time the gradient must find the way back.
# The commonest bug of home-made engines is a bias gradient of shape `(64, 10)` where `(10,)` is due.
#
# **In mathematics:** broadcasting is a linear map $B$, and its gradient is the *transposed* map $B^\top$, defined by
# the identity $\langle B a,\, g \rangle = \langle a,\, B^\top g \rangle$ for all $a$, where
# $\langle\cdot,\cdot\rangle$ multiplies entry by entry and adds everything up. The tests check just that.
#
# ### Contract
#
# - **R1** Each entry of the result is the sum of those entries of `g` that are copies of it when an array of shape
#   `shape` is broadcast to the shape of `g`.
# - **R2** The result has exactly the shape `shape`; axes of size 1 stay.
# - **R3** `g` is anything that `np.asarray` accepts and that holds whole or real numbers (arrays of any such type,
#   nested lists). It is taken as float64 before anything is added up, and the result is a float64 array; for the
#   shape `()` a number or an array without axes.
# - **R4** Empty arrays work too: a sum over an axis of size 0 gives zeros, an empty `shape` an empty array, float64
#   as always.
# - **R5** `g` may be read-only and a view with any strides. It is not changed.
#
# *Up to you:*
#
# - **F1** `g` itself may come back where there is nothing to add up.
# - **F2** For `()`: an array without axes, a NumPy number or a Python float.
#
# *Not specified, not tested:* a `shape` that does not broadcast to the shape of `g`.
#
# *Not allowed,* nor in cells you add: torch's `sum_to_size`, which is this exercise, and `sum_to`, which you will be
# given below for another one; and what exercise 1 does not allow.
#
# ### Worked example
#
# ```python
# g = np.array([[1., 2, 3],
#               [4., 5, 6]])
# unbroadcast(g, (3,))      # array([5., 7., 9.])
# unbroadcast(g, (2, 1))    # array([[ 6.],
#                           #        [15.]])
# unbroadcast(g, (1, 3))    # array([[5., 7., 9.]])
# unbroadcast(g, ())        # 21.0
# ```


# %%
def unbroadcast(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sums a gradient over all that broadcasting has added or stretched.

    Args:
        g: array-like of numbers. Gradient with respect to the broadcast array.
        shape: the shape before broadcasting; it broadcasts to the shape of g.

    Returns:
        float64 of exactly `shape` (a number will do for the shape ()).

    Source: NumPy's user guide, "Broadcasting"; the adjoint of a linear map.
    """
    ### BEGIN SOLUTION
    g = np.asarray(g, dtype=np.float64)
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))  # added axes
    stretched = tuple(axis for axis, size in enumerate(shape) if size == 1)
    return g.sum(axis=stretched, keepdims=True)
    ### END SOLUTION


# %% points=5 topics=S2.5 forbid=sum_to,sum_to_size,torch.autograd,torch.func,torch.nn,requires_grad,requires_grad_
check("unbroadcast")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# `g` has shape `(2, 3, 4)`, the array had shape `(3, 1)`. Which axes of `g` were added, which were stretched? How
# many axes must be left at the end?
# </details>
#
# <details><summary>Hint 2: the mathematical step</summary>
#
# Added axes are always the first ones, as many as `g` has too many. After summing them away, both shapes have equally
# many axes, and those where `shape` says 1 are summed but must *stay*, with size 1. (An axis that is 1 in both is
# summed over one entry: nothing happens.)
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# g as an array of floats
# sum over the first (axes of g - axes of shape) axes
# sum over every axis whose size in shape is 1, and keep it as an axis of size 1
# ```
#
# `np.sum` takes a tuple of axes, and has an argument for the keeping.
# </details>

# %% demo
g = rng.normal(size=(64, 10))  # the gradient of a batch of 64 examples with 10 outputs each
small = {
    "the outputs": (64, 10),
    "a bias": (10,),
    "a row": (1, 10),
    "one number for each example": (64, 1),
    "one number": (),
}
for what, shape in small.items():
    print(f"{what:28} has shape {shape!s:9} and gets a gradient of shape {np.shape(unbroadcast(g, shape))}")

# %% [markdown]
# ## Exercise 3: `Tensor`
#
# **★★★ · about 45 minutes · needs: exercise 1, NumPy · roadmap: backpropagation, gradients, matrix multiplication**
#
# Now the engine for arrays. The bookkeeping is that of exercise 1: results remember their operands, `backward` goes
# from the root to the leaves, gradients add up. What is new are the local rules. They are no longer numbers ("slope
# 3") but **functions**: *given the gradient $g$ with respect to my result, what is the gradient with respect to my
# operand?* A gradient always has the shape of the array it belongs to. That alone often tells you the rule.

# %% demo
pictures.layer_picture()

# %% [markdown]
# *One layer of a network with its shapes: $B$ examples, $D$ inputs, $H$ neurons. Orange: what flows back, from right
# to left. $g$ is the gradient of `x @ w + b`.*
#
# | result | gradient for the operand(s), given $g$ |
# |---|---|
# | $a + b$ | $g$ for both, unbroadcast to the shape of each |
# | $a \odot b$ (entry by entry) | $g \odot b$ and $g \odot a$, unbroadcast |
# | $A B$ (matrices) | $g\, B^\top$ and $A^\top g$ |
# | sum over some axes | $g$, copied back along these axes |
# | mean over some axes | the same, divided by the number of entries that were averaged |
# | $\exp$, $\log$, relu | $g$ times the slope at each entry |
# | reshape, transpose | $g$, put back into the old order |
# | rows taken by an index | each row of $g$, added to the row it was taken from |
#
# **Why the matrix rule?** $C_{ij} = \sum_k A_{ik} B_{kj}$: the entry $A_{ik}$ is used by all $C_{ij}$ of its row,
# each time with slope $B_{kj}$. Summed over its uses: $\bar A_{ik} = \sum_j g_{ij} B_{kj} = (g B^\top)_{ik}$.
#
# **Why it matters.** With these eleven operations you can train any network of this section, and softmax and
# attention can be put together from them. Taking rows by an index looks harmless; it is the word table of every
# language model, where the word *the* is taken thousands of times in one batch.
#
# ### Contract
#
# - **R1** `Tensor(data)` takes anything that `np.asarray` accepts: numbers, nested lists, arrays. `data` is a float64
#   array, `shape` its shape as a tuple.
# - **R2** `a + b` and `a * b` broadcast as in NumPy. The right operand may be a Tensor, a number (a Python `int`
#   or `float`) or an array, the left one a Tensor or a number.
# - **R3** `a @ b` multiplies matrices. Both are Tensors with two axes or more; leading axes broadcast.
# - **R4** `sum(axis=None, keepdims=False)` and `mean(axis=None, keepdims=False)` as in NumPy; `axis` is None, an
#   integer or a tuple of integers, negative ones included.
# - **R5** `exp()`, `log()` and `relu()` work entry by entry; relu has slope 0 at 0.
# - **R6** `reshape(2, 3)` and `reshape((2, 3))` mean the same, and one size may be $-1$. `transpose()` turns the
#   order of all axes round; `transpose(2, 0, 1)` puts them in this order.
# - **R7** `t[index]`, where `index` is a NumPy array of integers of any shape, takes rows (entries along axis 0) as
#   NumPy does. Negative integers count from the end, rows may come several times, and each use counts in the
#   gradient.
# - **R8** `L.backward(grad)` gets the gradient with respect to `L` from above, in the shape of `L`, and finds for `L`
#   and every Tensor that `L` was computed from the gradient with respect to it: a float64 array in `.grad`, of
#   exactly the shape of that Tensor. A Tensor that is used several times gets the sum over all its uses.
# - **R9** For a Tensor of one entry (of any shape) `grad` may be left out and means 1. For a larger one, leaving it
#   out is a `ValueError`.
# - **R10** As in exercise 1: leaves *add* over several calls; inner Tensors hold the gradient of the latest call; the
#   root holds the gradient it was given, even if it is a leaf.
# - **R11** Every operation gives a new Tensor. No operation and no `backward` changes any `data`, any array that was
#   handed in, or a `.grad` of a Tensor outside its graph. So no two `.grad` arrays may share memory, nor a `.grad` and
#   an argument: what is later added to one would show up in the other.
#
# *Up to you:*
#
# - **F1** `.grad` is None or zeros before the first call.
# - **F2** The `data` of a Tensor may share memory with what it was made of.
# - **F3** Recursion or a loop; 100 operations deep is enough.
# - **F4** For the shape `()`: an array without axes or a NumPy number.
#
# *Not specified, not tested:* an array as the *left* operand; negative axes in `transpose`; other kinds of index; a
# `grad` of another shape; empty arrays; logarithms of numbers $\le 0$.
#
# *Not allowed:* what exercise 1 does not allow. *Given:* `sum_to(g, shape)`, which does what `unbroadcast` does, so
# that this exercise does not hang on that one. You may use your own as well.
#
# ### Worked example
#
# ```python
# x = Tensor([[1., 2], [3, 4]])          # two examples with two features
# w = Tensor([[1.], [0.5]])
# b = Tensor([10.])
# y = x @ w + b
# loss = (y * y).mean()
# y.data, loss.data                      # array([[12.], [15.]]), 184.5
# loss.backward()
# b.grad                                 # array([27.])
# w.grad                                 # array([[57.], [84.]])
# x.grad                                 # array([[12. ,  6. ], [15. ,  7.5]])
#
# table = Tensor([[1., 2], [3, 4], [5, 6]])
# rows = table[np.array([2, 0, 2])]      # row 2 is taken twice
# rows.backward(np.array([[1., 2], [3, 4], [10, 20]]))
# table.grad                             # array([[ 3.,  4.], [ 0.,  0.], [11., 22.]])
# ```


# %%
def sum_to(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """What unbroadcast does, done by torch; always a new array."""
    g = np.array(g, dtype=np.float64, order="C")
    try:
        return torch.from_numpy(g).sum_to_size(shape).numpy()
    except RuntimeError:
        raise ValueError(f"a gradient of shape {g.shape} can't be summed to the shape {shape}") from None


# %%
class Tensor:
    """An array that remembers how it was made, and can tell how the result depends on it.

    Args:
        data: numbers, nested lists or an array, of any shape.

    Attributes:
        data: float64 array.
        shape: its shape.
        grad: gradient of the root of `backward()` with respect to this Tensor: an array of the same shape.

    Source: Baydin et al. 2018, section 3.2; Goodfellow, Bengio, Courville, section 6.5.
    """

    def __init__(self, data):
        self.data = np.array(data, dtype=np.float64)
        self.grad = None
        ### BEGIN SOLUTION
        self._operands: tuple = ()  # pairs: an operand, and the function from our gradient to its gradient
        ### END SOLUTION

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    def backward(self, grad: np.ndarray | None = None) -> None:
        """Gives each Tensor this one was computed from its gradient; leaves add it to what they have.

        Args:
            grad: array of this shape, the gradient with respect to this Tensor. None: 1, for one entry only.

        Raises:
            ValueError: grad is missing and there is more than one entry.
        """
        ### BEGIN SOLUTION
        if grad is None:
            if self.data.size != 1:
                raise ValueError(f"a tensor of shape {self.shape} needs a gradient from above")
            grad = np.ones(self.shape)
        order: list[Tensor] = []
        seen = set()

        def visit(node: "Tensor") -> None:
            if node not in seen:
                seen.add(node)
                for operand, _ in node._operands:
                    visit(operand)
                order.append(node)

        visit(self)
        arrived = {node: np.zeros(node.shape) for node in order}
        arrived[self] += grad
        for node in reversed(order):
            for operand, pull in node._operands:
                arrived[operand] += pull(arrived[node])
        for node in order:
            is_leaf = not node._operands and node is not self
            if is_leaf and node.grad is not None:
                arrived[node] += node.grad
            node.grad = arrived[node]
        ### END SOLUTION

    def sum(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> "Tensor":
        """Sum over one axis, several or all."""
        ### BEGIN SOLUTION
        kept = self.data.sum(axis=axis, keepdims=True)
        data = kept if keepdims else self.data.sum(axis=axis)
        return self._made(data, (self, lambda g: np.broadcast_to(g.reshape(kept.shape), self.shape)))
        ### END SOLUTION

    def mean(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> "Tensor":
        """Mean over one axis, several or all."""
        ### BEGIN SOLUTION
        total = self.sum(axis, keepdims)
        return total * (total.data.size / self.data.size)
        ### END SOLUTION

    def exp(self) -> "Tensor":
        """e to the power of each entry."""
        ### BEGIN SOLUTION
        data = np.exp(self.data)
        return self._made(data, (self, lambda g: g * data))
        ### END SOLUTION

    def log(self) -> "Tensor":
        """Natural logarithm of each entry."""
        ### BEGIN SOLUTION
        return self._made(np.log(self.data), (self, lambda g: g / self.data))
        ### END SOLUTION

    def relu(self) -> "Tensor":
        """The larger of each entry and 0."""
        ### BEGIN SOLUTION
        return self._made(np.maximum(self.data, 0), (self, lambda g: g * (self.data > 0)))
        ### END SOLUTION

    def reshape(self, *shape) -> "Tensor":
        """The same entries in another shape, given as numbers or as one tuple."""
        ### BEGIN SOLUTION
        return self._made(self.data.reshape(*shape), (self, lambda g: g.reshape(self.shape)))
        ### END SOLUTION

    def transpose(self, *axes: int) -> "Tensor":
        """Axis i of the result is axis axes[i] of this; without arguments all axes in reverse order."""
        ### BEGIN SOLUTION
        order = axes or tuple(reversed(range(self.data.ndim)))
        return self._made(self.data.transpose(order), (self, lambda g: g.transpose(np.argsort(order))))
        ### END SOLUTION

    def __getitem__(self, index: np.ndarray) -> "Tensor":
        """Rows by their numbers."""
        ### BEGIN SOLUTION
        shape = self.shape

        def pull(g: np.ndarray) -> np.ndarray:
            rows = np.zeros(shape)
            np.add.at(rows, index, g)
            return rows

        return self._made(self.data[index], (self, pull))
        ### END SOLUTION

    def __matmul__(self, other: "Tensor") -> "Tensor":
        """self @ other."""
        ### BEGIN SOLUTION
        return self._made(
            self.data @ other.data,
            (self, lambda g: sum_to(g @ other.data.mT, self.shape)),
            (other, lambda g: sum_to(self.data.mT @ g, other.shape)),
        )
        ### END SOLUTION

    def __add__(self, other) -> "Tensor":
        """self + other. The operators * and, for a number on the left, + and * need methods too: write them below."""
        ### BEGIN SOLUTION
        other = self._lifted(other)
        return self._made(
            self.data + other.data,
            (self, lambda g: sum_to(g, self.shape)),
            (other, lambda g: sum_to(g, other.shape)),
        )

    def __mul__(self, other) -> "Tensor":
        other = self._lifted(other)
        return self._made(
            self.data * other.data,
            (self, lambda g: sum_to(g * other.data, self.shape)),
            (other, lambda g: sum_to(g * self.data, other.shape)),
        )

    __radd__, __rmul__ = __add__, __mul__

    @staticmethod
    def _lifted(value) -> "Tensor":
        return value if isinstance(value, Tensor) else Tensor(value)

    @staticmethod
    def _made(data: np.ndarray, *operands) -> "Tensor":
        result = Tensor(data)
        result._operands = operands
        return result
        ### END SOLUTION


# %% points=8 topics=S2.5,S2.8,S2.9 forbid=torch.autograd,torch.func,torch.nn,requires_grad,requires_grad_
check("Tensor")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# In exercise 1 a result noted, for each operand, the operand and a number. What will it note now, so that `backward`
# still need not know which operation it was?
# </details>
#
# <details><summary>Hint 2: the mathematical step</summary>
#
# Let the gradients find their shapes. For a sum over axes: bring $g$ back to the shape with the summed axes of size
# 1, then it broadcasts to the old shape. For `transpose(axes)`: position $i$ of the result was axis `axes[i]`, so the
# way back needs the inverse permutation (`np.argsort` finds it). For `@`: swap the *last two* axes only, and
# unbroadcast, for a matrix may have been shared by the batch. For `t[index]`: `zeros[index] += g` writes a row that
# occurs twice only once; NumPy's *ufunc* `add` has a method that does not.
#
# Where nothing is summed, `sum_to(g, shape)` may be `g` itself. If two operands store the *same* array and one of
# them adds to it in place, the other changes too.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# an operation:  result = NumPy on the data
#                note in it: each operand, with a function  g -> gradient for this operand
#
# backward:      without a gradient from above: 1 for a single entry, else ValueError
#                order the nodes as in exercise 1
#                what has arrived: zeros for every node, the gradient from above for the root
#                from the root on: for each noted operand: what has arrived there grows by function(what has arrived here)
#                at the end: leaves add what has arrived to their grad, all others take it
# ```
# </details>

# %% [markdown]
# ## See it work: two half moons
#
# Two kinds of points lie in the plane like two interlocking half moons. No straight line separates them. We train a
# network with two hidden layers of 24 neurons,
#
# $$\text{score} = \operatorname{relu}\big(\operatorname{relu}(x W_1 + b_1)\, W_2 + b_2\big)\, W_3 + b_3,$$
#
# on 300 points, by plain gradient descent. The loss is the *logistic* one, the mean of $\ln(1 + e^{-\text{label}
# \cdot \text{score}})$ with labels $\pm 1$. There is no derivative in the cell below: your `Tensor` finds them all.


# %% demo
def two_moons(n, rng, noise=0.13):
    """(points (n, 2), labels (n, 1), +1 or -1)"""
    angle, upper = rng.uniform(0, np.pi, n), rng.random(n) < 0.5
    x = np.where(upper, np.cos(angle), 1 - np.cos(angle)) - 0.5
    y = np.where(upper, np.sin(angle), 0.5 - np.sin(angle)) - 0.25
    labels = np.where(upper, 1.0, -1.0)[:, None]
    return np.stack([x, y], axis=1) + noise * rng.normal(size=(n, 2)), labels


def network(x, parameters):
    w1, b1, w2, b2, w3, b3 = parameters
    return ((x @ w1 + b1).relu() @ w2 + b2).relu() @ w3 + b3


rng = np.random.default_rng(0)
points, labels = two_moons(300, rng)
new_points, new_labels = two_moons(1000, rng)
start = [rng.normal(size=(2, 24)), rng.normal(size=(24, 24)) * 12**-0.5, rng.normal(size=(24, 1)) * 12**-0.5]
parameters = [Tensor(a) for w in start for a in (w, np.zeros(w.shape[1]))]  # w1, b1, w2, b2, w3, b3

losses, snapshots = [], {}
for step in range(501):
    if step in (0, 30, 500):
        snapshots[step] = parameters
    loss = ((network(Tensor(points), parameters) * -labels).exp() + 1).log().mean()
    loss.backward()
    losses.append(float(loss.data))
    parameters = [Tensor(p.data - 0.5 * p.grad) for p in parameters]  # new leaves, without old gradients

right = np.mean((network(Tensor(new_points), parameters).data > 0) == (new_labels > 0))
print(f"{sum(p.data.size for p in parameters)} weights")
print(f"loss {losses[0]:.2f} at the start, {losses[-1]:.3f} after 500 steps")
print(f"{right:.1%} of 1,000 new points are on the right side")

# %% demo
ticks = np.linspace(-2.4, 2.4, 121)
grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
fig, axes = plt.subplots(1, 4, figsize=(14.5, 3.9), width_ratios=[1, 1, 1, 1.1])
for ax, (step, state) in zip(axes, snapshots.items(), strict=False):
    score = network(Tensor(grid), state).data.reshape(121, 121)
    ax.imshow(np.tanh(score / 2), extent=[-2.4, 2.4] * 2, origin="lower", cmap="PuOr_r", vmin=-2.4, vmax=2.4)
    ax.contour(ticks, ticks, score, levels=[0], colors=INK, linewidths=2)
    for sign, color in ((1, ORANGE), (-1, "#4c1d95")):
        ax.plot(*points[labels[:, 0] == sign].T, "o", ms=5, color=color, mec="white", mew=0.6)
    ax.set(
        title=f"after {step} steps", xticks=[], yticks=[], xlim=(-2.2, 2.2), ylim=(-1.7, 1.7), aspect="auto"
    )
axes[3].plot(losses, color=BLUE)
axes[3].set(title="loss", xlabel="step", ylim=(0, None))
fig.tight_layout()
plt.show()

# %% [markdown]
# *The black line is where the network is undecided. It starts as a few bent rays through the middle, soon finds the
# best nearly straight cut, and in the end winds between the moons.*
#
# This is what "representation learning" means: the two hidden layers have found 24 features of the points, in which a
# *straight* cut (the last layer) is enough. Nobody designed them. They grew out of gradients.
#
# ## Break it
#
# Two of the mistakes that the tests look for, this time on purpose.
#
# **1. `=` instead of `+=`.** Back to the lemonade stand, with flyers: $u$ hours of handing them out bring 10 more
# customers each and cost you $5u^2$ of nerves. Price and hours both act on several paths. We climb to the highest
# profit, step by step along the gradient: once with your `Value`, once with a sweep that is right in all but one
# character.


# %% demo
def profit_at(p, u):
    return (p - 2) * (100 - 10 * p + 10 * u) - 5 * u * u


def gradient_right(p, u):
    price, hours = Value(p), Value(u)
    profit_at(price, hours).backward()
    return price.grad, hours.grad


def gradient_overwritten(p, u):
    margin, cups = p - 2, 100 - 10 * p + 10 * u
    arrows = [  # from the end to the start: (result, operand, local slope)
        ("profit", "nerves", -1), ("profit", "margin", cups), ("profit", "cups", margin),
        ("nerves", "hours", 5 * u), ("nerves", "hours", 5 * u),
        ("margin", "price", 1), ("cups", "hours", 10), ("cups", "price", -10),
    ]  # fmt: skip
    grad = {"profit": 1.0}
    for result, operand, slope in arrows:
        grad[operand] = grad[result] * slope  # should add to what is there
    return grad["price"], grad["hours"]


paths = {}
for name, gradient in (("+=", gradient_right), ("=", gradient_overwritten)):
    place = [(4.0, 1.0)]
    for _ in range(60):
        (p, u), (dp, du) = place[-1], gradient(*place[-1])
        place.append((p + 0.02 * dp, u + 0.02 * du))
    paths[name] = np.array(place)

p, u = np.meshgrid(np.linspace(0, 14, 120), np.linspace(-1, 13, 120))
fig, ax = plt.subplots(figsize=(9, 5))
heights = ax.contour(
    p, u, profit_at(p, u), levels=[-400, -200, 0, 100, 200, 280, 315], colors=GREY, linewidths=1
)
ax.clabel(heights, fontsize=10)
for (name, path), color in zip(paths.items(), (BLUE, ORANGE), strict=True):
    ax.plot(*path.T, "o-", color=color, ms=4, label=f"gradients with {name}")
    print(
        f"with {name:2}: ends at price {path[-1][0]:.2f}, {path[-1][1]:.2f} hours, profit {profit_at(*path[-1]):.1f}"
    )
ax.plot(10, 8, "*", ms=18, color=INK)
ax.text(9.7, 8.5, "320, the best there is", ha="right")
ax.set(title="climbing the profit", xlabel="price", ylabel="hours of flyers", xlim=(0, 14), ylim=(-1, 13))
ax.legend(framealpha=1, edgecolor="none", loc="upper left")
plt.show()

# %% [markdown]
# The overwriting sweep forgets that a higher price also means a larger margin: it knows only the customers it loses,
# and lowers the price until nothing is earned at all. No error, no warning: every gradient has the right shape and a
# plausible size. **A gradient bug looks like a bad learning rate.** That is why a new engine is compared with one
# that is known to be right, as your tests do.
#
# **2. A row taken twice.** A table of 5 word vectors; a sentence takes row 1 three times. The gradient of the table,
# once with `rows[index] += g` in NumPy, once from your `Tensor`.

# %% demo
index = np.array([1, 0, 1, 3, 1])
g = np.ones((5, 1))
lost = np.zeros((5, 1))
lost[index] += g
table = Tensor(np.zeros((5, 1)))
table[index].backward(g)
fig, ax = plt.subplots(figsize=(8, 3))
ax.bar(np.arange(5) - 0.2, table.grad[:, 0], 0.4, color=BLUE, label="your Tensor")
ax.bar(np.arange(5) + 0.2, lost[:, 0], 0.4, color=ORANGE, label="rows[index] += g")
ax.set(title="gradient of each row, if each use hands down 1", xlabel="row", xticks=range(5), yticks=range(4))
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# NumPy reads the old rows, adds, and writes them back: row 1 is written three times with the same number. In a
# language model that would be the frequent words: the more often a word occurs, the more of its gradient is lost.
#
# ## Real scale
#
# What does it buy us? Computed for your engine on the moons, and for GPT-2 (the smallest: 12 layers, width 768, texts
# of 1,024 tokens, a vocabulary of 50,257).

# %% demo
import tracemalloc

# one point through the same network, number by number
numbers = [[[Value(w) for w in row] for row in np.atleast_2d(p.data).tolist()] for p in parameters]


def scalar_layer(inputs, w, b, squash=True):
    sums = [sum((x * w[i][j] for i, x in enumerate(inputs)), b[0][j]) for j in range(len(b[0]))]
    return [s.relu() for s in sums] if squash else sums


tracemalloc.start()
w1, b1, w2, b2, w3, b3 = numbers
point = [Value(x) for x in points[0].tolist()]
(score,) = scalar_layer(scalar_layer(scalar_layer(point, w1, b1), w2, b2), w3, b3, squash=False)
memory = tracemalloc.get_traced_memory()[0]
tracemalloc.stop()


def sweep_of_values():
    (score,) = scalar_layer(scalar_layer(scalar_layer(point, w1, b1), w2, b2), w3, b3, squash=False)
    score.backward()


def sweep_of_tensors():
    network(Tensor(points), parameters).sum().backward()


def quickest(sweep):
    """CPU time of the quickest of 20 calls: the others were disturbed."""
    times = []
    for _ in range(20):
        start = time.process_time()
        sweep()
        times.append(time.process_time() - start)
    return min(times)


by_value, by_tensor = len(points) * quickest(sweep_of_values), quickest(sweep_of_tensors)
operations = 2 * (2 * 24 + 24 * 24 + 24) + 24 + 24  # products, sums, relus
print(f"moons, one sweep over 300 points: Value {by_value:.1f} s, Tensor {1000 * by_tensor:.1f} ms,", end=" ")
print(f"{by_value / by_tensor:,.0f} times faster")
print(f"a Value of yours takes about {memory / operations:.0f} bytes; the number in it takes 8\n")

L, D, V, T = 12, 768, 50257, 1024
weights = V * D + T * D + L * (12 * D * D + 13 * D) + 2 * D
forward = T * (L * 12 * D * D + V * D) + 2 * L * T * T * D  # multiply-adds of one text of 1,024 tokens
print(f"GPT-2: {weights:,} weights, {forward / 1e9:,.0f} billion multiply-adds for one text")
print(f"  one step by trying out each weight:               {weights + 1:,} runs forward")
print(
    "  one step by backpropagation:                      the work of about 3 runs forward\n"
    "      (on the way back each product A B needs two: g Bᵀ and Aᵀ g)"
)
print(
    f"  memory of its graph, made of Values: about        {2 * forward * memory / operations / 1e12:,.0f} terabytes"
)

# %% [markdown]
# One number per node is for understanding, one array per node is for working. And the ratio of runs is why anything
# with more than a few dozen parameters is trained by backpropagation.
#
# ## Check yourself
#
# **You train a network and forget to zero the gradients between the steps. What happens?**
#
# <details><summary>A. Nothing: each backward starts from zero</summary>
#
# No. Leaves add (R7). Inner nodes start afresh, leaves do not, and the weights are leaves.
# </details>
#
# <details><summary>B. Each step follows the sum of all gradients so far</summary>
#
# <b>Yes.</b> The direction is that of all steps since the beginning, as if the ball had a momentum that never fades.
# The steps get longer and longer, and training swings or flies apart. The same habit is useful on purpose: to add up
# the gradients of several small batches when a large one does not fit into memory.
# </details>
#
# <details><summary>C. An error: backward cannot be called twice</summary>
#
# Not here, and not for a rebuilt graph in PyTorch. (PyTorch does refuse a second sweep over the <em>same</em> graph
# unless asked to keep it, because it throws the remembered arrays away to save memory.)
# </details>
#
# <details><summary>D. The gradients become too small</summary>
#
# The other way round: they pile up.
# </details>

# %% [markdown]
# **Your network has 1,000 inputs and one output. A friend's function has one input and 1,000 outputs, and she wants
# all 1,000 derivatives. Is backpropagation the right tool for her?**
#
# <details><summary>A. Yes: it gives all derivatives in one sweep</summary>
#
# No. One sweep backward gives the derivatives of <em>one</em> output with respect to all inputs. She would need 1,000
# sweeps.
# </details>
#
# <details><summary>B. No: she should carry derivatives forward, with the numbers</summary>
#
# <b>Yes.</b> This is called forward mode: each number carries its derivative with respect to the one input along, and
# one run gives them all. Few inputs, many outputs: forward. Many inputs, one output, as in learning: backward.
# </details>
#
# <details><summary>C. There is no difference</summary>
#
# The results are the same, the work is not: effects multiply along a path in either direction, but a sweep shares the
# work of all paths that have the <em>same starting node</em> of the sweep.
# </details>
#
# ## Where it comes back
#
# The next notebook builds layers and losses by hand and checks them against difference quotients; after it come
# optimisers, which decide what to *do* with the gradients. From then on the course uses PyTorch's engine, and you
# know what is inside.
#
# ## Reading list
#
# - Nielsen, *Neural Networks and Deep Learning*: chapter 2, how the backpropagation algorithm works.
# - Goodfellow, Bengio, Courville, *Deep Learning*: section 6.5, on backpropagation and other differentiation
#   algorithms.
# - Serrano, *Grokking Machine Learning*: chapter 10, on neural networks.
# - Deisenroth, Faisal, Ong, *Mathematics for Machine Learning*: section 5.6, on backpropagation and automatic
#   differentiation.
# - Baydin, Pearlmutter, Radul, Siskind, *Automatic Differentiation in Machine Learning: a Survey*, 2018: section 3,
#   forward and reverse mode side by side.
# - Rumelhart, Hinton, Williams, *Learning Representations by Back-propagating Errors*, 1986: four pages, worth
#   reading.
# - Karpathy's *micrograd*: an engine like your `Value` in about a hundred lines.
# - The NumPy user guide, *Broadcasting*.
