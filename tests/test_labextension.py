"""The extension for JupyterLab says the same as the package, and is where JupyterLab looks for it.

What it does is tried in a browser: tests/browser/.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, get_args

import pytest

from autograder import __version__
from autograder.render.card import REPORT_MIME, Card
from autograder.render.style import CARD_CSS
from autograder.render.words import SYMBOLS, State
from autograder.report import ExerciseResult, Report, TestResult

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "autograder" / "labextension"
PLACE = Path("share/jupyter/labextensions/autograder")
FILES = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*") if path.is_file())


def text(name: str) -> str:
    return (SOURCE / name).read_text(encoding="utf-8")


def test_words_and_symbols_are_those_of_the_card() -> None:
    block = re.search(r"SYMBOLS = \{(.*?)\}", text("static/exercises.js"), re.S)
    assert block
    pairs = re.findall(r'"?([a-z ]+)"?: "(.)"', block[1])
    assert {word.strip(): symbol for word, symbol in pairs} == {
        **{state: SYMBOLS[state][0] for state in get_args(State)},
        "not checked": "–",
    }


def test_the_state_is_where_the_panel_reads_it() -> None:
    assert f'"{REPORT_MIME}"' in text("static/exercises.js")
    tests = [TestResult("test_a", True, "failed", "Adds.\nexpected 1, got 2")]
    result = ExerciseResult.of("add", tests, points=1)
    report = Report.of("s", "n", exercises=[result], sandbox="", seed=1, verdict_id="")
    data = Card(report)._repr_mimebundle_()
    assert re.search(r'<\w+ [^>]*data-exercise="add" data-state="not yet"', str(data["text/html"]))
    shown: Any = data[REPORT_MIME]
    assert {"name", "outcome", "score"} <= shown["exercises"][0].keys()


def test_colours_are_those_of_the_card() -> None:
    light, dark = re.findall(r"\{\s*(--ag-good:.*?)(?:\n  box-sizing|\n\})", text("static/style.css"), re.S)
    palettes = [set(re.findall(r"--ag-[\w-]+:#\w+", part)) for part in (light, dark)]
    cards = re.findall(r"--ag-[\w-]+:#\w+", CARD_CSS)
    half = cards.index("--ag-text:#e6edf3")
    assert palettes[0] <= set(cards[:half])
    assert palettes[1] <= set(cards[half:])
    assert min(map(len, palettes)) > 5


def test_the_shortcut_is_nobody_else_s() -> None:
    schema = json.loads(text("schemas/autograder/plugin.json"))
    (mine,) = schema["jupyter.lab.shortcuts"]
    places = [Path(sys.prefix) / "share/jupyter" / where for where in ("lab/schemas", "labextensions")]
    taken = {
        tuple(shortcut.get("keys", ())): shortcut["command"]
        for place in places
        for path in place.rglob("*.json")
        for shortcut in _shortcuts(path)
        if not shortcut["command"].startswith("autograder:")
    }
    assert len(taken) > 50
    assert tuple(mine["keys"]) not in taken


def _shortcuts(path: Path) -> list[dict[str, Any]]:
    content = json.loads(path.read_text(encoding="utf-8"))
    return content.get("jupyter.lab.shortcuts", []) if isinstance(content, dict) else []


def test_the_version_is_the_package_s() -> None:
    assert json.loads(text("package.json"))["version"] == __version__


def test_what_is_installed_is_current() -> None:
    installed = Path(sys.prefix) / PLACE
    if not installed.exists():
        pytest.skip("the package is not installed here")
    for path in FILES:
        assert (installed / path).read_bytes() == (SOURCE / path).read_bytes(), (
            f"`make setup` copies {path} anew"
        )


def test_nothing_is_put_in_as_markup() -> None:
    for path in SOURCE.glob("static/*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b", path.read_text())


@pytest.mark.slow
def test_a_wheel_brings_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for path in FILES:
        assert any(name.endswith(f".data/data/{(PLACE / path).as_posix()}") for name in names), path
