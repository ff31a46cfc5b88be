"""The map of the roadmap as plain data, for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from autograder.standing import SectionStanding, Standing

__all__ = ["map_json"]


def map_json(standing: Standing) -> dict[str, Any]:
    return {
        "title": standing.roadmap.title,
        "score": standing.score,
        "max_score": standing.max_score,
        "next": asdict(standing.next) if standing.next else None,
        "assignments": [_section(section) for section in standing.sections],
    }


def _section(standing: SectionStanding) -> dict[str, Any]:
    section = standing.section
    return {
        "name": section.name,
        "title": section.title,
        "goal": section.goal,
        "phases": [*section.phases],
        "needs": [*section.needs],
        "unlocks": [unlocked.name for unlocked in standing.unlocks],
        "state": standing.state,
        "ready": standing.is_ready,
        "score": standing.score,
        "max_score": standing.max_score,
        "notebooks": [
            {
                "name": n.notebook.name,
                "title": n.notebook.title,
                "minutes": n.notebook.minutes,
                "state": n.state,
                "score": n.score,
                "max_score": n.max_score,
                "topics": [*n.notebook.topics],
                "exercises": [asdict(exercise) for exercise in n.exercises],
            }
            for n in standing.notebooks
        ],
    }
