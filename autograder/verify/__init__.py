"""The proof that the exercises of a course are sound, by grading what is known to be right and wrong.

`NotebookRun.start` begins the proof of one notebook, `finish` gives what was shown. It proves what the bank,
the cheats and the mutants can show, no more: whether an exercise teaches something, nobody can prove.
"""

from __future__ import annotations

from autograder.verify.claims import Claim, Settings, with_answer
from autograder.verify.notebook import NotebookRun
from autograder.verify.proof import ExerciseProof, NotebookProof, Survivor

__all__ = ["Claim", "ExerciseProof", "NotebookProof", "NotebookRun", "Settings", "Survivor", "with_answer"]
