"""What was shown about an exercise and about a notebook: records, and their JSON form.

Pure data: nothing is graded here. A problem says what is wrong and what to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

__all__ = ["ExerciseProof", "NotebookProof", "Survivor", "summary"]

LEAST_MARGIN = (
    10.0  # between what right variants need of a tolerance and all of it; and from there to a wrong one
)

LEAST_SPREAD = 1e-6  # two right answers are never surely nearer than rounding


@dataclass(frozen=True, slots=True)
class Survivor:
    """A mutant that no test noticed and nobody has explained."""

    operator: str
    edit: str
    diff: str


@dataclass(slots=True)
class ExerciseProof:
    """What was shown about one exercise.

    `spread` is the largest part of a tolerance that a right answer needed; `nearest` is how many tolerances
    the nearest wrong variant, of those that only numbers betray, was away: both None where all is exact.
    `mutants` is None until they have been tried.
    """

    name: str
    visible: int = 0
    hidden: int = 0
    rules: int = 0
    covered: int = 0
    freedoms: int = 0
    used: int = 0
    wrong: int = 0
    caught: int = 0
    named: int = 0
    right: int = 0
    accepted: int = 0
    cheats: int = 0
    refused: int = 0
    mutants: int | None = None
    killed: int = 0
    equivalent: int = 0
    survivors: list[Survivor] = field(default_factory=list)
    spread: float | None = None
    nearest: float | None = None
    nearest_name: str = ""
    seeds: int = 0
    seconds: float = 0.0
    digest: str = ""
    found: list[str] = field(default_factory=list)
    contract: dict[str, str] = field(default_factory=dict)

    @property
    def margin(self) -> float | None:
        """How many times farther the nearest wrong variant is than the farthest right one."""
        if self.nearest is None or self.spread is None:
            return None
        return self.nearest / max(self.spread, LEAST_SPREAD)

    @property
    def problems(self) -> list[str]:
        """All that is wrong."""
        return [*self.found, *self._margins(), *(f"a mutant survives: {s.edit}" for s in self.survivors)]

    def _margins(self) -> Iterator[str]:
        if self.spread is not None and self.spread > 1 / LEAST_MARGIN:
            yield (
                f"a right answer needs {self.spread:.0%} of a tolerance; allowed are {1 / LEAST_MARGIN:.0%}: "
                "give that comparison a larger tolerance"
            )
        if self.nearest is not None and self.nearest < LEAST_MARGIN:
            yield (
                f"the wrong variant `{self.nearest_name}` is only {self.nearest:.1f} tolerances away; wanted "
                f"are {LEAST_MARGIN:.0f}: compare more strictly, or on inputs where the mistake shows more"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "margin": self.margin, "problems": self.problems}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ExerciseProof:
        """What `to_json` wrote."""
        known = {name: data[name] for name in (f.name for f in fields(cls))}
        return cls(**known | {"survivors": [Survivor(**survivor) for survivor in known["survivors"]]})


@dataclass(slots=True)
class NotebookProof:
    """What was shown about one notebook."""

    section: str
    notebook: str
    exercises: dict[str, ExerciseProof] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    unproven: bool = False  # something could not run: nothing is remembered

    @property
    def sound(self) -> bool:
        """Whether no problem was found."""
        return not self.problems and not any(e.problems for e in self.exercises.values())

    def to_json(self) -> dict[str, Any]:
        """Plain data, one object per exercise."""
        return {
            "assignment": self.section,
            "notebook": self.notebook,
            "sound": self.sound,
            "problems": self.problems,
            "exercises": [exercise.to_json() for exercise in self.exercises.values()],
        }


def summary(proofs: Sequence[NotebookProof]) -> str:
    """`38 of 39 exercises are sound`, and of how many notebooks more must be said than that."""
    count = sum(len(proof.exercises) for proof in proofs)
    sound = sum(not e.problems for proof in proofs for e in proof.exercises.values())
    whole = sum(bool(proof.problems) for proof in proofs)
    more = f"; {whole} of {len(proofs)} notebooks {'has' if whole == 1 else 'have'} problems as a whole"
    return f"{sound} of {count} exercises are sound" + (more if whole else "")
