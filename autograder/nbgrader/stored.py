"""The report kept in a graded notebook's own metadata, where the feedback page finds it again.

Only our grader writes there: a submission's metadata is gone before it is graded. What is kept is the form a
learner may see (`Report.visible_copy`).
"""

from __future__ import annotations

import json
from typing import Any

from autograder.errors import CouldNotRun
from autograder.report import Report

__all__ = ["keep_report", "kept_report"]


def keep_report(nb: Any, report: Report) -> None:
    """Puts the report into the notebook."""
    nb.metadata["autograder"] = {"report": json.dumps(report.to_json())}


def kept_report(nb: Any) -> Report:
    """Raises CouldNotRun where there is none, or none that can be read."""
    try:
        return Report.from_json(json.loads(nb.metadata["autograder"]["report"]))
    except (KeyError, TypeError, ValueError) as error:
        raise CouldNotRun(
            f"the graded notebook holds no report of ours ({type(error).__name__}: {error})"
        ) from None
