"""Which notebooks have been saved, told as it happens: the folders are watched, not the files.

So it does not matter how an editor saves (JupyterLab writes a file beside and renames it), and a notebook may
be deleted, renamed and come back. What an editor keeps for itself (checkpoints, hidden files) is no notebook.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

__all__ = ["is_notebook", "saves"]

QUIET_MS = 50  # without a change; then those that came together are told


@contextlib.contextmanager
def saves(paths: Iterable[Path], tell: Callable[[Path], None]) -> Iterator[None]:
    """Calls `tell` with the path of each notebook below `paths` that is written, renamed or deleted."""
    wanted = [path.resolve() for path in paths]
    ended = threading.Event()
    thread = threading.Thread(target=_watch, args=(wanted, ended, tell), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(5)


def is_notebook(path: Path) -> bool:
    """Whether a path may be a learner's notebook."""
    return path.suffix == ".ipynb" and not any(part.startswith(".") for part in path.parts[-2:])


def _watch(wanted: list[Path], ended: threading.Event, tell: Callable[[Path], None]) -> None:
    from watchfiles import watch

    folders = [path for path in wanted if path.is_dir()]
    roots = {*folders, *(path.parent for path in wanted if path not in folders)}
    for changes in watch(
        *roots,
        watch_filter=None,
        step=QUIET_MS,
        stop_event=ended,
        raise_interrupt=False,
        yield_on_timeout=False,
    ):
        for path in sorted({Path(name) for _, name in changes}):
            inside = path in wanted or any(folder in path.parents for folder in folders)
            if inside and is_notebook(path):
                tell(path)
