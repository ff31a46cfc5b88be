"""The built package without the repository: it carries the course, and a learner's day works with it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SECTION, NOTEBOOK = "02_neural_networks", "backprop"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", folder, REPOSITORY], check=True, capture_output=True)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with this one; its dependencies come from the environment of the tests."""
    folder = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(installed: Path, here: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "autograder", *words],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_carries_what_a_learner_needs_and_no_more(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    released = {
        f"autograder/course/release/{path.relative_to(REPOSITORY / 'release').as_posix()}"
        for path in (REPOSITORY / "release").rglob("*")
        if path.is_file() and not {"__pycache__", ".ipynb_checkpoints"} & set(path.parts)
    }
    assert released <= names
    assert "autograder/course/nbgrader_config.py" in names
    assert f"autograder/hidden/{SECTION}/test_{NOTEBOOK}.py" in names
    extension = re.compile(r"autograder-[^/]+\.data/data/share/jupyter/labextensions/autograder/")
    others = {name for name in names if not extension.match(name)}
    assert others != names
    tops = {name.partition("/")[0] for name in others}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"autograder"}


def test_a_day_without_the_repository(installed: Path, tmp_path: Path) -> None:
    told = json.loads(run(installed, tmp_path, "start", "--json"))
    work = tmp_path / "ml-course"
    assert told["work"] == str(work)
    assert {"welcome.ipynb", f"{SECTION}/{NOTEBOOK}.ipynb"} <= set(told["new"])
    solved = (REPOSITORY / "solutions" / SECTION / f"{NOTEBOOK}.ipynb").read_bytes()
    (work / SECTION / f"{NOTEBOOK}.ipynb").write_bytes(solved)
    path = f"ml-course/{SECTION}/{NOTEBOOK}.ipynb"
    report = json.loads(run(installed, tmp_path, "grade", path, "--json", "--unsafe"))
    assert report["outcome"] == "graded"
    assert report["score"] >= report["max_score"]
    assert not all(test["visible"] for exercise in report["exercises"] for test in exercise["tests"])
    run(installed, work, "progress", "--rebuild", "--unsafe", "--json")
    standing = json.loads(run(installed, work / SECTION, "progress", "--json"))
    assert standing["work"] == str(work)
    states = {a["name"]: a["state"] for a in standing["assignments"]}
    assert (states[SECTION], states["05_transformers"], states["00_foundations"]) == (
        "done",
        "not begun",
        "coming",
    )
