"""The tests of one notebook, collected once by pytest and run one by one against a submission.

The only module that touches pytest. It decides what a test's outcome is and in what words, not what a
score is. A test passes only by running to its end; an error, a skip or an exit of any kind never passes.
"""

from __future__ import annotations

import builtins
import contextlib
import os
import sys
import traceback
import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from _pytest.config import get_config
from _pytest.runner import runtestprotocol

from autograder.alarm import exposed, shielded
from autograder.compare import MismatchError
from autograder.errors import CouldNotRun, CourseError, Crashed, LearnerError, TimeLimit
from autograder.record import recording
from autograder.report import Outcome, TestResult
from autograder.submission import Submission
from autograder.testing import UNANSWERED, Rng, Simpler
from autograder.trace import Ending, Trace

__all__ = ["Planned", "Suite"]

UNWANTED = (
    *("cacheprovider", "capture", "debugging", "doctest", "faulthandler", "junitxml", "logging", "pastebin"),
    *("setuponly", "setupplan", "stepwise", "terminal", "threadexception", "unittest"),
    *("unraisableexception", "warnings"),
)


@dataclass(frozen=True, slots=True)
class Planned:
    """One test as collected, before any submission is seen."""

    name: str
    exercise: str
    visible: bool
    sentence: str
    rules: tuple[str, ...] = ()  # of the exercise's contract
    shrinks: bool = True  # it holds for simpler inputs too


class Suite:
    """The planned tests of a notebook and the means to run them.

    `files` maps test modules to whether they are visible. `exercises` are the names they may belong to.
    """

    def __init__(self, files: Mapping[Path, bool], exercises: Iterable[str]) -> None:
        self._fixtures = _Fixtures()
        self._items: dict[Planned, pytest.Item] = {}
        self._direct: dict[str, dict[str, object] | None] = {}
        known = set(exercises)
        for path, visible in files.items():
            for item in _collect(path, self._fixtures):
                planned = _planned(item, path, visible, known)
                self._items[planned] = item
                self._direct[item.nodeid] = _parameters(item)

    @property
    def planned(self) -> tuple[Planned, ...]:
        """All tests, in the order they are written."""
        return tuple(self._items)

    def run(self, planned: Planned, submission: Submission, seed: int) -> TestResult:
        """Runs one test; nothing the learner's code does can make this raise, but CouldNotRun does."""
        return self.trace(planned, submission, seed)[0]

    def trace(
        self, planned: Planned, submission: Submission, seed: int, *, simpler: Simpler | None = None
    ) -> tuple[TestResult, Trace]:
        """Runs one test and tells what it compared; `simpler` makes its random inputs smaller."""
        item = self._items[planned]
        self._fixtures.submission = submission
        self._fixtures.rng = rng = Rng(seed, f"{planned.exercise}.{planned.name}", simpler)
        self._fixtures.error = None
        with recording() as log, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what an odd result makes torch say is for nobody
            passed = self._call(item)
        error = self._fixtures.error
        told = f"\n{log.told}" if log.told and planned.visible else ""
        if passed and error is None:
            result = TestResult(planned.name, planned.visible, "passed", f"{planned.sentence}{told}")
            return result, Trace(
                tuple(log.comparisons), Ending("passed"), tuple(rng.drawn), log.call, log.timed
            )
        outcome, evidence = _judge(error, visible=planned.visible)
        message = f"{planned.sentence}\n{evidence}{told}" if evidence else f"{planned.sentence}{told}"
        result = TestResult(planned.name, planned.visible, outcome, message)
        ending = _ending(error, str(item.path))
        return result, Trace(tuple(log.comparisons), ending, tuple(rng.drawn), log.call, log.timed)

    def _call(self, item: pytest.Item) -> bool:
        """Runs the test function; what it raises is kept. True only if it ran to its end.

        Where a test needs nothing but our fixtures and its parameters it is called directly: pytest's own
        way takes a third of a millisecond more, which would be a third of the cost of grading.
        """
        wanted = self._direct[item.nodeid]
        if wanted is None:
            with shielded():  # or fixtures of this test would be left over for the next submission
                reports = runtestprotocol(item, log=False, nextitem=None)
            return len(reports) == 3 and all(report.passed for report in reports)
        assert isinstance(item, pytest.Function)
        given = {"submission": self._fixtures.submission, "rng": self._fixtures.rng, **wanted}
        arguments = {name: given[name] for name in item.fixturenames}
        try:
            getattr(item.cls(), item.originalname)(**arguments)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._fixtures.error = error
            return False
        return True


class _Fixtures:
    """The pytest plugin that gives a test its fixtures and keeps what it raised."""

    def __init__(self) -> None:
        self.submission: Submission | None = None
        self.rng: Rng | None = None
        self.error: BaseException | None = None

    @pytest.fixture(name="submission")
    def submission_fixture(self) -> Submission | None:
        return self.submission

    @pytest.fixture(name="rng")
    def rng_fixture(self) -> Rng | None:
        return self.rng

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        if call.excinfo is not None and self.error is None:
            self.error = call.excinfo.value
            learners = (LearnerError, TimeLimit, Crashed, pytest.skip.Exception)
            if call.when != "call" and not isinstance(self.error, learners):
                self.error = CouldNotRun(f"a fixture of {item.name} failed: {self.error!r}")
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self) -> Generator[None, object, object]:
        with exposed():
            return (yield)


def _parameters(item: pytest.Item) -> dict[str, object] | None:
    """A test's parameters; None if it needs pytest to run: for fixtures of its own, set-up, marks."""
    if not isinstance(item, pytest.Function) or item.cls is None:
        return None
    if any(mark.name != "parametrize" for mark in item.iter_markers()) or hasattr(item.cls, "setup_method"):
        return None
    parameters: dict[str, object] = dict(item.callspec.params) if hasattr(item, "callspec") else {}
    return parameters if set(item.fixturenames) <= {"submission", "rng", *parameters} else None


def _collect(path: Path, fixtures: _Fixtures) -> list[pytest.Item]:
    """The items of one module, by a pytest that sees no configuration, plugin or conftest but ours."""
    path = path.resolve()
    for name in [n for n, m in sys.modules.items() if getattr(m, "__file__", None) == str(path)]:
        del sys.modules[name]  # the file may have changed since
    # The root folder is the disk's, so that a module's name says its whole path and no two are the same.
    arguments = [str(path), "-c", os.devnull, "--rootdir", path.anchor, "--noconftest", "--assert=plain"]
    arguments += ["--import-mode=importlib", "-p", "no:cacheprovider", "--strict-markers"]
    for plugin in UNWANTED:
        arguments += ["-p", f"no:{plugin}"]
    with _clean_environment():
        try:
            config = get_config(arguments)
            config.pluginmanager.register(fixtures)
            config = config.pluginmanager.hook.pytest_cmdline_parse(
                pluginmanager=config.pluginmanager, args=arguments
            )
            config._do_configure()
            session = pytest.Session.from_config(config)
            config.hook.pytest_sessionstart(session=session)
            items = list(session.perform_collect())
        except (pytest.UsageError, pytest.Collector.CollectError) as error:
            raise CourseError(f"the tests can't be collected: {error}", path=path) from error
    if session.testsfailed:
        raise CourseError(f"the tests can't be imported: run `python {path.name}` to see why", path=path)
    return items


@contextlib.contextmanager
def _clean_environment() -> Iterator[None]:
    saved = dict(os.environ)
    os.environ.pop("PYTEST_ADDOPTS", None)
    os.environ.pop("PYTEST_PLUGINS", None)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)


def _planned(item: pytest.Item, path: Path, visible: bool, known: set[str]) -> Planned:
    name = getattr(getattr(item, "cls", None), "__exercise__", None)
    if name is None:
        raise CourseError(
            f'the test `{item.name}` belongs to no exercise: put it in a class with @exercise("...")',
            path=path,
        )
    if name not in known:
        raise CourseError(f"tests for an exercise `{name}`, which the notebook does not have", path=path)
    docstring = (getattr(item, "function", item).__doc__ or "").strip()
    if not docstring:
        raise CourseError(
            f"the test `{item.name}` needs a docstring: the sentence the learner reads", path=path
        )
    function = getattr(item, "function", item)
    marks = (*getattr(getattr(item, "cls", None), "__rules__", ()), *getattr(function, "__rules__", ()))
    rules, shrinks = tuple(dict.fromkeys(marks)), not hasattr(function, "__fixed_inputs__")
    sentence = " ".join(docstring.split("\n\n")[0].split())
    return Planned(item.name, name, visible, sentence, rules, shrinks)


def _ending(error: BaseException | None, path: str) -> Ending:
    """How a test that did not pass ended, in a form that can be compared."""
    frames = traceback.extract_tb(error.__traceback__ if error else None)
    lines = [frame.lineno or 0 for frame in frames if frame.filename == path]
    line = lines[-1] if lines else 0
    if isinstance(error, MismatchError):
        return Ending("mismatch", error.kind, line)
    if isinstance(error, LearnerError):
        return Ending("raised", error.kind, line)
    if isinstance(error, AssertionError | pytest.fail.Exception):
        return Ending("assertion", str(error), line)
    if isinstance(error, Exception) and not isinstance(error, CouldNotRun):
        return Ending("form", type(error).__name__, line)
    return Ending("unfinished")


def _judge(error: BaseException | None, *, visible: bool) -> tuple[Outcome, str]:
    """(outcome, evidence) of a test that did not pass. Evidence of a hidden test holds no value of the
    test's."""
    if isinstance(error, CouldNotRun | pytest.skip.Exception) or error is None:
        return "could_not_run", f"The test could not run: {error or 'no reason was given'}"
    if isinstance(error, LearnerError):
        return "failed", _learner_evidence(error, visible=visible)
    if isinstance(error, TimeLimit):
        return "failed", "It did not finish within the time limit of this exercise: is there an endless loop?"
    if isinstance(error, Crashed):
        how = f" ({error})" if visible else ""  # an exit code can carry a hidden input
        return "failed", f"Your code ended the whole Python process{how}."
    if isinstance(error, MismatchError):
        return "failed", error.detail if visible else f"What differs: {error.kind}."
    if isinstance(error, RuntimeError) and "does not require grad" in str(error):
        return (
            "failed",
            "No gradient arrives: the result is cut off from its inputs (detach, no_grad, item, numpy).",
        )
    if isinstance(error, pytest.fail.Exception) and "DID NOT RAISE" in str(error):
        wanted = str(error).removeprefix("DID NOT RAISE ")
        return "failed", f"No error was raised, but the contract asks for one ({wanted})."
    if isinstance(error, AssertionError | pytest.fail.Exception):
        return "failed", str(error) if visible else ""
    if isinstance(error, Exception):
        return "failed", f"The result has not the form the contract states ({type(error).__name__})."
    return "could_not_run", f"The test ended in an unexpected way ({type(error).__name__})."


def _learner_evidence(error: LearnerError, *, visible: bool) -> str:
    """What is shown of a learner's error; of a hidden test nothing that the learner's code can choose freely,
    or it would carry the hidden inputs out."""
    if error.kind == "NotDefined":
        name = f"`{error.message}`" if visible else "What the test asks for"
        return f"{name} is not defined: has the cell that defines it been run, without an error?"
    if error.kind == UNANSWERED:
        return "This is still to do: put the letter of your answer between the quotes."
    if error.kind == "NotImplementedError":
        return "This is still to do: your code raises NotImplementedError."
    text = f": {error.message.rstrip('.')}" if visible and error.message else ""
    where = f" ({error.where})" if error.where else ""
    standard = isinstance(getattr(builtins, error.kind, None), type)
    return f"Your code raised {error.kind if visible or standard else 'an error of its own'}{text}{where}."
