"""What a wrong answer looks like: the known wrong variant that does the same in every test that failed.

The failed tests run again, in this process, against each wrong variant of the bank with the same random
inputs; the variants are the author's code and may run here, the learner's may not and does not. A variant
explains a test when both are alike in all the test compared and in how it ended. The message that comes out
is the author's and holds no input and no value of a test. Two mistakes at once give the message of the one
that explains most; it says that there is more, and which rule the rest is about. No claim is better than a
wrong one.
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
from autograder.testing import ANOTHER_OPTION
from autograder.trace import Trace, alike

__all__ = ["BUDGET_SECONDS", "looks_like", "where_to_look"]

BUDGET_SECONDS = 0.8  # of CPU time, for one submission
LEAST_SHARE = 1 / 3  # of the failed tests; a variant that explains fewer says nothing about the code
SLIPS = {
    "NameError",
    "UnboundLocalError",
    "SyntaxError",
    "IndentationError",
    "ImportError",
    "ModuleNotFoundError",
}
MAX_MESSAGES = 2  # variants that no failed test tells apart; with more than these nothing is said


@dataclass(frozen=True, slots=True)
class _Match:
    """Which of the failed tests a variant explains."""

    variant: Variant
    explained: tuple[Planned, ...]


def looks_like(
    suite: Suite, variants: Sequence[Variant], traces: Mapping[Planned, Trace], *, seed: int, budget: float
) -> str:
    """The message of the wrong variant that the traces of one exercise agree with, or ''.

    `traces` are those of all tests of the exercise that ran; `budget` is in seconds of CPU time.
    """
    failed = {p: t for p, t in traces.items() if not t.passed and t.ending.kind != "unfinished"}
    if all(trace.unwritten for trace in failed.values()):
        return ""
    # What measured time may end in another way when it runs again: it counts if nothing else failed.
    failed = {p: t for p, t in failed.items() if not t.timed} or failed
    runs = _Runs(suite, seed, time.process_time() + budget)
    passed = [planned for planned, trace in traces.items() if trace.passed and not trace.timed]
    try:  # first those that explain all, which most variants show at their first test that they do not
        for may_miss in dict.fromkeys((0, len(failed) - max(1, round(LEAST_SHARE * len(failed))))):
            found = [m for v in variants if (m := _match(runs, v, failed, may_miss))]
            if matches := [m for m in found if all(runs.trace(m.variant, p).passed for p in passed)]:
                return _message(matches, tuple(failed))
    except TimeLimit:  # what is left could be as good a match
        pass
    return ""


class _Runs:
    """What the variants do in the tests, each tried once, within the time given."""

    def __init__(self, suite: Suite, seed: int, ends: float) -> None:
        self._suite, self._seed, self._ends = suite, seed, ends
        self._known: dict[tuple[str, Planned], Trace] = {}

    def trace(self, variant: Variant, planned: Planned) -> Trace:
        """Of one test against a variant; raises TimeLimit when the time is over."""
        key = (variant.name, planned)
        if key not in self._known:
            self._known[key] = self._run(variant, planned)
        return self._known[key]

    def _run(self, variant: Variant, planned: Planned) -> Trace:
        left = self._ends - time.process_time()
        if left <= 0:
            raise TimeLimit
        end = local({**variant.given, variant.exercise: variant.object}, let_through=(TimeLimit,))
        end.seed = self._seed % 2**63
        with alarm(2 * left, cpu=True):
            trace = self._suite.trace(planned, Submission(end), self._seed)[1]
        if trace.ending.kind == "unfinished" and time.process_time() > self._ends:
            raise TimeLimit
        return trace


def _match(runs: _Runs, variant: Variant, failed: Mapping[Planned, Trace], may_miss: int) -> _Match | None:
    """None if the variant leaves more of the failed tests unexplained, or none that tells anything."""
    explained, tells = [], False
    for planned, trace in failed.items():
        if not trace.unwritten and alike(trace, runs.trace(variant, planned)):
            explained.append(planned)
            tells = tells or trace.shows_values()
        elif (may_miss := may_miss - 1) < 0:
            return None
    return _Match(variant, tuple(explained)) if tells or len(explained) == len(failed) else None


def _message(matches: Sequence[_Match], failed: Sequence[Planned]) -> str:
    most = max((len(m.explained) for m in matches), default=0)
    best = [m for m in matches if len(m.explained) == most]
    messages = list(dict.fromkeys(m.variant.message for m in best))
    if not messages or len(messages) > MAX_MESSAGES:
        return ""
    text = " Or: ".join(messages)
    if most == len(failed):
        return text
    more = _rest(failed, best[0].explained)
    return (
        f"{text} This accounts for {most} of the {len(failed)} tests that fail; something else is wrong as "
        f"well{f': look at {more}, too' if more else ''}."
    )


def _rest(failed: Sequence[Planned], explained: Sequence[Planned]) -> str:
    """The rules behind the first test that is left over, without those that are accounted for."""
    known = {rule for planned in explained for rule in planned.rules}
    left = sorted((p for p in failed if p not in explained), key=lambda planned: not planned.visible)
    news = [rules for p in left if (rules := [rule for rule in p.rules if rule not in known])]
    return _rules(news[0]) if news else ""


def where_to_look(traces: Mapping[Planned, Trace]) -> str:
    """The rules behind the first test that failed: `rules R1 and R3 of the contract`."""
    failed = [p for p, trace in traces.items() if not trace.passed and trace.ending.kind != "unfinished"]
    first = next(iter(sorted(failed, key=lambda planned: not planned.visible)), None)
    if first is None or not first.rules or traces[first].unwritten:
        return ""
    ending = traces[first].ending
    if (ending.kind == "raised" and ending.detail in SLIPS) or ending.detail == ANOTHER_OPTION:
        return ""
    return f"{_rules(first.rules)} of the contract"


def _rules(names: Sequence[str]) -> str:
    *others, last = names
    return f"rules {', '.join(others)} and {last}" if others else f"rule {last}"
