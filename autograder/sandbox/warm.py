"""Touches what is slow on first use, so that a forked child finds it ready.

torch imports much of itself lazily: the first backward, the first optimizer step (1 s of CPU) and the first
figure would otherwise be paid by every submission. What a notebook needs is told by the names in its released
cells, which the grader reads and sends.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
from collections.abc import Iterable
from pathlib import Path

import numpy.random  # noqa: F401 - numpy imports it when it is first asked for: 15 ms of every submission
import torch

__all__ = ["collapse", "settle", "warm"]

MAPS = Path("/proc/self/maps")
LARGE = 2 * 2**20  # bytes of a large page
COLLAPSE = 25  # MADV_COLLAPSE, Linux 6.1 and later; others answer with an error, which changes nothing


def warm(modules: Iterable[str]) -> None:
    """Imports modules and runs their slow first steps; a module that is not installed is left to the
    learner's cell."""
    layer = torch.nn.Linear(4, 4)
    out = layer(torch.ones(2, 4)).softmax(-1)
    out.sum().backward()
    layer.load_state_dict(layer.state_dict())
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
        if name == "torch.optim":
            torch.optim.SGD(layer.parameters(), lr=0.0).step()


def collapse() -> None:
    """Asks Linux to keep this process's memory in pages of 2 MiB, where it will.

    A fork copies the table of pages and an exit takes it down: with large pages both cost a fifth (here 3
    instead of 10 ms for a process with torch). Takes 0.3 s once, so it pays for a batch of 20 or more.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "madvise") or not MAPS.exists():
        return
    for line in MAPS.read_text().splitlines():
        area, rights, _, device, _ = line.split(maxsplit=4)[:5]
        if rights != "rw-p" or device != "00:00":
            continue
        start, end = (int(address, 16) for address in area.split("-"))
        for page in range(-(-start // LARGE) * LARGE, end // LARGE * LARGE, LARGE):
            library.madvise(ctypes.c_void_p(page), ctypes.c_size_t(LARGE), COLLAPSE)


def settle() -> None:
    """One thread, and no garbage collection of what is shared with the children."""
    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()
    gc.enable()
