"""The claims about one exercise, each shown by grading something whose worth is known.

The solution and every right variant get full marks with every seed; every wrong variant loses points and is
answered by its own message; every cheat gets nothing; every mutant of the solution loses points or is
explained. All of it is graded by the grader that grades learners, in the same isolation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from autograder.assignment import Assignment
from autograder.bank import Variant
from autograder.errors import CouldNotRun, CourseError
from autograder.grader import Grader
from autograder.order import Run
from autograder.verify import judges
from autograder.verify.cheats import cheats
from autograder.verify.material import Material
from autograder.verify.mutants import mutants, solution_lines
from autograder.verify.proof import ExerciseProof

__all__ = ["Claim", "Settings", "claims", "with_answer"]

MIN_WRONG = 3
MIN_RIGHT = 1
WRONG_SEEDS = 3  # with so many seeds each wrong variant must lose points and hear its own message
SIMPLER_SEEDS = 3
MUTANT_SEEDS = 3
MUTANT_SECONDS = 3.0  # for all tests of an exercise with one mutant: many loop for ever


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is shown: with how many seeds, and whether the solution is mutated."""

    seeds: int = 20
    mutants: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing being shown: an answer is being graded, and its runs will be judged."""

    exercise: str
    future: Future[list[Run]]
    judge: Callable[[list[Run]], None]
    failed: Callable[[str], None]

    def settle(self) -> None:
        """Waits for the grading and writes down what it shows."""
        try:
            runs = self.future.result()
        except (CouldNotRun, CourseError) as error:
            self.failed(str(error))
        else:
            self.judge(runs)


@dataclass(frozen=True, slots=True)
class _Exercise:
    """One exercise with all it takes to make claims about it."""

    material: Material
    solution: bytes
    assignment: Assignment
    grader: Grader
    proof: ExerciseProof
    failed: Callable[[str], None]

    def claim(
        self,
        answer: str,
        judge: Callable[[list[Run]], None],
        *,
        seeds: int,
        right: bool = False,
        wrong: bool = False,
        quick: bool = False,
    ) -> Claim:
        """`right`: simpler inputs too; `wrong`: what it looks like; `quick`: to the first failed test."""
        name = self.material.exercise.name
        limit = min(MUTANT_SECONDS, self.material.exercise.limit) if quick else None
        future = self.grader.prove(
            with_answer(self.solution, name, answer),
            self.assignment,
            name,
            seeds=range(1, seeds + 1),
            simpler=range(1, SIMPLER_SEEDS + 1) if right else (),
            named=wrong,
            until_failed=quick,
            limit=limit,
        )

        def judged(runs: list[Run]) -> None:
            self.proof.seconds += sum(run.seconds for run in runs)
            judge(runs)

        return Claim(name, future, judged, self.failed)


def claims(
    material: Material,
    variants: Sequence[Variant],
    equivalent: Mapping[str, str],
    solution: bytes,
    assignment: Assignment,
    grader: Grader,
    proof: ExerciseProof,
    failed: Callable[[str], None],
    settings: Settings,
    *,
    base: bool = True,
) -> Iterator[Claim]:
    """Starts all claims about one exercise; `base=False` leaves out all but the mutants."""
    exercise = _Exercise(material, solution, assignment, grader, proof, failed)
    if base:
        yield from _base(exercise, variants, settings)
    if settings.mutants:
        yield from _mutants(exercise, equivalent)


def with_answer(notebook: bytes, exercise: str, source: str) -> bytes:
    """The notebook with another text in the answer cell of `exercise`."""
    content = json.loads(notebook)
    (cell,) = (c for c in content["cells"] if c["id"] == f"{exercise}-answer")
    cell["source"] = source
    return json.dumps(content).encode()


def _base(exercise: _Exercise, variants: Sequence[Variant], settings: Settings) -> Iterator[Claim]:
    material, proof = exercise.material, exercise.proof
    wrong = [v for v in variants if v.kind == "wrong"]
    right = [v for v in variants if v.kind == "right"]
    proof.wrong, proof.right, proof.seeds = len(wrong), len(right), settings.seeds
    if len(wrong) < MIN_WRONG or len(right) < MIN_RIGHT:
        proof.found.append(
            f"the bank has {len(wrong)} wrong and {len(right)} right variants; "
            f"it needs at least {MIN_WRONG} and {MIN_RIGHT}"
        )
    every = settings.seeds
    yield exercise.claim(material.solved, partial(judges.solution, proof), seeds=every, right=True)
    for variant in right:
        yield exercise.claim(variant.source, partial(judges.right, proof, variant), seeds=every, right=True)
    for variant in wrong:
        judge, seeds = partial(judges.wrong, proof, variant), min(WRONG_SEEDS, every)
        yield exercise.claim(variant.source, judge, seeds=seeds, wrong=True)
    facts = material.exercise
    for label, answer in cheats(facts.name, material.solved, material.stub, facts.forbid):
        proof.cheats += 1
        yield exercise.claim(answer, partial(judges.cheat, proof, label), seeds=1)


def _mutants(exercise: _Exercise, equivalent: Mapping[str, str]) -> Iterator[Claim]:
    material, proof = exercise.material, exercise.proof
    found = mutants(material.solved, solution_lines(material.solved, material.stub))
    proof.mutants = len(found)
    edits = {mutant.edit for mutant in found}
    for edit in equivalent:
        if edit not in edits:
            proof.found.append(f"EQUIVALENT explains a mutant that is not made any more: {edit}")
    for mutant in found:
        judge = partial(judges.mutant, proof, material, mutant, equivalent)
        yield exercise.claim(mutant.source, judge, seeds=MUTANT_SEEDS, quick=True)
