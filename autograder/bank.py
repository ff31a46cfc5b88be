"""The bank of an exercise: known wrong and known right variants, as ordinary functions and classes.

    @wrong("attention", "Your weights are nearly one-hot: the scores are not divided by sqrt(d_k).")
    def scores_not_scaled(q, k, v, mask=None): ...

One variant is one decorated function or class. `Variant.source` is its text under the exercise's name,
ready to stand in the answer cell. This module does not run variants; `autograder.verify` does.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from autograder.errors import CourseError

__all__ = ["Variant", "load_bank", "right", "wrong"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Variant:
    """One known variant of an exercise. `message` is empty for a right one."""

    exercise: str
    name: str
    kind: Literal["wrong", "right"]
    message: str
    source: str
    object: Any


def wrong(exercise: str, message: str) -> Callable[[T], T]:
    """Marks a misconception: `message` says what it looks like and where to look."""
    return _mark(exercise, "wrong", message)


def right(exercise: str) -> Callable[[T], T]:
    """Marks a correct solution written in a different way; its docstring says how it differs."""
    return _mark(exercise, "right", "")


def _mark(exercise: str, kind: str, message: str) -> Callable[[T], T]:
    def mark(target: T) -> T:
        target.__variant__ = (exercise, kind, message)  # type: ignore[attr-defined]
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
    marked = [o for o in vars(module).values() if "__variant__" in getattr(o, "__dict__", {})]
    return tuple(_variant(o, path) for o in marked)


def _variant(target: Any, path: Path) -> Variant:
    exercise, kind, message = target.__variant__
    if kind == "wrong" and not message.strip():
        raise CourseError(f"the wrong variant `{target.__name__}` needs a message for the learner", path=path)
    return Variant(exercise, target.__name__, kind, message, _source_as(target, exercise), target)


def _source_as(target: Any, name: str) -> str:
    """The text of a function or class under another name, without its decorator."""
    lines = textwrap.dedent(inspect.getsource(target)).splitlines()
    node = ast.parse("\n".join(lines)).body[0]
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    body = lines[node.lineno - 1 :]
    keyword = "class" if isinstance(node, ast.ClassDef) else "def"
    body[0] = body[0].replace(f"{keyword} {node.name}", f"{keyword} {name}", 1)
    return "\n".join(body) + "\n"
