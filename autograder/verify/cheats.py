"""Answers that know nothing of the exercise: each must earn nothing.

Most are made of the solution, so that shapes, dtypes and errors are right and only the values are not: a test
that looks at a shape alone, or at an error alone, lets them through. The texts are never shown to anybody.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

__all__ = ["cheats"]

FILLS = {"zeros": 0, "ones": 1, "NaN": float("nan"), "a constant": 0.5}

FILL = """
def {name}_filled(value, by):
    import numpy as np
    import torch
    if isinstance(value, torch.Tensor):
        if by != by and not (value.is_floating_point() or value.is_complex()):
            return torch.zeros_like(value)
        return {tensor}
    if isinstance(value, np.ndarray | np.generic):
        if by != by and value.dtype.kind not in "fc":
            by = 0
        return {array}
    if isinstance(value, dict):
        return {{key: {name}_filled(part, by) for key, part in value.items()}}
    if isinstance(value, list | tuple):
        return [{name}_filled(part, by) for part in value]
    if isinstance(value, bool):
        return bool(by == 1)
    if isinstance(value, int):
        return int(by == 1)
    return float(by) if isinstance(value, float | complex) else None
"""
FULL = {"tensor": "torch.full_like(value, by)", "array": "np.full_like(value, by)"}
SCALAR = {"tensor": "torch.tensor(by, dtype=value.dtype)", "array": "value.dtype.type(by)"}


def cheats(name: str, solved: str, stub: str, forbid: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(what it does, the text of the answer cell) for an exercise; the untouched stub is the first."""
    yield "the untouched stub", stub
    node = ast.parse(solved).body[0]
    if isinstance(node, ast.Assign):
        yield from _letters(name)
        return
    if isinstance(node, ast.FunctionDef):
        yield from _functions(name, solved)
        where = node
    else:
        assert isinstance(node, ast.ClassDef)
        yield from _classes(name, solved, node)
        where = next(n for n in node.body if isinstance(n, ast.FunctionDef))
    for entry in forbid:
        yield f"delegation to {entry}", _delegating(solved, where, entry)


def _letters(name: str) -> Iterator[tuple[str, str]]:
    """Answers to a multiple-choice exercise that choose none of its options."""
    yield "every letter at once", f'{name} = "ABCDEFGH"\n'
    yield "a letter that is no option", f'{name} = "Z"\n'
    yield "a list of letters", f"{name} = list('ABCDEFGH')\n"
    yield "None", f"{name} = None\n"
    yield "a text that equals every other", f"class {name}(str):\n    __eq__ = lambda *_: True\n"


def _functions(name: str, solved: str) -> Iterator[tuple[str, str]]:
    head = f"def {name}(*args, **kwargs):\n"
    inner = _renamed(name, solved)
    yield "an empty body", f"{head}    pass\n"
    yield "returning the input", f"{head}    return [*args, *kwargs.values()][0]\n"
    yield "an exception", f"{head}    raise ValueError('no')\n"
    for label, value, form in _fills():
        body = f"    return {name}_filled(_solved_{name}(*args, **kwargs), float({str(value)!r}))\n"
        yield label, f"{head}{_indented(inner)}{_indented(FILL.format(name=name, **form))}{body}"


def _classes(name: str, solved: str, node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    methods = [n.name for n in node.body if isinstance(n, ast.FunctionDef) and n.name != "__init__"]
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    empty = [
        f"class {name}({bases}):",
        *_method("__init__", f"super({name}, self).__init__()" if bases else "pass"),
    ]
    yield "empty methods", _lines(empty, *(_method(m, "pass") for m in methods))
    given = "return [*args, *kwargs.values(), None][0]"
    yield "methods that return their input", _lines(empty, *(_method(m, given) for m in methods))
    yield "an exception", _lines([f"class {name}:", *_method("__init__", "raise ValueError('no')")])
    inner = _renamed(name, solved)
    for label, value, form in _fills():
        head = [f"class {name}(_solved_{name}):", "    pass"]
        bodies = [
            _method(
                m, f"return {name}_filled(super({name}, self).{m}(*args, **kwargs), float({str(value)!r}))"
            )
            for m in methods
        ]
        yield label, f"{inner}\n{FILL.format(name=name, **form)}\n{_lines(head, *bodies)}"


def _fills() -> Iterator[tuple[str, float, dict[str, str]]]:
    for label, value in FILLS.items():
        yield f"{label} of the right shape", value, FULL
    yield "a scalar that broadcasts", 0.5, SCALAR


def _method(name: str, body: str) -> list[str]:
    return [f"    def {name}(self, *args, **kwargs):", f"        {body}"]


def _lines(*blocks: list[str]) -> str:
    return "\n".join(line for block in blocks for line in block) + "\n"


def _renamed(name: str, solved: str) -> str:
    for keyword in ("def", "class"):
        solved = solved.replace(f"{keyword} {name}", f"{keyword} _solved_{name}", 1)
    return solved


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def _delegating(solved: str, function: ast.FunctionDef, entry: str) -> str:
    """The solution with the forbidden name in its body."""
    first = function.body[0]
    use = f"(){entry}" if entry.startswith(".") else entry
    lines = solved.splitlines()
    lines.insert(first.lineno - 1, f"{' ' * first.col_offset}_delegated = lambda: {use}")
    return "\n".join(lines) + "\n"
