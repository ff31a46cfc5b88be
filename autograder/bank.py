"""The bank of an exercise: known wrong and known right variants, as ordinary functions and classes.

    @wrong("attention", "Your weights are nearly one-hot: the scores are not divided by sqrt(d_k).")
    def scores_not_scaled(q, k, v, mask=None): ...

One variant is one decorated function or class. `Variant.source` is its text under the exercise's name,
ready to stand in the answer cell. A mutant of the solution that no test can tell from it may be explained
in the same file: `EQUIVALENT = {"attention": {"old line => new line": "why they are the same"}}`.
The bank of a multiple-choice exercise is its options, each with the sentence that explains it:

    why_sqrt_d = options("why_sqrt_d", right="B", explained={"A": "No. ...", "B": "Yes. ...", "C": "No. ..."})

The wrong ones are the wrong variants. This module does not run variants; `verify` and `fingerprints` do.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeVar

from autograder.choices import seal
from autograder.errors import CourseError

__all__ = ["Options", "Variant", "load_bank", "load_equivalent", "load_options", "options", "right", "wrong"]

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


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a multiple-choice exercise: the right letter, and what the card says of each."""

    exercise: str
    right: str
    explained: Mapping[str, str]
    uses: tuple[str, ...]

    @property
    def sealed(self) -> str:
        """What the visible test holds."""
        return seal(self.right, self.explained)

    def variants(self) -> Iterator[Variant]:
        """A wrong one for each wrong letter, and the right letter written in another way."""
        for letter, text in self.explained.items():
            if letter != self.right:
                yield self._variant(f"option_{letter}", "wrong", letter, text, ())
        yield self._variant("small_letter", "right", f" {self.right.lower()}", "", self.uses)

    def _variant(
        self, name: str, kind: Literal["wrong", "right"], answer: str, message: str, uses: tuple[str, ...]
    ) -> Variant:
        source = f'{self.exercise} = "{answer}"\n'
        return Variant(self.exercise, name, kind, message, uses, source, answer, {})


def options(exercise: str, *, right: str, explained: Mapping[str, str], uses: str = "") -> Options:
    """The options of a multiple-choice exercise, by their letters A, B, C, ..."""
    letters = [*explained]
    if letters != [*"ABCDEFGH"[: len(letters)]] or right not in letters:
        raise ValueError(
            f"`{exercise}`: expected the letters A, B, C, ... with {right!r} among them, got {letters}"
        )
    if not all(text.strip() for text in explained.values()):
        raise ValueError(f"`{exercise}`: each option needs a sentence that explains it")
    return Options(exercise, right, explained, tuple(uses.replace(",", " ").split()))


def _mark(exercise: str, kind: str, message: str, uses: tuple[str, ...]) -> Callable[[T], T]:
    def mark(target: T) -> T:
        target.__variant__ = (exercise, kind, message, uses)  # type: ignore[attr-defined]
        return target

    return mark


def load_bank(path: Path) -> tuple[Variant, ...]:
    """The variants of a bank module in the order they stand there; () if there is no such file."""
    module = _module(path)
    texts = _definitions(path)
    found: list[Variant] = []
    for o in vars(module).values() if module else ():
        if isinstance(o, Options):
            found += o.variants()
        elif "__variant__" in getattr(o, "__dict__", {}):
            found.append(_variant(o, texts[o.__name__], vars(module), path))
    return tuple(found)


def load_options(path: Path) -> dict[str, Options]:
    """The multiple-choice exercises of a bank module, by name; {} if there is no such file."""
    module = _module(path)
    return {o.exercise: o for o in vars(module).values() if isinstance(o, Options)} if module else {}


def _module(path: Path) -> ModuleType | None:
    if not path.exists():
        return None
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
    return module


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
    """The text of each function and class of a module, without decorators; {} if there is none."""
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    nodes = [n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    return {n.name: "".join(lines[n.lineno - 1 : n.end_lineno]) for n in nodes}
