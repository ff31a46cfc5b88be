"""nbgrader's step that takes the solutions out, for answers that are no function as well.

A region that is not indented (the letter of a multiple-choice exercise) leaves nothing behind: nbgrader's own
stub would raise an error as soon as the cell runs.
"""

from __future__ import annotations

from typing import Any

from nbgrader.preprocessors import clearsolutions

__all__ = ["ClearSolutions"]


class ClearSolutions(clearsolutions.ClearSolutions):  # type: ignore[misc]
    """As nbgrader's, whose settings it shares."""

    def _replace_solution_region(self, cell: Any, language: str) -> bool:
        replaced = bool(super()._replace_solution_region(cell, language))
        if replaced and cell.cell_type == "code":
            stub = self.code_stub[language].split("\n")
            cell.source = "\n".join(line for line in cell.source.split("\n") if line not in stub)
        return replaced
