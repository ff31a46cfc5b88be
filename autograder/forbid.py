"""Names an exercise must do without (`forbid=torch.softmax,F.softmax,.sort`), found in the parsed code.

An entry means a name, however it was imported: `F.softmax` is torch.nn.functional.softmax. One that begins
with a dot means an attribute or method of anything. One word means any use of it, keyword arguments included.
It reads code and runs none: what is built at run time (`eval`, a computed attribute name) it cannot see.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache

__all__ = ["violations"]

KNOWN = {"F": "torch.nn.functional", "nn": "torch.nn", "np": "numpy", "plt": "matplotlib.pyplot"}
MAX_MEANINGS = 16  # a name may have been imported more than once; beyond this nobody means it


def violations(source: str, forbid: Sequence[str], *, context: Sequence[str] = ()) -> list[str]:
    """What `source` uses of `forbid`, each with its first line; [] for code that can't be parsed.

    `context` is the code of other cells: their imports and assignments tell what a name means.

    >>> violations("import torch as t\\ny = t.softmax(x, 0)", ["torch.softmax"])
    ['`torch.softmax` (line 2)']
    """
    tree = _parse(source)
    if tree is None or not forbid:
        return []
    names = _Names()
    found: dict[str, int] = {}
    try:
        for other in (*context, source):
            names.learn(_naming(other))
        for used, line in _uses(tree, names):
            for entry in forbid:
                if _matches(used, entry):
                    found[entry] = min(line, found.get(entry, line))
    except RecursionError:
        return ["code too deeply nested to be read"]
    return [f"`{entry}` (line {line})" for entry, line in sorted(found.items(), key=lambda item: item[1])]


class _Names:
    """What the global names of some code may stand for, as dotted paths."""

    def __init__(self) -> None:
        self._meanings: dict[str, set[str]] = {name: {path} for name, path in KNOWN.items()}
        self._stars: set[str] = set()

    def learn(self, statements: Sequence[ast.stmt]) -> None:
        """Note imports, and assignments of one dotted name to another."""
        for node in statements:
            match node:
                case ast.Import(names=aliases):
                    for alias in aliases:
                        whole = alias.name if alias.asname else alias.name.partition(".")[0]
                        self._add(alias.asname or whole, {whole})
                case ast.ImportFrom(module=str(module), names=aliases):
                    for alias in aliases:
                        if alias.name == "*" and len(self._stars) < MAX_MEANINGS:
                            self._stars.add(module)
                        else:
                            self._add(alias.asname or alias.name, {f"{module}.{alias.name}"})
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Name() | ast.Attribute() as value):
                    self._add(name, set(self.paths(value)))

    def paths(self, node: ast.expr) -> Iterator[str]:
        """Every dotted path an expression may stand for; what it is an attribute of may be anything."""
        match node:
            case ast.Name(id=name):
                yield name
                yield from self._meanings.get(name, ())
                yield from (f"{module}.{name}" for module in self._stars)
            case ast.Attribute(value=value, attr=name):
                yield from (f"{path}.{name}" for path in self.paths(value))
            case ast.Call(func=ast.Name(id="getattr"), args=[value, ast.Constant(value=str(name)), *_]):
                yield from (f"{path}.{name}" for path in self.paths(value))
            case ast.Subscript(value=holder, slice=ast.Constant(value=str(name))) if owner := _owner(holder):
                yield from (f"{path}.{name}" for path in self.paths(owner))
            case ast.Call(func=function, args=[ast.Constant(value=str(name)), *_]) if _imports(function):
                yield name
            case _:
                yield ""

    def _add(self, name: str, paths: set[str]) -> None:
        meanings = self._meanings.setdefault(name, set())
        if len(meanings) < MAX_MEANINGS:
            meanings |= paths


@lru_cache(maxsize=1024)  # most cells of a submission are those of all others, and every exercise asks
def _naming(source: str) -> tuple[ast.stmt, ...]:
    """The imports of some code and its assignments to a name, wherever they stand."""
    tree = _parse(source)
    naming = (ast.Import, ast.ImportFrom, ast.Assign)
    return tuple(node for node in ast.walk(tree) if isinstance(node, naming)) if tree else ()


def _uses(tree: ast.Module, names: _Names) -> Iterator[tuple[str, int]]:
    """Every dotted path the code names, with its line; a keyword argument is a path of one word."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=aliases):
                yield from ((f"{module}.{alias.name}", node.lineno) for alias in aliases)
            case ast.Import(names=aliases):
                yield from ((alias.name, node.lineno) for alias in aliases)
            case ast.keyword(arg=str(name)):
                yield name, node.lineno
            case ast.Attribute() | ast.Name() | ast.Call() | ast.Subscript():
                yield from ((path, node.lineno) for path in names.paths(node) if path)


def _matches(used: str, entry: str) -> bool:
    """Whether the entry, written out in full, is part of the path: a module stands for all that is in it."""
    if entry.startswith("."):
        return used.endswith(entry)
    first, dot, rest = entry.partition(".")
    full = KNOWN.get(first, first) + dot + rest
    return f".{entry}." in f".{used}." or f".{full}." in f".{used}."


def _owner(node: ast.expr) -> ast.expr | None:
    """x, for `vars(x)` and `x.__dict__`."""
    match node:
        case ast.Call(func=ast.Name(id="vars"), args=[value]):
            return value
        case ast.Attribute(value=value, attr="__dict__"):
            return value
    return None


def _imports(function: ast.expr) -> bool:
    return ast.unparse(function) in ("__import__", "import_module", "importlib.import_module")


def _parse(source: str) -> ast.Module | None:
    with warnings.catch_warnings(action="ignore"):  # of "\d" and the like: the learner's, not ours
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
