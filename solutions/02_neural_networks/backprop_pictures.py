"""The drawing pen of the backprop notebook: its pictures, and `draw_graph` for a graph of your own.

Only matplotlib, nothing that learns: what is drawn is computed in the notebook.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

INK, GREY, BLUE, ORANGE, GREEN = "#1f2937", "#9ca3af", "#2563eb", "#ea580c", "#059669"

plt.rcParams.update({
    "figure.facecolor": "white", "axes.facecolor": "white", "savefig.facecolor": "white", "figure.dpi": 110,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": GREY, "xtick.color": INK, "ytick.color": INK,
    "font.size": 12, "axes.titlesize": 13, "axes.spines.top": False, "axes.spines.right": False,
})  # fmt: skip

Place = tuple[float, float]


def draw_graph(
    nodes: Mapping[str, tuple[Any, Sequence[str]]],
    *,
    places: Mapping[str, Place] | None = None,
    slopes: Mapping[tuple[str, str], str] | None = None,
    ax: Axes | None = None,
    width: float = 2.0,
    done: Sequence[str] | None = None,
) -> None:
    """Draws how numbers were computed: data in blue, gradients in orange.

    `nodes` maps a name to (something with .data and .grad, or a text for the lower half; names of its operands).
    `places` says where each stands; without it operands stand left of results. `slopes` labels arrows
    (operand, result). `done` names the nodes whose gradient is known already; the others show "?".
    """
    places = places or _columns(nodes)
    slopes = slopes or {}
    own = ax is None
    if ax is None:
        xs, ys = zip(*places.values(), strict=True)
        _, ax = plt.subplots(figsize=(1.25 * (max(xs) - min(xs)) + 3, 0.85 * (max(ys) - min(ys)) + 1.6))
    for name, (content, operands) in nodes.items():
        for operand in operands:
            _edge(ax, places[operand], places[name], slopes.get((operand, name), ""), width)
        _node(ax, places[name], name, content, width, known=done is None or name in done)
    xs, ys = zip(*places.values(), strict=True)
    ax.set(xlim=(min(xs) - width * 0.7, max(xs) + width * 0.7), ylim=(min(ys) - 0.75, max(ys) + 0.75))
    ax.axis("off")
    if own:
        plt.show()


def _columns(nodes: Mapping[str, tuple[Any, Sequence[str]]]) -> dict[str, Place]:
    """Operands left of results, the nodes of a column one above the other."""
    column: dict[str, int] = {}
    for name, (_, operands) in nodes.items():
        column[name] = 1 + max((column[operand] for operand in operands), default=-1)
    places: dict[str, Place] = {}
    for c in set(column.values()):
        names = [name for name in nodes if column[name] == c]
        for i, name in enumerate(names):
            places[name] = (3.2 * c, 1.6 * ((len(names) - 1) / 2 - i))
    return places


def _node(ax: Axes, place: Place, name: str, content: Any, width: float, *, known: bool = True) -> None:
    x, y = place
    edge = ORANGE if known and not isinstance(content, str) else GREY
    shape = FancyBboxPatch(
        (x - width / 2, y - 0.45),
        width,
        0.9,
        boxstyle="round,pad=0.06",
        fc="#f9fafb",
        ec=edge,
        lw=1.8,
        zorder=3,
    )
    ax.add_patch(shape)
    ax.text(x, y + 0.2, name, ha="center", va="center", weight="bold", zorder=4)
    if isinstance(content, str):
        ax.text(x, y - 0.22, content, ha="center", va="center", zorder=4)
        return
    ax.text(x - width * 0.24, y - 0.22, _short(content.data), ha="center", va="center", color=BLUE, zorder=4)
    text = f"∂ {_short(content.grad)}" if known else "∂ ?"
    color = ORANGE if known else GREY
    ax.text(x + width * 0.24, y - 0.22, text, ha="center", va="center", color=color, weight="bold", zorder=4)


def _edge(ax: Axes, start: Place, end: Place, label: str, width: float) -> None:
    (x0, y0), (x1, y1) = start, end
    half = width / 2 + 0.08
    ax.add_patch(
        FancyArrowPatch(
            (x0 + half, y0),
            (x1 - half, y1),
            arrowstyle="-|>",
            mutation_scale=14,
            color=GREY,
            lw=1.6,
            shrinkA=0,
            shrinkB=0,
        )
    )
    if label:
        ax.text(
            (x0 + x1) / 2, (y0 + y1) / 2, label, color=GREEN, ha="center", va="center", zorder=5,
            bbox={"fc": "white", "ec": "none", "pad": 1.5},
        )  # fmt: skip


def _short(value: Any) -> str:
    return f"{float(value):.3g}".replace("-", "−")


class Number:
    """A number and its gradient, for pictures drawn by hand."""

    def __init__(self, data: float, grad: float) -> None:
        self.data, self.grad = data, grad


STAND = {
    "price": (Number(5, 20), []),
    "cost": (Number(2, -50), []),
    "cups": (Number(50, 3), ["price"]),
    "margin": (Number(3, 50), ["price", "cost"]),
    "profit": (Number(150, 1), ["cups", "margin"]),
}
STAND_PLACES = {"price": (0, 1.1), "cost": (0, -1.1), "cups": (4, 1.1), "margin": (4, -1.1), "profit": (8, 0)}
STAND_SLOPES = {
    ("price", "cups"): "−10",
    ("price", "margin"): "1",
    ("cost", "margin"): "−1",
    ("cups", "profit"): "margin = 3",
    ("margin", "profit"): "cups = 50",
}


def stand_picture() -> None:
    """The lemonade stand: what was computed, and what a small change of each number does to the profit."""
    _, ax = plt.subplots(figsize=(11.5, 4.0))
    draw_graph(STAND, places=STAND_PLACES, slopes=STAND_SLOPES, ax=ax)
    ax.text(-1.4, 2.05, "forward: numbers", color=BLUE)
    ax.text(2.0, 2.05, "on the arrows: local slopes", color=GREEN)
    ax.text(6.3, 2.05, "backward: gradients", color=ORANGE)
    ax.set_ylim(-1.85, 2.4)
    plt.show()


def sweep_picture() -> None:
    """The backward sweep in four steps."""
    steps = [
        (["profit"], "1. The end knows: ∂ profit / ∂ profit = 1"),
        (["profit", "cups", "margin"], "2. It pays its operands: 1 · 3 and 1 · 50"),
        (["profit", "cups", "margin", "cost"], "3. margin pays cost: 50 · (−1)"),
        (list(STAND), "4. price is paid twice: 3 · (−10) + 50 · 1 = 20"),
    ]
    fig, axes = plt.subplots(2, 2, figsize=(12.5, 6.6))
    for ax, (done, title) in zip(axes.flat, steps, strict=True):
        places = {name: (x * 0.85, y * 0.9) for name, (x, y) in STAND_PLACES.items()}
        draw_graph(STAND, places=places, ax=ax, done=done, width=2.1)
        ax.set_title(title, loc="left", size=12)
    fig.tight_layout()
    plt.show()


def doubling_picture(levels: int = 6) -> None:
    """A few nodes, a lot of paths."""
    _, ax = plt.subplots(figsize=(11.5, 2.6))
    for i in range(levels + 1):
        x = 2 * i
        ax.add_patch(plt.Circle((x, 0), 0.42, fc="#f9fafb", ec=BLUE, lw=1.8, zorder=3))
        ax.text(x, 0, f"$y_{i}$", ha="center", va="center", zorder=4)
        ax.text(x, -1.25, f"{2 ** (levels - i)}", ha="center", color=ORANGE, weight="bold")
        for bend in (0.45, -0.45) if i < levels else ():
            arrow = FancyArrowPatch(
                (x + 0.4, 0),
                (x + 1.6, 0),
                connectionstyle=f"arc3,rad={bend}",
                arrowstyle="-|>",
                mutation_scale=14,
                color=GREY,
                lw=1.6,
            )
            ax.add_patch(arrow)
    ax.text(-0.6, -1.25, "paths to the end:", ha="right", color=ORANGE)
    ax.text(-0.6, -0.1, f"{levels + 1} nodes:", ha="right", color=BLUE)
    ax.set(xlim=(-4.2, 2 * levels + 0.7), ylim=(-1.6, 0.9), aspect="equal")
    ax.axis("off")
    plt.show()


def _cells(ax: Axes, x: float, y: float, table: np.ndarray, color: str, *, faint: bool = False) -> None:
    for (r, c), value in np.ndenumerate(table):
        ax.add_patch(
            Rectangle((x + c, y - r), 0.92, 0.92, fc=color + ("18" if faint else "40"), ec=color, lw=1.2)
        )
        text = f"{value:g}" if isinstance(value, float | np.floating) else str(value)
        ax.text(x + c + 0.46, y - r + 0.46, text, ha="center", va="center")


def _flow(ax: Axes, start: Place, end: Place, color: str) -> None:
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=15, color=color, lw=2))


def broadcast_picture() -> None:
    """Forward: copies. Backward: the copies' gradients are added up."""
    _, (left, right) = plt.subplots(1, 2, figsize=(12.5, 4.6))
    g = np.array([[1.0, 2, 3], [4, 5, 6]])
    row, column = np.array([["p", "q", "r"]]), np.array([["s"], ["t"]])
    for ax, small, sums, title in (
        (left, row, g.sum(0, keepdims=True), "(3,) becomes (2, 3): an axis was added"),
        (right, column, g.sum(1, keepdims=True), "(2, 1) becomes (2, 3): an axis was stretched"),
    ):
        height = small.shape[0]
        _cells(ax, 0, 3.6 + (height - 1) / 2, small, BLUE)
        _cells(ax, 5, 4.1, np.broadcast_to(small, (2, 3)), BLUE, faint=True)
        _flow(ax, (3.3, 4.05), (4.7, 4.05), BLUE)
        ax.text(4.0, 4.35, "copy", color=BLUE, ha="center")
        _cells(ax, 5, 1.1, g, ORANGE, faint=True)
        _cells(ax, 0, 0.6 + (height - 1) / 2, sums, ORANGE)
        _flow(ax, (4.7, 1.05), (3.3, 1.05), ORANGE)
        ax.text(4.0, 1.35, "add up", color=ORANGE, ha="center")
        ax.text(6.4, 2.35, "gradient from above", color=ORANGE, ha="center")
        ax.set_title(title, size=12)
        ax.set(xlim=(-0.3, 8.4), ylim=(-0.3, 5.4))
        ax.axis("off")
    plt.show()


def layer_picture() -> None:
    """One layer of a network: the shapes on the way forward, and the same shapes on the way back."""
    _, ax = plt.subplots(figsize=(12, 4.1))
    nodes = {
        "x": ("(B, D)", []),
        "w": ("(D, H)", []),
        "x @ w": ("(B, H)", ["x", "w"]),
        "b": ("(H,)", []),
        "x @ w + b": ("(B, H)", ["x @ w", "b"]),
        "relu": ("(B, H)", ["x @ w + b"]),
        "mean": ("( )", ["relu"]),
    }
    places = {
        "x": (0, 2.1), "w": (0, 0), "x @ w": (3.2, 1.05), "b": (3.2, -1.05), "x @ w + b": (6.4, 0), "relu": (9.6, 0), "mean": (12.8, 0),
    }  # fmt: skip
    draw_graph(nodes, places=places, ax=ax, width=1.9)
    back = {
        "mean": "1",
        "relu": "1 / (B·H) in each",
        "x @ w + b": "0 where it was ≤ 0",
        "x @ w": "the same: g",
        "b": "g added up over B",
        "x": "g wᵀ",
        "w": "xᵀ g",
    }
    for name, text in back.items():
        x, y = places[name]
        ax.text(x, y - 0.78, f"∂  {text}", color=ORANGE, ha="center", va="center")
    ax.set_ylim(-2.1, 2.8)
    plt.show()
