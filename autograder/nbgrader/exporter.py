"""Reads submissions of any shape, and is where nbgrader's autograde run begins and ends.

nbgrader makes one exporter per run, right before it goes through the submissions. Nothing is repaired here:
`sanitize` makes a notebook of the bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import Exporter, NotebookExporter
from nbformat.v4.rwbase import split_lines
from nbgrader.converters import Autograde
from traitlets import Bool

from autograder.nbgrader.batch import Batch
from autograder.nbgrader.intake import read_submitted
from autograder.nbgrader.sanitize import RepairSubmission

__all__ = ["SubmissionExporter"]


class SubmissionExporter(NotebookExporter):  # type: ignore[misc]
    """Puts into `resources["autograder"]` the bytes of the file, or what is the matter with it."""

    optimistic_validation = Bool(True, help="Validate once, after the last step.").tag(config=True)

    def __init__(self, config: Any = None, **kwargs: Any) -> None:
        super().__init__(config=config, **kwargs)
        self.batch: Batch | None = None
        if isinstance(self.parent, Autograde):
            self.batch = Batch.around(self.parent)

    def from_filename(
        self, filename: str, resources: dict[str, Any] | None = None, **kwargs: Any
    ) -> tuple[str, dict[str, Any]]:
        """Convert one file. Whatever stands in it, the steps get a notebook."""
        path = Path(filename)
        raw, problem = read_submitted(path)
        told = {
            **(resources or {}),
            "metadata": {"name": path.stem, "path": str(path.parent)},
            "autograder": {"raw": raw, "problem": problem},
        }
        sanitizing = any(isinstance(step, RepairSubmission) for step in self._preprocessors)
        nb = nbformat.v4.new_notebook() if sanitizing else nbformat.v4.reads(raw.decode())
        converted: tuple[str, dict[str, Any]] = self.from_notebook_node(nb, told, **kwargs)
        return converted

    def from_notebook_node(
        self, nb: Any, resources: dict[str, Any] | None = None, **kwargs: Any
    ) -> tuple[str, dict[str, Any]]:
        """On one line: laid out for the eye, as nbformat writes it, it takes several times as long."""
        converted, told = Exporter.from_notebook_node(self, nb, resources, **kwargs)
        told["output_suffix"] = ".nbconvert"
        return json.dumps(split_lines(converted), ensure_ascii=False, sort_keys=True) + "\n", told
