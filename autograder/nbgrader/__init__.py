"""nbgrader as the pipeline of the course: the only package that touches it.

`configure(c)` is what a course's nbgrader_config.py calls. It puts our steps between nbgrader's own and
leaves the rest as it is; it starts nothing. Everything is named by dotted strings, which nbgrader imports
when a command needs them (and which its config panel can show).

    intake       a submission's folder made ready: renamed notebooks, bad timestamps
    exporter     reads whatever was handed in
    sanitize     the notebook that goes on: every released cell once, with the learner's answers
    batch        one grader for all submissions of a run
    consistency  what must be so before a run begins
    leftovers    what a killed run left half done, taken away
    execute      scores and reports in the grade cells, made without a kernel
    comments     scores, messages and bonus points into the gradebook
    books        the gradebook kept open through a run
    progress     a bar in the terminal
    stored       the report kept in the graded notebook
    marks        what the gradebook says of one notebook, for its page
    pages        the feedback page, which is our report page
    markup       learners' HTML cleaned before an instructor's browser sees it
    collect      the exchange's collect, which takes plain files of bounded size only
    feedback     the exchange's release_feedback, also for notebooks under another name
    plainfile    what a plain file is
    plainly      a sentence where nbgrader has a traceback
    commands     nbgrader's commands called from a program
    scores       what stands in the gradebook
    stubs        solutions taken out
    generate     generate_assignment for the builder
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autograder.nbgrader.plainly import speak_plainly

__all__ = ["configure", "release_steps"]

HERE = "autograder.nbgrader"
NOTHING: Mapping[str, str] = {}


def configure(c: Any) -> None:
    """Fill nbgrader's config `c`; settings made after this call win."""
    from nbgrader.converters import Autograde, GenerateFeedback

    _offer_our_commands()
    speak_plainly()
    c.Autograde.exporter_class = f"{HERE}.exporter.SubmissionExporter"
    c.Autograde.sanitize_preprocessors = [
        f"{HERE}.sanitize.RepairSubmission",
        *_steps(Autograde, "sanitize_preprocessors", without="CheckCellMetadata"),  # the second pass checks
    ]
    c.Autograde.autograde_preprocessors = _steps(
        Autograde,
        "autograde_preprocessors",
        instead={
            "Execute": f"{HERE}.execute.IsolatedExecute",
            "CheckCellMetadata": f"{HERE}.sanitize.CheckSettings",
            "SaveAutoGrades": f"{HERE}.comments.SaveScores",
        },
    )
    c.GenerateAssignment.force = True  # a clone has release/; nbgrader would skip it, and know no cell of it
    c.GenerateAssignment.preprocessors = [
        *release_steps(),
        f"{HERE}.sanitize.StableCellIds",
    ]
    c.GenerateFeedback.preprocessors = _steps(
        GenerateFeedback,
        "preprocessors",
        instead={"GetGrades": f"{HERE}.marks.ReadMarks"},
        without="CSSHTMLHeaderPreprocessor",
    )
    c.GenerateFeedback.exporter_class = f"{HERE}.pages.FeedbackExporter"
    c.HTMLExporter.sanitize_html = True
    c.HTMLExporter.filters = {"strip_files_prefix": f"{HERE}.markup.clean_markup"}
    c.ExchangeFactory.collect = f"{HERE}.collect.SafeCollect"
    c.ExchangeFactory.release_feedback = f"{HERE}.feedback.ReleaseFeedback"


def release_steps() -> list[str]:
    """nbgrader's own steps of a release, with our stubs."""
    from nbgrader.converters import GenerateAssignment

    return _steps(
        GenerateAssignment, "preprocessors", instead={"ClearSolutions": f"{HERE}.stubs.ClearSolutions"}
    )


def _steps(
    converter: Any,
    trait: str,
    *,
    instead: Mapping[str, str] = NOTHING,
    without: str = "",
) -> list[str]:
    """nbgrader's own steps as dotted names, some replaced by ours; a step it adds is not lost."""
    default: Sequence[type] = converter.class_traits()[trait].default()
    names: list[str] = []
    for step in default:
        if step.__name__ == without:
            continue
        names.append(instead.get(step.__name__, f"{step.__module__}.{step.__name__}"))
    missing = set(instead) - {step.__name__ for step in default}
    if missing:
        raise RuntimeError(f"this nbgrader has no step {', '.join(sorted(missing))} in {trait}; use 0.9.6")
    return names


def _offer_our_commands() -> None:
    """nbgrader runs `alembic` by name when it makes a gradebook: find it also when no venv is activated."""
    folder = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if folder not in path:
        os.environ["PATH"] = os.pathsep.join([*path, folder])
