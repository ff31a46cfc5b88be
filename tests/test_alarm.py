"""The alarm interrupts what runs, but no import: half a module would fail whatever comes later."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

import pytest

from autograder.alarm import alarm
from autograder.errors import TimeLimit

SLOW = "import time\nfor _ in range(30):\n    time.sleep(0.01)\nwhole = True\n"


def wait_for_ever(module: str = "") -> None:
    if module:
        importlib.import_module(module)
    while True:
        time.sleep(0.01)


def test_an_endless_loop_is_interrupted() -> None:
    with pytest.raises(TimeLimit), alarm(0.05):
        wait_for_ever()


def test_an_import_ends_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_slow_module.py").write_text(SLOW)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TimeLimit), alarm(0.05):
        wait_for_ever("a_slow_module")
    assert sys.modules.pop("a_slow_module").whole
