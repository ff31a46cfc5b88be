"""The same check where there is no JupyterLab: run by nbclient, and in plain IPython in a terminal."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.cohort.desk import Desk, as_file
from autograder.layout import Course
from autograder.render.card import REPORT_MIME

TINY = Path(__file__).parent / "course"
SECTION, NOTEBOOK = "01_warmup", "tiny"
RUN = """
import sys
import nbclient, nbformat
notebook = nbformat.read(sys.argv[1], 4)
nbclient.execute(notebook)
nbformat.write(notebook, sys.argv[1])
"""
pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The released section, as a learner has it, outside a course."""
    return Path(shutil.copytree(TINY / "release" / SECTION, tmp_path / SECTION))


def test_nbclient_runs_the_notebook_and_every_form_of_the_card_is_saved(folder: Path) -> None:
    wrong = "class Counter:\n    pass"
    content = Desk(Course(TINY), SECTION, NOTEBOOK).solved(Counter=wrong)
    (folder / "mine.ipynb").write_bytes(as_file(content))
    subprocess.run([sys.executable, "-c", RUN, "mine.ipynb"], cwd=folder, check=True, capture_output=True)
    ran = {cell["id"]: cell for cell in json.loads((folder / "mine.ipynb").read_text())["cells"]}
    (shown,) = ran["double"]["outputs"]
    assert "".join(shown["data"]["text/plain"]).startswith("✓ double: passed, 2 of 2 promises kept")
    assert shown["data"][REPORT_MIME]["exercises"][0]["outcome"] == "passed"
    (shown,) = ran["Counter"]["outputs"]
    assert 'data-state="error"' in "".join(shown["data"]["text/html"])
    assert "AttributeError" in "".join(shown["data"]["text/plain"])


def test_plain_ipython_shows_text(folder: Path, tmp_path: Path) -> None:
    pexpect = pytest.importorskip("pexpect")
    env = {**os.environ, "IPYTHONDIR": str(tmp_path / "ipython"), "TERM": "dumb"}
    command = ["-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor"]
    child = pexpect.spawn(sys.executable, command, cwd=str(folder), env=env, timeout=90, encoding="utf-8")
    try:
        said = ""
        for line in (
            "import numpy as np; from autograder import check",
            "double = lambda x: x * x",
            "check('double')",
            "double = lambda x: x * 2",
            "check('double')",
        ):
            child.expect(r"In \[\d+\]: ")
            said += child.before
            child.sendline(line)
        child.expect(r"In \[\d+\]: ")
        said += child.before
    finally:
        child.close(force=True)
    assert "○ double: not yet" in said
    assert "[1, 2] becomes [2, 4]." in said
    assert "expected" in said
    assert "✓ double: passed, 2 of 2 promises kept" in said
    assert "<section" not in said
    assert "Traceback" not in said
