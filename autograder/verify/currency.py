"""Whether release/ and solutions/ are what source/ gives, asked of the builder only after a change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from autograder.layout import Course

__all__ = ["outdated"]

FRONT = ""  # the files beside the sections: the roadmap and the welcome notebook
MAKERS = ("build", "shipping", "front", "roadmap", "source", "notebooks", "nbgrader/generate")


def outdated(course: Course, sections: Sequence[str]) -> list[Path]:
    """Generated files that are not current. What was found current is remembered in build/verify/."""
    kept = course.build / "verify" / "current.json"
    known = _read(kept)
    digests = {section: _digest(course, section) for section in (FRONT, *sections)}
    changed = [section for section in digests if known.get(section) != digests[section]]
    if not changed:
        return []
    from autograder.build import stale

    paths = stale(course, [section for section in changed if section != FRONT])
    bad = {
        FRONT if path.parent == course.release else path.relative_to(course.root).parts[1] for path in paths
    }
    known |= {section: digests[section] for section in changed if section not in bad}
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(known, indent=1), encoding="utf-8")
    return paths


def _digest(course: Course, section: str) -> str:
    """Of everything authored and generated, and of the code that generates."""
    package = Path(__file__).resolve().parents[1]
    own = [package / f"{name}.py" for name in MAKERS]
    folders = [folder / section for folder in (course.source, course.release, course.solutions)]
    inside = (p for folder in folders for p in (folder.glob("*") if section == FRONT else folder.rglob("*")))
    files = sorted(p for p in inside if p.is_file() and "__pycache__" not in p.parts)
    digest = hashlib.sha256()
    for path in [*files, *own]:
        name = path.relative_to(course.root if path in files else package).as_posix()
        digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _read(path: Path) -> dict[str, str]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
