"""The strongest level this machine gives, found by building the walls and trying to break them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from autograder.sandbox.jail import roots
from autograder.sandbox.jail.level import LEVELS, NONE, A, B, C, Level
from autograder.sandbox.jail.outer import command, environment

__all__ = ["VARIABLE", "Trial", "detect", "try_level"]

VARIABLE = "AUTOGRADER_SANDBOX"  # forces a level by its name: A, B, C or none
PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from autograder.sandbox.jail import trial; trial.main()"
)
SECONDS = 120


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a level: `problem` says why it cannot be had, `through` what its walls let through."""

    level: Level
    problem: str = ""
    through: dict[str, str] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        return not self.problem and not any(self.through.values())


@cache
def detect() -> Level:
    """The level to grade at: the one the environment forces, or else the first whose walls hold."""
    if forced := os.environ.get(VARIABLE):
        if forced not in LEVELS:
            raise ValueError(f"{VARIABLE}: expected one of {', '.join(LEVELS)}, got {forced!r}")
        return LEVELS[forced]
    return next((level for level in (A, B, C) if try_level(level).holds), NONE)


def try_level(
    level: Level, *, thorough: bool = False, secrets: Iterable[Path] = (), shown: Sequence[Path] = ()
) -> Trial:
    """Builds the walls of `level` in a short-lived process and tries to break them.

    `secrets` are files it must not be able to read; `shown` are folders of released files, which it may.
    """
    if not level.locked:
        return Trial(level, "there is no wall to try")
    if sys.platform != "linux":
        return Trial(level, f"{sys.platform} has no such walls: level {level.name} needs Linux")
    readable, hidden = roots.readable(shown), roots.hidden(shown)
    order = {
        "level": level.name,
        "readable": [str(path) for path in roots.visible(readable, hidden=hidden, level=level)],
        "secrets": [str(path) for path in secrets],
        "all": thorough,
    }
    program = [sys.executable, "-I", "-S", "-c", PROGRAM, str(roots.PACKAGE.parent)]
    try:
        argv = command(program, level=level, readable=readable, hidden=hidden)
        done = subprocess.run(
            argv,
            input=json.dumps(order),
            env=environment(),
            cwd="/",
            text=True,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Trial(level, str(error))
    if done.returncode != 0:
        return Trial(level, (done.stderr.strip().splitlines() or ["it ended without a word"])[-1])
    through = json.loads(done.stdout)
    return Trial(level, through.pop("setup", ""), through)
