"""The exchange's release_feedback: a page under every name its notebook was handed in, and nobody is held up.

A learner's nbgrader looks for feedback on the files handed in. `intake` grades `attention (1).ipynb` as
`attention.ipynb`, so that its page is published under both names. A submission that did not come through the
exchange has no secret to publish under: it is named and left out.
"""

from __future__ import annotations

import contextlib
import glob
import shutil
from collections.abc import Iterator
from pathlib import Path

from nbgrader.exchange.default import ExchangeReleaseFeedback
from nbgrader.utils import notebook_hash

from autograder.nbgrader.intake import student_of
from autograder.nbgrader.plainfile import Refused, read_plain

__all__ = ["ReleaseFeedback"]

SECRET = "submission_secret.txt"


class ReleaseFeedback(ExchangeReleaseFeedback):  # type: ignore[misc]
    """nbgrader's own in all but the copying."""

    def copy_files(self) -> None:
        excluded = self.coursedir.student_id_exclude.split(",")
        folders = sorted(glob.glob(self.src_path))  # noqa: PTH207 - absolute, as nbgrader's
        if not folders:
            section = self.coursedir.assignment_id
            self.log.warning(
                "[autograder] no feedback on %s to release: run `nbgrader generate_feedback %s`",
                section,
                section,
            )
        for folder in folders:
            student = student_of(self.coursedir, "feedback", folder)
            if student not in excluded:
                self._publish(student, Path(folder))

    def _publish(self, student: str, folder: Path) -> None:
        pages = sorted(folder.glob("*.html"))
        try:
            secret = read_plain(folder / SECRET).decode()
        except (FileNotFoundError, Refused, ValueError):
            if pages:
                self.log.warning("[autograder] %s: no `%s`: hand the feedback over yourself", student, SECRET)
            return
        for page in pages:
            names = [page.stem, *self._other_names(student, page.stem)]
            for name in names:
                place = Path(self.dest_path) / f"{notebook_hash(secret=secret, notebook_id=name)}.html"
                new = place.with_name(f"{place.stem}-tmp.html")
                shutil.copy(page, new)
                new.replace(place)  # readers see the old page or the new one
            self.log.info("[autograder] %s: feedback released on %s", student, ", ".join(names))

    def _other_names(self, student: str, notebook: str) -> Iterator[str]:
        """Names of submitted files that `intake` has copied to the name of this notebook."""
        coursedir = self.coursedir
        directory = coursedir.submitted_directory
        submitted = Path(coursedir.format_path(directory, student, coursedir.assignment_id))
        graded = submitted / f"{notebook}.ipynb"
        for other in sorted(submitted.glob("*.ipynb")):
            with contextlib.suppress(FileNotFoundError, Refused):
                if other != graded and read_plain(other) == read_plain(graded):
                    yield other.stem
