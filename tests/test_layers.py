"""The layers of the package, as data: a module imports from lower layers only, never in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "autograder"

# Modules and packages directly in autograder/, lowest first. Those of one layer do not know each other.
LAYERS = (
    {"errors", "schema", "record", "magics", "forbid", "merge", "choices", "regions"},
    {"layout", "report", "wire", "bank", "compare", "alarm", "meter", "lab"},
    {"journal"},
    {"notebooks", "sandbox", "render", "trace"},
    {"source", "submitted", "submission", "identify", "safety", "roadmap", "box", "lesson"}
    | {"hints", "place", "statusline"},
    {"testing", "repair", "session", "shipping", "front", "standing", "pictures"},
    {"suite", "build", "doctor", "assignment", "copying", "atlas"},
    {"fingerprints", "shrink", "order", "workfolder"},
    {"running", "visible", "grader", "overview"},
    {"check"},
    {"worker", "rebuild"},
    {"verify", "nbgrader"},
    {"cohort", "watch"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
# Imports that go upwards all the same, and why.
UPWARDS = {
    ("__init__", "check"): "`from autograder import check` is what a notebook says; fetched when asked for",
    ("__init__", "overview"): "`from autograder import progress` likewise",
    ("__init__", "nbgrader"): "`from autograder import configure` likewise, in nbgrader_config.py",
}
# Libraries that only one place may touch.
ONLY_IN = {
    "jupytext": {"notebooks"},
    "nbformat": {"notebooks", "nbgrader"},
    "nbgrader": {"nbgrader", "cohort"},
    "pytest": {"suite"},
    "typer": {"cli", "commands"},
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every module under its dotted name below `autograder`; a package is called by its name."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).with_suffix("")
        if name.parts[0] != "hidden":
            dotted = ".".join(name.parts).removesuffix(".__init__")
            yield dotted, ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> Iterator[str]:
    """Dotted names a module imports, wherever the import stands; relative ones are not used here."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write imports in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


TREES = dict(modules())


def own_imports(name: str) -> set[str]:
    """The modules of the package that a module imports."""
    found = set()
    for dotted in imported(TREES[name]):
        if dotted.startswith("autograder."):
            parts = dotted.split(".")[1:]
            longest = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
            found.add(next((module for module in longest if module in TREES), ""))
    return found - {"", name}


def unit(name: str) -> str:
    return name.partition(".")[0]


def test_every_module_has_its_layer() -> None:
    assert {unit(name) for name in TREES} == set().union(*LAYERS) | {"__init__"}


@pytest.mark.parametrize("name", TREES)
def test_imports_go_downwards(name: str) -> None:
    level = {member: number for number, layer in enumerate(LAYERS) for member in layer}
    for other in own_imports(name):
        if unit(other) != unit(name) and (name, other) not in UPWARDS:
            assert level[unit(other)] < level[unit(name)], f"autograder.{name} imports autograder.{other}"


def test_no_exception_is_left_over() -> None:
    for name, other in UPWARDS:
        assert other in own_imports(name), f"autograder.{name} no longer imports {other}"


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {name: {other for other in own_imports(name) if (name, other) not in UPWARDS} for name in TREES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"imports in a circle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_touched_in_its_place_only(library: str) -> None:
    users = {
        unit(name) for name, tree in TREES.items() if library in {i.partition(".")[0] for i in imported(tree)}
    }
    assert users <= ONLY_IN[library]


def test_the_learners_side_knows_nothing_but_the_wire() -> None:
    for name in TREES:
        if unit(name) == "sandbox":
            assert {unit(other) for other in own_imports(name)} <= {"sandbox", "wire"}, name
