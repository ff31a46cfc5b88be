"""All planned tests of one submission, one after another, within their time.

Called in a child of `worker`. Decides which test runs when and how long it may take; what a test's outcome is
`suite` decides, what a score is `report`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autograder.errors import Crashed, TimeLimit
from autograder.report import TestResult
from autograder.sandbox.jail.limits import Limits
from autograder.session import Box, Session
from autograder.suite import Planned, Suite

__all__ = ["GRACE_SECONDS", "run_job"]

GRACE_SECONDS = 90.0  # a submission may take its exercises' limits and this much more


def run_job(order: dict[str, Any], suite: Suite, box: Box) -> dict[str, Any]:
    """All planned tests of one submission, in order. Every planned test has a result."""
    folder = Path(order["folder"]) if order["folder"] else None
    allowed = sum(order["limits"].values())
    limits = Limits(cpu_s=GRACE_SECONDS + allowed, wall_s=GRACE_SECONDS + 3 * allowed)
    cells = [tuple(c) for c in order["cells"]]
    session = Session(box, cells, seed=order["seed"] % 2**63, folder=folder, limits=limits)
    with contextlib.closing(session):
        results = list(_results(order, suite, session))
    return {"tests": results, "cells": session.errors, "printed": session.printed, "starts": session.starts}


def _results(order: dict[str, Any], suite: Suite, session: Session) -> Iterator[dict[str, Any]]:
    budget = dict(order["limits"])
    for planned in suite.planned:
        if planned.exercise not in order["only"]:
            continue
        if reason := order["refused"].get(planned.exercise):
            result = TestResult(planned.name, planned.visible, "failed", f"{planned.sentence}\n{reason}")
        else:
            result = _run_test(suite, planned, session, budget, order["seed"])
        yield {"exercise": planned.exercise, **asdict(result)}


def _run_test(
    suite: Suite, planned: Planned, session: Session, budget: dict[str, float], seed: int
) -> TestResult:
    """One test, within half of what is left of its exercise's time: a slow test leaves some to the others."""
    started = time.monotonic()
    left = budget[planned.exercise]
    deadline = started + min(left, max(left / 2, 1.0))
    try:
        if left < 0.05:
            raise TimeLimit("used up")
        result = suite.run(planned, session.submission(deadline), seed)
        if session.lost:
            raise session.lost
        return result
    except (TimeLimit, Crashed) as error:
        reason = (
            "The time limit of this exercise was used up before this test."
            if isinstance(error, TimeLimit)
            else ""
        )
        message = f"{planned.sentence}\n{reason or f'Your code ended the whole Python process ({error}).'}"
        return TestResult(planned.name, planned.visible, "failed", message)
    finally:
        budget[planned.exercise] = left - (time.monotonic() - started)
