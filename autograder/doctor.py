"""What this machine's walls keep in: each is tested by trying to break it, from inside a real one.

Nothing is repaired here and no exercise is looked at. What is refused without walls `safety` decides.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autograder.errors import CouldNotRun, Crashed, TimeLimit
from autograder.layout import Course
from autograder.sandbox.jail import inner, roots
from autograder.sandbox.jail.detect import Trial, detect, try_level
from autograder.sandbox.jail.level import A, B, C, Level

__all__ = ["Examination", "Finding", "examine"]

SECONDS = 60.0
# What to do about a level that cannot be had, by what its failure says.
REMEDIES = {
    "not installed": "Install bubblewrap: `apt install bubblewrap` or `dnf install bubblewrap`.",
    "uid map": "Ubuntu 24.04 and later: `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or load an "
    "AppArmor profile for bwrap.",
    "namespace": "The kernel or the container refuses user namespaces: allow them, or grade outside of it.",
    "landlock": "Landlock needs Linux 5.13 or later, with `landlock` among the kernel's security modules.",
    "needs Linux": "Use Docker or a virtual machine with Linux; on Windows also WSL2.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried. `holds` when nothing got through; `detail` says what did, or why not."""

    subject: str
    holds: bool
    detail: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Examination:
    """The level of this machine with everything that was tried to find it out."""

    level: Level
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """The level is safe and nothing got through its walls."""
        return self.level.safe and all(f.holds for f in self.findings if not f.subject.startswith("level "))

    def to_json(self) -> dict[str, Any]:
        level = {key: getattr(self.level, key) for key in ("walls", "open", "better")}
        findings = [asdict(finding) for finding in self.findings]
        return {
            "level": self.level.name,
            "safe": self.level.safe,
            "sound": self.sound,
            **level,
            "findings": findings,
        }


def examine(course: Course | None = None) -> Examination:
    """Tries every level, and every attack on the one in use; `course`: also on its hidden files."""
    shown = [course.release] if course and course.release.is_dir() else []
    secrets = secret_files(course) if course else []
    level = detect()
    findings: list[Finding] = []
    for candidate in (A, B, C):
        trial = try_level(candidate, thorough=candidate is level, secrets=secrets, shown=shown)
        findings.append(of_level(trial))
        if candidate is level:
            findings += [Finding(name, not got, got) for name, got in trial.through.items()]
    findings += of_machine(level, shown)
    return Examination(level, tuple(findings))


def of_level(trial: Trial) -> Finding:
    """Whether a level can be had, and if not, what would help."""
    through = "; ".join(f"{name}: {got}" for name, got in trial.through.items() if got)
    remedy = next((text for sign, text in REMEDIES.items() if sign in trial.problem), "")
    return Finding(f"level {trial.level.name}", trial.holds, trial.problem or through, remedy)


def of_machine(level: Level, shown: list[Path]) -> Iterator[Finding]:
    """What only shows when a learner's process really starts."""
    if sys.platform != "win32":
        yield learners_process(level, shown)
    if level is C and os.geteuid() == 0:
        reached = all(inner.reachable(path) for path in roots.readable(shown))
        detail = (
            ""
            if reached
            else f"it runs as root without privileges: others cannot enter {Path(sys.base_prefix)}"
        )
        yield Finding(
            "a user of its own", reached, detail, "" if reached else "Install Python where all can read it."
        )


def learners_process(level: Level, shown: list[Path]) -> Finding:
    """A process with numpy and torch behind the walls, as every submission gets it."""
    from autograder.box import Box
    from autograder.session import Session  # with it comes torch: 1.3 s that `ensure_safe` must not cost

    subject = "numpy and torch behind the walls"
    cell = "import numpy, torch\ndef probe(x): return torch.softmax(x, -1)"
    box = Box(level=level.name, shown=shown)
    try:
        box.wait()
        session = Session(box, [("probe", cell)], seed=1, folder=shown[0] if shown else None)
        session.submission(SECONDS)
        session.close()
    except (CouldNotRun, Crashed, TimeLimit) as error:
        return Finding(subject, False, str(error))
    finally:
        box.close()
    return Finding(subject, not session.errors, "; ".join(session.errors.values()))


def secret_files(course: Course) -> list[Path]:
    """Files of the course no learner's process may read."""
    folders = (course.hidden, course.source, course.solutions, course.root / ".git")
    files = (next((path for path in folder.rglob("*") if path.is_file()), None) for folder in folders)
    return [path for path in files if path is not None]
