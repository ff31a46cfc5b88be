"""The proof of one notebook: what has changed is shown anew, the rest is remembered.

What was shown of an exercise is kept in build/verify/ beside the hash of all it rests on; with the same hash
nothing runs. What could not run is not remembered.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from autograder.assignment import Assignment
from autograder.bank import load_bank, load_equivalent
from autograder.grader import Grader
from autograder.layout import Course
from autograder.verify.claims import Claim, Settings, claims
from autograder.verify.contract import contract_problems, count_ties
from autograder.verify.leaks import leaks
from autograder.verify.material import Material, Sources
from autograder.verify.proof import ExerciseProof, NotebookProof
from autograder.verify.questions import question_problems

__all__ = ["NotebookRun"]


@dataclass(slots=True)
class NotebookRun:
    """A notebook whose claims are being shown. Settle every claim, then `finish`."""

    proof: NotebookProof
    claims: list[Claim]
    kept: Path
    _known: dict[str, ExerciseProof] = field(default_factory=dict)

    @classmethod
    def start(
        cls, course: Course, section: str, notebook: str, grader: Grader, settings: Settings
    ) -> NotebookRun:
        """Starts what has to be shown; nothing if nothing has changed."""
        sources = Sources.load(course, section, notebook)
        kept = course.build / "verify" / section / f"{notebook}.json"
        run = cls(NotebookProof(section, notebook), [], kept, _remembered(kept))
        run.proof.problems += [*leaks(sources), *question_problems(sources), *_strangers(sources)]
        materials = sources.materials()
        open_ = {name: m for name, m in materials.items() if not run._keeps(m, settings)}
        if open_:
            run.claims += run._claims(sources, open_, grader, settings)
        run.proof.exercises = {name: run.proof.exercises[name] for name in materials}
        return run

    def finish(self) -> NotebookProof:
        """What was shown, remembered for the next time."""
        if not self.proof.unproven:
            self.kept.parent.mkdir(parents=True, exist_ok=True)
            data = [exercise.to_json() for exercise in self.proof.exercises.values()]
            self.kept.write_text(json.dumps(data, ensure_ascii=False, indent=1), encoding="utf-8")
        return self.proof

    def _keeps(self, material: Material, settings: Settings) -> bool:
        """Takes over what is remembered of an exercise, if it is all that is asked for."""
        name = material.exercise.name
        known = self._known.get(name)
        if known is None or known.digest != material.digest or known.seeds < settings.seeds:
            return False
        if settings.mutants and known.mutants is None:
            return False
        self.proof.exercises[name] = known
        return True

    def _claims(
        self, sources: Sources, materials: dict[str, Material], grader: Grader, settings: Settings
    ) -> Iterator[Claim]:
        course, section, notebook = sources.course, sources.released.section, sources.released.name
        assignment = Assignment.load(course, section, notebook)
        solution = course.solved(section, notebook).read_bytes()
        variants = load_bank(sources.bank)
        equivalent = load_equivalent(sources.bank)
        for name, material in materials.items():
            own = [variant for variant in variants if variant.exercise == name]
            proof, base = self._fresh(material, settings)
            self.proof.exercises[name] = proof
            if base:
                proof.found += contract_problems(material, own)
                for count, number in count_ties(material, own).items():
                    setattr(proof, count, number)
            reasons = equivalent.get(name, {})
            yield from claims(
                material, own, reasons, solution, assignment, grader, proof, self._failed, settings, base=base
            )

    def _fresh(self, material: Material, settings: Settings) -> tuple[ExerciseProof, bool]:
        """A proof to fill, and whether all of it is open or only the mutants are."""
        known = self._known.get(material.exercise.name)
        if known and known.digest == material.digest and known.seeds >= settings.seeds:
            return replace(known, found=list(known.found), survivors=[]), False
        proof = ExerciseProof(material.exercise.name, digest=material.digest)
        proof.contract.update(material.contract)
        return proof, True

    def _failed(self, message: str) -> None:
        self.proof.unproven = True
        if message not in self.proof.problems:
            self.proof.problems.append(message)


def _strangers(sources: Sources) -> list[str]:
    known = {exercise.name for exercise in sources.released.exercises}
    named = dict.fromkeys([*sources.in_bank(), *load_equivalent(sources.bank)])
    return [
        f"the bank has something for `{name}`, which is no exercise here"
        for name in named
        if name not in known
    ]


def _remembered(path: Path) -> dict[str, ExerciseProof]:
    """What an earlier run wrote; nothing if it is from another version or damaged."""
    try:
        proofs = [ExerciseProof.from_json(data) for data in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {proof.name: proof for proof in proofs}
