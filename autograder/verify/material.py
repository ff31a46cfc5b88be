"""All that the proof of one exercise rests on, read as text: nothing here is run or imported.

The solved and the released notebook, the contract's rules, the tests' rules and the bank's parts, cut down to
what concerns the exercise; and a hash of it all, so that only what has changed is proven again.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import json
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from autograder.bank import load_equivalent
from autograder.errors import CourseError
from autograder.layout import Course
from autograder.notebooks import Exercise, Released, load_released

__all__ = ["Material", "Sources", "TestText"]

RULE = re.compile(r"\*\*([RF]\d+)\*\*")
CONTRACT = re.compile(r"^\s*[-*] \*\*[RF]\d+\*\*")
MARKS = {"exercise", "wrong", "right"}
PINNED = ("torch", "numpy", "pytest")
# Parts of the package that no proof depends on.
ASIDE = {"hidden", "render", "atlas", "nbgrader", "cohort", "commands", "__pycache__"}


@dataclass(frozen=True, slots=True)
class TestText:
    """A test function as written: its name, whether learners have it, and the rules it names."""

    __test__ = False

    name: str
    visible: bool
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Material:
    """One exercise. `contract` maps its rules (R1) and freedoms (F1) to their text."""

    exercise: Exercise
    solved: str
    stub: str
    contract: Mapping[str, str]
    tests: tuple[TestText, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Sources:
    """The files of one notebook."""

    course: Course
    solution: Released
    released: Released
    authored: Path
    visible: Path
    hidden: Path
    bank: Path

    @classmethod
    def load(cls, course: Course, section: str, notebook: str) -> Sources:
        """Raises CourseError if the notebook has not been built."""
        return cls(
            course,
            load_released(course.solved(section, notebook), section),
            load_released(course.released(section, notebook), section),
            course.source_file(section, notebook),
            course.visible_tests(section, notebook),
            course.hidden_tests(section, notebook),
            course.bank_file(section, notebook),
        )

    def materials(self) -> dict[str, Material]:
        """By exercise, in the order of the notebook."""
        return {exercise.name: self._material(exercise) for exercise in self.released.exercises}

    def in_bank(self) -> list[str]:
        """The exercises that the bank has variants of."""
        return [name for node in _parsed(self.bank).body if (name := _marked(node))]

    def _material(self, exercise: Exercise) -> Material:
        name = exercise.name
        solved, stub = (_answer(notebook, name) for notebook in (self.solution, self.released))
        contract = _contract(self.released, name)
        trees = [_about(path, name) for path in (self.visible, self.hidden, self.bank)]
        tests = [*_tests(trees[0], name, visible=True), *_tests(trees[1], name, visible=False)]
        given = [cell.source for cell in self.solution.cells if cell.role == "given"]
        explained = json.dumps(load_equivalent(self.bank).get(name))
        parts = [*map(ast.dump, trees), *given, solved, stub, json.dumps(contract), repr(exercise), explained]
        digest = _digest(_engine(), *(part.encode() for part in parts), *self._shipped())
        return Material(exercise, solved, stub, contract, tuple(tests), digest)

    def _shipped(self) -> Iterator[bytes]:
        """What lies beside the notebook and may be read by its cells."""
        folder = self.visible.parent
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix != ".ipynb" and not path.name.startswith(("test_", ".")):
                yield path.relative_to(folder).as_posix().encode() + path.read_bytes()


def _answer(notebook: Released, exercise: str) -> str:
    for cell in notebook.cells:
        if cell.role == "answer" and cell.exercise == exercise:
            return cell.source
    raise CourseError(
        f"no answer cell of `{exercise}` in {notebook.name}.ipynb; run `autograder build {notebook.section}`"
    )


def _contract(notebook: Released, exercise: str) -> dict[str, str]:
    """Rules and freedoms in the text before the answer cell: list items that begin with **R1** or **F1**."""
    text: list[str] = []
    for cell in notebook.cells:
        if cell.kind == "markdown":
            text.append(cell.source)
        elif cell.role == "check":
            text = []
        elif cell.role == "answer" and cell.exercise == exercise:
            break
    rules: dict[str, str] = {}
    current = ""
    for line in "\n".join(text).splitlines():
        if CONTRACT.match(line) and (match := RULE.search(line)):
            current = match[1]
            if current in rules:
                raise CourseError(f"the contract of `{exercise}` has two rules {current}")
            rules[current] = line[match.end() :].strip()
        elif current and line.startswith("  ") and line.strip():
            rules[current] += f" {line.strip()}"
        else:
            current = ""
    return rules


def _about(path: Path, exercise: str) -> ast.Module:
    """A test or bank module without the tests and variants of other exercises."""
    nodes = _parsed(path).body
    return ast.Module([n for n in nodes if _marked(n) in ("", exercise) and not _is_equivalent(n)], [])


def _is_equivalent(node: ast.stmt) -> bool:
    """The explained mutants are of all exercises together."""
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "EQUIVALENT"


def _parsed(path: Path) -> ast.Module:
    """The module as a tree that nobody changes; read once, until the file changes."""
    return _tree(path, path.read_text(encoding="utf-8")) if path.exists() else ast.Module([], [])


@lru_cache(maxsize=8)
def _tree(path: Path, text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise CourseError(f"not Python: {error.msg}", path=path, line=error.lineno) from None


def _marked(node: ast.stmt) -> str:
    """The exercise that a decorator names, or the options of a multiple-choice exercise; or ''."""
    match node:
        case ast.Assign(
            value=ast.Call(func=ast.Name(id="options"), args=[ast.Constant(value=str(exercise))])
        ):
            return exercise
    for decorator in getattr(node, "decorator_list", []):
        match decorator:
            case ast.Call(func=ast.Name(id=name), args=[ast.Constant(value=str(exercise)), *_]) if (
                name in MARKS
            ):
                return exercise
    return ""


def _tests(tree: ast.Module, exercise: str, *, visible: bool) -> Iterator[TestText]:
    for cls in tree.body:
        if not isinstance(cls, ast.ClassDef) or _marked(cls) != exercise:
            continue
        for node in cls.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
                yield TestText(node.name, visible, (*_rules(cls), *_rules(node)))


def _rules(node: ast.ClassDef | ast.FunctionDef) -> Iterator[str]:
    for decorator in node.decorator_list:
        match decorator:
            case ast.Call(func=ast.Name(id="rule"), args=names):
                yield from (
                    n.value for n in names if isinstance(n, ast.Constant) and isinstance(n.value, str)
                )


@lru_cache(maxsize=1)
def _engine() -> bytes:
    """Of the code that proves, and of what it stands on."""
    folder = Path(__file__).resolve().parents[1]
    files = sorted(p for p in folder.rglob("*.py") if not ASIDE & set(p.relative_to(folder).parts))
    versions = [platform.python_version(), *(importlib.metadata.version(name) for name in PINNED)]
    return _digest(*(path.read_bytes() for path in files), *(v.encode() for v in versions)).encode()


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()
