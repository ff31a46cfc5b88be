"""The pictures of the LoRA notebook: drawing only, there is nothing to learn from this code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor

INK, GREY, DIM, BLUE, ORANGE = "#1f2937", "#9ca3af", "#6b7280", "#2563eb", "#ea580c"
GREEN, PURPLE = "#059669", "#9333ea"
COLORS = (BLUE, ORANGE, GREEN, PURPLE, DIM, INK)

plt.rcParams.update(  # white paper and dark ink, on light and dark pages alike
    {
        **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "white"),
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
        **{"axes.edgecolor": GREY, "axes.spines.top": False, "axes.spines.right": False},
        **{"figure.dpi": 110, "font.size": 12, "axes.titlesize": 13, "legend.frameon": False},
    }
)


def low_rank() -> None:
    """W, B and A of one layer as rectangles, and how many numbers they hold."""
    _, ax = plt.subplots(figsize=(11.5, 4.3))
    _block(ax, (0, 0, 4, 5), GREY, "W\n(frozen)", "out × in\n4096 × 4096")
    _block(ax, (7.3, 0, 0.45, 5), ORANGE, "B", "out × r\n4096 × 8")
    _block(ax, (8.6, 4.55, 4, 0.45), BLUE, "A", "r × in\n8 × 4096")
    ax.text(4.6, 2.5, "+", ha="center", va="center", fontsize=24)
    ax.text(6.1, 2.5, r"$\frac{\alpha}{r}\;\times$", ha="center", va="center", fontsize=24)
    ax.text(8.6, 2.3, "B starts at zero, so that\nat first nothing changes", va="top")
    for y, label, count, color in (
        (4.3, "frozen", "16,777,216 numbers", DIM),
        (3.4, "trained", "65,536 numbers", ORANGE),
        (2.5, "", "0.39 %", INK),
    ):
        ax.text(13.8, y, label, weight="bold", color=color)
        ax.text(20.6, y, count, weight="bold", color=color, ha="right")
    ax.set(xlim=(-0.3, 20.8), ylim=(-1.6, 5.4))
    ax.axis("off")
    plt.show()


def _block(ax: Axes, place: tuple[float, float, float, float], color: str, name: str, size: str) -> None:
    x, y, width, height = place
    ax.add_patch(Rectangle((x, y), width, height, fc=color + "33", ec=color, lw=2))
    ax.text(x + width / 2, y + height / 2, name, ha="center", va="center", weight="bold")
    ax.text(x + width / 2, y - 0.3, size, ha="center", va="top")


def digits(examples: Mapping[str, Tensor]) -> None:
    """Three images (3, 8, 8) for each title, side by side."""
    fig, axes = plt.subplots(1, len(examples), figsize=(11.5, 2.1))
    for ax, (title, three) in zip(axes, examples.items(), strict=True):
        ax.imshow(torch.cat(list(torch.nn.functional.pad(three, (1, 1, 1, 1))), 1), cmap="Greys")
        ax.set(title=title, xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    fig.tight_layout()
    plt.show()


def directions(values: Mapping[str, Tensor], kept: Mapping[int, float], whole: float) -> None:
    """Singular values of each change; accuracy that is left when only r directions are kept."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(11.5, 3.8))
    for color, (name, sizes) in zip(COLORS, values.items(), strict=False):
        left.plot(range(1, len(sizes) + 1), sizes, color=color, lw=2.5, label=name)
    left.axvspan(0.5, 8.5, color="#fef3c7")
    left.set(title="singular values of what fine-tuning changed", xlabel="direction, strongest first")
    left.set_ylim(0, None)
    left.legend()
    right.plot(range(len(kept)), list(kept.values()), "o-", color=GREEN, lw=2.5)
    right.axhline(whole, color=GREY, ls="--")
    right.text(len(kept) - 1, whole + 0.05, "the whole change", ha="right", color=DIM)
    right.set(title="right on their side, with r directions kept", xlabel="r", ylim=(0, 1.15))
    right.set_xticks(range(len(kept)), list(kept))
    fig.tight_layout()
    plt.show()


def ranks(results: Mapping[int, tuple[float, int]], whole: float, before: float) -> None:
    """Bars of accuracy for each rank, with the count of trained numbers inside."""
    _, ax = plt.subplots(figsize=(9, 3.9))
    ax.axhline(whole, color=GREEN, ls="--", lw=2)
    ax.text(-0.48, whole + 0.02, "all 26,122 numbers trained", color=GREEN)
    for i, (result, count) in enumerate(results.values()):
        ax.bar(i, result, color=ORANGE, width=0.6)
        ax.text(i, result - 0.09, f"{result:.1%}", ha="center", weight="bold", color="white")
        ax.text(i, 0.2, f"{count:,}\nnumbers", ha="center", color="white", weight="bold")
    ax.axhline(before, color=INK, ls=":", lw=2)
    ax.text(3.35, before, "before", va="center", bbox={"fc": "white", "ec": "none", "pad": 2})
    ax.set(title="right on their side", ylim=(0, 1.12), xlim=(-0.5, 3.7))
    ax.set_xticks(range(len(results)), [f"r = {r}" for r in results])
    plt.show()


def table(values: Tensor, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Shares as a coloured table."""
    _, ax = plt.subplots(figsize=(8, 3.7))
    ax.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i, row in enumerate(values.tolist()):
        for j, value in enumerate(row):
            color = "white" if value > 0.55 else INK
            ax.text(j, i, f"{value:.0%}", ha="center", va="center", size=13, color=color)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(length=0)
    ax.xaxis.tick_top()
    ax.spines[:].set_visible(False)
    plt.show()


def levels(weights: Tensor, nf4: Tensor) -> None:
    """A histogram of scaled weights with two sets of 16 levels."""
    fig, axes = plt.subplots(2, 1, figsize=(11, 4.4), sharex=True)
    even = torch.linspace(-1, 1, 16)
    for ax, marks, color, name in (
        (axes[0], even, DIM, "16 levels at equal distances"),
        (axes[1], nf4, ORANGE, "the 16 levels of NF4"),
    ):
        ax.hist(weights, bins=120, range=(-1, 1), color="#bfdbfe")
        ax.vlines(marks, 0, ax.get_ylim()[1] * 0.42, color=color, lw=2.5)
        ax.set_title(name, loc="left", color=color, weight="bold")
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
    axes[1].set_xlabel("weight / absmax of its block")
    fig.tight_layout()
    plt.show()


def four_bits(usage: Mapping[str, Tensor], errors: Mapping[str, Tensor]) -> None:
    """How often each code is used, and how large the errors are."""
    fig, axes = plt.subplots(1, 3, figsize=(12.5, 3.7), width_ratios=[1, 1, 1.1])
    for ax, color, (name, share) in zip(axes, (ORANGE, DIM), usage.items(), strict=False):
        ax.bar(range(len(share)), share, color=color)
        ax.set(title=f"{name}: share of each code", ylim=(0, 0.21), xlabel="code")
        ax.set_yticks([0, 0.1, 0.2], ["0", "10 %", "20 %"])
    for color, (name, error) in zip((ORANGE, DIM), errors.items(), strict=True):
        label = f"{name}: RMS {error.square().mean().sqrt():.4f}"
        axes[2].hist(error, bins=90, range=(-0.35, 0.35), histtype="step", lw=2, color=color, label=label)
    axes[2].set(title="error", yticks=[], xlim=(-0.35, 0.35), ylim=(0, axes[2].get_ylim()[1] * 1.5))
    axes[2].legend(loc="upper left")
    fig.tight_layout()
    plt.show()


def memory(needs: Mapping[str, tuple[float, float, float]]) -> None:
    """Gigabytes of full fine-tuning, LoRA and QLoRA for each title."""
    fig, axes = plt.subplots(1, len(needs), figsize=(12, 3.6))
    for ax, (title, gigabytes) in zip(axes, needs.items(), strict=True):
        ax.barh(["full", "LoRA", "QLoRA"], gigabytes, color=[DIM, BLUE, ORANGE], height=0.6)
        for i, value in enumerate(gigabytes):
            paper = {"fc": "white", "ec": "none", "pad": 1.5}
            ax.text(
                value + gigabytes[0] * 0.02, i, f"{value:,.1f} GB", va="center", weight="bold", bbox=paper
            )
        card = 24 if gigabytes[0] < 500 else 80
        ax.axvline(card, color=GREEN, ls="--", lw=1.8)
        ax.text(card, -0.55, f" one card of {card} GB", color=GREEN)
        ax.set(title=title, xlabel="GB to train, without activations")
        ax.set(xlim=(0, gigabytes[0] * 1.25), ylim=(2.5, -0.95))
    fig.tight_layout()
    plt.show()


def prefix(curves: Mapping[int, Sequence[float]], weights: Tensor, p: int) -> None:
    """Training curves for prefixes of several lengths; attention weights with p prefix columns."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(12, 3.9), width_ratios=[1, 1.3])
    for color, (length, curve) in zip((DIM, BLUE, ORANGE), curves.items(), strict=True):
        left.plot(curve, color=color, lw=2.5, label=f"p = {length}")
    left.set(title="distance to the target", xlabel="step", ylabel="mean squared error", ylim=(0, None))
    left.legend()
    right.imshow(weights, cmap="Oranges", vmin=0, vmax=1, aspect="auto")
    right.axvline(p - 0.5, color=INK, lw=2)
    T = len(weights)
    right.set_xticks(range(p + T), [f"P{i}" for i in range(p)] + [f"t{i}" for i in range(T)])
    right.set_yticks(range(T), [f"t{i}" for i in range(T)])
    right.set(title=f"where the tokens look after training (p = {p})", ylabel="query")
    for i, row in enumerate(weights.tolist()):
        for j, weight in enumerate(row):
            if weight > 0.045:
                color = "white" if weight > 0.6 else INK
                right.text(j, i, f"{weight:.2f}", ha="center", va="center", size=10, color=color)
    fig.tight_layout()
    plt.show()


def contest(results: Mapping[str, Sequence[tuple[int, float, str]]]) -> None:
    """Accuracy over the count of trained numbers: (count, accuracy, label) for each method."""
    _, ax = plt.subplots(figsize=(10.5, 5))
    for color, (method, points) in zip(COLORS, results.items(), strict=True):
        counts, shares, labels = zip(*points, strict=True)
        ax.plot(counts, shares, "o-", color=color, ms=9, lw=2, label=method)
        dy = 10 if method == "LoRA" else -20
        for x, y, label in zip(counts, shares, labels, strict=True):
            ax.annotate(label, (x, y), (0, dy), textcoords="offset points", ha="center", color=color)
    ax.set(xscale="log", ylim=(0.5, 1.04), xlabel="numbers trained (of 26,122)", ylabel="right on their side")
    ax.set_xticks([300, 1000, 3000, 10000, 26122], ["300", "1,000", "3,000", "10,000", "26,122"])
    ax.minorticks_off()
    ax.grid(color="#e5e7eb")
    ax.legend(loc="lower right", frameon=True, facecolor="white", edgecolor="#e5e7eb")
    plt.show()


def two_starts(losses: Mapping[str, Sequence[float]], results: Mapping[str, float]) -> None:
    """Loss curves and final accuracy of two ways to start A and B."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(11.5, 3.6), width_ratios=[1.4, 1])
    for color, (name, curve) in zip((BLUE, ORANGE), losses.items(), strict=True):
        left.plot(curve, color=color, lw=2, label=name)
        right.bar(name, results[name], color=color, width=0.6)
        right.text(name, results[name] + 0.03, f"{results[name]:.0%}", ha="center", weight="bold")
    left.set(title="training loss", xlabel="step", ylim=(0, None))
    left.legend(loc="upper right", bbox_to_anchor=(1, 0.65))
    right.set(title="right on their side, afterwards", ylim=(0, 1.12), yticks=[])
    fig.tight_layout()
    plt.show()


def outlier(usage: Mapping[str, Tensor]) -> None:
    """Share of the weights that gets each code, for two ways to scale."""
    fig, axes = plt.subplots(1, 2, figsize=(11.5, 3.5))
    for ax, color, (title, share) in zip(axes, (BLUE, ORANGE), usage.items(), strict=True):
        ax.bar(range(16), share, color=color)
        ax.set(title=title, xlabel="code", ylim=(0, 1.05), xticks=range(0, 16, 5))
        ax.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    axes[0].set_ylabel("share of the weights")
    fig.tight_layout()
    plt.show()
