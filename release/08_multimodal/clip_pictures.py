"""The pictures of the CLIP notebook: drawing only, there is nothing to learn from this code.

Images are arrays (H, W, 3), uint8 or floats between 0 and 1; everything else is arrays and lists of plain values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

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


def gallery(images: Sequence[np.ndarray], titles: Sequence[str], columns: int = 8) -> None:
    """Images in rows, each with its name below."""
    rows = -(-len(images) // columns)
    _, axes = plt.subplots(
        rows, columns, figsize=(1.45 * columns, 1.85 * rows), squeeze=False, layout="constrained"
    )
    for ax in axes.flat:
        ax.axis("off")
    for ax, image, title in zip(axes.flat, images, titles, strict=False):
        _image(ax, image)
        ax.text(0.5, -0.06, _wrap(title, 13), transform=ax.transAxes, ha="center", va="top", size=10)
    plt.show()


def cut_into_patches(image: np.ndarray, p: int) -> None:
    """An image; the same image cut into numbered patches of p x p pixels; the row of patches a model reads."""
    height, width = image.shape[0] // p, image.shape[1] // p
    patches = [image[i * p : (i + 1) * p, j * p : (j + 1) * p] for i in range(height) for j in range(width)]
    gap, step, top = 0.18, 1.18, 1.2
    ax = _canvas((12, 6.4), x=(-0.2, 17.8), y=(top + height * step + 2.8, -0.4))
    side = step * max(height, width)
    _place(ax, image, 0, top, side * width / max(height, width), side * height / max(height, width))
    ax.text(0, 0.7, f"{image.shape[0]} x {image.shape[1]} pixels", weight="bold")
    left = side + 2.2
    _arrow(ax, (side + 0.4, top + side / 2), (left - 0.5, top + side / 2))
    ax.text(left, 0.7, f"{height} x {width} patches of {p} x {p}", weight="bold")
    for n, patch in enumerate(patches):
        x, y = left + n % width * step, top + n // width * step
        _place(ax, patch, x, y, 1, 1)
        _number(ax, x + 0.5, y + 0.5, n)
    left = left + side + 1.4
    ax.text(left, 0.7, f"one patch: {p} x {p} pixels, 3 colours", weight="bold")
    middle = patches[len(patches) // 2 + width // 2 - 1]
    _place(ax, middle, left, top, 3, 3)
    _number(ax, left + 0.4, top + 0.4, len(patches) // 2 + width // 2 - 1)
    lines = (
        "written out row by row,",
        "pixel by pixel, red, green, blue:",
        f"a token of {p * p * 3} numbers",
    )
    for i, line in enumerate(lines):
        ax.text(left, top + 3.7 + 0.6 * i, line)
    small = min(1.0, (17.6 + gap) / len(patches) - 0.1)
    y = top + height * step + 1.4
    ax.text(0, y - 0.35, "what the transformer reads: a row of patches, like a row of words", weight="bold")
    for n, patch in enumerate(patches):
        _place(ax, patch, n * (small + 0.1), y, small, small)
        ax.text(n * (small + 0.1) + small / 2, y + small + 0.4, n, ha="center", size=10)
    plt.show()


def patch_table(rows: np.ndarray, p: int, title: str = "") -> None:
    """Flattened patches (N, p*p*C) as a coloured table: one row per patch."""
    _, ax = plt.subplots(figsize=(12, 0.9 + 0.26 * len(rows)), layout="constrained")
    ax.imshow(rows, cmap="Greys_r", aspect="auto", interpolation="nearest")
    line = rows.shape[1] // p
    for k in range(1, p):
        ax.axvline(k * line - 0.5, color=ORANGE, lw=1.2)
    for i in range(1, len(rows)):
        ax.axhline(i - 0.5, color="white", lw=2)
    ax.set(
        xlabel=f"numbers in a patch (a line after each of its {p} rows of pixels)",
        ylabel="patch",
        title=title,
    )
    ax.set_yticks(range(len(rows)))
    plt.show()


def two_towers(image: np.ndarray, caption: str) -> None:
    """An image and a caption go through two models into one space."""
    ax = _canvas((12, 3.9), x=(-0.2, 18.2), y=(-0.3, 5.9))
    _place(ax, image, 0.6, 5.2, 1.8, -1.8)
    _box(ax, 1.5, 1.2, _wrap(caption, 16), GREY, 2.6, 0.8)
    for y, parts, color in (
        (4.3, ("cut into\npatches", "vision\ntransformer"), BLUE),
        (1.2, ("cut into\nwords", "mean of\nword vectors"), GREEN),
    ):
        _arrow(ax, (2.9, y), (3.6, y), color)
        _box(ax, 4.8, y, parts[0], color, 2.2, 0.8)
        _arrow(ax, (6.0, y), (6.7, y), color)
        _box(ax, 8.1, y, parts[1], color, 2.5, 0.8)
        _arrow(ax, (9.5, y), (10.2, y), color)
        for i, shade in enumerate((0.9, 0.35, 0.7, 0.2, 0.55)):
            ax.add_patch(Rectangle((10.4 + 0.42 * i, y - 0.3), 0.38, 0.6, fc=color, alpha=shade))
        _arrow(ax, (12.7, y), (14.0, 2.75 + 0.16 * (y - 2.75)), color)
    ax.text(11.4, 2.75, "one vector each, length 1", ha="center", va="center")
    _box(ax, 15.8, 2.75, "similarity:\ncosine of the angle", ORANGE, 3.3, 0.9)
    ax.text(15.8, 4.2, "high for a pair that belongs\ntogether, low for any other", ha="center")
    plt.show()


def similarity(
    scores: np.ndarray, images: Sequence[np.ndarray], captions: Sequence[str], title: str = ""
) -> None:
    """A table of similarities (N, N), images down, captions across, the true pairs framed."""
    n = len(scores)
    _, ax = plt.subplots(figsize=(2.6 + 0.85 * n, 2.3 + 0.72 * n), layout="constrained")
    _table(ax, scores, images, captions)
    for i in range(n):
        ax.add_patch(Rectangle((i - 0.46, i - 0.46), 0.92, 0.92, fill=False, ec=ORANGE, lw=2.6))
    ax.set_title(title, loc="left")
    plt.show()


def two_directions(scores: np.ndarray, images: Sequence[np.ndarray], captions: Sequence[str]) -> None:
    """The same scores (N, N) turned into chances twice: along each row, and along each column."""
    n = len(scores)
    _, axes = plt.subplots(1, 2, figsize=(13, 2.4 + 0.62 * n), layout="constrained")
    for ax, axis, title in zip(
        axes,
        (1, 0),
        ("rows: which caption fits this image?", "columns: which image fits this caption?"),
        strict=True,
    ):
        powers = np.exp(scores - scores.max(axis, keepdims=True))
        _table(ax, powers / powers.sum(axis, keepdims=True), images, captions, (0.0, 1.0))
        ax.set_title(title, loc="left")
        for i in range(n):
            corner, size = (
                ((-0.48, i - 0.46), (n - 0.04, 0.92)) if axis == 1 else ((i - 0.46, -0.48), (0.92, n - 0.04))
            )
            ax.add_patch(Rectangle(corner, *size, fill=False, ec=BLUE if axis else GREEN, lw=1.8))
            ax.add_patch(Rectangle((i - 0.4, i - 0.4), 0.8, 0.8, fill=False, ec=ORANGE, lw=2.6))
    plt.show()


def losses(named: Mapping[str, Sequence[float]], guessing: float) -> None:
    """Training losses by step, thin, with their running mean, and the loss of guessing."""
    _, ax = plt.subplots(figsize=(10, 3.6), layout="constrained")
    for (name, values), color in zip(named.items(), COLORS, strict=False):
        ax.plot(values, color=color, lw=0.7, alpha=0.4)
        width = max(1, len(values) // 25)
        mean = np.convolve(values, np.ones(width) / width, "valid")
        ax.plot(np.arange(len(mean)) + (width - 1) / 2, mean, color=color, lw=2, label=name)
    ax.axhline(guessing, color=GREY, ls="--")
    ax.annotate(f"guessing: {guessing:.2f}", (1, guessing), (0, 4), xycoords=("axes fraction", "data"),
                textcoords="offset points", ha="right", color="#6b7280")  # fmt: skip
    ax.set(xlabel="step", ylabel="loss (nats)")
    ax.set_ylim(0, max(guessing, *(max(values) for values in named.values())) * 1.1)
    if len(named) > 1:
        ax.legend()
    plt.show()


def retrieval(
    queries: Sequence[str], found: Sequence[Sequence[np.ndarray]], right: Sequence[Sequence[bool]]
) -> None:
    """For each query its best images, best first; the right ones framed in green."""
    k = max(len(row) for row in found)
    ax = _canvas((12, 1.05 * len(queries) + 0.5), x=(-4.9, 1.12 * k), y=(1.16 * len(queries) + 0.05, -0.5))
    ax.text(-0.25, -0.15, "query", ha="right", color="#6b7280")
    ax.text(0, -0.15, "best first", color="#6b7280")
    for i, (query, row, marks) in enumerate(zip(queries, found, right, strict=True)):
        y = 1.16 * i + 0.05
        ax.text(-0.25, y + 0.5, _wrap(f"“{query}”", 28), ha="right", va="center", weight="bold")
        for j, (image, mark) in enumerate(zip(row, marks, strict=True)):
            _place(ax, image, 1.12 * j, y, 1, 1)
            if mark:
                frame = {"fill": False, "ec": GREEN, "lw": 4, "zorder": 3}
                ax.add_patch(Rectangle((1.12 * j - 0.02, y - 0.02), 1.04, 1.04, **frame))
    plt.show()


def zero_shot_bars(
    images: Sequence[np.ndarray], probs: np.ndarray, names: Sequence[str], right: Sequence[int], top: int = 5
) -> None:
    """Each image, and its most probable classes (N, K) as bars; the right class green, other orange."""
    _, axes = plt.subplots(
        2,
        len(images),
        figsize=(2.5 * len(images), 4.2),
        height_ratios=[1, 1.15],
        squeeze=False,
        layout="constrained",
    )
    for column, image, row, answer in zip(axes.T, images, np.asarray(probs), right, strict=True):
        _image(column[0], image)
        best = np.argsort(-row, kind="stable")[:top]
        colors = [GREEN if k == answer else ORANGE if i == 0 else GREY for i, k in enumerate(best)]
        bars = column[1].barh(range(len(best)), row[best], color=colors)
        column[1].bar_label(bars, [f"{p:.2f}" for p in row[best]], padding=3, size=10)
        column[1].set_yticks(range(len(best)), [names[k] for k in best])
        column[1].set(xlim=(0, 1.3), xticks=[])
        column[1].invert_yaxis()
        column[1].tick_params(length=0)
        column[1].spines[:].set_visible(False)
    plt.show()


def clouds(pairs: Mapping[str, tuple[np.ndarray, np.ndarray]], lines: int = 25) -> None:
    """For each title (images (N, D), captions (N, D)): unit vectors seen along their two widest directions.

    Thin lines join some images to their own captions; crosses are the means, the arrow between them the gap.
    """
    _, axes = plt.subplots(
        1, len(pairs), figsize=(5.2 * len(pairs), 4.6), squeeze=False, layout="constrained"
    )
    for ax, (title, clouds_) in zip(axes.flat, pairs.items(), strict=True):
        units = [np.asarray(c, float) / np.linalg.norm(c, axis=1, keepdims=True) for c in clouds_]
        both = np.concatenate(units)
        _, _, directions = np.linalg.svd(both - both.mean(0), full_matrices=False)
        images, captions = ((u - both.mean(0)) @ directions[:2].T for u in units)
        for i in np.linspace(0, len(images) - 1, min(lines, len(images))).astype(int):
            ax.plot(*np.stack([images[i], captions[i]]).T, color=GREY, lw=0.7, zorder=1)
        for cloud, color, name in ((images, BLUE, "images"), (captions, GREEN, "captions")):
            ax.scatter(*cloud.T, s=14, color=color, alpha=0.55, lw=0, label=name)
            ax.plot(*cloud.mean(0), "X", ms=12, mfc=color, mec="white", zorder=4)
        gap = np.linalg.norm(units[0].mean(0) - units[1].mean(0))
        ax.annotate("", captions.mean(0), images.mean(0), zorder=3,
                    arrowprops={"arrowstyle": "<->", "color": ORANGE, "lw": 2.5})  # fmt: skip
        ax.set(title=f"{title}: gap {gap:.2f}", aspect="equal", xticks=[], yticks=[])
        ax.set_adjustable("datalim")
        ax.spines[:].set_visible(True)
    axes[0, 0].legend(loc="upper left", handletextpad=0.1)
    plt.show()


def recalls(named: Mapping[str, Sequence[float]], ks: Sequence[int], chance: Sequence[float]) -> None:
    """Recall at each k for each name, beside chance."""
    _, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
    width = 0.8 / (len(named) + 1)
    rows = {"chance": chance, **named}
    for i, ((name, values), color) in enumerate(zip(rows.items(), (GREY, *COLORS), strict=False)):
        bars = ax.bar(
            np.arange(len(ks)) + (i - len(named) / 2) * width, values, width * 0.92, color=color, label=name
        )
        ax.bar_label(bars, [f"{v:.2f}" for v in values], padding=2, size=10)
    ax.set_xticks(range(len(ks)), [f"among the first {k}" if k > 1 else "first" for k in ks])
    ax.set(ylim=(0, 1.05), ylabel="share of queries answered")
    ax.legend(loc="upper left")
    plt.show()


def _canvas(size: tuple[float, float], *, x: tuple[float, float], y: tuple[float, float]) -> Axes:
    _, ax = plt.subplots(figsize=size)
    ax.set(xlim=x, ylim=y)
    ax.axis("off")
    return ax


def _image(ax: Axes, image: np.ndarray) -> None:
    ax.imshow(image, interpolation="nearest")
    ax.axis("off")


def _place(ax: Axes, image: np.ndarray, x: float, y: float, width: float, height: float) -> None:
    """An image in data coordinates, its upper left corner at (x, y), with a thin frame."""
    x_limits, y_limits = ax.get_xlim(), ax.get_ylim()
    ax.imshow(image, extent=(x, x + width, y + height, y), aspect="auto", interpolation="nearest", zorder=2)
    ax.add_patch(Rectangle((x, y), width, height, fill=False, ec=GREY, lw=0.8, zorder=2))
    ax.set(xlim=x_limits, ylim=y_limits, aspect="equal")


def _number(ax: Axes, x: float, y: float, n: int) -> None:
    style = {"boxstyle": "circle,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85}
    ax.text(x, y, n, ha="center", va="center", size=9, bbox=style, zorder=3)


def _box(ax: Axes, x: float, y: float, text: str, color: str, width: float, height: float) -> None:
    corner, style = (x - width / 2, y - height / 2), "round,pad=0.1"
    ax.add_patch(FancyBboxPatch(corner, width, height, boxstyle=style, fc=color + "22", ec=color, lw=1.6))
    ax.text(x, y, text, ha="center", va="center")


def _arrow(ax: Axes, start: Sequence[float], end: Sequence[float], color: str = GREY) -> None:
    look = {"arrowstyle": "-|>", "mutation_scale": 14, "shrinkA": 0, "shrinkB": 0}
    ax.add_patch(FancyArrowPatch(start, end, color=color, lw=1.8, **look))


def _table(
    ax: Axes,
    values: np.ndarray,
    images: Sequence[np.ndarray],
    captions: Sequence[str],
    limits: tuple[float, float] | None = None,
) -> None:
    values = np.asarray(values, float)
    low, high = limits or (values.min(), values.max())
    ax.imshow(values, cmap="Blues", vmin=low, vmax=high, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        dark = value > low + 0.6 * (high - low)
        ax.text(j, i, f"{value:.2f}", ha="center", va="center", size=10, color="white" if dark else INK)
    ax.set_xticks(range(len(captions)), captions, rotation=35, ha="left", rotation_mode="anchor")
    ax.xaxis.tick_top()
    ax.set_yticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    for i, image in enumerate(images):
        inset = ax.inset_axes((-1.42, i - 0.42, 0.84, 0.84), transform=ax.transData)
        _image(inset, image)


def _wrap(text: str, width: int) -> str:
    lines = [""]
    for word in text.split():
        lines = (
            [*lines[:-1], f"{lines[-1]} {word}".strip()]
            if len(lines[-1]) + len(word) < width
            else [*lines, word]
        )
    return "\n".join(line for line in lines if line)
