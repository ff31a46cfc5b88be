"""All planned tests of one submission, one after another, within their time; and what a failure looks like.

Called in a child of `worker`. Decides which test runs when and how long it may take; what a test's outcome is
`suite` decides, what a score is `report`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from autograder import shrink
from autograder.alarm import alarm
from autograder.bank import Variant, load_bank
from autograder.box import Box
from autograder.errors import CourseError, Crashed, TimeLimit
from autograder.fingerprints import BUDGET_SECONDS, looks_like, where_to_look
from autograder.meter import LEAST, PATIENCE
from autograder.report import SIMPLER, TestResult
from autograder.sandbox.jail.limits import Limits
from autograder.session import Session
from autograder.shrink import parameters, simplest
from autograder.suite import Planned, Suite
from autograder.testing import Simpler
from autograder.trace import Trace

__all__ = ["GRACE_SECONDS", "run_job"]

PROOF_FACTOR = 10
OWN_SECONDS = 15.0  # of CPU time of the test itself, beside what the learner's code may take
GRACE_SECONDS = 90.0  # of CPU time beyond the limits of all exercises: cells, run anew after a crash


def run_job(order: dict[str, Any], suite: Suite, box: Box) -> dict[str, Any]:
    """All planned tests of one submission, in order, once for each seed. Every planned test has a result."""
    folder = Path(order["folder"]) if order["folder"] else None
    allowed = sum(order["limits"].values()) * len(order["seeds"])
    limits = Limits(cpu_s=GRACE_SECONDS + allowed, wall_s=PATIENCE * (GRACE_SECONDS + allowed))
    cells = [tuple(c) for c in order["cells"]]
    runs: list[dict[str, Any]] = []
    session = Session(box, cells, seed=order["seeds"][0] % 2**63, folder=folder, limits=limits)
    with contextlib.closing(session):
        for seed in order["seeds"]:
            runs.append(_Run(order, suite, session, seed).result())
            if order["until_failed"] and any(test["outcome"] == "failed" for test in runs[-1]["tests"]):
                break
    return {"runs": runs, "cells": session.errors, "printed": session.printed, "starts": session.starts}


class _Run:
    """The tests of one submission with one seed."""

    def __init__(self, order: dict[str, Any], suite: Suite, session: Session, seed: int) -> None:
        session.seed = seed % 2**63
        self._order, self._suite, self._session, self._seed = order, suite, session, seed
        self._budget: dict[str, float] = dict(order["limits"])
        self._traces: dict[str, dict[Planned, Trace]] = {name: {} for name in order["only"]}
        self._shrunk: set[str] = set()

    def result(self) -> dict[str, Any]:
        """The tests' results as plain data, and for each failed exercise what it looks like and where to
        look."""
        began = time.monotonic()
        tests = list(self._tests())
        failed = {n: t for n, t in self._traces.items() if not all(trace.passed for trace in t.values())}
        # A proof has time: what a busy machine leaves unsaid would look like a flaw of the bank.
        left = BUDGET_SECONDS * (PROOF_FACTOR if self._order["proof"] else 1)
        looks: dict[str, str] = {}
        for others, (name, traces) in zip(reversed(range(len(failed))), failed.items(), strict=True):
            started = time.process_time()
            looks[name] = self._looks_like(name, traces, left / (1 + others))
            left -= time.process_time() - started
        return {
            "tests": tests,
            "seconds": time.monotonic() - began,
            "looks_like": looks,
            "where": {n: where_to_look(t) for n, t in self._traces.items()},
        }

    def _tests(self) -> Iterator[dict[str, Any]]:
        for planned in self._suite.planned:
            if planned.exercise not in self._order["only"]:
                continue
            trace = Trace.unfinished()
            if reason := self._order["refused"].get(planned.exercise):
                result = TestResult(planned.name, planned.visible, "failed", f"{planned.sentence}\n{reason}")
            else:
                result, trace = self._run_test(planned)
                kept = Trace.passing(timed=trace.timed) if trace.passed else trace
                self._traces[planned.exercise][planned] = kept
            distance = trace.distance() if self._order["proof"] else None
            yield {"exercise": planned.exercise, **_plain(result), "distance": distance}
            if self._seed in self._order["simpler"] and planned.visible and planned.shrinks and trace.passed:
                yield self._with_simpler_inputs(planned, trace)
            if self._order["until_failed"] and result.outcome == "failed":
                return

    def _with_simpler_inputs(self, planned: Planned, trace: Trace) -> dict[str, Any]:
        """A visible test must hold for what `simplest` would try as well."""
        simpler = Simpler(rounded=True, integers=tuple(low for low, _ in trace.drawn))
        door = self._session.submission(self._budget[planned.exercise])
        result, _ = self._suite.trace(planned, door, self._seed, simpler=simpler)
        name = planned.name + SIMPLER
        return {"exercise": planned.exercise, **_plain(result), "name": name, "distance": None}

    def _run_test(self, planned: Planned, *, again: bool = False) -> tuple[TestResult, Trace]:
        """One test, within half of what is left of its exercise's time: a slow one leaves some to the
        others. Time is the CPU's, so that a busy machine costs nobody points."""
        left = self._budget[planned.exercise]
        try:
            if left < LEAST:
                raise TimeLimit("used up")
            door = self._session.submission(min(left, max(left / 2, 1.0)))
            own = time.process_time()
            with alarm(OWN_SECONDS, cpu=True):  # hostile answers can keep the test itself busy
                found = self._suite.trace(planned, door, self._seed)
            self._budget[planned.exercise] -= self._session.used + time.process_time() - own
            if self._session.lost:
                raise self._session.lost
            if self._session.overrun and not again:  # the warden looks ten times a second: whose was it?
                return self._run_test(planned, again=True)
            return self._simplest(planned, found), found[1]
        except (TimeLimit, Crashed) as error:
            reason = (
                "The time limit of this exercise was used up before this test."
                if isinstance(error, TimeLimit)
                else ""
            )
            message = (
                f"{planned.sentence}\n{reason or f'Your code ended the whole Python process ({error}).'}"
            )
            return TestResult(planned.name, planned.visible, "failed", message), Trace.unfinished()

    def _simplest(self, planned: Planned, found: tuple[TestResult, Trace]) -> TestResult:
        """With a simpler input, for the first visible test of an exercise that has wrong values."""
        result = found[0]
        if (
            self._order["proof"]
            or result.outcome != "failed"
            or planned.exercise in self._shrunk
            or not planned.shrinks
        ):
            return result
        self._shrunk.add(planned.exercise)

        def again(simpler: Simpler) -> tuple[TestResult, Trace]:
            door = self._session.submission(shrink.BUDGET_SECONDS)
            return self._suite.trace(planned, door, self._seed, simpler=simpler)

        names = parameters((source for _, source in self._order["cells"]), planned.exercise)
        with contextlib.suppress(TimeLimit, Crashed):
            return simplest(found, again, names=names)
        return result

    def _looks_like(self, name: str, traces: dict[Planned, Trace], budget: float) -> str:
        if not self._order["bank"]:
            return ""
        variants = _wrong_variants(self._order["bank"], self._order["tests_hash"])
        own = [variant for variant in variants if variant.exercise == name]
        return looks_like(self._suite, own, traces, seed=self._seed, budget=budget)


def _plain(result: TestResult) -> dict[str, Any]:
    """What `dataclasses.asdict` gives, without its deep copies."""
    return {name: getattr(result, name) for name in result.__slots__}


@lru_cache(maxsize=16)
def _wrong_variants(path: str, _changed: str) -> tuple[Variant, ...]:
    try:
        return tuple(variant for variant in load_bank(Path(path)) if variant.kind == "wrong")
    except CourseError:  # `verify` tells the author; a learner's grade does not depend on it
        return ()
