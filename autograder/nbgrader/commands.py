"""nbgrader's commands, called from a program: as processes of their own, or several in this one.

The interpreter that runs us runs nbgrader. A command that fails raises CouldNotRun with the end of its log.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from autograder.errors import CouldNotRun

__all__ = ["nbgrader", "nbgrader_here"]

TAIL = 20  # lines of a log that are shown
APPS = {"fetch_assignment": "FetchAssignmentApp", "submit": "SubmitApp", "fetch_feedback": "FetchFeedbackApp"}


def nbgrader(*command: str, folder: Path) -> str:
    """Run one command in a folder, as anybody would, and give its log."""
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-TAIL:])
        raise CouldNotRun(f"`nbgrader {' '.join(command)}` ended with {done.returncode} in {folder}:\n{tail}")
    return done.stdout


def nbgrader_here(*command: str, folder: Path) -> None:
    """Run a learner's command in this process: starting nbgrader takes seconds, the command itself none."""
    import nbgrader.apps

    name, *arguments = command
    app = getattr(nbgrader.apps, APPS[name])()
    with _inside(folder):
        app.initialize([*arguments, "--log-level=ERROR"])
        app.start()


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
