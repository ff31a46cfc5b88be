"""Small edits of a solution that its tests must notice: the mistakes of people who write machine learning.

Own operators, on purpose. mutmut and Cosmic Ray were tried on the solutions of one notebook
(docs/authoring.md has the figures): both are programs that rewrite a package on disk and run a command on
it, and bring a dozen dependencies. They make about half of these edits, the generic ones; what matters here
(a lost gradient, a transpose, a mean for a sum, a dropped mask) they do not make.

It makes texts and runs nothing. An edit replaces one node of the syntax tree; the rest of the text stays as
it was written, so that the difference reads like a diff.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Collection
from dataclasses import dataclass

from autograder.verify.operators import mutations

__all__ = ["Mutant", "mutants", "solution_lines"]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One edited solution. `edit` is `old line => new line`, the name it has in a bank's EQUIVALENT."""

    operator: str
    edit: str
    source: str

    def diff(self, solution: str) -> str:
        """The edit as a unified diff of the answer cell."""
        lines = difflib.unified_diff(
            solution.splitlines(), self.source.splitlines(), "solution", self.operator, n=2, lineterm=""
        )
        return "\n".join(lines)


def mutants(source: str, lines: Collection[int]) -> tuple[Mutant, ...]:
    """All different mutants of an answer cell that change one of `lines` (counted from 1)."""
    tree = ast.parse(source)
    seen = {ast.dump(tree)}
    found = []
    for operator, node, replacement, parent in mutations(tree):
        if node.lineno not in lines:
            continue
        text = _replaced(source, node, _text(replacement, node, parent))
        try:
            shape = ast.dump(ast.parse(text))
        except SyntaxError:
            continue
        if shape not in seen:
            seen.add(shape)
            found.append(Mutant(operator, _edit(source, text, node), text))
    return tuple(found)


def solution_lines(solved: str, stub: str) -> set[int]:
    """The lines of the solved answer cell that the learner is not given."""
    matcher = difflib.SequenceMatcher(None, stub.splitlines(), solved.splitlines(), autojunk=False)
    blocks = matcher.get_opcodes()
    return {line + 1 for kind, _, _, start, end in blocks if kind != "equal" for line in range(start, end)}


def _text(replacement: ast.expr | ast.stmt, node: ast.expr | ast.stmt, parent: ast.AST) -> str:
    """The replacement as text, in brackets where its place may need them."""
    text = ast.unparse(replacement)
    loose = isinstance(
        replacement, ast.BinOp | ast.UnaryOp | ast.Compare | ast.BoolOp | ast.IfExp | ast.Lambda
    )
    match parent:
        case ast.BinOp() | ast.UnaryOp() | ast.Compare() | ast.BoolOp() | ast.Attribute():
            return f"({text})" if loose else text
        case ast.Subscript(value=value) | ast.Call(func=value) if value is node:
            return f"({text})" if loose else text
    return text


def _replaced(source: str, node: ast.expr | ast.stmt, text: str) -> str:
    lines = source.encode().splitlines(keepends=True)
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    start = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[: node.end_lineno - 1])) + node.end_col_offset
    raw = source.encode()
    return (raw[:start] + text.encode() + raw[end:]).decode()


def _edit(old: str, new: str, node: ast.expr | ast.stmt) -> str:
    """The lines of the node before and after, white space and comments apart."""
    assert node.end_lineno is not None
    before, after = old.splitlines(), new.splitlines()
    kept = len(before) - node.end_lineno
    return " => ".join(
        " ".join(" ".join(line.split("  #")[0] for line in lines).split())
        for lines in (before[node.lineno - 1 : node.end_lineno], after[node.lineno - 1 : len(after) - kept])
    )
