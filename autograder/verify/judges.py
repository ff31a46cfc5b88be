"""What the runs of one answer show, written into the proof of its exercise.

One judge for each kind of answer: the solution, a right variant, a wrong one, a cheat, a mutant.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from autograder.bank import Variant
from autograder.order import Run
from autograder.report import SIMPLER, TestResult
from autograder.verify.material import Material
from autograder.verify.mutants import Mutant
from autograder.verify.proof import ExerciseProof, Survivor

__all__ = ["cheat", "mutant", "right", "solution", "wrong"]


def solution(proof: ExerciseProof, runs: list[Run]) -> None:
    """It passes every test with every seed."""
    proof.visible = sum(t.visible and SIMPLER not in t.name for t in runs[0].tests)
    proof.hidden = sum(not t.visible for t in runs[0].tests)
    if not proof.visible or not proof.hidden:
        proof.found.append("it needs visible and hidden tests")
    proof.found += _failures("the solution", runs)
    _note_spread(runs, proof)


def right(proof: ExerciseProof, variant: Variant, runs: list[Run]) -> None:
    """It gets full marks with every seed."""
    failures = _failures(f"the right variant `{variant.name}`", runs)
    proof.found += failures
    proof.accepted += not failures
    _note_spread(runs, proof)


def _failures(who: str, runs: list[Run]) -> list[str]:
    """One sentence for each test that failed with any seed."""
    failed: dict[str, TestResult] = {}
    times: Counter[str] = Counter()
    for run in runs:
        for test in run.tests:
            if test.outcome != "passed":
                failed.setdefault(test.name, test)
                times[test.name] += 1
    found = []
    for name, test in failed.items():
        often = f" with {times[name]} of {len(runs)} seeds" if times[name] < len(runs) else ""
        hint = "; if the test is right, mark it @fixed_inputs" if SIMPLER in name else ""
        found.append(f"{who} fails {name}{often}{hint}: {test.message}")
    return found


def _note_spread(runs: list[Run], proof: ExerciseProof) -> None:
    distances = [d for run in runs for t, d in zip(run.tests, run.distances, strict=True) if _counts(t, d)]
    proof.spread = max((d for d in [*distances, proof.spread] if d is not None), default=None)


def _counts(test: TestResult, distance: float | None) -> bool:
    return test.outcome == "passed" and distance is not None


def wrong(proof: ExerciseProof, variant: Variant, runs: list[Run]) -> None:
    """It runs, loses points with every seed, and is answered by its own message."""
    who = f"the wrong variant `{variant.name}`"
    messages = [t.message for run in runs for t in run.tests if t.outcome != "passed"]
    if any("is not defined" in m or "raised NameError" in m for m in messages):
        proof.found.append(f"{who} does not run: {messages[0]}")
        return
    if escaped := [run.seed for run in runs if all(t.outcome == "passed" for t in run.tests)]:
        proof.found.append(f"{who} gets full marks with seed {escaped[0]}; add a test that sees it")
        return
    proof.caught += 1
    others = [run.looks_like for run in runs if run.looks_like != variant.message]
    if others:
        said = f"answered by: {others[0]}" if others[0] else "not recognised"
        proof.found.append(f"{who} is {said}; add a test that tells it from the others")
    else:
        proof.named += 1
    away = min(_excess(run) for run in runs)
    if away < math.inf and (proof.nearest is None or away < proof.nearest):
        proof.nearest, proof.nearest_name = away, variant.name


def _excess(run: Run) -> float:
    """How far the failed test that shows the mistake best is away; infinite if not only numbers do."""
    pairs = zip(run.tests, run.distances, strict=True)
    return max(math.inf if d is None else d for t, d in pairs if t.outcome == "failed")


def cheat(proof: ExerciseProof, what: str, runs: list[Run]) -> None:
    """It passes no test at all."""
    passed = [t.name for t in runs[0].tests if t.outcome == "passed"]
    proof.refused += not passed
    if passed:
        names = ", ".join(passed)
        proof.found.append(f"a cheat ({what}) passes {names}; let these tests ask for a right value as well")


def mutant(
    proof: ExerciseProof, material: Material, edited: Mutant, reasons: Mapping[str, str], runs: list[Run]
) -> None:
    """One that no test notices needs a reason."""
    if any(t.outcome != "passed" for run in runs for t in run.tests):
        proof.killed += 1
        if edited.edit in reasons:
            proof.found.append(f"EQUIVALENT explains a mutant that the tests do notice: {edited.edit}")
    elif edited.edit in reasons:
        proof.equivalent += 1
    else:
        proof.survivors.append(Survivor(edited.operator, edited.edit, edited.diff(material.solved)))
