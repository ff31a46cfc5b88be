"""What was shown, for people: the columns of the table, and a static HTML page.

The page holds solutions (in the mutants' diffs) and is for authors: it is written into build/, which does not
ship.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from autograder.render.clean import html_prose, html_text
from autograder.render.style import PAGE_CSS
from autograder.verify.proof import ExerciseProof, NotebookProof, summary

__all__ = ["COLUMNS", "page", "row"]

COLUMNS = (
    "exercise",
    "tests",
    "rules",
    "wrong caught",
    "own message",
    "right accepted",
    "cheats refused",
    "mutants killed",
    "margin",
    "seconds",
    "sound",
)
WIDE = ":root{--ag-width:88rem}"
LEGEND = (
    ("tests", "visible + hidden test functions, each with its parameters"),
    ("rules", "rules of the contract that a test rests on; freedoms that a right variant uses"),
    ("wrong caught", "known wrong variants of the bank that lose points with each of three seeds"),
    ("own message", "wrong variants that are answered by the message written for them"),
    ("right accepted", "known right variants that get full marks, with each of so many seeds"),
    ("cheats refused", "answers that know nothing of the exercise and pass no test at all"),
    ("mutants killed", "edits of the solution that a test noticed; those explained in the bank in brackets"),
    (
        "margin",
        "how many times farther away (in tolerances) the nearest wrong variant is than any right one; "
        "exact where numbers alone betray no wrong variant",
    ),
    ("seconds", "of wall clock in all gradings together; several run at a time"),
)


def row(proof: ExerciseProof) -> tuple[str, ...]:
    """The cells under COLUMNS."""
    freedoms = f", {proof.used}/{proof.freedoms} free" if proof.freedoms else ""
    return (
        proof.name,
        f"{proof.visible} + {proof.hidden}",
        f"{proof.covered}/{proof.rules}{freedoms}",
        f"{proof.caught}/{proof.wrong}",
        f"{proof.named}/{proof.wrong}",
        f"{proof.accepted}/{proof.right} x {proof.seeds}",
        f"{proof.refused}/{proof.cheats}",
        _mutants(proof),
        _margin(proof),
        f"{proof.seconds:.1f}",
        "no" if proof.problems else "yes",
    )


def page(proofs: Sequence[NotebookProof]) -> str:
    """All notebooks on one page, without script or anything from elsewhere."""
    body = "".join(_notebook(proof) for proof in proofs)
    legend = "".join(f"<dt>{name}</dt><dd>{html.escape(text)}</dd>" for name, text in LEGEND)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>Proof of the exercises</title>\n<style>{PAGE_CSS}{WIDE}</style>\n</head>\n<body>\n"
        f"<header><h1>{summary(proofs)}</h1></header>\n<main>\n{body}</main>\n"
        f"<footer><h2>What the columns say</h2><dl>{legend}</dl></footer>\n</body>\n</html>\n"
    )


def _notebook(proof: NotebookProof) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    rows = "".join(_row(exercise) for exercise in proof.exercises.values())
    problems = _list(proof.problems)
    details = "".join(_details(exercise) for exercise in proof.exercises.values() if exercise.problems)
    return (
        f"<section><h2>{html_text(proof.section)}/{html_text(proof.notebook)}</h2>{problems}"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{details}</section>\n"
    )


def _row(exercise: ExerciseProof) -> str:
    first, *others, sound = (html_text(cell) for cell in row(exercise))
    badge = f'<span class="ag-badge {"ag-passed" if sound == "yes" else "ag-error"}">{sound}</span>'
    cells = "".join(f'<td class="ag-number">{cell}</td>' for cell in others)
    return f'<tr><th scope="row"><code>{first}</code></th>{cells}<td>{badge}</td></tr>'


def _details(exercise: ExerciseProof) -> str:
    survivors = "".join(
        f"<h3>A mutant survives ({html_text(s.operator)})</h3><pre>{html_text(s.diff)}</pre>"
        for s in exercise.survivors
    )
    rules = "".join(f"<li><b>{name}</b> {html_prose(text)}</li>" for name, text in exercise.contract.items())
    beside = f"<details open><summary>The contract</summary><ul>{rules}</ul></details>" if survivors else ""
    return (
        f'<section class="ag-exercise ag-error"><h2><code>{html_text(exercise.name)}</code></h2>'
        f"{_list(exercise.problems)}{survivors}{beside}</section>"
    )


def _list(problems: Sequence[str]) -> str:
    items = "".join(f"<li>{html_prose(problem)}</li>" for problem in problems)
    return f'<ul class="ag-notes">{items}</ul>' if items else ""


def _mutants(proof: ExerciseProof) -> str:
    if proof.mutants is None:
        return "-"
    explained = f" (+{proof.equivalent})" if proof.equivalent else ""
    return f"{proof.killed}/{proof.mutants}{explained}"


def _margin(proof: ExerciseProof) -> str:
    if proof.margin is None:
        return "exact"
    if proof.margin < 1000:
        return f"{proof.margin:.0f}x"
    return re.sub(r"e\+0*", "e", f"{proof.margin:.0e}x")
