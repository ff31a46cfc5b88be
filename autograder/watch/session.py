"""What happens in `autograder watch` on a save, a result and a key, and what the screen then shows.

One thread does it all: others only put events. A file that can't be read is not mentioned at once, since the
next save may be under way.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.live import Live

from autograder.errors import CourseError, UnreadableNotebook
from autograder.grader import Grader
from autograder.hints import Hint, hints_of, open_hints
from autograder.journal import Journal
from autograder.layout import Course
from autograder.nbgrader.plainfile import Refused, read_plain
from autograder.render.watch import Screen, result_line, watch_screen
from autograder.render.words import begun, exercise_state
from autograder.watch.keyboard import keys
from autograder.watch.notebooks import Finished, Notebook, Watching
from autograder.watch.opening import open_notebook
from autograder.watch.saves import saves

__all__ = ["watch"]

WAIT_SECONDS = 0.25
PATIENCE_SECONDS = 2.0  # for a file that is broken or gone
JOBS = 2  # so that an endless loop in one exercise does not hold up the next save


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence for the status line, from another thread."""

    text: str


Event = str | Path | Finished | Said


def watch(wanted: list[Path], files: list[Path], course: Course, console: Console) -> None:
    """Works until `q` or Ctrl-C. `files` are there now; the one saved last is graded at once."""
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    with (
        Grader(jobs=JOBS) as grader,
        keys(events.put) as has_keys,
        saves(wanted, events.put),
        _display(console) as live,
    ):
        session = Session(Watching(course, grader, events.put), events, console, live, has_keys=has_keys)
        session.begin(files)
        while not session.ended:
            with contextlib.suppress(queue.Empty):
                session.handle(events.get(timeout=WAIT_SECONDS))
            session.look_again()


@contextlib.contextmanager
def _display(console: Console) -> Iterator[Live | None]:
    """Drawn over and over in a terminal; elsewhere one line per result."""
    if not console.is_terminal:
        yield None
        return
    with Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:
        yield live


@dataclass(slots=True)
class Session:
    """The state behind the screen."""

    watching: Watching
    events: queue.SimpleQueue[Event]
    console: Console
    live: Live | None
    has_keys: bool = False
    ended: bool = False
    shown: Path | None = None
    selected: str = ""
    status: str = ""
    words: str = ""
    hint: int = -1
    troubles: dict[Path, tuple[float, str]] = field(default_factory=dict)
    read: dict[Path, bytes] = field(default_factory=dict)
    saved: dict[Path, float] = field(default_factory=dict)

    def begin(self, files: Iterable[Path]) -> None:
        """Shows the notebook that was saved last."""
        newest = max(files, key=lambda path: path.stat().st_mtime if path.exists() else 0.0)
        self._say("starting the grader (a few seconds); save a notebook at any time")
        self._look(newest.resolve())
        self.saved.clear()  # nobody has saved yet
        if self.shown is None and not self.troubles:
            self._say(f"waiting for a save ({self.status})")
        self.draw()

    def handle(self, event: Event) -> None:
        """One thing that happened."""
        if isinstance(event, Path):
            self._look(event)
        elif isinstance(event, Finished):
            self._finish(event)
        elif isinstance(event, Said):
            self._say(event.text)
        else:
            self._press(event.lower())
        self.draw()

    def look_again(self) -> None:
        """Files that were broken or gone: whole again, or worth a word."""
        for path, (since, why) in list(self.troubles.items()):
            if time.monotonic() - since > PATIENCE_SECONDS:
                del self.troubles[path]
                self._look(path)
                if self.troubles.pop(path, None):
                    self._say(f"{path.name} {why}")
                self.draw()

    def draw(self) -> None:
        """Puts the state on the screen."""
        if self.live is None:
            return
        notebook = self._notebook()
        screen = Screen(
            title=str(self.shown) if self.shown else "autograder watch",
            exercises=notebook.exercises if notebook else [],
            results=notebook.results if notebook else {},
            stuck=notebook.stuck if notebook else {},
            running={name for name, count in notebook.running.items() if count} if notebook else (),
            selected=self.selected,
            status=self.status,
            words=self.words,
            with_keys=self.has_keys,
        )
        self.live.update(watch_screen(screen, console=self.console), refresh=True)

    def _notebook(self) -> Notebook | None:
        return self.watching.notebooks.get(self.shown) if self.shown else None

    def _say(self, text: str) -> None:
        self.status = text
        if self.live is None:
            self.console.print(text, markup=False, highlight=False)

    def _look(self, path: Path, *, everything: bool = False, due: bool = False) -> None:
        """Reads a notebook and starts grading what has changed."""
        try:
            raw = read_plain(path)
            if raw == self.read.get(path) and path == self.shown and not everything and not due:
                self.troubles.pop(path, None)
                return  # one save may be told twice
            changed = self.watching.look(path, raw, everything=everything)
        except FileNotFoundError:
            why = "is gone (deleted or renamed); it is graded again when it is back"
            self._trouble(path, why)
            return
        except UnreadableNotebook as error:
            why = f"can't be read, waiting for the next save: {error.message.partition(';')[0]}"
            self._trouble(path, why)
            return
        except (OSError, Refused, CourseError) as error:
            self._say(f"{path.name} is not graded: {getattr(error, 'message', error)}")
            return
        self.troubles.pop(path, None)
        self.read[path] = raw
        self.saved[path] = time.monotonic()
        if self.shown != path or self.selected not in changed:
            self.selected = changed[0] if changed else self.selected
        self.shown = path
        self.words, self.hint = "", -1
        self._say(
            f"{path.name}: grading {', '.join(changed)}" if changed else f"{path.name}: nothing to grade anew"
        )

    def _trouble(self, path: Path, why: str) -> None:
        self.troubles[path] = (time.monotonic(), why)
        self.read.pop(path, None)

    def _finish(self, finished: Finished) -> None:
        report = self.watching.take(finished)
        notebook = self.watching.notebooks[finished.path]
        if report is not None:
            (result,) = report.exercises
            saved = self.saved.get(finished.path)
            since = f", {time.monotonic() - saved:.1f} s after the save" if saved is not None else ""
            if result.outcome != "could_not_run":
                self._journal(notebook).note(begun(report), how="grade", code=notebook.code)
            if self.live is None:
                self.console.print(result_line(result, console=self.console))

            self.status = f"{result.name}: {exercise_state(result)}{since}"
        if self.watching.is_due(finished):
            self._look(finished.path, due=True)

    def _press(self, key: str) -> None:
        notebook = self._notebook()
        if key == "q":
            self.ended = True
        elif notebook is None:
            self._say("no notebook yet: save one")
        elif key == "a":
            self._look(notebook.path, everything=True)
        elif key == "n":
            self.selected = notebook.next_open(self.selected)
            self.words, self.hint = "", -1
        elif key == "h":
            self._show_hint(notebook)
        elif key == "o":
            self._say("looking for a running JupyterLab ...")
            threading.Thread(
                target=lambda: self.events.put(Said(open_notebook(notebook.path))), daemon=True
            ).start()

    def _show_hint(self, notebook: Notebook) -> None:
        """The open hints one after another, then the result again."""
        hints = hints_of(notebook.path, self.selected)
        released = notebook.assignment.released
        attempts = self._journal(notebook).attempts(
            section=released.section, notebook=released.name, exercise=self.selected
        )
        opened = open_hints(hints, attempts)
        if not opened:
            none = "the first hint opens after a try that fails" if hints else "there are no hints"
            self._say(f"{self.selected}: {none}")
            return
        self.hint = self.hint + 1 if self.hint + 1 < len(opened) else -1
        shown: Hint | None = opened[self.hint] if self.hint >= 0 else None
        self.words = f"{shown.title}\n\n{shown.markdown}" if shown else ""
        self._say(f"{self.selected}: {len(opened)} of {len(hints)} hints open; h for the next")

    def _journal(self, notebook: Notebook) -> Journal:
        return Journal.find(notebook.path.parent, section=notebook.assignment.released.section)
