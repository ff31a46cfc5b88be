"""What a wrong answer looks like: the known wrong variant that does the same in every test that failed.

The failed tests run again, in this process, against each wrong variant of the bank with the same random
inputs; the variants are the author's code and may run here, the learner's may not and does not. A variant
explains a test when both are alike in all the test compared and in how it ended. The message that comes out
is the author's and holds no input and no value of a test. Two mistakes at once give the message of the one
that explains most, and it says that there is more. No claim is better than a wrong one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autograder.alarm import alarm
from autograder.bank import Variant
from autograder.errors import TimeLimit
from autograder.submission import Submission, local
from autograder.suite import Planned, Suite
from autograder.trace import Trace, alike

__all__ = ["BUDGET_SECONDS", "looks_like", "where_to_look"]

BUDGET_SECONDS = 0.8  # of CPU time, for one submission
LEAST_SHARE = 1 / 3  # of the failed tests; a variant that explains fewer says nothing about the code
MAX_MESSAGES = 2  # variants that no failed test tells apart; with more than these nothing is said


@dataclass(frozen=True, slots=True)
class _Match:
    """How many of the failed tests a variant explains, and whether one of them shows telling values."""

    variant: Variant
    explained: int
    tells: bool


def looks_like(
    suite: Suite, variants: Sequence[Variant], traces: Mapping[Planned, Trace], *, seed: int, budget: float
) -> str:
    """The message of the wrong variant that the traces of one exercise agree with, or ''.

    `traces` are those of all tests of the exercise that ran; `budget` is in seconds of CPU time.
    """
    ends = time.process_time() + budget
    failed = {p: t for p, t in traces.items() if not t.passed and t.ending.kind != "unfinished"}
    passed = [p for p, t in traces.items() if t.passed]
    if not failed:
        return ""
    matches = []
    try:
        for variant in variants:
            match = _match(suite, variant, failed, seed, ends)
            if match and _passes(suite, variant, passed, seed, ends):
                matches.append(match)
    except TimeLimit:  # what is left could be as good a match
        return ""
    return _message(matches, len(failed))


def _match(
    suite: Suite, variant: Variant, failed: Mapping[Planned, Trace], seed: int, ends: float
) -> _Match | None:
    """None if the variant explains too few of the failed tests."""
    may_miss = len(failed) - max(1, round(LEAST_SHARE * len(failed)))
    explained, tells = 0, False
    for planned, trace in failed.items():
        if not trace.unwritten and alike(trace, _run(suite, planned, variant, seed, ends)):
            explained += 1
            tells = tells or trace.shows_values()
        elif (may_miss := may_miss - 1) < 0:
            return None
    return _Match(variant, explained, tells) if tells or explained == len(failed) else None


def _passes(suite: Suite, variant: Variant, passed: Sequence[Planned], seed: int, ends: float) -> bool:
    """Whether the variant passes what the submission passed: else it is another mistake."""
    return all(_run(suite, planned, variant, seed, ends).passed for planned in passed)


def _run(suite: Suite, planned: Planned, variant: Variant, seed: int, ends: float) -> Trace:
    """One test against a variant; raises TimeLimit when the time is over."""
    left = ends - time.process_time()
    if left <= 0:
        raise TimeLimit
    end = local({**variant.given, variant.exercise: variant.object}, let_through=(TimeLimit,))
    end.request("seed", seed % 2**63)
    with alarm(2 * left):
        trace = suite.trace(planned, Submission(end), seed)[1]
    if trace.ending.kind == "unfinished" and time.process_time() > ends:
        raise TimeLimit
    return trace


def _message(matches: Sequence[_Match], failed: int) -> str:
    most = max((m.explained for m in matches), default=0)
    best = [m for m in matches if m.explained == most]
    messages = list(dict.fromkeys(m.variant.message for m in best))
    if not messages or len(messages) > MAX_MESSAGES:
        return ""
    text = " Or: ".join(messages)
    if most == failed:
        return text
    return (
        f"{text} This accounts for {most} of the {failed} tests that fail; something else is wrong as well."
    )


def where_to_look(traces: Mapping[Planned, Trace]) -> str:
    """The rules behind the first test that failed: `rules R1 and R3 of the contract`."""
    failed = [p for p, trace in traces.items() if not trace.passed and trace.ending.kind != "unfinished"]
    first = next(iter(sorted(failed, key=lambda planned: not planned.visible)), None)
    if first is None or not first.rules or traces[first].unwritten:
        return ""
    *others, last = first.rules
    return (
        f"rules {', '.join(others)} and {last} of the contract" if others else f"rule {last} of the contract"
    )
