"""The bank of an exercise: known wrong and known right variants, as ordinary functions and classes.

    @wrong("attention", "Your weights are nearly one-hot: the scores are not divided by sqrt(d_k).")
    def scores_not_scaled(q, k, v, mask=None): ...

One variant is one decorated function or class. `Variant.source` is its text under the exercise's name,
ready to stand in the answer cell. A mutant of the solution that no test can tell from it may be explained
in the same file: `EQUIVALENT = {"attention": {"old line => new line": "why they are the same"}}`.
This module does not run variants; `verify` and `fingerprints` do.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from autograder.errors import CourseError

__all__ = ["Variant", "load_bank", "load_equivalent", "right", "wrong"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Variant:
    """One known variant of an exercise. `message` is empty for a right one.

    `uses` are the freedoms (F1) and rules of the contract that a right one makes use of; `given` are the
    names of the bank's module, which stand for those the notebook gives.
    """

    exercise: str
    name: str
    kind: Literal["wrong", "right"]
    message: str
    uses: tuple[str, ...]
    source: str
    object: Any
    given: Mapping[str, Any]


def wrong(exercise: str, message: str) -> Callable[[T], T]:
    """Marks a misconception: `message` says what it looks like and where to look."""
    return _mark(exercise, "wrong", message, ())


def right(exercise: str, *, uses: str = "") -> Callable[[T], T]:
    """Marks a correct solution written in a different way; its docstring says how it differs.

    `uses` names the freedoms of the contract it makes use of: `uses="F1 F2"`.
    """
    return _mark(exercise, "right", "", tuple(uses.replace(",", " ").split()))


def _mark(exercise: str, kind: str, message: str, uses: tuple[str, ...]) -> Callable[[T], T]:
    def mark(target: T) -> T:
        target.__variant__ = (exercise, kind, message, uses)  # type: ignore[attr-defined]
        return target

    return mark


def load_bank(path: Path) -> tuple[Variant, ...]:
    """The variants of a bank module in the order they stand there; () if there is no such file."""
    if not path.exists():
        return ()
    spec = importlib.util.spec_from_file_location(f"autograder_bank_{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise CourseError(
            f"the bank can't be imported: {type(error).__name__}: {error}", path=path
        ) from error
    texts = _definitions(path)
    marked = [o for o in vars(module).values() if "__variant__" in getattr(o, "__dict__", {})]
    return tuple(_variant(o, texts[o.__name__], vars(module), path) for o in marked)


def load_equivalent(path: Path) -> dict[str, dict[str, str]]:
    """EQUIVALENT of a bank module, read without running it: exercise -> mutant -> reason."""
    if not path.exists():
        return {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="EQUIVALENT")], value=value):
                return _checked(value, path)
    return {}


def _checked(node: ast.expr, path: Path) -> dict[str, dict[str, str]]:
    try:
        found = ast.literal_eval(node)
        if all(isinstance(why, str) and why.strip() for ours in found.values() for why in ours.values()):
            return {exercise: dict(ours) for exercise, ours in found.items()}
    except (ValueError, AttributeError):
        pass
    example = 'EQUIVALENT = {"attention": {"old line => new line": "why they are the same"}}'
    raise CourseError(
        f"EQUIVALENT gives each mutant a reason, in plain text: `{example}`", path=path, line=node.lineno
    )


def _variant(target: Any, text: str, given: Mapping[str, Any], path: Path) -> Variant:
    exercise, kind, message, uses = target.__variant__
    if kind == "wrong" and not message.strip():
        raise CourseError(f"the wrong variant `{target.__name__}` needs a message for the learner", path=path)
    keyword = "class" if isinstance(target, type) else "def"
    renamed = text.replace(f"{keyword} {target.__name__}", f"{keyword} {exercise}", 1)
    return Variant(exercise, target.__name__, kind, message, uses, renamed, target, given)


def _definitions(path: Path) -> dict[str, str]:
    """The text of each function and class of a module, without decorators."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    nodes = [n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    return {n.name: "".join(lines[n.lineno - 1 : n.end_lineno]) for n in nodes}
