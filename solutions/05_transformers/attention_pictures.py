"""The pictures of the attention notebook: drawing only, there is nothing to learn from this code."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle
from torch import Tensor

INK, GREY, BLUE, ORANGE, GREEN = "#1f2937", "#9ca3af", "#2563eb", "#ea580c", "#059669"
COLORS = (BLUE, ORANGE, GREEN)

plt.rcParams.update(  # white paper and dark ink, on light and dark pages alike
    {
        **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "white"),
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
        **{"axes.edgecolor": GREY, "axes.spines.top": False, "axes.spines.right": False},
        **{"figure.dpi": 110, "font.size": 12, "axes.titlesize": 13, "legend.frameon": False},
    }
)


def bottleneck() -> None:
    """One vector for a whole sentence, and a decoder that looks back."""
    english, french = ("the", "tired", "animal", "slept"), ("l'", "animal", "fatigué", "dormait")
    ax = _canvas((11, 5.2), x=(-1.1, 20.9), y=(-1.1, 6.5))
    ax.text(-1, 6.1, "2014: the whole sentence through one vector", weight="bold")
    for i, (e, f) in enumerate(zip(english, french, strict=True)):
        _box(ax, 2.2 * i, 5, e, BLUE, 1.6)
        _box(ax, 13 + 2.25 * i, 5, f, GREEN, 1.75)
        if i < 3:
            _arrow(ax, (2.2 * i + 0.9, 5), (2.2 * i + 1.3, 5))
            _arrow(ax, (13.95 + 2.25 * i, 5), (14.3 + 2.25 * i, 5))
    _box(ax, 9.8, 5, "one vector", ORANGE, 2.3)
    _arrow(ax, (7.5, 5), (8.55, 5))
    _arrow(ax, (11.05, 5), (12.0, 5))
    ax.text(-1, 3.6, "2015: each new word looks back at all of them", weight="bold")
    for i, (e, f, weight) in enumerate(zip(english, french, (0.06, 0.70, 0.18, 0.06), strict=True)):
        x = 3 + 4.3 * i
        _box(ax, x, 2.5, f, GREEN if i < 3 else GREY, 2.2)
        _box(ax, x, -0.6, e, BLUE, 2.2)
        _arrow(ax, (x, -0.25), (11.6, 2.15), ORANGE, 1 + 8 * weight)
        patch = {"fc": "white", "ec": "none", "pad": 1.5}
        label = {"color": ORANGE, "ha": "center", "weight": "bold", "bbox": patch}
        ax.text(x + 0.25 * (11.6 - x), 0.75, f"{weight:.2f}", **label)
    plt.show()


def soft_lookup() -> None:
    """A query, four keys, their scores and weights, and the blend of four colours."""
    angles, lengths = torch.tensor([20.0, 75, 150, 265]).deg2rad(), torch.tensor([2.2, 1.9, 1.7, 1.6])
    keys, query = (
        torch.stack([angles.cos(), angles.sin()], dim=1) * lengths[:, None],
        torch.tensor([1.2, 1.0]),
    )
    colors = [[0.86, 0.15, 0.15], [0.98, 0.78, 0.10], [0.06, 0.60, 0.41], [0.15, 0.39, 0.92]]
    scores = keys @ query
    weights = scores.softmax(0)
    _, axes = plt.subplots(1, 4, figsize=(12.5, 3.5), width_ratios=[1.25, 1, 1, 0.7], layout="constrained")
    for j, (key, color) in enumerate(zip(keys.tolist(), colors, strict=True)):
        _arrow(axes[0], (0, 0), key, color, 2.5)
        axes[0].text(key[0] * 1.2, key[1] * 1.2, f"key {j}", ha="center", va="center")
    _arrow(axes[0], (0, 0), query.tolist(), INK, 3.5)
    axes[0].text(0.95, 1.5, "query", weight="bold")
    axes[0].set(xlim=(-2.3, 2.9), ylim=(-2.3, 2.5), aspect="equal", title="1. compare directions")
    _bars(axes[1], scores.tolist(), colors, "2. scores: dot products", "{:.1f}")
    _bars(axes[2], weights.tolist(), colors, "3. weights: softmax", "{:.2f}")
    axes[3].add_patch(Rectangle((0.2, 0.15), 0.6, 0.6, fc=(weights @ torch.tensor(colors)).tolist()))
    axes[3].set(xlim=(0, 1), ylim=(0, 1), title="4. blend the values")
    axes[0].axis("off")
    axes[3].axis("off")
    plt.show()


def heat(weights: Tensor, columns: Sequence[str], rows: Sequence[str], title: str) -> None:
    """Weights as a coloured table, with the numbers that are not negligible."""
    _, ax = plt.subplots(figsize=(10, 0.7 + 0.75 * len(rows)))
    ax.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(len(columns)), columns, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(rows)), rows)
    _lines(ax, len(rows), len(columns), "white", 2)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_title(title, loc="left")
    for i, row in enumerate(weights.tolist()):
        for j, w in enumerate(row):
            if w > 0.045:
                color = "white" if w > 0.55 else INK
                ax.text(j, i, f"{w:.2f}", ha="center", va="center", size=11, color=color)
    plt.show()


def split_into_heads() -> None:
    """Three tokens of four features cut into two heads: by features, and by order of memory."""
    numbers = [(t, c) for t in range(3) for c in range(4)]  # as they lie in memory
    whole = [numbers[i : i + 4] for i in (0, 4, 8)]
    right = [[[row[c] for c in block] for row in whole] for block in ((0, 1), (2, 3))]
    wrong = [[numbers[i : i + 2] for i in range(start, start + 6, 2)] for start in (0, 6)]
    ax = _canvas((11, 2.9), x=(-0.2, 18.8), y=(3.9, -0.8))
    titles, places = ("x", "head 0", "head 1", "head 0", "head 1"), (0, 6, 9, 13.5, 16.5)
    for title, left, table in zip(titles, places, (whole, *right, *wrong), strict=True):
        ax.text(left + len(table[0]) / 2, -0.35, title, ha="center", weight="bold")
        for r, row in enumerate(table):
            for c, (token, feature) in enumerate(row):
                color = ("#fcd34d", "#93c5fd", "#86efac")[token]
                ax.add_patch(Rectangle((left + c, r), 0.94, 0.94, fc=color))
                ax.text(left + c + 0.47, r + 0.5, f"{token}.{feature}", ha="center", va="center")
    ax.text(8.5, 3.6, "right: each row is one token", ha="center", color=GREEN, weight="bold")
    ax.text(16, 3.6, "wrong: rows mix tokens", ha="center", color=ORANGE, weight="bold")
    plt.show()


def six_masks() -> None:
    """The six kinds of mask for six tokens."""
    drawn = {
        "causal": "#..... ##.... ###... ####.. #####. ######",
        "padding, 4 of 6": "####.. ####.. ####.. ####.. ####.. ####..",
        "causal + padding": "#..... ##.... ###... ####.. ####.. ####..",
        "sliding, window 3": "#..... ##.... ###... .###.. ..###. ...###",
        "prefix of 3": "###... ###... ###... ####.. #####. ######",
        "packed, 3 + 1 + 2": "#..... ##.... ###... ...#.. ....#. ....##",
    }
    masks(
        {
            name: torch.tensor([[m == "#" for m in row] for row in text.split()])
            for name, text in drawn.items()
        }
    )


def masks(named: Mapping[str, Tensor]) -> None:
    """Masks (T, T) side by side."""
    _, axes = plt.subplots(1, len(named), figsize=(13, 2.9), layout="constrained")
    for ax, (title, mask) in zip(axes, named.items(), strict=True):
        ax.imshow(mask, cmap="Blues", vmin=0, vmax=1.25)
        _lines(ax, *mask.shape, GREY, 3 / len(mask))
        ax.set(title=title, xticks=[], yticks=[])
        ax.spines[:].set(visible=True)
    axes[0].set(xlabel="key j", ylabel="query i")
    plt.show()


def clocks() -> None:
    """Eight positions, told by three hands of different speed."""
    ax = _canvas((11, 4.4), x=(-4.2, 18.6), y=(-6.3, 2.1))
    ax.set_aspect("equal")
    for i, (speed, color) in enumerate(zip((1.0, 0.3, 0.05), COLORS, strict=True)):
        ax.text(-2.1, -2.5 * i, f"hand {i}\n{speed:g} rad per token", ha="center", va="center")
        for t in range(8):
            x, y = 2.3 * t + 1.2, -2.5 * i
            ax.add_patch(Circle((x, y), 1, fc="#f3f4f6", ec=GREY, lw=1.4))
            _arrow(ax, (x, y), (x + math.cos(speed * t), y + math.sin(speed * t)), color, 2.4)
            if i == 0:
                ax.text(x, 1.5, f"token {t}", ha="center")
    plt.show()


def position_encoding(pe: Tensor) -> None:
    """The table (T, D), and the dot products of some rows with all."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(12, 3.8), width_ratios=[1.15, 1], layout="constrained")
    fig.colorbar(left.imshow(pe.T, cmap="RdBu", vmin=-1, vmax=1, aspect="auto"), ax=left)
    left.set(title="fast hands above, slow ones below", xlabel="position", ylabel="feature")
    top = pe.shape[1] / 2
    for share, color in zip((0.2, 0.5, 0.8), COLORS, strict=True):
        t = round(share * len(pe))
        right.plot(pe @ pe[t], color=color)
        right.text(t, top * 1.02, f"with {t}", color=color, ha="center", weight="bold")
    right.set(title="dot product of each position ...", xlabel="position", ylim=(0.3 * top, 1.1 * top))
    plt.show()


def relative_scores(plain: Tensor, turned: Tensor, rows: Sequence[int]) -> None:
    """Scores (T, T) without and with rope, and some rows of the latter by distance."""
    _, axes = plt.subplots(1, 3, figsize=(13, 3.9), width_ratios=[1, 1, 1.2], layout="constrained")
    limit = turned.abs().max()
    for ax, scores, title in ((axes[0], plain, "without rope"), (axes[1], turned, "with rope")):
        ax.imshow(scores, cmap="RdBu", vmin=-limit, vmax=limit)
        ax.set(title=f"scores {title}", xlabel="position n of the key", ylabel="position m of the query")
    for row, color, width, alpha in zip(rows, COLORS, (6, 2), (0.4, 1.0), strict=False):
        distance = row - torch.arange(len(turned))
        axes[2].plot(distance, turned[row], color=color, lw=width, alpha=alpha, label=f"query at {row}")
    axes[2].set(title="two rows of it, by distance", xlabel="distance m − n", ylabel="score")
    axes[2].legend()
    plt.show()


def looks(sentences: Sequence[tuple[Sequence[str], Tensor, str]], asking: str) -> None:
    """For each (words, weights, answer): arcs from the word that asks to the words it looks at."""
    height = 2.5 * len(sentences)
    ax = _canvas((11.5, height), x=(-0.6, 12.4), y=(0.4 - 3.3 * len(sentences), 0.2))
    for number, (words, weights, answer) in enumerate(sentences):
        base, start = -3.3 * number - 2.6, words.index(asking)
        ax.text(0, base + 2.3, f"... {' '.join(words[start:])}: the model answers “{answer}”", weight="bold")
        for j, word in enumerate(words):
            w = weights[j].item() if j < len(weights) else 0.0
            edge, color = ORANGE if word == asking else "#e5e7eb", "white" if w > 0.6 else INK
            frame = {"boxstyle": "round,pad=0.35", "fc": plt.cm.Oranges(0.8 * w), "ec": edge}
            ax.text(1.15 * j, base, word, ha="center", va="center", color=color, bbox=frame)
            if w > 0.02:
                _arrow(ax, (1.15 * start, base + 0.35), (1.15 * j, base + 0.35), ORANGE, 0.8 + 6 * w, 0.3)
                ax.text(1.15 * j - 0.1, base + 0.9, f"{w:.2f}", color=ORANGE, ha="right", weight="bold")
    plt.show()


def without_the_root(
    sizes: Sequence[int], curves: Mapping[str, Sequence[tuple[float, float, Tensor]]]
) -> None:
    """For each name, by size: (entropy, slope, weights of one query)."""
    _, axes = plt.subplots(1, 3, figsize=(13, 3.6), layout="constrained")
    for (name, points), color, shift in zip(curves.items(), COLORS, (-0.2, 0.2), strict=False):
        entropies, slopes, examples = zip(*points, strict=True)
        axes[0].bar(torch.arange(len(examples[2])) + shift, examples[2], 0.4, color=color, label=name)
        axes[1].plot(sizes, entropies, "o-", color=color)
        axes[2].plot(sizes, slopes, "o-", color=color)
    axes[0].set(
        title=f"weights of one query, d = {sizes[2]}", xlabel="key", ylim=(0, 1), xticks=range(0, 16, 5)
    )
    axes[0].legend()
    _line(axes[1], math.log(16), "all keys alike", x=sizes[0], ha="left")
    axes[1].set(title="entropy of the weights (nats)", xlabel="features d", xscale="log", ylim=(0, 3.2))
    axes[2].set(title="slope of the softmax", xlabel="features d", xscale="log", ylim=(0, 1))
    for ax in axes[1:]:
        ax.set_xticks(sizes, sizes)
        ax.minorticks_off()
    plt.show()


def losses(named: Mapping[str, Sequence[float]], guessing: float) -> None:
    """Training losses, and the loss of guessing."""
    _, ax = plt.subplots(figsize=(10, 3.6), layout="constrained")
    for (name, values), color in zip(named.items(), COLORS, strict=False):
        ax.plot(values, color=color, label=name)
    _line(ax, guessing, f"guessing: {guessing:.2f}", x=len(values), ha="right")
    ax.set(title="training loss on pure noise", xlabel="step", ylabel="nats per token", ylim=(0, 3.3))
    ax.legend(loc="center right")
    plt.show()


def _canvas(size: tuple[float, float], *, x: tuple[float, float], y: tuple[float, float]) -> Axes:
    _, ax = plt.subplots(figsize=size)
    ax.set(xlim=x, ylim=y)
    ax.axis("off")
    return ax


def _box(ax: Axes, x: float, y: float, text: str, color: str, width: float) -> None:
    corner, style = (x - width / 2, y - 0.25), "round,pad=0.06"
    ax.add_patch(FancyBboxPatch(corner, width, 0.5, boxstyle=style, fc=color + "22", ec=color, lw=1.6))
    ax.text(x, y, text, ha="center", va="center")


def _arrow(ax: Axes, start, end, color=GREY, width: float = 1.6, bend: float = 0.0) -> None:
    look = {"arrowstyle": "-|>", "mutation_scale": 13, "shrinkA": 0, "shrinkB": 0}
    ax.add_patch(
        FancyArrowPatch(start, end, color=color, lw=width, connectionstyle=f"arc3,rad={bend}", **look)
    )


def _bars(ax: Axes, heights: list[float], colors: list[list[float]], title: str, form: str) -> None:
    bars = ax.bar(range(len(heights)), heights, color=colors)
    ax.bar_label(bars, [form.format(h) for h in heights], padding=3)
    ax.axhline(0, color=GREY, lw=1)
    names = [f"key {j}" for j in range(len(heights))]
    ax.set(title=title, xticks=range(len(heights)), xticklabels=names, yticks=[])
    ax.margins(y=0.18)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)


def _lines(ax: Axes, rows: int, columns: int, color: str, width: float) -> None:
    for i in range(1, rows):
        ax.axhline(i - 0.5, color=color, lw=width)
    for j in range(1, columns):
        ax.axvline(j - 0.5, color=color, lw=width)


def _line(ax: Axes, height: float, text: str, *, x: float, ha: str) -> None:
    ax.axhline(height, color=GREY, ls="--")
    ax.text(x, height + 0.06, text, color="#6b7280", ha=ha)
